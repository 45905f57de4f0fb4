/**
 * Between pointers and the numbers that they are.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { nullable, toAddress } from "./helpers.ts";
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
 * @throws {RangeError} When it is no address: negative, a fraction, or too large for the runtime.
 */
export function pointerFrom<Tag extends string>(address: bigint | number): Pointer<Tag> | null {
  const value = typeof address === "bigint" || !Number.isSafeInteger(address) ? address : BigInt(address);
  // Runtimes with numbers as addresses have no others; no system hands out such.
  if (typeof value !== "bigint" || value < 0n || value >= 2n ** 64n) {
    throw new RangeError(`Cannot make a pointer of ${address}: expected an address`);
  }
  const represented: Address = typeof toAddress(0) === "bigint" ? value : Number(value);
  if (typeof represented === "number" && !Number.isSafeInteger(represented)) {
    throw new RangeError(`Cannot make a pointer of ${address}: expected an address below 2^53`);
  }
  return nullable(represented) as Pointer<Tag> | null;
}

/** The address of a pointer; 0 for `null`. */
export function pointerValue(pointer: Pointer | null): bigint {
  return pointer === null ? 0n : BigInt(pointer as unknown as Address);
}
