/**
 * Reads and writes of C's memory by the core: nothing is checked.
 *
 * @module
 */

import { isNull } from "../runtime/address.ts";
import type { Address, NativeFunctionObject, NativeSignature } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { type NumberName, numberNames } from "../types/scalars.ts";
import { type Encoding, shortText, utf8 } from "../types/text.ts";
import { coreFunctions, signature } from "./core.ts";

/** What the core reads from memory. */
export type LoadType = NumberName | "address";

/** A function of the core's for each type of number. */
function forEach(make: (type: NumberName) => NativeSignature): Record<NumberName, NativeSignature> {
  return Object.fromEntries(numberNames.map((type) => [type, make(type)])) as Record<NumberName, NativeSignature>;
}

const functions = coreFunctions(() => ({
  ...forEach((type) => signature(`belay_load_${type}`, ["address", "f64"], type)),
  address: signature("belay_load_u64", ["address", "f64"], "address"),
}));

const storeFunctions = coreFunctions(() =>
  forEach((type) => signature(`belay_store_${type}`, ["address", "f64", type], "void"))
);

const copies = coreFunctions(() => ({
  out: signature("belay_memory_copy", ["view", "f64", "address", "f64", "f64"], "void"),
  in: signature("belay_memory_copy", ["address", "f64", "view", "f64", "f64"], "void"),
  fill: signature("belay_memory_fill", ["address", "f64", "u8", "f64"], "void"),
  findZero: signature("belay_memory_find_zero", ["address", "f64", "u32", "f64"], "f64"),
}));

const allocations = coreFunctions(() => ({
  allocate: signature("belay_memory_allocate", ["f64", "u32", "bool"], "address"),
  release: signature("belay_memory_release", ["address"], "void"),
}));

/** What reads each type, at a byte offset from an address. */
export function loads(): Readonly<Record<LoadType, NativeFunctionObject>> {
  return functions();
}

/** What writes each type, at a byte offset from an address. */
export function stores(): Readonly<Record<NumberName, NativeFunctionObject>> {
  return storeFunctions();
}

/** Copies bytes out of C's memory. */
export function copyOut(target: Uint8Array, base: Address, byteOffset: number, byteLength: number): void {
  copies().out(backend().hold(target), 0, base, byteOffset, byteLength);
}

/**
 * Copies what comes before the zero that ends a string out of C's memory, or answers `undefined` when none is among the first
 * `byteLength` bytes. Nothing after it is looked at.
 */
export function bytesBeforeZero(
  { unitByteLength }: Encoding,
  base: Address,
  byteOffset: number,
  byteLength: number,
): Uint8Array<ArrayBuffer> | undefined {
  const before = copies().findZero(base, byteOffset, unitByteLength, byteLength) as number;
  if (before < 0) return undefined;
  const bytes = new Uint8Array(before);
  if (before > 0) copyOut(bytes, base, byteOffset, before);
  return bytes;
}

/** As many bytes as text may have to be short. */
export const shortByteLength = 256;
/** Short text is decoded from here, since an array of its own takes ten times as long; `undefined` while somebody reads it. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** Copies so many bytes out of C's memory and decodes them as UTF-8; what is none becomes U+FFFD. */
export function decodedAt(base: Address, byteLength: number): string {
  if (byteLength === 0) return "";
  if (byteLength > shortByteLength) {
    const bytes = new Uint8Array(byteLength);
    copyOut(bytes, base, 0, byteLength);
    return utf8.decoder.decode(bytes);
  }
  const { readText } = backend();
  if (readText !== undefined) return readText(base, byteLength);
  const bytes = scratch ?? new Uint8Array(new ArrayBuffer(shortByteLength));
  scratch = undefined;
  copyOut(bytes, base, 0, byteLength);
  const text = shortText(bytes, byteLength);
  scratch = bytes;
  return text;
}

/** Copies bytes into C's memory. */
export function copyIn(base: Address, byteOffset: number, source: Uint8Array, byteLength: number): void {
  copies().in(base, byteOffset, backend().hold(source), 0, byteLength);
}

/** Sets bytes of C's memory. */
export function fill(base: Address, byteOffset: number, value: number, byteLength: number): void {
  copies().fill(base, byteOffset, value, byteLength);
}

/** Memory for so many bytes, at an address that is a multiple of `align`, a power of two; `null` when there is none. */
export function allocate(byteLength: number, align: number, zero: boolean): Address | null {
  const address = allocations().allocate(byteLength, align, zero);
  return isNull(address) ? null : address as Address;
}

/** Gives back what {@linkcode allocate} gave. */
export function release(address: Address): void {
  allocations().release(address);
}
