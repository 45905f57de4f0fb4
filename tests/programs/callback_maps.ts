/**
 * What 4,000 and then 10,000 live callbacks map that can be executed. A worker looks all the time meanwhile.
 *
 * It must run without the engine's compiler, which maps executable memory of its own whenever it likes.
 */

import { type Callback, callback, dlopen, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { byteLengthOf, executableMappings, without } from "../support/maps.ts";
import { until } from "../support/until.ts";

/** What is printed, as JSON. */
export interface MapsFigures {
  /** Bytes that can be executed and couldn't before, and those of them that can be written too: with 4,000 live. */
  readonly executable4000: number;
  readonly writable4000: number;
  /** The same with 10,000, and how many mappings they are. */
  readonly executable10000: number;
  readonly writable10000: number;
  readonly mappings10000: number;
  readonly thunks: readonly [number, number];
  /** When all were closed. */
  readonly executableAfter: number;
  /** What the worker saw: how often it looked, and how often anything new was writable and executable. */
  readonly looks: number;
  readonly found: number;
  readonly sound: boolean;
}

const i32 = { parameters: ["i32"], result: "i32" } as const;
const f64 = { parameters: ["f64"], result: "f64" } as const;
const { relay_i32, relay_f64 } = dlopen(testLibrary, {
  relay_i32: { parameters: [i32, "i32"], result: "i32" },
  relay_f64: { parameters: [f64, "f64"], result: "f64" },
}).symbols;

const integers: Callback<typeof i32>[] = [];
const floats: Callback<typeof f64>[] = [];

/** Makes callbacks, of two shapes in turn, until so many live. */
function makeUntil(count: number): void {
  while (integers.length + floats.length < count) {
    const number = integers.length + floats.length;
    if (number % 2 === 0) integers.push(callback(i32, (value) => value + number));
    else floats.push(callback(f64, (value) => value + number));
  }
}

/** Whether C reaches each of them. */
function sound(): boolean {
  return integers.every((made, index) => relay_i32(made, 1) === 2 * index + 1) &&
    floats.every((made, index) => relay_f64(made, 0.5) === 2 * index + 1.5);
}

// Everything once: the core, both functions, the trampoline, and what `stats` opens, for which Deno maps code of its own.
makeUntil(2);
const warm = sound() && stats().process.thunks === 4096;

const word = new Int32Array(new SharedArrayBuffer(8));
const worker = new Worker(new URL("./maps_worker.ts", import.meta.url).href, { type: "module" });
const message = (): Promise<unknown> =>
  new Promise((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
await message();
const seen = message();
worker.postMessage(word);
// It waits inside its message handler when it has got as far as that, a moment after it says so.
await until(() => Atomics.load(word, 1) === 1, "the worker");
await new Promise((resolve) => setTimeout(resolve, 200));
const before = executableMappings();
Atomics.store(word, 0, 1);
Atomics.notify(word, 0);
await until(() => Atomics.load(word, 1) === 2, "the worker's first look");

makeUntil(4000);
const with4000 = without(executableMappings(), before);
const writable4000 = without(executableMappings().filter(({ writable }) => writable), before);
const thunks4000 = stats().process.thunks;
const sound4000 = sound();

let writable10000 = 0;
for (let count = 4000; count <= 10_000; count += 16) {
  makeUntil(count);
  writable10000 += byteLengthOf(without(executableMappings().filter(({ writable }) => writable), before));
}
const with10000 = without(executableMappings(), before);
const sound10000 = sound();
const thunks10000 = stats().process.thunks;
for (const made of [...integers, ...floats]) made.close();
const after = without(executableMappings(), before);

Atomics.store(word, 0, 2);
const { looks, found } = await seen as { looks: number; found: number };
worker.terminate();
const figures: MapsFigures = {
  executable4000: byteLengthOf(with4000),
  writable4000: byteLengthOf(writable4000),
  executable10000: byteLengthOf(with10000),
  writable10000,
  mappings10000: with10000.length,
  thunks: [thunks4000, thunks10000],
  executableAfter: byteLengthOf(after),
  looks,
  found,
  sound: warm && sound4000 && sound10000,
};
console.log(JSON.stringify(figures));
