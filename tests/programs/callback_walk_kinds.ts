/**
 * The callbacks of the random walk: their definitions, the C functions that call them, and what they answer.
 *
 * @module
 */

import { type Callback, callback, dlopen, type Pointer } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

/** The definitions, by the C function that calls them, and what C gives them for a value. */
export const kinds = [
  { c: "i32", parameters: ["i32"], result: "i32", given: (v: number) => [v] },
  // The same shape: what C called as the first may reach the second.
  { c: "i32", parameters: ["u32"], result: "u32", given: (v: number) => [v] },
  { c: "f64", parameters: ["f64"], result: "f64", given: (v: number) => [v + 0.5] },
  { c: "f32", parameters: ["f32"], result: "f32", given: (v: number) => [v + 0.5] },
  { c: "i64", parameters: ["i64"], result: "i64", given: (v: number) => [BigInt(v) << 20n] },
  { c: "i64", parameters: ["usize"], result: "u64", given: (v: number) => [BigInt(v) << 20n] },
  {
    c: "small",
    parameters: ["u8", "i16", "bool"],
    result: "u8",
    given: (v: number) => [v & 255, 0 - v, (v & 1) !== 0],
  },
  { c: "nothing", parameters: [], result: "void", given: () => [] },
  { c: "void", parameters: ["i32", "f64"], result: "void", given: (v: number) => [v, v + 0.25] },
  {
    c: "mixed",
    parameters: ["i32", "f64", "i64", "f32", "u8"],
    result: "f64",
    given: (v: number) => [v, v + 0.5, BigInt(-v), v, (v + 1) & 255],
  },
  {
    c: "integers",
    parameters: ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i8", "i64"],
    result: "i32",
    given: (v: number) => [v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v << 24 >> 24, BigInt(v + 8)],
  },
  {
    c: "floats",
    parameters: ["f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64", "f32", "i32"],
    result: "f32",
    given: (v: number) => [v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8, v + 9, v + 10],
  },
] as const;

/** One of them. */
export type Kind = typeof kinds[number];
type Definition = { readonly parameters: readonly "i32"[]; readonly result: "i32" };
/** A callback, of whatever definition. */
export type Made = Callback<Definition>;
/** Makes a callback, whose definition and function TypeScript doesn't check. */
export const makeUnchecked = callback as unknown as (definition: unknown, fn: unknown, options?: unknown) => Made;
const definitionOf = (kind: Kind): Definition =>
  ({ parameters: kind.parameters, result: kind.result }) as unknown as Definition;
/** Their definitions. */
export const definitions = new Map(kinds.map((kind) => [kind, definitionOf(kind)]));

const shapes = [...new Set(kinds.map(({ c }) => c))];
/** Calls a callback by its pointer, by the name of the C function. */
export const byPointer = dlopen(
  testLibrary,
  Object.fromEntries(shapes.map((c) => [c, { name: `walk_${c}`, parameters: ["function", "i32"], result: "f64" }])),
).symbols as unknown as Record<string, (fn: Made | Pointer, value: number) => number>;
/** Lends a function to a call. */
export const lending = new Map(kinds.map((kind, index) => {
  const symbol = { name: `walk_${kind.c}`, parameters: [definitions.get(kind) as Definition, "i32"], result: "f64" };
  const { symbols } = dlopen(testLibrary, { [`lend${index}`]: symbol } as never);
  return [kind, (symbols as Record<string, unknown>)[`lend${index}`] as (fn: unknown, value: number) => number];
}));
/** C functions that call a callback several times, and that tell which pointer was called last. */
export const { walk_repeat, walk_last } = dlopen(testLibrary, {
  walk_repeat: { parameters: ["function", "i32", "buffer", "i32"], result: "void" },
  walk_last: { parameters: [], result: "pointer" },
}).symbols;

/** What is known of a callback. Its function holds this, so it must not hold the callback. */
export interface Model {
  readonly id: number;
  readonly kind: Kind;
  readonly name: string;
  readonly fallback: number;
  readonly once: boolean;
  /** `dropped`: nobody holds it, and it may have been collected in the last turn. */
  state: "live" | "dropped" | "gone";
  /** How many were freed when it was, itself included; the least that is possible for what was collected. */
  freedAt: number;
  reported: boolean;
}

/** What a callback answers, as C gives it back: small enough for every type. */
export function answer({ id, kind }: Model, value: number): number {
  if (kind.result === "void") return 0;
  return (id * 7 + value * 3) & (kind.result === "u8" ? 255 : 0xfffff);
}

/** As its type wants it. */
export function typed({ result }: Kind, value: number): unknown {
  return result === "void" ? undefined : result === "i64" || result === "u64" ? BigInt(value) : value;
}
