/** C forks while threads call: in the child JavaScript can't run, and nothing of belay's keeps it from ending. */

import process from "node:process";
import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { runChild } from "../support/child.ts";
import { emulator } from "../support/machine.ts";
import type { ForkFigures } from "../programs/fork.ts";
import { leftOut } from "../support/left_out.ts";

const possible = process.platform !== "win32";
if (!possible) leftOut("the tests of forks, which Windows has none of");
const test = possible ? it : it.skip;
const count = emulator === undefined ? 50 : 5;

describe("a child that C forks while threads call, send events and make nonblocking calls", () => {
  for (const from of ["javascript", "own stack", "pool", "thread"]) {
    const name = "gets fallbacks for its calls, ends by exit() with its own code, and disturbs nothing of its parent";
    test(`${name} (from ${from}, in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("fork.ts", [from, String(count)]);
      assertEquals([code, signal, stderr], [0, null, ""], stdout);
      const figures = JSON.parse(stdout) as ForkFigures;
      assertEquals(figures, { right: count, killed: 0, otherStatus: 0, goesOn: true, handleIsLive: true });
    });
  }
});
