/** Memory outside of JavaScript's heap against a `DataView` of JavaScript's own, and the bytes of it against a typed array. */

import { NativeMemory } from "@belay/ffi";
import { compare, finish } from "./harness.ts";

const length = 1000;
const memory = NativeMemory.alloc(8 * length);
const view = new DataView(new ArrayBuffer(8 * length));
for (let i = 0; i < length; i++) {
  memory.setF64(8 * i, i + 0.5);
  view.setFloat64(8 * i, i + 0.5, true);
}

// As programs have them: functions of what they are given.
function sumOfMemory(given: NativeMemory, count: number): number {
  let sum = 0;
  for (let done = 0; done < count; done += length) {
    for (let i = 0; i < length; i++) sum += given.getF64(8 * i);
  }
  return sum;
}

function sumOfView(given: DataView, count: number): number {
  let sum = 0;
  for (let done = 0; done < count; done += length) {
    for (let i = 0; i < length; i++) sum += given.getFloat64(8 * i, true);
  }
  return sum;
}

function sumOfBytes(given: Uint8Array, count: number): number {
  let sum = 0;
  for (let done = 0; done < count; done += given.length) {
    for (let i = 0; i < given.length; i++) sum += given[i];
  }
  return sum;
}

let sum = 0;
compare("memory/read-f64", {
  belay: (count) => void (sum += sumOfMemory(memory, count)),
  dataview: (count) => void (sum += sumOfView(view, count)),
}, { count: 3_000_000 });

const bytes = memory.bytes();
const array = new Uint8Array(8 * length);
compare("memory/bytes", {
  belay: (count) => void (sum += sumOfBytes(bytes, count)),
  array: (count) => void (sum += sumOfBytes(array, count)),
}, { count: 8_000_000 });
memory.free();
if (Number.isNaN(sum)) throw new Error("Read what was not written");
finish();
