/**
 * Structures, unions and arrays of C's.
 *
 * @module
 */

import { storedLayout } from "../crossing/definition.ts";
import { readerOf } from "../crossing/fields.ts";
import { Aggregate, followsAddresses, type Layout, type RecordLayout, recordLayout } from "../crossing/layout.ts";
import { RangeError, TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { inside } from "../ground/inside.ts";
import { noOptions, ownOptions } from "../ground/options.ts";
import type { DataType, PointerOwner, RecordType } from "../types/data_type.ts";
import type { CallbackDefinition, FieldType, Pointer } from "../types/definitions.ts";
import type { NativeFunction, StoredValue, ToNative } from "../types/inference.ts";
import { NativeMemory } from "./native_memory.ts";
import { arrayClass, checkMemory, type ReadOnlyField, Scratch, viewOf, window, written } from "./views.ts";

/** The fields of a structure, in C's order, or the members of a union. */
export type Fields = Readonly<Record<string, FieldType>>;

/** What is read from a field. */
export type FieldValue<T> = StoredValue<T>;

/** What can be written to a field: `"cstring"` takes a pointer, since the characters are somebody's to keep. */
export type FieldInput<T> = T extends DataType<infer _, infer I> ? I
  : T extends "cstring" ? Pointer | PointerOwner | null
  : T extends CallbackDefinition ? NativeFunction<T> | Pointer | null
  : T extends "function" ? NativeFunction | Pointer | null
  : ToNative<T>;

/** A structure as a plain object. */
export type StructValue<F extends Fields> = { -readonly [K in keyof F]: FieldValue<F[K]> };
/** What can be written as a structure: an object with all of its fields. */
export type StructInput<F extends Fields> = { readonly [K in keyof F]: FieldInput<F[K]> };
/** What can be written as a union: an object with the member that is meant, or with several that say the same. */
export type UnionInput<F extends Fields> = { readonly [K in keyof F]?: FieldInput<F[K]> };

/** What can be written as an array: its elements, in an array, a typed array or a view. */
export type ArrayInput<E> = readonly FieldInput<E>[] | {
  readonly length: number;
  at(index: number): FieldInput<E> | undefined;
};

/**
 * A structure in native memory: each property reads and writes it there. Strings and handles are read only: what is written is
 * a pointer or an id, by `write`. A property that is no field can't be assigned.
 *
 * `Object.keys`, spread and `structuredClone` see the fields. A spread copy has the values of numbers, strings and pointers;
 * structures and arrays in it stay views. The view of an element ({@linkcode ArrayView.at}) has its properties on its class:
 * `in`, `JSON.stringify` and consoles see them, the others don't.
 */
export type StructView<F extends Fields> =
  & PointerOwner
  & ([Extract<F[keyof F], ReadOnlyField>] extends [never] ? { -readonly [K in keyof F]: FieldView<F[K]> }
    :
      & { -readonly [K in keyof F as F[K] extends ReadOnlyField ? never : K]: FieldView<F[K]> }
      & { readonly [K in keyof F as F[K] extends ReadOnlyField ? K : never]: FieldView<F[K]> });

/** What a property of a view gives. */
export type FieldView<T> = T extends StructType<infer F> ? StructView<F>
  : T extends UnionType<infer F> ? StructView<F>
  : T extends ArrayType<infer E> ? ArrayView<E>
  : FieldValue<T>;

/** Options of {@linkcode struct} and {@linkcode union}. */
export interface StructOptions {
  /** No padding (`true`, or 1), or fields aligned for at most so many bytes, as `#pragma pack` has it: 1, 2, 4, 8 or 16. */
  readonly packed?: boolean | 1 | 2 | 4 | 8 | 16;
}

/** What structures, unions and arrays in memory have in common. */
export abstract class MemoryType<V, I, View> extends Aggregate<V, I> {
  /**
   * Allocates memory for one, with zeroes or a value; it is freed as {@linkcode NativeMemory} says.
   *
   * @throws {TypeError | RangeError} When the value is none of the type's.
   */
  alloc(value?: I): NativeMemory {
    const memory = NativeMemory.alloc(this.byteLength, { align: this.align });
    if (value === undefined) return memory;
    try {
      this.write(memory, value);
      return memory;
    } catch (error) {
      memory.free();
      throw error;
    }
  }

  /** Allocates memory for `length` of them, one behind the other, with zeroes. @throws {RangeError} When there is none. */
  allocMany(length: number): NativeMemory {
    if (!Number.isInteger(length) || length < 0) {
      throw new RangeError(`Cannot allocate an array of ${shown(length)} elements`);
    }
    return NativeMemory.alloc(this.byteLength * length, { align: this.align });
  }

  /**
   * Says that a pointer of C's points to one, or to `length` of them, as {@linkcode NativeMemory.borrow} does.
   *
   * @throws {TypeError} When `pointer` is null.
   */
  borrow(pointer: Pointer, length = 1): NativeMemory {
    return NativeMemory.borrow(pointer, typeof length === "number" ? this.byteLength * length : length);
  }

  /** Copies one out of memory, as plain values. @throws {RangeError} Outside the bounds. */
  read(memory: NativeMemory, byteOffset = 0): V {
    checkMemory(memory);
    const layout = Aggregate.layoutOf(this);
    const scratch = Scratch.take(layout);
    memory.copyTo(scratch.bytes, byteOffset);
    const value = readerOf(layout)(scratch.view, 0) as V;
    scratch.isTaken = false;
    return value;
  }

  /**
   * Writes all of one, with zeroes between the fields; or nothing, when it throws.
   *
   * @throws {TypeError | RangeError} When a value is not of its field's type or has a property that is no field, or the memory
   * is too small.
   */
  write(memory: NativeMemory, value: I, byteOffset = 0): void {
    checkMemory(memory);
    const scratch = written(Aggregate.layoutOf(this), value, "Cannot write to memory");
    memory.copyFrom(scratch.bytes, byteOffset);
    scratch.isTaken = false;
  }

  /**
   * The one that is at an offset: what is read and written is the memory itself.
   *
   * @throws {RangeError} Outside the bounds.
   */
  view(memory: NativeMemory, byteOffset = 0): View {
    return viewOf(Aggregate.layoutOf(this), window(memory, byteOffset, this.byteLength), 0, true) as View;
  }

  /**
   * Those that follow one another from an offset on: `length` of them, or as many as there are.
   *
   * @throws {RangeError} Outside the bounds.
   */
  viewMany(memory: NativeMemory, byteOffset = 0, length?: number): ArrayView<this> {
    checkMemory(memory);
    // What is no number is not asked for one, which could run anything.
    const rest = typeof byteOffset === "number" ? memory.byteLength - byteOffset : NaN;
    const count = length ?? Math.max(0, Math.floor(rest / this.byteLength));
    if (!Number.isInteger(count)) {
      throw new RangeError(`Cannot view an array: its length must be a whole number, got ${shown(count)}`);
    }
    const View = arrayClass(Aggregate.layoutOf(this));
    return new View(window(memory, byteOffset, count * this.byteLength), count) as ArrayView<this>;
  }
}

/** What structures and unions have in common. */
export abstract class FieldsType<F extends Fields, I> extends MemoryType<StructValue<F>, I, StructView<F>>
  implements RecordType<StructValue<F>, I> {
  readonly offsets: { readonly [K in keyof F]: number };

  /** Made by {@linkcode struct} and {@linkcode union}. */
  constructor(token: typeof inside, layout: RecordLayout) {
    super(token, layout);
    const offsets = layout.fields.map(({ name, byteOffset }) => [name, byteOffset]);
    this.offsets = Object.freeze(Object.fromEntries(offsets)) as { [K in keyof F]: number };
  }
}

/** A structure of C's; {@linkcode struct} makes it. */
export class StructType<F extends Fields> extends FieldsType<F, StructInput<F>> {}

/** A union of C's; {@linkcode union} makes it. */
export class UnionType<F extends Fields> extends FieldsType<F, UnionInput<F>> {}

/** An array of C's, of a fixed length; {@linkcode array} makes it. */
export class ArrayType<E extends FieldType> extends MemoryType<FieldValue<E>[], ArrayInput<E>, ArrayView<E>> {
  /** How many elements it has. */
  readonly length: number;
  /** Of what type they are. */
  readonly element: E;

  /** Made by {@linkcode array}. */
  constructor(token: typeof inside, layout: Layout, element: E, length: number) {
    super(token, layout);
    this.element = element;
    this.length = length;
  }
}

/** A character array of C's; {@linkcode charArray} makes it. */
export class CharArrayType extends MemoryType<string, string, string> {}

/** Elements in native memory, one behind the other. `JSON.stringify` sees them; `Object.keys` and `structuredClone` don't. */
export interface ArrayView<E> extends Iterable<FieldView<E>>, PointerOwner {
  /** How many there are. */
  readonly length: number;
  /** The element at an index: a view of it where it is a structure, union or array. @throws {RangeError} Outside the bounds. */
  at(index: number): FieldView<E>;
  /** Writes an element. @throws {TypeError | RangeError} When it is none, or outside of the bounds. */
  set(index: number, value: FieldInput<E>): void;
  /** Copies all of them out, as plain values. */
  toArray(): FieldValue<E>[];
}

/**
 * A structure, laid out as C lays it out. Its fields are scalars, pointers, functions, other structures, unions and arrays.
 *
 * It is passed and returned by value where it is a type of a parameter or result: as a plain object, or as a view. In native
 * memory it is read and written as a plain object ({@linkcode StructType.read}), or field by field through a view.
 *
 * ```ts
 * import { array, charArray, pointer, struct } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const Point = struct({ x: "f64", y: "f64" });
 * const Node = struct({ name: charArray(16), at: Point, weights: array("f32", 4), next: pointer<"node">() });
 * assertEquals([Node.byteLength, Node.align, Node.offsets.next], [56, 8, 48]);
 *
 * using memory = Node.alloc({ name: "first", at: { x: 1, y: 2 }, weights: [0, 1, 2, 3], next: null });
 * const node = Node.view(memory);
 * node.at.x += 2;
 * assertEquals(Node.read(memory).at, { x: 3, y: 2 });
 * ```
 *
 * @param fields Its fields, in C's order.
 * @throws {TypeError} When it has none, or one has a type that can't be stored.
 */
export function struct<const F extends Fields>(fields: F, options: StructOptions = noOptions): StructType<F> {
  return frozen(new StructType<F>(inside, define("struct", fields, options)));
}

/**
 * A union: all of its members begin where it begins. What is written says which; what is read are all of them.
 *
 * ```ts
 * import { struct, union } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const Bits = union({ number: "f32", bits: "u32" });
 * using memory = Bits.alloc({ number: 1 });
 * assertEquals(Bits.read(memory).bits, 0x3f800000);
 * ```
 *
 * @throws {TypeError} When it has no members, or one has a type that can't be stored; strings and handles would be looked for
 * where another member was written.
 */
export function union<const F extends Fields>(members: F, options: StructOptions = noOptions): UnionType<F> {
  return frozen(new UnionType<F>(inside, define("union", members, options)));
}

/**
 * An array of a fixed length, as a field.
 *
 * @throws {TypeError | RangeError} When the type can't be stored, or the length is no whole number from 1 to 2^30.
 */
export function array<const E extends FieldType>(element: E, length: number): ArrayType<E> {
  checkLength("an array", length);
  const layout = storedLayout(element, "an array");
  const { byteLength, align } = layout;
  const whole: Layout = { kind: "array", element: layout, length, byteLength: byteLength * length, align };
  return frozen(new ArrayType(inside, whole, element, length));
}

/**
 * A `char[length]` that holds a string: UTF-8 with a zero behind it, so at most `length - 1` bytes. It is read up to the first
 * zero, or its end; what is not UTF-8 becomes U+FFFD.
 *
 * @throws {RangeError} When the length is no whole number from 1 to 2^30.
 */
export function charArray(length: number): CharArrayType {
  checkLength("a string", length);
  return frozen(new CharArrayType(inside, { kind: "text", byteLength: length, align: 1 }));
}

/** A type as a program gets it: what is assigned to it later must not be believed. */
function frozen<T>(type: T): T {
  return Object.freeze(type) as T;
}

const mostBytes = 2 ** 30;

function checkLength(what: string, length: number): void {
  if (Number.isInteger(length) && length > 0 && length <= mostBytes) return;
  throw new RangeError(`Cannot define ${what}: its length must be a whole number from 1 to 2^30, got ${shown(length)}`);
}

function define(kind: "struct" | "union", fields: Fields, options: StructOptions): RecordLayout {
  if (typeof fields !== "object" || fields === null) {
    throw new TypeError(`Cannot define a ${kind}: expected its fields`);
  }
  const { packed = false } = ownOptions(`Cannot define a ${kind}`, options, ["packed"]);
  if (![true, false, 1, 2, 4, 8, 16].includes(packed)) {
    throw new TypeError(`Cannot define a ${kind}: packed must be a boolean, 1, 2, 4, 8 or 16, got ${String(packed)}`);
  }
  const entries = Object.entries(fields).map(([name, type]) => {
    const layout = storedLayout(type, `the field "${name}"`);
    if (kind === "union" && followsAddresses(layout)) {
      const what = typeof type === "string" ? `is a ${type}` : "has a cstring or handle";
      throw new TypeError(`Cannot define a union: its member "${name}" ${what}; take a pointer`);
    }
    return [name, layout] as const;
  });
  if (entries.length === 0) throw new TypeError(`Cannot define a ${kind}: it has no fields`);
  // An object has its integer keys first, whatever the order in which they were written.
  const number = entries.find(([name]) => String(Number(name)) === name);
  if (number !== undefined) throw new TypeError(`Cannot define a ${kind}: a field can't be called "${number[0]}"`);
  return recordLayout(kind, entries, packed === true ? 1 : packed === false ? Infinity : packed);
}
