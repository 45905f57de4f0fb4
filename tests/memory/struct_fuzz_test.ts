/**
 * Random structures, held against what the pinned C compiler makes of them: in a child process. `BELAY_FUZZ_SEED` and
 * `BELAY_FUZZ_COUNT` set the seed and the number of definitions; `deno task soak` has more of them. What was compiled once
 * is there for the other runtime.
 */

import { assert, assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import process from "node:process";
import { runChild } from "../support/child.ts";
import type { StructWalkFigures } from "../programs/struct_walk.ts";
import { slowness } from "../support/machine.ts";

const seed = process.env["BELAY_FUZZ_SEED"] ?? "1";
const count = Number(process.env["BELAY_FUZZ_COUNT"] ?? (slowness > 1 ? 500 : 1_000));

it(`${count} random structures are laid out and passed as C does it (seed ${seed}, in a child process)`, () => {
  const { code, stdout, stderr } = runChild("struct_walk.ts", [seed, String(count)], { timeoutMs: 300_000 });
  assertEquals([code, stderr], [0, ""], `seed ${seed}: ${stderr}`);
  const { definitions, functions } = JSON.parse(stdout) as StructWalkFigures;
  assertEquals(definitions, count);
  assert(functions > count / 2, `only ${functions} functions were called`);
});
