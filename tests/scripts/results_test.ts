/** What the test command says at its end: counts out of the reports that Deno and Bun write. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { readResults } from "../../scripts/results.ts";

// As the pinned runtimes write them; names and times are made up.
const reports = {
  Deno: `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="7" failures="2" errors="0" time="5.443">
  <testsuite name="./tests/slow_test.ts" tests="1" disabled="0" errors="0" failures="1">
    <testcase name="group" classname="./tests/slow_test.ts" time="3.5" line="2" col="1"><failure message="1 step failed"></failure></testcase>
  </testsuite>
  <testsuite name="ext:deno_node/testing.ts" tests="4" disabled="1" errors="0" failures="1">
    <testcase name="group &gt; a" classname="ext:deno_node/testing.ts" time="0.1" line="1" col="1"></testcase>
    <testcase name="group &gt; bad &lt;&amp;&gt;" classname="ext:deno_node/testing.ts" time="0.1" line="1" col="1">
      <failure message="no">Error: no</failure>
    </testcase>
    <testcase name="group &gt; skipped" classname="ext:deno_node/testing.ts" time="0" line="1" col="1"><skipped/></testcase>
  </testsuite>
  <testsuite name="./tests/quick_test.ts" tests="1" disabled="0" errors="0" failures="0">
    <testcase name="alone" classname="./tests/quick_test.ts" time="0.25" line="2" col="1"></testcase>
  </testsuite>
</testsuites>`,
  Bun: `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="0" failures="1" skipped="1" time="3.75">
  <testsuite name="tests/slow_test.ts" file="tests/slow_test.ts" tests="3" failures="1" skipped="1" time="3.5">
    <testsuite name="group" file="tests/slow_test.ts" line="2" tests="3" failures="1" skipped="1" time="0">
      <testcase name="a" classname="group" time="0.1" file="tests/slow_test.ts" line="2" />
      <testcase name="bad &lt;&amp;&gt;" classname="group" time="0.1" file="tests/slow_test.ts" line="3"><failure /></testcase>
      <testcase name="skipped" classname="group" time="0" file="tests/slow_test.ts" line="4"><skipped /></testcase>
    </testsuite>
  </testsuite>
  <testsuite name="tests/quick_test.ts" file="tests/quick_test.ts" tests="1" failures="0" skipped="0" time="0.25">
    <testcase name="alone" classname="" time="0.25" file="tests/quick_test.ts" line="2" />
  </testsuite>
</testsuites>`,
};

describe("the results of a test run", () => {
  for (const [runtime, xml] of Object.entries(reports)) {
    it(`are the tests that passed and failed, and the slowest files first, on ${runtime}`, () => {
      const files = [["slow_test.ts", 3.5], ["quick_test.ts", 0.25]];
      assertEquals(readResults(xml) as unknown, { passed: 2, failed: 1, files });
    });
  }

  it("are a failure where a group fails outside of its tests", () => {
    const xml = reports.Deno.replace(/<testcase name="group &gt; bad[\s\S]*?<\/testcase>/, "");
    assertEquals([readResults(xml).passed, readResults(xml).failed], [2, 1]);
  });
});
