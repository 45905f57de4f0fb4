/** Memory outside of JavaScript's heap against a `DataView` of JavaScript's own, and the bytes of it against a typed array. */

import { NativeMemory } from "@belay/ffi";
import { compare, finish } from "./harness.ts";

const length = 1000;
/** Memory of so few numbers is a piece of a slab. */
const smallLength = 16;

/** Numbers that are no integers, which an engine could keep as integers. */
function filled<T extends NativeMemory | DataView>(
  memory: T,
  set: (memory: T, byteOffset: number, value: number) => void,
): T {
  for (let byteOffset = 0; byteOffset < memory.byteLength; byteOffset += 8) set(memory, byteOffset, byteOffset + 0.5);
  return memory;
}
const inMemory = (byteLength: number) =>
  filled(NativeMemory.alloc(byteLength), (memory, byteOffset, value) => memory.setFloat64(byteOffset, value));
const inView = (byteLength: number) =>
  filled(
    new DataView(new ArrayBuffer(byteLength)),
    (view, byteOffset, value) => view.setFloat64(byteOffset, value, true),
  );
const memory = inMemory(8 * length);
const view = inView(8 * length);
const borrowedMemory = NativeMemory.borrow(memory.pointer, memory.byteLength);
const smallMemory = inMemory(8 * smallLength);
const smallView = inView(8 * smallLength);

// As programs have them: functions of what they are given.
function sumOfMemory(given: NativeMemory, count: number): number {
  const numbers = given.byteLength / 8;
  let sum = 0;
  for (let done = 0; done < count; done += numbers) {
    for (let i = 0; i < numbers; i++) sum += given.getFloat64(8 * i);
  }
  return sum;
}

/** The same for memory that is mapped: this loop sees no other. */
function sumOfMapped(given: NativeMemory, count: number): number {
  const numbers = given.byteLength / 8;
  let sum = 0;
  for (let done = 0; done < count; done += numbers) {
    for (let i = 0; i < numbers; i++) sum += given.getFloat64(8 * i);
  }
  return sum;
}

function sumOfView(given: DataView, count: number): number {
  const numbers = given.byteLength / 8;
  let sum = 0;
  for (let done = 0; done < count; done += numbers) {
    for (let i = 0; i < numbers; i++) sum += given.getFloat64(8 * i, true);
  }
  return sum;
}

function writeMemory(given: NativeMemory, count: number): void {
  const numbers = given.byteLength / 4;
  for (let done = 0; done < count; done += numbers) {
    for (let i = 0; i < numbers; i++) given.setInt32(4 * i, i);
  }
}

function writeView(given: DataView, count: number): void {
  const numbers = given.byteLength / 4;
  for (let done = 0; done < count; done += numbers) {
    for (let i = 0; i < numbers; i++) given.setInt32(4 * i, i, true);
  }
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
compare("memory/read-f64-small", {
  belay: (count) => void (sum += sumOfMemory(smallMemory, count)),
  dataview: (count) => void (sum += sumOfView(smallView, count)),
}, { count: 3_000_000 });
// Borrowed memory is mapped late; and the loop has seen memory of each kind by now.
compare("memory/read-f64-borrowed", {
  belay: (count) => void (sum += sumOfMemory(borrowedMemory, count)),
  dataview: (count) => void (sum += sumOfView(view, count)),
}, { count: 3_000_000 });

const mappedBorrowed = NativeMemory.borrow(memory.pointer, memory.byteLength, { map: true });
compare("memory/read-f64-borrowed-mapped", {
  belay: (count) => void (sum += sumOfMapped(mappedBorrowed, count)),
  dataview: (count) => void (sum += sumOfView(view, count)),
}, { count: 3_000_000 });

compare("memory/write-i32", {
  belay: (count) => writeMemory(memory, count),
  dataview: (count) => writeView(view, count),
}, { count: 3_000_000 });

const bytes = memory.bytes();
const array = new Uint8Array(8 * length);
compare("memory/bytes", {
  belay: (count) => void (sum += sumOfBytes(bytes, count)),
  array: (count) => void (sum += sumOfBytes(array, count)),
}, { count: 8_000_000 });
memory.free();
smallMemory.free();
if (Number.isNaN(sum)) throw new Error("Read what was not written");
finish();
