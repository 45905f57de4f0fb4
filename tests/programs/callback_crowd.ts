/**
 * So many callbacks live at once that C calls each of them, in rounds, all closed after each; then churn beside 5,000
 * that live. Arguments: how many, the rounds, and the cycles of the churn.
 */

import process from "node:process";
import { callback, dlopen, pointerValue, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { turn } from "../support/gc.ts";
import { settledBytes } from "../support/resident.ts";

/** What is printed, as JSON. */
export interface CrowdFigures {
  /** Of resident memory with none alive, in bytes, from after the second round to after the last. */
  readonly growth: number;
  /** Of all that lived at once, by one of them: with its function, and the pointers that are passed to C. */
  readonly bytesEach: number;
  readonly nsPerCall: number;
  /** Thunks of the process after the first round, after the last, and after the churn. */
  readonly thunks: readonly [number, number, number];
  /** Whether each answered its own number, each time, and each gave its fallback when it was gone. */
  readonly sound: boolean;
  readonly left: number;
}

const definition = { parameters: ["i32"], result: "i32" } as const;
const { call_all } = dlopen(testLibrary, {
  call_all: { parameters: ["buffer", "buffer", "i32"], result: "void" },
}).symbols;

/** So many callbacks, which C calls all at once. */
class Crowd {
  readonly #made;
  readonly #pointers: BigUint64Array<ArrayBuffer>;
  readonly #results: Int32Array<ArrayBuffer>;
  readonly #factor: number;

  constructor(count: number, factor: number) {
    this.#made = Array.from(
      { length: count },
      (_, index) => callback(definition, (value) => (index * factor + value) | 0, { fallback: -1 - index }),
    );
    this.#pointers = BigUint64Array.from(this.#made, ({ pointer }) => pointerValue(pointer));
    this.#results = new Int32Array(count);
    this.#factor = factor;
  }

  /** Whether C reaches each function, and no other. */
  answers(): boolean {
    call_all(this.#pointers, this.#results, this.#made.length);
    return this.#results.every((result, index) => result === ((index * this.#factor + index) | 0));
  }

  dispose(): void {
    for (const made of this.#made) made.close();
  }

  /** Whether C gets each one's fallback. */
  gone(): boolean {
    call_all(this.#pointers, this.#results, this.#made.length);
    return this.#results.every((result, index) => result === -1 - index);
  }
}

/** One round, in a function of its own, so that nothing of it stays on a stack. */
async function round(count: number, factor: number): Promise<{ sound: boolean; bytes: number; ms: number }> {
  const crowd = new Crowd(count, factor);
  const bytes = factor === 1 ? await settledBytes() : 0;
  let sound = crowd.answers();
  const startMs = performance.now();
  sound = crowd.answers() && sound;
  const ms = performance.now() - startMs;
  crowd.dispose();
  return { sound: sound && stats().live.callbacks === 0, bytes, ms };
}

/** In another order than they were made in, each second one: the others still answer, and these have their fallbacks. */
function half(count: number): boolean {
  const [first, second] = [new Crowd(count / 2, 3), new Crowd(count / 2, 5)];
  first.dispose();
  const { staleCalls } = stats().counts;
  const sound = second.answers() && first.gone() && stats().counts.staleCalls === staleCalls + count / 2;
  second.dispose();
  return sound;
}

const [count, rounds, churn] = process.argv.slice(2).map(Number);
console.warn = () => {};
const warm = new Crowd(2, 1);
let sound = warm.answers();
warm.dispose();
const empty = await settledBytes();
const first = await round(count, 1);
const thunksFirst = stats().process.thunks;
sound = first.sound && half(count) && sound;
const settled = await settledBytes();
let [ms, growth] = [first.ms, 0];
for (let i = 2; i <= rounds; i++) {
  const { sound: ok, ms: each } = await round(count, i);
  sound = ok && sound;
  ms = Math.min(ms, each);
}
growth = await settledBytes() - settled;
const thunksLast = stats().process.thunks;

const crowd = new Crowd(5000, 7);
for (let i = 0; i < churn; i++) {
  callback(definition, (value) => value + i).close();
  if (i % 50_000 === 0) await turn();
}
sound = crowd.answers() && sound;
crowd.dispose();
const figures: CrowdFigures = {
  growth,
  bytesEach: (first.bytes - empty) / count,
  nsPerCall: ms * 1e6 / count,
  thunks: [thunksFirst, thunksLast, stats().process.thunks],
  sound,
  left: stats().live.callbacks,
};
console.log(JSON.stringify(figures));
