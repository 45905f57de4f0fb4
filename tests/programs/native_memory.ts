/**
 * Allocates and frees memory, pins buffers, passes strings, opens libraries or makes types, over and over, and prints by how
 * much the resident memory grew after the first tenth.
 *
 * Arguments: what is done in a cycle (the names of `ways`), the cycles, and how many of them the event loop gets a turn
 * after.
 */

import process from "node:process";
import { callback, cstringAt, dlopen, type Library, NativeMemory, out, pin, stats, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { type Growth, growthOf } from "../support/resident.ts";

/** What is printed, as JSON. */
export interface NativeMemoryFigures extends Growth {
  /** Memory, pins and callbacks that are left. */
  readonly left: number;
  /** How many cycles gave something else than they should. */
  readonly wrong: number;
}

const Point = struct({ x: "f64", y: "f64" });
const { text_length, echo, echoPointer, swap_point, copyPoint } = dlopen(testLibrary, {
  text_length: { parameters: ["cstring"], result: "u32" },
  echo: { name: "pass", parameters: ["cstring"], result: "cstring" },
  swap_point: { parameters: [Point], result: Point },
  copyPoint: { name: "copy_point", parameters: ["pointer", out(Point)], result: "pointer" },
  echoPointer: { name: "pass", parameters: ["pointer"], result: "pointer" },
}).symbols;
const functions = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  text_length: { parameters: ["cstring"], result: "u32" },
  relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" },
  enter: { parameters: ["i32"], result: "i32", captureErrno: true },
  static_i64: { type: "i64" },
} as const;
const buffer = new Uint8Array(1000);
const inC = NativeMemory.alloc(64);
let wrong = 0;

/** What one cycle does. */
const ways: Readonly<Record<string, (cycle: number) => void>> = {
  alloc(cycle) {
    const memory = NativeMemory.alloc(cycle % 2000 + 8);
    memory.setBigUint64(cycle % 2000, cycle);
    if (memory.getBigUint64(cycle % 2000) !== BigInt(cycle)) wrong += 1;
    memory.free();
  },
  pin(cycle) {
    // One that stays and one of its own.
    const pinned = pin(cycle % 2 === 0 ? buffer : new Uint8Array(cycle % 100 + 1));
    if (echoPointer(pinned.pointer) !== pinned.pointer) wrong += 1;
    pinned.unpin();
  },
  structs(cycle) {
    const { x, y } = swap_point({ x: cycle, y: 1 });
    Point.write(inC, { x, y });
    const [result, read] = copyPoint(inC.pointer);
    if (x !== 1 || result !== inC.pointer || read.y !== cycle) wrong += 1;
    const made = Point.alloc({ x, y });
    if (Point.view(made).y !== cycle) wrong += 1;
    made.free();
  },
  libraries(cycle) {
    using library = dlopen(testLibrary, functions);
    if (!worksWell(library.symbols, cycle)) wrong += 1;
  },
  "dropped libraries"(cycle) {
    if (!worksWell(dlopen(testLibrary, functions).symbols, cycle)) wrong += 1;
  },
  types(cycle) {
    const Pair = struct({ x: "f64", y: "f64" });
    using library = dlopen(testLibrary, { swap_point: { parameters: [Pair], result: Pair } });
    if (library.symbols.swap_point({ x: cycle, y: 1 }).y !== cycle) wrong += 1;
    using made = Pair.alloc({ x: cycle, y: 2 });
    const view = Pair.view(made);
    view.y += 1;
    if (Pair.read(made).y !== 3 || view.x !== cycle) wrong += 1;
    using _ = callback({ parameters: [Pair, "i32"], result: Pair }, (pair) => pair);
  },
  strings(cycle) {
    const text = `${"grüß dich".slice(cycle % 9)} ${cycle}`;
    if (text_length(text) < text.length || echo(text) !== text) wrong += 1;
    inC.setCString(0, text);
    if (cstringAt(inC.pointer) !== text) wrong += 1;
  },
};

function worksWell(symbols: Library<typeof functions>["symbols"], cycle: number): boolean {
  const { add_i32, text_length, relay_i32, enter, static_i64 } = symbols;
  return add_i32(cycle, 1) === cycle + 1 && text_length("text") === 4 && relay_i32((value) => value, cycle) === cycle &&
    enter(cycle)[0] === cycle && static_i64 < 0n;
}

const [way, cyclesText, perTurnText] = process.argv.slice(2);
const growth = await growthOf(ways[way], { cycles: Number(cyclesText), perTurn: Number(perTurnText) });
inC.free();
const { memory: memories, pins, callbacks } = stats().live;
const figures: NativeMemoryFigures = { ...growth, left: memories + pins + callbacks, wrong };
console.log(JSON.stringify(figures));
