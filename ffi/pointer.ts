/**
 * Between pointers and the numbers and strings that they stand for.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { nullable, stringAt, toAddress } from "./helpers.ts";
import { checkUse } from "./pointer_rules.ts";
import type { Pointer } from "./types.ts";

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

/** The address of a pointer; 0 for `null`. */
export function pointerValue(pointer: Pointer | null): bigint {
  return pointer === null ? 0n : BigInt(pointer as unknown as Address);
}

/**
 * The zero-terminated UTF-8 string that C has at a pointer, copied; `null` for `null`. For strings that a `"cstring"`
 * result doesn't give: those in a `char **`, or in an out-parameter. Nothing is freed.
 *
 * ```ts
 * import { cstringAt, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using zlib = dlopen({ name: "z", versions: ["1"] }, { zlibVersion: { parameters: [], result: "pointer" } });
 * assert(cstringAt(zlib.symbols.zlibVersion())?.startsWith("1."));
 * ```
 *
 * @throws {PointerRuleError} When it points into an argument of a call that has returned.
 */
export function cstringAt(pointer: Pointer | null): string | null {
  checkUse(pointer);
  return stringAt(pointer as unknown as Address | null);
}
