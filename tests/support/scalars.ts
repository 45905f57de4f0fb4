/**
 * The scalar types, and the values at their limits.
 *
 * @module
 */

import { type NamedType, pointerFrom } from "@belay/ffi";

/** The types that the test library has an `identity_`, a `relay_` and a `variable_` for. */
export type ScalarType = Exclude<NamedType, "buffer" | "cstring" | "handle" | "handleAddress" | "function">;

const f32Max = (2 - 2 ** -23) * 2 ** 127;

/** For each type, what has to come back as it went in. */
export const limits: Readonly<Record<ScalarType, readonly unknown[]>> = {
  i8: [-128, -1, 0, 1, 127],
  u8: [0, 1, 128, 255],
  i16: [-32768, -1, 0, 1, 32767],
  u16: [0, 1, 32768, 65535],
  i32: [-2147483648, -1, 0, 1, 2147483647],
  u32: [0, 1, 2147483648, 4294967295],
  i64: [-(2n ** 63n), -(2n ** 53n) - 1n, -1n, 0n, 1n, 2n ** 53n + 1n, 2n ** 63n - 1n],
  u64: [0n, 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n],
  isize: [-(2n ** 63n), -1n, 0n, 1n, 2n ** 63n - 1n],
  usize: [0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n],
  f32: [0, -0, 1.5, -1.5, 2 ** -149, f32Max, -f32Max, Infinity, -Infinity, NaN],
  f64: [0, -0, 0.1, Number.MIN_VALUE, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 53, Infinity, -Infinity, NaN],
  bool: [true, false],
  pointer: [null, pointerFrom(1), pointerFrom(2n ** 32n), pointerFrom(2n ** 47n - 1n), pointerFrom(2n ** 53n - 1n)],
};

/** Their names. */
export const scalarTypes = Object.keys(limits) as ScalarType[];
