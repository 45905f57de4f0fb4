/**
 * C on a stack of its own: callbacks against the bare runtime's, calls against belay's own, a sort whose values are fetched
 * against the same on JavaScript's stack, and against a comparator there that borrows them; and a callback that is awaited against
 * awaiting what is there.
 */

import { argument, callback, dlopen, fetchAt, NativeMemory, type Pointer } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { compare, compareAsync, finish, isSmall } from "./harness.ts";
import { rawCallback, rawOpen } from "./raw.ts";

const definition = { parameters: ["i32", "i32"], result: "i32" } as const;
const repeat = { parameters: [definition, "i32"], result: "i32" } as const;
const add = { parameters: ["i32", "i32"], result: "i32" } as const;
const own = dlopen(testLibrary, {
  repeat: { ...repeat, stack: "own" },
  add_i32: { ...add, stack: "own" },
  repeatLater: { ...repeat, name: "repeat", suspends: true },
}).symbols;
const plain = dlopen(testLibrary, { add_i32: add }).symbols;
const rawRepeat = rawOpen(testLibrary, { repeat: { parameters: ["function", "i32"], result: "i32" } })["repeat"];

const made = callback(definition, (a, b) => (a + b) | 0);
const rawMade = rawCallback(definition, (a: number, b: number) => (a + b) | 0);
compare("callback/i32-i32-own-stack", {
  belay: (count) => void own.repeat(made, count),
  raw: (count) => void rawRepeat(rawMade.pointer, count),
}, { count: 300_000 });

const { add_i32: ownAdd } = own;
const { add_i32: plainAdd } = plain;
compare("call/own-stack", {
  belay(count) {
    for (let i = 0; i < count; i++) ownAdd(i, 1);
  },
  plain(count) {
    for (let i = 0; i < count; i++) plainAdd(i, 1);
  },
}, { count: 300_000 });

const comparator = { parameters: ["pointer", "pointer"], result: "i32" } as const;
const sort = { name: "qsort", parameters: ["buffer", "usize", "usize", comparator], result: "void" } as const;
const { sortOwn, sortPlain } = dlopen(libcPath, { sortOwn: { ...sort, stack: "own" }, sortPlain: sort }).symbols;
const length = isSmall ? 100 : 20_000;
const shuffled = Int32Array.from({ length }, (_, i) => Math.imul(i, 7919) % 65_536);
const at = (pointer: Pointer | null): number => NativeMemory.borrow(pointer as Pointer, 4).getInt32(0);
const borrowing = callback(comparator, (a, b) => at(a) - at(b));
const fetching = callback(
  { ...comparator, fetch: [fetchAt("i32", argument(0)), fetchAt("i32", argument(1))] },
  (a, b) => a - b,
);
compare("qsort/20k-i32", {
  belay: () => sortOwn(shuffled.slice(), length, 4, fetching),
  plain: () => sortPlain(shuffled.slice(), length, 4, fetching),
  borrowed: () => sortPlain(shuffled.slice(), length, 4, borrowing),
}, { count: 1, rounds: 15 });

const calls = isSmall ? 10 : 100_000;
const time = async (fn: () => Promise<unknown>): Promise<Record<string, number>> => {
  const start = performance.now();
  await fn();
  return { "suspend/await-null": (performance.now() - start) * 1e6 / calls };
};
await compareAsync({
  belay: () => time(() => own.repeatLater((a, b) => Promise.resolve((a + b) | 0), calls)),
  await: () =>
    time(async () => {
      for (let i = 0; i < calls; i++) await null;
    }),
});
finish();
