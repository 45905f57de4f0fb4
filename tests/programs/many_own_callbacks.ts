/** Ten million callbacks on stacks of C's own, some of which throw, collect garbage or call C again. */

import process from "node:process";
import { assertEquals, assertThrows } from "@std/assert";
import { dlopen, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { collect } from "../support/gc.ts";

const visit = { parameters: ["i32", "i32"], result: "i32" } as const;
const each = { name: "each", parameters: ["i32", visit, "i32"], result: "i32", stack: "own" } as const;
const { own, add_i32 } = dlopen(testLibrary, { own: each, add_i32: { ...visit, stack: "own" } }).symbols;

const rounds = Number(process.argv.at(-1));
const perRound = 10_000;
let calls = 0;
for (let round = 0; round < rounds; round++) {
  let sum = 0;
  const result = own(perRound, (value, i) => {
    calls += 1;
    if (i % 1000 === 999) return add_i32(value, i);
    sum += i & 1;
    return i & 1;
  }, 1);
  for (let i = 999; i < perRound; i += 1000) sum += 1 + i;
  assertEquals(result, sum | 0);
  if (round % 100 === 50) {
    assertThrows(
      () =>
        own(10, (_, i) => {
          if (i === 5) throw new RangeError("five");
          collect();
          return 1;
        }, 0),
      RangeError,
      "five",
    );
  }
}
assertEquals([calls, stats().live.ownStacks], [rounds * perRound, 0]);
console.log("done");
