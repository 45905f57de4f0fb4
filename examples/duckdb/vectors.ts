/**
 * Columns of a chunk, onto DuckDB's vectors. Numbers are typed arrays over its memory, without a copy; texts are copied.
 *
 * @module
 */

import { NativeMemory, type Pointer } from "@belay/ffi";
import { duckdb, type Vector } from "./library.ts";

/** DuckDB's numbers for the types that a function's columns can have. */
export const types = { BOOLEAN: 1, INTEGER: 4, BIGINT: 5, FLOAT: 10, DOUBLE: 11, TIMESTAMP: 12, VARCHAR: 17 } as const;
/** What a sum of integers is. */
const hugeint = 16;

/** A type that a function's columns can have. */
export type TypeName = keyof typeof types;

/** What a column's values are in. A `BOOLEAN` is 0 or 1, a `TIMESTAMP` is in microseconds since 1970. */
export interface Values {
  readonly BOOLEAN: Uint8Array;
  readonly INTEGER: Int32Array;
  readonly BIGINT: BigInt64Array;
  readonly FLOAT: Float32Array;
  readonly DOUBLE: Float64Array;
  readonly TIMESTAMP: BigInt64Array;
  readonly VARCHAR: string[];
}

/** Some 2,000 rows of a column. It is DuckDB's own memory: don't use it when the function has ended. */
export interface Column<T extends TypeName = TypeName> {
  readonly length: number;
  /** A value for each row, whatever it is where the row is NULL. */
  readonly values: Values[T];
  /** Whether a row is NULL. */
  isNull(row: number): boolean;
}

/** The column that a function writes. */
export interface OutputColumn<T extends TypeName = TypeName> extends Column<T> {
  /** Makes a row NULL. */
  setNull(row: number): void;
}

/** A value of a result. */
export type Value = null | boolean | number | bigint | string;

type AnyValues = ArrayLike<number | bigint | string>;

/** A vector, with a bit for each row that is 0 where the row is NULL. The bits aren't there if none is. */
class VectorColumn {
  readonly length: number;
  protected readonly vector: Vector;
  validity: Uint8Array | undefined;

  constructor(vector: Vector, length: number) {
    this.vector = vector;
    this.length = length;
    this.openValidity();
  }

  isNull(row: number): boolean {
    return this.validity !== undefined && (this.validity[row >> 3] & 1 << (row & 7)) === 0;
  }

  protected openValidity(): void {
    const pointer = duckdb().duckdb_vector_get_validity(this.vector);
    if (pointer !== null) this.validity = bytesAt(pointer, Math.ceil(this.length / 8));
  }
}

/** A vector that is read. */
export class InputVector extends VectorColumn {
  readonly values: AnyValues;
  readonly #type: number;

  /** @param type DuckDB's number for it. */
  constructor(type: number, vector: Vector, length: number) {
    super(vector, length);
    this.#type = type;
    const pointer = duckdb().duckdb_vector_get_data(vector) as Pointer;
    this.values = arrayAt(type, pointer, length) ?? Array.from({ length }, this.#reader(pointer));
  }

  /** The value of a row. */
  value(row: number): Value {
    if (this.isNull(row)) return null;
    const value = this.values[row];
    return this.#type === types.BOOLEAN ? value !== 0 : value;
  }

  /** What reads the values that no typed array has: 16 bytes each. */
  #reader(pointer: Pointer): (_: unknown, row: number) => bigint | string {
    const memory = NativeMemory.borrow(pointer, 16 * this.length);
    if (this.#type === hugeint) {
      return (_, row) => memory.getBigInt64(16 * row + 8) << 64n | memory.getBigUint64(16 * row);
    }
    if (this.#type !== types.VARCHAR) {
      throw new TypeError(
        `Cannot read a column of DuckDB's type ${this.#type}: cast it in SQL, to VARCHAR for instance`,
      );
    }
    return (_, row) => {
      if (this.isNull(row)) return "";
      // The length, then the text or, if it is longer than 12 bytes, where it is.
      const byteLength = memory.getUint32(16 * row);
      if (byteLength <= 12) return memory.subarray(16 * row + 4, 16 * row + 4 + byteLength).text();
      return NativeMemory.borrow(memory.getPointer(16 * row + 8) as Pointer, byteLength).text();
    };
  }
}

const encoder = new TextEncoder();

/** A vector that a function writes. */
export class OutputVector extends VectorColumn {
  readonly values: AnyValues;

  /** @param inputs The rows that are NULL in one of these are NULL here. */
  constructor(type: number, vector: Vector, length: number, inputs: readonly InputVector[]) {
    super(vector, length);
    const pointer = duckdb().duckdb_vector_get_data(vector) as Pointer;
    const array = arrayAt(type, pointer, length);
    // A text has a pointer, which DuckDB follows. Whatever happens before the texts are written, it finds empty ones.
    if (array === undefined) bytesAt(pointer, 16 * length).fill(0);
    this.values = array ?? [];
    for (const { validity } of inputs) {
      if (validity === undefined) continue;
      const own = this.#writable();
      for (let i = 0; i < own.length; i++) own[i] &= validity[i];
    }
  }

  setNull(row: number): void {
    this.#writable()[row >> 3] &= ~(1 << (row & 7));
  }

  /** The function has ended: gives DuckDB the texts. */
  end(): void {
    const { values } = this;
    if (!Array.isArray(values)) return;
    for (const [row, text] of values.entries()) {
      if (text === undefined || this.isNull(row)) continue;
      const bytes = encoder.encode(text);
      duckdb().duckdb_vector_assign_string_element_len(this.vector, row, bytes, bytes.length);
    }
  }

  #writable(): Uint8Array {
    if (this.validity === undefined) {
      duckdb().duckdb_vector_ensure_validity_writable(this.vector);
      this.openValidity();
    }
    return this.validity as Uint8Array;
  }
}

function bytesAt(pointer: Pointer, byteLength: number): Uint8Array<ArrayBuffer> {
  return NativeMemory.borrow(pointer, byteLength).bytes();
}

/** A typed array over C's memory, for the types that have one. */
function arrayAt(type: number, pointer: Pointer, length: number): AnyValues | undefined {
  const over = <T>(
    array: { new (buffer: ArrayBuffer, at: number, length: number): T; BYTES_PER_ELEMENT: number },
  ): T => {
    const { buffer, byteOffset } = bytesAt(pointer, length * array.BYTES_PER_ELEMENT);
    return new array(buffer, byteOffset, length);
  };
  switch (type) {
    case types.BOOLEAN:
      return over(Uint8Array);
    case types.INTEGER:
      return over(Int32Array);
    case types.BIGINT:
    case types.TIMESTAMP:
      return over(BigInt64Array);
    case types.FLOAT:
      return over(Float32Array);
    case types.DOUBLE:
      return over(Float64Array);
  }
  return undefined;
}
