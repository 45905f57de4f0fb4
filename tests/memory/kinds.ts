/**
 * Memory of every kind whose bytes are known, and the accessors of every scalar type.
 *
 * @module
 */

import { assert } from "@std/assert";
import { type AllocOptions, type BorrowOptions, dlopen, NativeMemory, type Pointer, pointerFrom } from "@belay/ffi";
import { rawPointer } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";

/** C functions, of a library that stays open. */
export const { symbols } = dlopen(testLibrary, {
  greeting: { parameters: [], result: "pointer" },
  static_pointer: { type: "pointer" },
  static_value_set: { parameters: ["i32"], result: "void" },
});

/** Where JavaScript's own memory is, which stays there as long as `bytes` is held. */
export function addressOf(bytes: Uint8Array<ArrayBuffer>): Pointer {
  return present(pointerFrom(rawPointer(bytes)));
}

/** What borrowed memory is of. */
const owners = new WeakMap<NativeMemory, Uint8Array>();

/** Memory whose every byte is known. */
export function known(bytes: Uint8Array<ArrayBuffer>, options: BorrowOptions = {}): NativeMemory {
  const memory = NativeMemory.borrow(addressOf(bytes), bytes.byteLength, options);
  owners.set(memory, bytes);
  return memory;
}

/** Zeroes with an `ArrayBuffer` of their own, which no engine moves. */
export function zeroes(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(byteLength));
}

/** A pointer that must be there. */
export function present(pointer: Pointer | null): Pointer {
  assert(pointer !== null, "expected a pointer, got null");
  return pointer;
}

/** Byte offsets that no memory has. */
export const outside: readonly number[] = [-1, -0.5, 0.5, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 53 - 1];

/** Every scalar type: its width, the least and the largest value, what doesn't fit, and its accessors. */
export const scalars: readonly {
  readonly type: string;
  readonly width: number;
  readonly values: readonly unknown[];
  readonly refused: readonly unknown[];
  readonly get: (memory: NativeMemory, byteOffset: number) => unknown;
  readonly set: (memory: NativeMemory, byteOffset: number, value: never) => void;
  readonly read: (view: DataView, byteOffset: number) => unknown;
}[] = [
  integer("i8", 1, -128, 127, (m, o) => m.getInt8(o), (m, o, v) => m.setInt8(o, v), (d, o) => d.getInt8(o)),
  integer("u8", 1, 0, 255, (m, o) => m.getUint8(o), (m, o, v) => m.setUint8(o, v), (d, o) => d.getUint8(o)),
  integer(
    "i16",
    2,
    -32768,
    32767,
    (m, o) => m.getInt16(o),
    (m, o, v) => m.setInt16(o, v),
    (d, o) => d.getInt16(o, true),
  ),
  integer("u16", 2, 0, 65535, (m, o) => m.getUint16(o), (m, o, v) => m.setUint16(o, v), (d, o) => d.getUint16(o, true)),
  integer(
    "i32",
    4,
    -(2 ** 31),
    2 ** 31 - 1,
    (m, o) => m.getInt32(o),
    (m, o, v) => m.setInt32(o, v),
    (d, o) => d.getInt32(o, true),
  ),
  integer(
    "u32",
    4,
    0,
    2 ** 32 - 1,
    (m, o) => m.getUint32(o),
    (m, o, v) => m.setUint32(o, v),
    (d, o) => d.getUint32(o, true),
  ),
  {
    type: "i64",
    width: 8,
    values: [-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n],
    refused: [2n ** 63n, -(2n ** 63n) - 1n, 0.5, 2 ** 53, "1", null, undefined],
    get: (memory, byteOffset) => memory.getBigInt64(byteOffset),
    set: (memory, byteOffset, value) => memory.setBigInt64(byteOffset, value),
    read: (view, byteOffset) => view.getBigInt64(byteOffset, true),
  },
  {
    type: "u64",
    width: 8,
    values: [0n, 1n, 2n ** 63n, 2n ** 64n - 1n],
    refused: [-1n, 2n ** 64n, -1, 0.5, "1", null, undefined],
    get: (memory, byteOffset) => memory.getBigUint64(byteOffset),
    set: (memory, byteOffset, value) => memory.setBigUint64(byteOffset, value),
    read: (view, byteOffset) => view.getBigUint64(byteOffset, true),
  },
  {
    type: "f32",
    width: 4,
    values: [0, -0, 1.5, -Infinity, NaN, Math.fround(3.4e38)],
    refused: [1n, "1", null, undefined],
    get: (memory, byteOffset) => memory.getFloat32(byteOffset),
    set: (memory, byteOffset, value) => memory.setFloat32(byteOffset, value),
    read: (view, byteOffset) => view.getFloat32(byteOffset, true),
  },
  {
    type: "f64",
    width: 8,
    values: [0, -0, 0.1, Infinity, NaN, Number.MIN_VALUE, Number.MAX_VALUE],
    refused: [1n, "1", null, undefined],
    get: (memory, byteOffset) => memory.getFloat64(byteOffset),
    set: (memory, byteOffset, value) => memory.setFloat64(byteOffset, value),
    read: (view, byteOffset) => view.getFloat64(byteOffset, true),
  },
  {
    type: "bool",
    width: 1,
    values: [true, false],
    refused: [1, 0, null, undefined, "true"],
    get: (memory, byteOffset) => memory.getBool(byteOffset),
    set: (memory, byteOffset, value) => memory.setBool(byteOffset, value),
    read: (view, byteOffset) => view.getUint8(byteOffset) !== 0,
  },
];

export function integer(
  type: string,
  width: number,
  least: number,
  most: number,
  get: (memory: NativeMemory, byteOffset: number) => unknown,
  set: (memory: NativeMemory, byteOffset: number, value: number) => void,
  read: (view: DataView, byteOffset: number) => unknown,
): (typeof scalars)[number] {
  return {
    type,
    width,
    values: [least, 0, 1, most],
    refused: [least - 1, most + 1, 0.5, NaN, 1n, "1", null, undefined],
    get,
    set: set as (memory: NativeMemory, byteOffset: number, value: never) => void,
    read,
  };
}

/** Memory that has its values behind a byte offset. */
export const kinds = [
  { kind: "small memory", at: 0, make: allocated },
  { kind: "memory that is mapped at once", at: 2000, make: allocated },
  { kind: "small memory that is mapped at once", at: 0, make: (length: number) => allocated(length, { map: true }) },
  { kind: "large memory that isn't", at: 2000, make: (length: number) => allocated(length, { map: false }) },
  { kind: "borrowed memory", at: 2000, make: borrowed },
  { kind: "borrowed memory that is mapped at once", at: 0, make: (length: number) => borrowed(length, { map: true }) },
  { kind: "a part of memory", at: 2000, make: partly },
];

export function allocated(
  byteLength: number,
  options: AllocOptions = {},
): { readonly whole: NativeMemory; readonly memory: NativeMemory } {
  const whole = NativeMemory.alloc(byteLength, options);
  return { whole, memory: whole };
}

export function borrowed(
  byteLength: number,
  options: BorrowOptions = {},
): { readonly whole: NativeMemory; readonly memory: NativeMemory } {
  const memory = known(zeroes(byteLength), options);
  return { whole: memory, memory };
}

export function partly(byteLength: number): { readonly whole: NativeMemory; readonly memory: NativeMemory } {
  const whole = NativeMemory.alloc(byteLength + 80);
  return { whole, memory: whole.subarray(40, 40 + byteLength) };
}
