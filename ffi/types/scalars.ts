/**
 * C's numbers: the one table of how wide they are, and what is one of them.
 *
 * @module
 */

/** A type of number. */
export interface Scalar {
  readonly bits: 8 | 16 | 32 | 64;
  readonly kind: "signed" | "unsigned" | "float";
  /** What `DataView` calls it. */
  readonly accessor: string;
}

/** An integer's type. */
export interface Integer extends Scalar {
  readonly kind: "signed" | "unsigned";
}

/** Those that the core reads and writes, too; {@linkcode scalars} has two more names. */
const numbers = {
  i8: { bits: 8, kind: "signed", accessor: "Int8" },
  u8: { bits: 8, kind: "unsigned", accessor: "Uint8" },
  i16: { bits: 16, kind: "signed", accessor: "Int16" },
  u16: { bits: 16, kind: "unsigned", accessor: "Uint16" },
  i32: { bits: 32, kind: "signed", accessor: "Int32" },
  u32: { bits: 32, kind: "unsigned", accessor: "Uint32" },
  i64: { bits: 64, kind: "signed", accessor: "BigInt64" },
  u64: { bits: 64, kind: "unsigned", accessor: "BigUint64" },
  f32: { bits: 32, kind: "float", accessor: "Float32" },
  f64: { bits: 64, kind: "float", accessor: "Float64" },
} as const satisfies Record<string, Scalar>;

/** A number's type that says its width. */
export type NumberName = keyof typeof numbers;

/** Those types. */
export const numberNames: readonly NumberName[] = Object.keys(numbers) as NumberName[];

/** Every type of number, by its name in definitions. */
export const scalars: Readonly<Record<NumberName | "isize" | "usize", Scalar>> = {
  ...numbers,
  isize: numbers.i64,
  usize: numbers.u64,
};

/** How a type is spelled in C's memory; `undefined` for one that is no number. */
export function scalarOf(type: string): Scalar | undefined {
  return Object.hasOwn(scalars, type) ? scalars[type as keyof typeof scalars] : undefined;
}

/** An integer's type; `undefined` for one that is none. */
export function integerOf(type: string): Integer | undefined {
  const scalar = scalarOf(type);
  return scalar !== undefined && scalar.kind !== "float" ? scalar as Integer : undefined;
}

/** Whether a value is of a type. */
export const fits = {
  i8: (value: unknown): value is number => typeof value === "number" && (value << 24 >> 24) === value,
  u8: (value: unknown): value is number => typeof value === "number" && (value & 0xff) === value,
  i16: (value: unknown): value is number => typeof value === "number" && (value << 16 >> 16) === value,
  u16: (value: unknown): value is number => typeof value === "number" && (value & 0xffff) === value,
  i32: (value: unknown): value is number => typeof value === "number" && (value | 0) === value,
  u32: (value: unknown): value is number => typeof value === "number" && (value >>> 0) === value,
  f32: (value: unknown): value is number => typeof value === "number",
  f64: (value: unknown): value is number => typeof value === "number",
};

/** A value as one of a type, `undefined` for what is none. An integer -0 is 0 to C. */
export const checked = {
  i8: (value: unknown): number | undefined => fits.i8(value) ? value + 0 : undefined,
  u8: (value: unknown): number | undefined => fits.u8(value) ? value + 0 : undefined,
  i16: (value: unknown): number | undefined => fits.i16(value) ? value + 0 : undefined,
  u16: (value: unknown): number | undefined => fits.u16(value) ? value + 0 : undefined,
  i32: (value: unknown): number | undefined => fits.i32(value) ? value + 0 : undefined,
  u32: (value: unknown): number | undefined => fits.u32(value) ? value + 0 : undefined,
  f32: (value: unknown): number | undefined => fits.f32(value) ? value : undefined,
  f64: (value: unknown): number | undefined => fits.f64(value) ? value : undefined,
  i64(value: unknown): bigint | undefined {
    const bits = wide(value);
    return bits !== undefined && BigInt.asIntN(64, bits) === bits ? bits : undefined;
  },
  u64(value: unknown): bigint | undefined {
    const bits = wide(value);
    return bits !== undefined && BigInt.asUintN(64, bits) === bits ? bits : undefined;
  },
};

/** A bigint, or a safe integer as one. */
function wide(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : undefined;
}
