/**
 * Values of all types for the walk over what is fetched: their bits, as C has them, and what JavaScript makes of them.
 *
 * @module
 */

import process from "node:process";
import { Arena, Handle, NativeMemory, type Pointer, pointerFrom, pointerValue } from "@belay/ffi";

export type Random = (below: number) => number;

/** How wide each type is, and how it extends. */
const numbers = {
  bool: 8,
  i8: -8,
  u8: 8,
  i16: -16,
  u16: 16,
  i32: -32,
  u32: 32,
  i64: -64,
  u64: 64,
  isize: -64,
  usize: 64,
  f32: 32,
  f64: 64,
  pointer: 64,
  buffer: 64,
  function: 64,
  cstring: 64,
  handle: 64,
} as const;
export type Type = keyof typeof numbers;
export const types = Object.keys(numbers) as Type[];

export const isFloat = (type: Type): boolean => type === "f32" || type === "f64";
export const bitsOf = (type: Type): number => Math.abs(numbers[type]);
/** The bits that are the type's. */
export const own = (type: Type, bits: bigint): bigint => BigInt.asUintN(bitsOf(type), bits);

/** Whether what is of one type may be an operand of another. */
export function fits(given: Type, wanted: Type): boolean {
  return given === wanted ||
    isFloat(given) === isFloat(wanted) && bitsOf(given) === bitsOf(wanted) && bitsOf(given) >= 32;
}

/** As C passes it: a narrow integer is extended to 32 bits. */
export function passed(type: Type, bits: bigint): bigint {
  const low = own(type, bits);
  return BigInt.asUintN(Math.max(32, bitsOf(type)), numbers[type] < 0 ? BigInt.asIntN(bitsOf(type), low) : low);
}

const byteLength = 16_384;
const middle = 8192n;
/** What pointers point to. Around it is what is read, at offsets of {@linkcode places}. */
const memory = NativeMemory.alloc(byteLength);
export const base: bigint = pointerValue(memory.pointer) + middle;
const texts = ["", "a text", "grüß dich", "x".repeat(300)];
const arena = new Arena();
const textMemory = texts.map((text) => arena.cstring(text));
export const handles: readonly Handle[] = Array.from({ length: 4 }, (_, index) => Handle.create({ index }));

const choices: Partial<Record<Type, readonly bigint[]>> = {
  pointer: [base, 0n, base],
  buffer: [base, 0n],
  function: [base, 0n],
  cstring: [...textMemory.map(({ pointer }) => pointerValue(pointer)), 0n],
  handle: handles.map(({ id }) => BigInt(id)),
  bool: [0n, 1n],
};

/** Random bits of a type, above which is anything. */
export function randomBits(random: Random, type: Type, isExtended: boolean): bigint {
  const noise = (): bigint => BigInt(random(2 ** 32)) << 32n | BigInt(random(2 ** 32));
  const words = choices[type];
  const edges = [0n, 1n, -1n, 127n, -128n, 2n ** 31n, -(2n ** 63n)];
  const bits = words !== undefined
    ? words[random(words.length)] as bigint
    : random(3) === 0
    ? edges[random(edges.length)] as bigint
    : noise();
  const width = isExtended ? Math.max(32, bitsOf(type)) : bitsOf(type);
  const low = isExtended ? passed(type, bits) : own(type, bits);
  return width === 64 ? low : low | noise() >> BigInt(width) << BigInt(width);
}

/** Where something of each type is in that memory, from {@linkcode base}. */
export const places = (random: Random, type: Type): number => {
  const known = placesOf.get(type);
  return known === undefined ? random(4096) - 6000 : known[random(known.length)] as number;
};
const placesOf = new Map<Type, number[]>();
let end = 0;
for (const [type, words] of Object.entries(choices) as [Type, bigint[]][]) {
  const offsets: number[] = [];
  for (let i = 0; i < 20; i++) {
    // Every other one at an odd place.
    const offset = end + (i % 2 === 0 ? 0 : 3);
    const word = words[i % words.length] as bigint;
    if (type === "bool") memory.setUint8(Number(middle) + offset, Number(word));
    else memory.setBigUint64(Number(middle) + offset, word);
    offsets.push(offset);
    end += 16;
  }
  placesOf.set(type, offsets);
}

/** Fills what numbers are read from. */
export function fill(random: Random): void {
  for (let i = 1024; i < 7000; i++) memory.setUint8(i, random(256));
}

/** What is in that memory, `bits` being a pointer into it. */
export function bitsAt(type: Type, bits: bigint, byteOffset: number): bigint {
  if (bits === 0n) return 0n;
  const place = Number(bits - base + middle) + byteOffset;
  let result = 0n;
  for (let i = bitsOf(type) / 8 - 1; i >= 0; i--) result = result << 8n | BigInt(memory.getUint8(place + i));
  return result;
}

const scratch = new DataView(new ArrayBuffer(8));

/** What JavaScript gets for bits; a pointer as its address. */
export function valueOf(type: Type, bits: bigint): unknown {
  const low = own(type, bits);
  scratch.setBigUint64(0, low, true);
  switch (type) {
    case "bool":
      return low !== 0n;
    case "f32":
      return scratch.getFloat32(0, true);
    case "f64":
      return scratch.getFloat64(0, true);
    case "cstring":
      return low === 0n ? null : texts[textMemory.findIndex(({ pointer }) => pointerValue(pointer) === low)];
    case "handle":
      return handles.find(({ id }) => BigInt(id) === low)?.value;
    case "pointer":
    case "buffer":
    case "function":
      return low === 0n ? null : low;
    default: {
      const number = numbers[type] < 0 ? BigInt.asIntN(bitsOf(type), low) : low;
      return bitsOf(type) === 64 ? number : Number(number);
    }
  }
}

/** What JavaScript answers, so that C gets bits. */
export function answerOf(type: Type, bits: bigint): unknown {
  const value = valueOf(type, bits);
  if (type === "handle") return handles.find(({ id }) => BigInt(id) === own(type, bits));
  return typeof value === "bigint" && ["pointer", "function", "buffer"].includes(type) ? pointerFrom(value) : value;
}

/** Whether a callback was given a value. */
export function isGiven(given: unknown, type: Type, bits: bigint): boolean {
  const expected = valueOf(type, bits);
  const isPointer = ["pointer", "function", "buffer"].includes(type) && given !== null;
  return Object.is(isPointer ? pointerValue(given as Pointer) : given, expected);
}

/** Whether C has got bits, as far as they are the type's. A NaN is a NaN. */
export function isSame(type: Type, bits: bigint, expected: bigint, extended: boolean): boolean {
  if (isFloat(type) && Number.isNaN(valueOf(type, expected))) return Number.isNaN(valueOf(type, bits));
  const width = extended ? Math.max(32, bitsOf(type)) : bitsOf(type);
  return BigInt.asUintN(width, bits) === BigInt.asUintN(width, extended ? passed(type, expected) : expected);
}

/** The words of a call, as `call_words` takes them. */
export function wordsOf(random: Random, parameters: readonly Type[], given: readonly bigint[]): NativeMemory {
  const memory = NativeMemory.alloc(264);
  for (let i = 0; i < 32; i++) memory.setBigUint64(8 * i, randomBits(random, "u64", false));
  const most = process.arch === "arm64" ? 8 : 6;
  let [integers, floats, stack] = [0, 8, 16];
  parameters.forEach((type, index) => {
    const place = isFloat(type) ? (floats < 16 ? floats++ : stack++) : integers < most ? integers++ : stack++;
    memory.setBigUint64(8 * place, given[index] as bigint);
  });
  return memory;
}
