/**
 * Addresses, as this runtime spells them.
 *
 * @module
 */

import type { Pointer } from "../types/definitions.ts";
import type { Address } from "./backend.ts";
import { backend } from "./choose.ts";

/** Whether an address is NULL, as any runtime gives it. */
export function isNull(address: unknown): address is null | 0 | 0n {
  return address === null || address === 0 || address === 0n;
}

/** Whether a value is an address of this runtime, as far as can be seen. */
export function isAddress(value: unknown): value is Address {
  const numbers = backend().addressKind === "number";
  // One address has one spelling, so that pointers can be compared.
  if (typeof value === "bigint") return BigInt.asUintN(64, value) === value && !(numbers && value < 2n ** 53n);
  return numbers && typeof value === "number" && value >= 0 && Number.isSafeInteger(value);
}

/** A number as this runtime's address. */
export function toAddress(number: number): Address {
  return backend().addressKind === "bigint" ? BigInt(number) : number;
}

const oneBigInt = new BigUint64Array(1);
const twoWords = new Uint32Array(oneBigInt.buffer);

/** This runtime's address as a number; NULL is 0. By way of memory, since V8 takes ten times longer for `Number(bigint)`. */
export function toNumber(address: Address | null): number {
  if (typeof address !== "bigint") return address ?? 0;
  oneBigInt[0] = address;
  return twoWords[0]! + twoWords[1]! * 2 ** 32;
}

/** An address as TypeScript's pointer. */
export function nullable(address: Address | null): Pointer | null {
  return isNull(address) ? null : address as unknown as Pointer;
}

/** A pointer as this runtime's address. */
export function addressOf(pointer: Pointer): Address {
  return pointer as unknown as Address;
}
