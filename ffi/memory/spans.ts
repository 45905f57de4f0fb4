/**
 * What C has at a pointer, where a length says how much: text, bytes, arrays of pointers and of strings.
 *
 * @module
 */

import { copyOut, decodedAt, loads, shortByteLength } from "../core/memory.ts";
import { stringAt } from "../crossing/helpers.ts";
import { checkUse } from "../crossing/pointer_rules.ts";
import { blameCaller, RangeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { noOptions } from "../ground/options.ts";
import { isNull, nullable } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import type { PointerOwner } from "../types/data_type.ts";
import type { Pointer } from "../types/definitions.ts";
import { decode, isFatal, type TextOptions, utf8 } from "../types/text.ts";
import { followed } from "./pointer.ts";

const pointerByteLength = 8;
/** As long as an array can be. */
const mostElements = 2 ** 32 - 1;

/** Where there is something to read; `undefined` for NULL. @throws {TypeError | MemoryFreedError | PointerRuleError} */
function start(pointer: Pointer | PointerOwner | null): Address | undefined {
  const address = followed(pointer);
  checkUse(address);
  return isNull(address) ? undefined : address;
}

/** A length as a number. @throws {RangeError} When it is none, as one that C gave as a signed number may be. */
function lengthOf(length: number | bigint, what: string, unit: string): number {
  const number = typeof length === "bigint" ? Number(length) : length;
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw blameCaller(new RangeError(`Cannot read ${what}: expected how many ${unit} it has, got ${shown(length)}`));
}

/** Bytes of C's, copied. */
function bytesFrom(address: Address, byteLength: number, what: string): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(byteLength);
  } catch (cause) {
    throw blameCaller(new RangeError(`Cannot read ${what}: there is no memory for ${byteLength} bytes`, { cause }));
  }
  if (byteLength > 0) copyOut(bytes, address, 0, byteLength);
  return bytes;
}

/**
 * Copies the UTF-8 text of a known length that C has at a pointer. `null` gives `null`.
 *
 * It is for text that no zero ends: `const char *text, size_t length`. Zeroes in it are characters. Nothing is freed. Invalid UTF-8
 * becomes U+FFFD. belay can't check that there is so much memory.
 *
 * ```ts
 * import { dlopen, textAt } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, { strerror: { parameters: ["i32"], result: "pointer" } });
 * assert(textAt(libc.symbols.strerror(2), 7) === "No such");
 * ```
 *
 * @param pointer A pointer, null, or what has a pointer, such as memory.
 * @param byteLength How many bytes the text has, as a number or a bigint.
 * @param options Whether invalid UTF-8 is an error instead.
 * @returns The text, or `null`.
 * @throws {TypeError} If it is no pointer; with `fatal`, if the text isn't valid UTF-8.
 * @throws {RangeError} If the length is negative, no whole number, or more than there is memory for.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function textAt(
  pointer: Pointer | PointerOwner | null,
  byteLength: number | bigint,
  options: TextOptions = noOptions,
): string | null {
  const length = lengthOf(byteLength, "text", "bytes");
  const address = start(pointer);
  if (address === undefined) return null;
  // For so much there is memory anyway.
  if (!isFatal(options) && length <= shortByteLength) return decodedAt(address, length);
  return decode(utf8, bytesFrom(address, length, "text"), options, () => `text at 0x${BigInt(address).toString(16)}`);
}

/**
 * Copies bytes that C has at a pointer. `null` gives `null`.
 *
 * For bytes that are not copied, borrow the memory: `NativeMemory.borrow(pointer, byteLength).bytes()`.
 *
 * ```ts
 * import { bytesAt, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, { strerror: { parameters: ["i32"], result: "pointer" } });
 * assert(bytesAt(libc.symbols.strerror(2), 2n)?.join() === "78,111"); // "No"
 * ```
 *
 * @param pointer A pointer, null, or what has a pointer, such as memory.
 * @param byteLength How many there are, as a number or a bigint.
 * @returns The bytes, which are the program's, or `null`.
 * @throws {TypeError} If it is no pointer.
 * @throws {RangeError} If the length is negative, no whole number, or more than there is memory for.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function bytesAt(
  pointer: Pointer | PointerOwner | null,
  byteLength: number | bigint,
): Uint8Array<ArrayBuffer> | null {
  const length = lengthOf(byteLength, "bytes", "bytes");
  const address = start(pointer);
  return address === undefined ? null : bytesFrom(address, length, "bytes");
}

/** The pointers from an address on: so many, or those before the first NULL. */
function pointersFrom(address: Address, count: number | undefined): (Pointer | null)[] {
  const load = loads().address;
  const pointers: (Pointer | null)[] = [];
  for (let index = 0; index !== count; index++) {
    const pointer = nullable(load(address, index * pointerByteLength) as Address | null);
    if (pointer === null && count === undefined) break;
    pointers.push(pointer);
  }
  return pointers;
}

function countOf(count: number | bigint | undefined, what: string): number | undefined {
  if (count === undefined) return undefined;
  const number = lengthOf(count, what, "elements");
  if (number <= mostElements) return number;
  throw blameCaller(new RangeError(`Cannot read ${what}: no array has ${number} elements`));
}

/**
 * Reads an array of pointers that C has at a pointer, `T **`. `null` gives `null`.
 *
 * ```ts
 * import { NativeMemory, pointerFrom, pointersAt } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using memory = NativeMemory.alloc(24); // the last one is NULL
 * memory.setPointer(0, pointerFrom(16));
 * memory.setPointer(8, pointerFrom(32));
 * assert(pointersAt(memory)?.length === 2);
 * assert(pointersAt(memory, 3)?.at(2) === null);
 * ```
 *
 * @typeParam Tag What they point to.
 * @param pointer A pointer to the first one, null, or what has a pointer, such as memory.
 * @param count How many there are, as a number or a bigint. Without it, NULL ends the array and isn't among them.
 * @returns The pointers, or `null`.
 * @throws {TypeError} If it is no pointer.
 * @throws {RangeError} If the count is negative, no whole number, or more than an array has.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function pointersAt<Tag extends string>(
  pointer: Pointer | PointerOwner | null,
  count?: number | bigint,
): (Pointer<Tag> | null)[] | null {
  const number = countOf(count, "pointers");
  const address = start(pointer);
  return address === undefined ? null : pointersFrom(address, number) as (Pointer<Tag> | null)[];
}

/**
 * Copies the strings of an array that C has at a pointer, `char **`. `null` gives `null`.
 *
 * ```ts
 * import { cstringsAt, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using program = dlopen(null, { environ: { type: "pointer" } }); // char **environ
 * assert(cstringsAt(program.symbols.environ)?.every((line) => line?.includes("=")));
 * ```
 *
 * @param pointer A pointer to the first one, null, or what has a pointer, such as memory.
 * @param count How many there are, as a number or a bigint. Without it, NULL ends the array and isn't among them.
 * @returns The strings, `null` where there is NULL, or `null`.
 * @throws {TypeError} If it is no pointer.
 * @throws {RangeError} If the count is negative, no whole number, or more than an array has.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function cstringsAt(
  pointer: Pointer | PointerOwner | null,
  count?: number | bigint,
): (string | null)[] | null {
  const number = countOf(count, "strings");
  const address = start(pointer);
  if (address === undefined) return null;
  return pointersFrom(address, number).map((each) => stringAt(each as Address | null));
}
