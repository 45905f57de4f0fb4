/**
 * Between pointers and the numbers and strings that they stand for.
 *
 * @module
 */

import { bytesBeforeZero } from "../core/memory.ts";
import { stringAt } from "../crossing/helpers.ts";
import { mismatch } from "../crossing/marshal.ts";
import { pointerOf } from "../crossing/owners.ts";
import { checkUse } from "../crossing/pointer_rules.ts";
import { blameCaller, RangeError } from "../ground/blame.ts";
import { noOptions } from "../ground/options.ts";
import { isAddress, isNull, nullable, toAddress } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import type { PointerOwner } from "../types/data_type.ts";
import type { Pointer } from "../types/definitions.ts";
import { decode, type Encoding, isFatal, type TextOptions, utf16, utf8 } from "../types/text.ts";

/**
 * Makes a pointer of an address, such as one that C wrote into a buffer. The address 0 gives `null`.
 *
 * belay can't check that there is anything at the address.
 *
 * ```ts
 * import { pointerFrom, pointerValue } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const buffer = new BigUint64Array(1); // where a C function writes an address
 * assert(pointerFrom(buffer[0]) === null);
 * const pointer = pointerFrom<"sqlite3">(0x1000n);
 * assert(pointerValue(pointer) === 0x1000n);
 * ```
 *
 * @typeParam Tag What the pointer points to.
 * @param address A whole number from 0 to 2^64 - 1. A number has to be a safe integer.
 * @returns The pointer, or `null` for 0.
 * @throws {RangeError} If it is no such address.
 */
export function pointerFrom<Tag extends string>(address: bigint | number): Pointer<Tag> | null {
  const value = typeof address === "number" && Number.isSafeInteger(address) ? BigInt(address) : address;
  if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value) {
    throw new RangeError(`Cannot make a pointer of ${address}: expected an address from 0 to 2^64 - 1`);
  }
  const asNumber = typeof toAddress(0) === "number" && value < 2n ** 53n;
  return nullable(asNumber ? Number(value) : value) as Pointer<Tag> | null;
}

/**
 * Gives the address of a pointer, or of what has a pointer, as a bigint. `null` gives `0n`.
 *
 * ```ts
 * import { NativeMemory, pointerValue } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using memory = NativeMemory.alloc(16);
 * assert(pointerValue(memory.subarray(4)) - pointerValue(memory) === 4n);
 * assert(pointerValue(null) === 0n);
 * ```
 *
 * @param pointer A pointer, null, or what has a pointer: memory, a pin, a view, a callback, a channel.
 * @returns The address.
 * @throws {TypeError} If it is anything else.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it is a pin that has ended.
 */
export function pointerValue(pointer: Pointer | PointerOwner | null): bigint {
  return BigInt(followed(pointer) ?? 0n);
}

/**
 * Copies the zero-terminated UTF-8 string that C has at a pointer. `null` gives `null`.
 *
 * It is for strings that a `"cstring"` result doesn't give: those that you have to free, and those behind a `char **`.
 * Nothing is freed. Invalid UTF-8 becomes U+FFFD. belay knows no bounds here: if no zero ends the string, C's memory is
 * read on and on.
 *
 * ```ts
 * import { cstringAt, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   strdup: { parameters: ["cstring"], result: "pointer" }, // char *, to be freed
 *   free: { parameters: ["pointer"], result: "void" },
 * });
 * const copy = libc.symbols.strdup("belay");
 * assert(cstringAt(copy) === "belay");
 * libc.symbols.free(copy);
 * ```
 *
 * @param pointer A pointer, null, or what has a pointer, such as memory.
 * @param options Whether invalid UTF-8 is an error instead.
 * @returns The string, or `null`.
 * @throws {TypeError} If it is no pointer; with `fatal`, if the string isn't valid UTF-8.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function cstringAt(pointer: Pointer | PointerOwner | null, options: TextOptions = noOptions): string | null {
  const address = followed(pointer);
  checkUse(address);
  // The runtime's own way is faster, and doesn't tell.
  return isFatal(options) ? decodeAt(utf8, address, options) : stringAt(address);
}

/**
 * Copies the zero-terminated UTF-16 string that C has at a pointer. `null` gives `null`.
 *
 * Windows and ICU have such strings, in the machine's byte order. Nothing is freed. A surrogate that stands alone
 * becomes U+FFFD. belay knows no bounds here: if no zero of two bytes ends the string, C's memory is read on and on.
 *
 * ```ts
 * import { Arena, utf16At } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using arena = new Arena();
 * const out = arena.alloc(8); // where a C function writes a pointer
 * out.setPointer(0, arena.utf16("belay"));
 * assert(utf16At(out.getPointer(0)) === "belay");
 * ```
 *
 * @param pointer A pointer, null, or what has a pointer, such as memory.
 * @param options Whether a surrogate that stands alone is an error instead.
 * @returns The string, or `null`.
 * @throws {TypeError} If it is no pointer; with `fatal`, if a surrogate stands alone.
 * @throws {MemoryFreedError} If it is memory that has been freed.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function utf16At(pointer: Pointer | PointerOwner | null, options: TextOptions = noOptions): string | null {
  const address = followed(pointer);
  checkUse(address);
  return decodeAt(utf16, address, options);
}

/** The address that a value stands for. Following one that is no pointer would crash the process. */
export function followed(value: unknown): Address | null {
  if (value === null || isAddress(value)) return value;
  const address = pointerOf(value);
  if (address !== undefined) return address;
  throw blameCaller(mismatch("pointer", value, "Cannot follow a pointer: the value"));
}

function decodeAt(encoding: Encoding, address: Address | null, options: TextOptions): string | null {
  if (isNull(address)) return null;
  // However far away the zero is.
  const bytes = bytesBeforeZero(encoding, address, 0, Number.MAX_SAFE_INTEGER) as Uint8Array<ArrayBuffer>;
  return decode(encoding, bytes, options, () => `a string at 0x${BigInt(address).toString(16)}`);
}
