/** Programs and test runners that replace timers and clocks for a while. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { testLibrary } from "../../scripts/build.ts";
import { ownRuntime, runChild, runFiles } from "../support/child.ts";
import { leftOut } from "../support/left_out.ts";

const programs: readonly (readonly [name: string, printed: string])[] = [
  ["closed", ""],
  ["made", "alive\n"],
  ["a call starts", "settled\n"],
  ["a call settles", "settled\n"],
  ["a channel is read", "alive\n"],
  ["more calls than a turn serves", "called 80000\n"],
];

describe("a program that replaces its timers and its clock for a while, in a child process", () => {
  for (const [name, printed] of programs) {
    it(`goes on, and ends when it should: ${name}`, () => {
      const { code, stdout, stderr } = runChild("replaced_timers.ts", [testLibrary, name]);
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: printed, stderr: "" });
    });
  }
});

const onBun = ownRuntime.name === "bun";
if (!onBun) leftOut("the fake timers of Bun's test runner, which only Bun has");

(onBun ? describe : describe.skip)("Bun's own fake timers, in a child process", () => {
  it("leave calls served, more of them than a turn serves, and other events", () => {
    const { code, stderr, timedOut } = runFiles(["tests/programs/fake_timers_file.ts"], {
      as: "test",
      env: { BELAY_TEST_LIBRARY: testLibrary },
    });
    assertEquals([code, timedOut], [0, false], stderr);
    assert(stderr.includes("1 pass"), stderr);
  });
});
