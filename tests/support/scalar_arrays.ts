/**
 * Memory of the scalar types: the array that holds each, and values as it holds them.
 *
 * @module
 */

import { type Pointer, pointerFrom, pointerValue } from "@belay/ffi";
import { limits, type ScalarType } from "./scalars.ts";

type ScalarArray = ArrayBufferView & Iterable<number | bigint>;

/** What memory of a scalar type is made of. */
export const scalarArrays: Record<ScalarType, new (from: number | Iterable<never>) => ScalarArray> = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  isize: BigInt64Array,
  usize: BigUint64Array,
  f32: Float32Array,
  f64: Float64Array,
  bool: Uint8Array,
  pointer: BigUint64Array,
};

/** A value as memory holds it. */
export function inMemory(type: ScalarType, value: unknown): number | bigint {
  if (type === "bool") return value === true ? 1 : 0;
  if (type === "pointer") return value === null ? 0n : pointerValue(value as Pointer);
  return value as number | bigint;
}

/** Memory of values. */
export function memoryOf(type: ScalarType, values: readonly unknown[]): ScalarArray {
  return new scalarArrays[type](values.map((value) => inMemory(type, value)) as never[]);
}

/** Beyond what a number holds exactly, addresses have another spelling on some runtimes. */
const farPointers = [pointerFrom(2n ** 53n), pointerFrom(2n ** 63n), pointerFrom(2n ** 64n - 1n)];

/** The values at a type's limits, pointers that no number holds among them. */
export function valuesOf(type: ScalarType): readonly unknown[] {
  return type === "pointer" ? [...limits.pointer, ...farPointers] : limits[type];
}
