/**
 * What a type of native data is, as far as other types have to know.
 *
 * @module
 */

/** Holds what {@linkcode DataType} says to TypeScript alone. */
export const data: unique symbol = Symbol("data");

/**
 * A structure, union or array of C's: {@linkcode struct}, {@linkcode union}, {@linkcode array} and {@linkcode charArray}
 * give them. `V` is what is read, `I` what can be written.
 */
export interface DataType<V = unknown, I = V> {
  /** Its size in bytes, as C's `sizeof` has it. */
  readonly byteLength: number;
  /** What its address is a multiple of, as C's `_Alignof` has it. */
  readonly align: number;
  /** For TypeScript. */
  readonly [data]?: readonly [V, I];
}

/** A structure or union, which may be passed by value. */
export interface RecordType<V = unknown, I = V> extends DataType<V, I> {
  /** Where its fields are, in bytes from its beginning. */
  readonly offsets: Readonly<Record<string, number>>;
}

/** A parameter through which a C function gives a value back; {@linkcode out} makes it. */
export interface OutType<T = unknown> {
  /** The type of the value. */
  readonly out: T;
}

/** The key of what an object with a pointer has for TypeScript alone. */
export const owner: unique symbol = Symbol("owner");

/**
 * What belay has made that has a pointer: `NativeMemory`, a `Pin`, a view of a structure, union or array, a `Callback`, a
 * `Channel`. Where a pointer is wanted it stands for its own.
 */
export interface PointerOwner {
  /** For TypeScript alone: nothing has it. */
  readonly [owner]?: true;
}
