/** Deno's test sanitizers, which take what a test leaves behind for a leak of it. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { testLibrary } from "../../scripts/build.ts";
import { ownRuntime, runFiles } from "../support/child.ts";
import { leftOut } from "../support/left_out.ts";

const onDeno = ownRuntime.name === "deno";
if (!onDeno) leftOut("the sanitizers of Deno's test runner, which only Deno has");

(onDeno ? describe : describe.skip)("Deno's test sanitizers, in a child process", () => {
  it("blame no test for what belay keeps, when a callback was made before the tests", () => {
    const { code, stdout, stderr } = runFiles(["tests/programs/sanitized_file.ts"], {
      as: "test",
      args: ["--sanitize-resources", "--sanitize-ops"],
      env: { BELAY_TEST_LIBRARY: testLibrary },
    });
    assertEquals(code, 0, `${stdout}\n${stderr}`);
    assertStringIncludes(stdout, "10 passed | 0 failed");
  });
});
