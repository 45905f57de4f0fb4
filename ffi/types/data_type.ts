/**
 * What a type of native data is, as far as other types have to know.
 *
 * @module
 */

/** Holds what {@linkcode DataType} says to TypeScript alone. */
export const data: unique symbol = Symbol("data");

/**
 * A type of C data with a size: what {@linkcode struct}, {@linkcode union}, {@linkcode array} and {@linkcode charArray}
 * give.
 *
 * @typeParam V What you read.
 * @typeParam I What you can write.
 */
export interface DataType<V = unknown, I = V> {
  /** The size in bytes, as C's `sizeof` gives it. */
  readonly byteLength: number;
  /** What an address of the type is a multiple of, in bytes, as C's `_Alignof` gives it. */
  readonly align: number;
  /** For TypeScript alone: what is read and written. */
  readonly [data]?: readonly [V, I];
}

/**
 * A structure or a union, which C can also take and return by value.
 *
 * @typeParam V What you read.
 * @typeParam I What you can write.
 */
export interface RecordType<V = unknown, I = V> extends DataType<V, I> {
  /** Where each field begins, in bytes from the beginning of the structure. */
  readonly offsets: Readonly<Record<string, number>>;
}

/**
 * The type of a parameter through which a C function gives a value back; {@linkcode out} makes it.
 *
 * @typeParam T The type of the value.
 */
export interface OutType<T = unknown> {
  /** The type of the value. */
  readonly out: T;
}

/** The key of what an object with a pointer has for TypeScript alone. */
export const owner: unique symbol = Symbol("owner");

/**
 * An object of belay's that stands for its pointer wherever C wants a pointer.
 *
 * These are `NativeMemory`, a `Pin`, a view of a structure, union or array, a `Callback` and a `Channel`. Pass the
 * object itself: then belay refuses memory that was freed, and a pin that has ended.
 */
export interface PointerOwner {
  /** For TypeScript alone: no object has it. */
  readonly [owner]?: true;
}
