/**
 * Structures by value against Deno's own way and a scalar call, one field of many of them against a typed array, and a small
 * one that a callback gets a pointer to against its fields, read one by one.
 */

import { type ArrayView, callback, dlopen, NativeMemory, type Pointer, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compare, finish, runtime } from "./harness.ts";
import { rawOpen } from "./raw.ts";

const Point = struct({ x: "f64", y: "f64" });
const { swap_point } = dlopen(testLibrary, { swap_point: { parameters: [Point], result: Point } }).symbols;

let sum = 0;
function belay(count: number): void {
  for (let i = 0; i < count; i++) sum += swap_point({ x: i, y: 1 }).x;
}

if (runtime === "deno") {
  const rawSwap = rawOpen(testLibrary, {
    swap_point: { parameters: [{ struct: ["f64", "f64"] } as never], result: { struct: ["f64", "f64"] } as never },
  })["swap_point"] as (bytes: Uint8Array) => Uint8Array;
  const argument = new Float64Array(2);
  const bytes = new Uint8Array(argument.buffer);
  compare("struct/point-by-value", {
    belay,
    raw(count) {
      for (let i = 0; i < count; i++) {
        argument[0] = i;
        argument[1] = 1;
        sum += new Float64Array(rawSwap(bytes).buffer)[0];
      }
    },
  }, { count: 200_000 });
} else {
  const add = rawOpen(testLibrary, { add_f64: { parameters: ["f64", "f64"], result: "f64" } })["add_f64"] as (
    x: number,
    y: number,
  ) => number;
  compare("struct/point-by-value", {
    belay,
    scalar(count) {
      for (let i = 0; i < count; i++) sum += add(i, 1);
    },
  }, { count: 1_000_000 });
}

const Row = struct({ id: "i32", x: "f64", y: "f64", next: "pointer" });
const length = 100_000;
const stride = Row.byteLength / 8;
const memory = Row.allocMany(length);
const rows = Row.viewMany(memory);
const array = new Float64Array(length * stride);
for (let i = 0; i < length; i++) array[i * stride + 1] = rows.at(i).x = i;

function sumOfRows(given: ArrayView<typeof Row>): number {
  let total = 0;
  for (let i = 0; i < given.length; i++) total += given.at(i).x;
  return total;
}

function sumOfArray(given: Float64Array): number {
  let total = 0;
  for (let i = 1; i < given.length; i += stride) total += given[i];
  return total;
}

compare("struct/read-100k", {
  belay: (count) => {
    for (let done = 0; done < count; done += length) sum += sumOfRows(rows);
  },
  array: (count) => {
    for (let done = 0; done < count; done += length) sum += sumOfArray(array);
  },
}, { count: 30 * length });
if (sumOfRows(rows) !== sumOfArray(array)) throw new Error("Read what was not written");
memory.free();

const Entry = struct({ a: "i32", b: "i32", x: "f64", next: "pointer" });
const readEntry = (pointer: Pointer | null): object => pointer === null ? {} : Entry.read(Entry.borrow(pointer));
function getEntry(pointer: Pointer | null): object {
  if (pointer === null) return {};
  const borrowed = NativeMemory.borrow(pointer, 24);
  return { a: borrowed.getInt32(0), b: borrowed.getInt32(4), x: borrowed.getFloat64(8), next: borrowed.getPointer(16) };
}
let last: object = {};
const definition = { parameters: ["pointer", "i32"], result: "i32" } as const;
const onRead = callback(definition, (pointer, index) => {
  last = readEntry(pointer);
  return index;
});
const onGet = callback(definition, (pointer, index) => {
  last = getEntry(pointer);
  return index;
});
const { each } = dlopen(testLibrary, { each: { parameters: ["i32", definition, "pointer"], result: "i32" } }).symbols;
const entry = Entry.alloc({ a: 1, b: 2, x: 3, next: null });
compare("struct/read-at-pointer", {
  belay: (count) => void each(count, onRead, entry.pointer),
  getters: (count) => void each(count, onGet, entry.pointer),
}, { count: 100_000 });
if (!("x" in last) || last.x !== 3) throw new Error("Read what was not written");
finish();
