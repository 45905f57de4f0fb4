/**
 * C on a stack of its own: callbacks against the bare runtime's, calls against belay's own, a sort against the same on
 * JavaScript's stack; and a callback that is awaited against awaiting what is there.
 */

import { callback, dlopen, type Pointer } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { loads } from "../../ffi/core/memory.ts";
import type { NativeFunctionObject } from "../../ffi/runtime/backend.ts";
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
const load = loads().i32 as NativeFunctionObject;
const byValue = callback(
  comparator,
  (a: Pointer | null, b: Pointer | null) => (load(a, 0) as number) - (load(b, 0) as number),
);
const sorted = (fn: typeof sortOwn) => (): void => fn(shuffled.slice(), length, 4, byValue);
compare("qsort/20k-i32", { belay: sorted(sortOwn), plain: sorted(sortPlain) }, { count: 1, rounds: 15 });

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
