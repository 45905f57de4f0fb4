/**
 * Makes and ends callbacks, over and over, and prints by how much the resident memory grew after the first tenth.
 *
 * Arguments: what is done in a cycle (the names of `ways`), the cycles, how many callbacks live meanwhile, and after how
 * many cycles the event loop gets a turn: `0` for never.
 */

import process from "node:process";
import { type Callback, callback, dlopen, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { collect } from "../support/gc.ts";
import { type Growth, growthOf } from "../support/resident.ts";

/** What is printed, as JSON. */
export interface MemoryFigures extends Growth {
  /** Thunks of the process at both times. */
  readonly thunks: readonly [number, number];
  /** What is left when all were closed. */
  readonly left: number;
  /** Whether the callbacks that lived all the time still answered their own numbers at the end. */
  readonly sound: boolean;
}

const definition = { parameters: ["i32"], result: "i32" } as const;
const { relay_i32 } = dlopen(testLibrary, {
  relay_i32: { parameters: [definition, "i32"], result: "i32" },
}).symbols;
/** What keeps the engines from leaving out what nobody uses. */
let sum = 0;

/** What one cycle does: with a function of its own each time, as programs have it. */
const ways: Readonly<Record<string, (cycle: number) => void>> = {
  dispose(cycle) {
    const made = callback(definition, (value) => (value + cycle) | 0);
    if (made.disposed) sum += 1;
    made.close();
  },
  call(cycle) {
    const made = callback(definition, (value) => (value + cycle) | 0);
    sum = (sum + relay_i32(made, 1)) | 0;
    made.close();
  },
  lend(cycle) {
    sum = (sum + relay_i32((value) => (value + cycle) | 0, 1)) | 0;
  },
  once(cycle) {
    sum = (sum + relay_i32(callback(definition, (value) => (value + cycle) | 0, { once: true }), 1)) | 0;
  },
  throw(cycle) {
    try {
      relay_i32(() => {
        throw cycle;
      }, 1);
    } catch (error) {
      sum = (sum + Number(error)) | 0;
    }
  },
  /** What is dropped is collected once in a while: see below. */
  drop(cycle) {
    if (callback(definition, (value) => (value + cycle) | 0).disposed) sum += 1;
  },
};

const [way, cyclesText, liveText, perTurnText] = process.argv.slice(2);
const [cycles, perTurn] = [Number(cyclesText), Number(perTurnText)];
const cycle = ways[way];
const live: Callback<typeof definition>[] = Array.from(
  { length: Number(liveText) },
  (_, index) => callback(definition, (value) => value + index),
);

let thunksBefore = 0;
const growth = await growthOf(cycle, {
  cycles,
  perTurn,
  // Engines collect when memory is short; what is dropped here takes too little for that.
  ...(way === "drop" ? { beforeTurn: collect } : {}),
  afterTenth: () => thunksBefore = stats().process.thunks,
});

const sound = live.every((made, index) => relay_i32(made, 1) === index + 1) && !Number.isNaN(sum);
const thunksAfter = stats().process.thunks;
for (const made of live) made.close();
const figures: MemoryFigures = { ...growth, thunks: [thunksBefore, thunksAfter], left: stats().live.callbacks, sound };
console.log(JSON.stringify(figures));
