/** Random calls inside of calls, and very many callbacks, on stacks of C's own. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ownRuntime, runChild } from "../support/child.ts";
import { slowness } from "../support/machine.ts";

/** How an engine collects all the time. */
const collecting = ownRuntime.name === "bun"
  ? { env: { BUN_JSC_collectContinuously: "1" } }
  : { v8Flags: ["--gc-interval=500", "--stress-compaction"] };

describe("calls inside of calls, each in a child process", () => {
  const walk = (seed: number, walks: number, options = {}): void => {
    const { code, stdout, stderr } = runChild("own_stack_walk.ts", [String(seed), String(walks)], options);
    assertEquals([code, stderr], [0, ""], `seed ${seed}: ${stdout}`);
    const done = JSON.parse(stdout) as Record<string, number>;
    for (const kind of ["plain", "own", "answer", "throw", "tail", "wait", "call", "calls"]) {
      assert((done[kind] ?? 0) > walks / 20, `seed ${seed}: ${stdout}`);
    }
  };

  it("give what a model says", () => {
    for (const seed of [1, 2, 3]) walk(seed, slowness > 1 ? 100 : 1000);
    walk(Math.floor(Math.random() * 2 ** 31), slowness > 1 ? 100 : 1000);
  });

  it("do so when the engine collects all the time", () => walk(4, 200, collecting));
});

it("ten million callbacks, some of which throw, collect or call again, in a child process", () => {
  const { code, stdout, stderr } = runChild("many_own_callbacks.ts", [slowness > 1 ? "50" : "1000"]);
  assertEquals([code, stdout, stderr], [0, "done\n", ""]);
});
