/**
 * Reads and writes of C's memory by the core: nothing is checked.
 *
 * @module
 */

import type { Address, NativeFunctionObject } from "./backend.ts";
import { coreFunctions, signature } from "./core.ts";
import { backend } from "./runtime.ts";

/** The scalar types that the core reads from memory. */
export type LoadType = "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "i64" | "u64" | "f32" | "f64" | "address";

const functions = coreFunctions({
  i8: signature("belay_load_i8", ["address", "f64"], "i8"),
  u8: signature("belay_load_u8", ["address", "f64"], "u8"),
  i16: signature("belay_load_i16", ["address", "f64"], "i16"),
  u16: signature("belay_load_u16", ["address", "f64"], "u16"),
  i32: signature("belay_load_i32", ["address", "f64"], "i32"),
  u32: signature("belay_load_u32", ["address", "f64"], "u32"),
  i64: signature("belay_load_i64", ["address", "f64"], "i64"),
  u64: signature("belay_load_u64", ["address", "f64"], "u64"),
  f32: signature("belay_load_f32", ["address", "f64"], "f32"),
  f64: signature("belay_load_f64", ["address", "f64"], "f64"),
  address: signature("belay_load_u64", ["address", "f64"], "address"),
  storeU64: signature("belay_store_u64", ["address", "f64", "u64"], "void"),
  copy: signature("belay_memory_copy", ["view", "address", "f64", "f64"], "void"),
});

/** What reads each type, at a byte offset from an address. */
export function loads(): Readonly<Record<LoadType, NativeFunctionObject>> {
  return functions();
}

/** Writes 64 bits. */
export function storeU64(base: Address, byteOffset: number, value: bigint): void {
  functions().storeU64(base, byteOffset, value);
}

/** Copies bytes out of C's memory. */
export function copy(target: Uint8Array, base: Address, byteOffset: number, byteLength: number): void {
  functions().copy(backend().hold(target), base, byteOffset, byteLength);
}
