/**
 * Every type of parameter, of out-parameter and of result, in every kind of call: `programs/call_sweep.ts`, in a child process.
 */

import { assert, assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { runChild } from "../support/child.ts";
import type { CallSweepFigures } from "../programs/call_sweep.ts";

it("arguments, out-parameters and results of every type cross in every kind of call (in a child process)", () => {
  const { code, stdout, stderr } = runChild("call_sweep.ts");
  assertEquals([code, stderr], [0, ""], stderr);
  const { calls, wrong } = JSON.parse(stdout) as CallSweepFigures;
  assertEquals(wrong.slice(0, 10), [], `${wrong.length} of ${calls} calls`);
  assert(calls > 8000, `only ${calls} calls`);
});
