/**
 * Structures that nobody thought of: random definitions, compiled as C and declared to belay, by pointer and by value.
 *
 * Arguments: the seed and the number of definitions. Ends with code 1 and the first difference, or prints what it did.
 */

import { rmSync } from "node:fs";
import process from "node:process";
import { configure, NativeMemory } from "@belay/ffi";
import { host } from "../../scripts/build.ts";
import { CLibrary } from "../support/c_calls.ts";
import {
  belayMeasures,
  belayRecord,
  type CFunction,
  type CRecord,
  type CType,
  difference,
  hasUnionOverPadding,
  type Scalar,
  scalars,
  valueOf,
} from "../support/c_types.ts";
import { randomFrom } from "../support/random.ts";

/** What is printed, as JSON. */
export interface StructWalkFigures {
  readonly definitions: number;
  /** Functions that took and gave structures by value, each called both ways. */
  readonly functions: number;
  readonly seconds: number;
}

const [seed, definitions] = process.argv.slice(2).map(Number);
// Callbacks that were closed are called on purpose.
configure({ onReport: () => {} });
const random = randomFrom(seed);
/** The tests' own: its libraries stay, for the other runtime and the next time. */
const keptSeed = 1;
/** What is compiled at once. */
const batch = 500;
/** What is passed by value, so that all arguments fit. */
const mostByValue = 96;
const mostBytes = 4096;
const names = Object.keys(scalars) as Scalar[];
const packs = [1, 2, 4, 8, 16] as const;

function pick<T>(from: readonly T[]): T {
  return from[random(from.length)];
}

/** Floats of one width, and few fields, come often: how these are passed differs most. */
function randomRecord(known: readonly CRecord[], depth: number): CRecord {
  const kind = random(5) === 0 ? "union" : "struct";
  const only = random(4) === 0 ? pick<Scalar>(["f32", "f64"]) : random(6) === 0 ? pick(names) : undefined;
  const count = 1 + random(random(3) === 0 ? 12 : 4);
  const fields = Array.from({ length: count }, () => randomField(only, known, depth));
  return random(5) === 0 ? { kind, fields, packed: pick(packs) } : { kind, fields };
}

function randomField(only: Scalar | undefined, known: readonly CRecord[], depth: number): CType {
  const scalar = only ?? pick(names);
  const which = random(14);
  if (which === 0) return { of: scalar, length: 1 + random(5) };
  if (which === 1 && depth < 3) return randomRecord(known, depth + 1);
  if (which === 2 && depth < 3) return { of: randomRecord(known, depth + 1), length: 1 + random(3) };
  if (which === 3 && known.length > 0 && only === undefined) return pick(known);
  if (which === 4 && only === undefined) return { text: 1 + random(20) };
  return scalar;
}

/** A function that takes a type among scalars and others, more than there are registers for; and gives it, or another. */
function randomFunction(type: CRecord, small: readonly CRecord[]): CFunction {
  const other = (): Scalar | CRecord => random(4) === 0 ? pick(small) : pick(names);
  const before = Array.from({ length: random(random(2) === 0 ? 3 : 10) }, other);
  const after = Array.from({ length: random(4) }, other);
  const parameters = [...before, type, ...after];
  const byteLength = parameters.reduce((sum, each) => sum + (typeof each === "string" ? 8 : sizeOf(each) + 8), 0);
  return { parameters: byteLength > 256 ? [type] : parameters, result: random(4) === 0 ? pick(small) : type };
}

function sizeOf(type: CRecord): number {
  return belayRecord(type).byteLength;
}

const known: CRecord[] = [];
const small: CRecord[] = [];
let functionCount = 0;

function check(types: readonly CRecord[], functions: readonly CFunction[]): string | undefined {
  using library = new CLibrary(types, functions, random);
  // What only this run wants. Windows keeps it while it is open.
  if (seed !== keptSeed && host.os !== "windows") rmSync(library.path);
  const measures = belayMeasures(library.records);
  const wrong = measures.findIndex((measure, index) => measure !== library.measures[index]);
  if (wrong >= 0) return `measure ${wrong} is ${measures[wrong]}, C's is ${library.measures[wrong]}`;
  using memory = NativeMemory.alloc(2 * mostBytes, { align: 16 });
  for (const type of library.records) {
    if (sizeOf(type) > mostBytes) continue;
    const value = valueOf(type, random);
    const byteOffset = random(mostBytes);
    belayRecord(type).write(memory, value as never, byteOffset);
    const found = difference(type, value, belayRecord(type).read(memory, byteOffset)) ??
      difference(type, value, copied(type, belayRecord(type).view(memory, byteOffset)));
    if (found !== undefined) return `${JSON.stringify(type)}: ${found}`;
  }
  for (const [index, each] of functions.entries()) {
    const found = library.call(index) ?? library.callBack(index) ??
      (library.callDisposed(index) ? undefined : "a callback that was closed gave something");
    if (found !== undefined) return `${JSON.stringify(each)}: ${found}`;
  }
  return undefined;
}

/** What a view shows, as a plain value. */
function copied(type: CType, view: unknown): unknown {
  if (typeof type === "string" || "text" in type) return view;
  if ("of" in type) return Array.from(view as Iterable<unknown>, (element) => copied(type.of, element));
  return Object.fromEntries(type.fields.map((field, index) => [
    `f${index}`,
    copied(field, (view as Record<string, unknown>)[`f${index}`]),
  ]));
}

const began = performance.now();
for (let done = 0; done < definitions; done += batch) {
  const types: CRecord[] = [];
  const functions: CFunction[] = [];
  for (let i = 0; i < Math.min(batch, definitions - done); i++) {
    const type = randomRecord(known.slice(-20), 0);
    types.push(type);
    if (sizeOf(type) <= 256) known.push(type);
    if (sizeOf(type) > mostByValue || hasUnionOverPadding(type)) continue;
    small.push(type);
    functions.push(randomFunction(type, small.slice(-50)));
  }
  functionCount += functions.length;
  const wrong = check(types, functions);
  if (wrong !== undefined) {
    console.error(`Seed ${seed}, definitions from ${done}: ${wrong}`);
    process.exit(1);
  }
}
const figures: StructWalkFigures = {
  definitions,
  functions: functionCount,
  seconds: (performance.now() - began) / 1000,
};
console.log(JSON.stringify(figures));
