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
 * The pointer of an address, as C wrote it into a buffer; 0 gives `null`.
 *
 * ```ts
 * import { pointerFrom, pointerValue } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const out = new BigUint64Array(1); // what a C function gets as its out-parameter
 * assert(pointerFrom(out[0]) === null);
 * const pointer = pointerFrom<"sqlite3">(0x1000n);
 * assert(pointerValue(pointer) === 0x1000n);
 * ```
 *
 * @throws {RangeError} When it is no address: negative, a fraction, a number that isn't safe, or 2^64 and more.
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
 * The address of a pointer, or of what has one; 0 for `null`.
 *
 * @throws {TypeError} When it is nothing of these.
 */
export function pointerValue(pointer: Pointer | PointerOwner | null): bigint {
  return BigInt(followed(pointer) ?? 0n);
}

/**
 * The zero-terminated UTF-8 string that C has at a pointer, copied; `null` for `null`. For strings that a `"cstring"`
 * result doesn't give: those in a `char **`, or in an out-parameter. Nothing is freed. What is no UTF-8 becomes U+FFFD.
 *
 * ```ts
 * import { cstringAt, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using zlib = dlopen({ name: "z", versions: ["1"] }, { zlibVersion: { parameters: [], result: "pointer" } });
 * assert(cstringAt(zlib.symbols.zlibVersion())?.startsWith("1."));
 * ```
 *
 * @throws {TypeError} When it is no `Pointer` and not null. With `fatal` also when what is there is no UTF-8.
 * @throws {PointerRuleError} When it points into an argument of a call that has returned.
 */
export function cstringAt(pointer: Pointer | PointerOwner | null, options: TextOptions = noOptions): string | null {
  const address = followed(pointer);
  checkUse(address);
  // The runtime's own way is faster, and doesn't tell.
  return isFatal(options) ? decodeAt(utf8, address, options) : stringAt(address);
}

/**
 * The zero-terminated UTF-16 string that C has at a pointer, copied; `null` for `null`. Windows and ICU have such strings, in
 * the machine's byte order. Nothing is freed. A surrogate that stands alone becomes U+FFFD.
 *
 * ```ts
 * import { Arena, utf16At } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using arena = new Arena();
 * const out = arena.alloc(8); // what a C function gets as its out-parameter
 * out.setPointer(0, arena.utf16("belay"));
 * assert(utf16At(out.getPointer(0)) === "belay");
 * ```
 *
 * @throws {TypeError} When it is no `Pointer` and not null. With `fatal` also when a surrogate stands alone.
 * @throws {PointerRuleError} When it points into an argument of a call that has returned.
 */
export function utf16At(pointer: Pointer | PointerOwner | null, options: TextOptions = noOptions): string | null {
  const address = followed(pointer);
  checkUse(address);
  return decodeAt(utf16, address, options);
}

/** The address that a value stands for. Following one that is no pointer would crash the process. */
function followed(value: unknown): Address | null {
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
