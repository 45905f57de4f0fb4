/**
 * The types of structures, unions and arrays: what their values are in TypeScript, and how they are read, written and viewed
 * in C's memory.
 *
 * @module
 */

import { readerOf } from "../crossing/fields.ts";
import { Aggregate, type Layout, type RecordLayout } from "../crossing/layout.ts";
import { RangeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import type { inside } from "../ground/inside.ts";
import type { DataType, PointerOwner, RecordType } from "../types/data_type.ts";
import type { CallbackDefinition, FieldType, FunctionPointerDefinition, Pointer } from "../types/definitions.ts";
import type { LibraryFunction, NativeFunction, StoredValue, ToNative } from "../types/inference.ts";
import { NativeMemory } from "./native_memory.ts";
import { arrayClass, checkMemory, type ReadOnlyField, Scratch, viewOf, window, written } from "./views.ts";

/** The fields of a structure, in C's order, or the members of a union: each by its name, with its type. */
export type Fields = Readonly<Record<string, FieldType>>;

/** The value that is read from a field of a type. */
export type FieldValue<T> = StoredValue<T>;

/**
 * The value that can be written to a field of a type. A `"cstring"` takes a pointer, since something has to keep the
 * text.
 */
export type FieldInput<T> = T extends DataType<infer _, infer I> ? I
  : T extends "cstring" ? Pointer | PointerOwner | null
  : T extends FunctionPointerDefinition ?
      | (T extends CallbackDefinition ? NativeFunction<T> : never)
      | LibraryFunction<T>
      | Pointer
      | null
  : T extends "function" ? NativeFunction | Pointer | null
  : ToNative<T>;

/**
 * The plain object that reading a structure gives.
 *
 * @typeParam F The fields.
 */
export type StructValue<F extends Fields> = { -readonly [K in keyof F]: FieldValue<F[K]> };

/**
 * The object that can be written as a structure: it has a value for each field.
 *
 * @typeParam F The fields.
 */
export type StructInput<F extends Fields> = { readonly [K in keyof F]: FieldInput<F[K]> };

/**
 * The object that can be written as a union: it has one member, or several that say the same.
 *
 * @typeParam F The members.
 */
export type UnionInput<F extends Fields> = { readonly [K in keyof F]?: FieldInput<F[K]> };

/** The value that can be written as an array: its elements, in an array, a typed array or a view. */
export type ArrayInput<E> = readonly FieldInput<E>[] | {
  readonly length: number;
  at(index: number): FieldInput<E> | undefined;
};

/**
 * A structure in native memory, as an object whose properties read and write that memory.
 *
 * Where C wants a pointer to the structure, pass the view. A pointer field takes a `Pointer` or null. Strings and
 * handles are read only, since C stores a pointer or an id: write the whole structure by `write`. A property that is no
 * field can't be assigned.
 *
 * `Object.keys`, spread and `structuredClone` see the fields. A spread copy has the values of numbers, strings and
 * pointers; structures and arrays in it stay views. The view of an element, which {@linkcode ArrayView.at} gives, is
 * different: `in`, `JSON.stringify` and consoles see its fields, `Object.keys`, spread and `structuredClone` don't.
 *
 * @typeParam F The fields.
 */
export type StructView<F extends Fields> =
  & PointerOwner
  & ([Extract<F[keyof F], ReadOnlyField>] extends [never] ? { -readonly [K in keyof F]: FieldView<F[K]> }
    :
      & { -readonly [K in keyof F as F[K] extends ReadOnlyField ? never : K]: FieldView<F[K]> }
      & { readonly [K in keyof F as F[K] extends ReadOnlyField ? K : never]: FieldView<F[K]> });

/** The value that a property of a view gives. */
export type FieldView<T> = T extends StructType<infer F> ? StructView<F>
  : T extends UnionType<infer F> ? StructView<F>
  : T extends ArrayType<infer E> ? ArrayView<E>
  : FieldValue<T>;

/** The methods that structures, unions and arrays share. */
export abstract class MemoryType<V, I, View> extends Aggregate<V, I> {
  /**
   * Allocates memory for one, with zeroes or with a value.
   *
   * ```ts
   * import { dlopen, struct } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const Timespec = struct({ sec: "i64", nsec: "i64" });
   * using libc = dlopen({ name: "c", versions: ["6"] }, {
   *   nanosleep: { parameters: ["pointer", "pointer"], result: "i32" },
   * });
   * using time = Timespec.alloc({ sec: 0n, nsec: 1000n });
   * assert(libc.symbols.nanosleep(time, null) === 0);
   * ```
   *
   * @param value The value to write; without it the memory has zeroes.
   * @returns The memory, which belay frees as {@linkcode NativeMemory} says.
   * @throws {TypeError} If the value isn't one of the type. Nothing is allocated then.
   * @throws {RangeError} If a number of the value doesn't fit, or there isn't so much memory.
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

  /**
   * Allocates memory for several, one behind the other, with zeroes.
   *
   * @param length How many.
   * @returns The memory, which belay frees as {@linkcode NativeMemory} says.
   * @throws {RangeError} If `length` is no whole number, or there isn't so much memory.
   */
  allocMany(length: number): NativeMemory {
    if (!Number.isInteger(length) || length < 0) {
      throw new RangeError(`Cannot allocate an array of ${shown(length)} elements`);
    }
    return NativeMemory.alloc(this.byteLength * length, { align: this.align });
  }

  /**
   * Gives access to the one, or to the several, that a pointer of C's points to. The memory stays C's.
   *
   * ```ts
   * import { dlopen, struct } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const Item = struct({ id: "u32", weight: "f32" });
   * const compare = { parameters: ["pointer", "pointer"], result: "i32" } as const;
   * using libc = dlopen({ name: "c", versions: ["6"] }, {
   *   qsort: { parameters: ["pointer", "usize", "usize", compare], result: "void" },
   * });
   * using memory = Item.allocMany(2);
   * const items = Item.viewMany(memory);
   * items.set(0, { id: 1, weight: 9 });
   * items.set(1, { id: 2, weight: 4 });
   * libc.symbols.qsort(memory, items.length, Item.byteLength, (a, b) => {
   *   if (a === null || b === null) return 0;
   *   return Item.read(Item.borrow(a)).weight - Item.read(Item.borrow(b)).weight;
   * });
   * assert(items.at(0).id === 2);
   * ```
   *
   * @param pointer Where the first one is.
   * @param length How many there are, 1 by default. belay believes you.
   * @returns The memory.
   * @throws {TypeError} If `pointer` is null.
   * @throws {PointerRuleError} If it points into an argument of a call that has returned.
   * @throws {RangeError} If `length` is no whole number.
   */
  borrow(pointer: Pointer, length = 1): NativeMemory {
    return NativeMemory.borrow(pointer, typeof length === "number" ? this.byteLength * length : length);
  }

  /**
   * Copies one out of memory, as plain values.
   *
   * @param memory The memory.
   * @param byteOffset Where it begins: an offset in bytes, 0 by default.
   * @returns The value: an object for a structure or union, an array for an array, a string for a character array.
   * @throws {RangeError} If it isn't within the bounds.
   */
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
   * Writes one to memory, with zeroes between the fields.
   *
   * belay checks all of the value first. If it throws, nothing is written.
   *
   * ```ts
   * import { struct } from "@belay/ffi";
   * import { assertEquals } from "@std/assert";
   *
   * const Point = struct({ x: "f64", y: "f64" });
   * using memory = Point.allocMany(2);
   * Point.write(memory, { x: 1, y: 2 }, Point.byteLength);
   * assertEquals(Point.read(memory, Point.byteLength), { x: 1, y: 2 });
   * ```
   *
   * @param memory The memory.
   * @param value The value, with each field.
   * @param byteOffset Where to write: an offset in bytes, 0 by default.
   * @throws {TypeError} If a value isn't of its field's type, is missing, or belongs to no field.
   * @throws {RangeError} If a number doesn't fit, or the memory is too small.
   */
  write(memory: NativeMemory, value: I, byteOffset = 0): void {
    checkMemory(memory);
    const scratch = written(Aggregate.layoutOf(this), value, "Cannot write to memory");
    memory.copyFrom(scratch.bytes, byteOffset);
    scratch.isTaken = false;
  }

  /**
   * Gives a view of one in memory: reading and writing the view reads and writes the memory.
   *
   * ```ts
   * import { struct } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const Point = struct({ x: "f64", y: "f64" });
   * using memory = Point.alloc({ x: 1, y: 2 });
   * const point = Point.view(memory);
   * point.x += 2;
   * assert(memory.getFloat64(Point.offsets.x) === 3);
   * ```
   *
   * @param memory The memory.
   * @param byteOffset Where it begins: an offset in bytes, 0 by default.
   * @returns The view. Of a character array it is a string, which is a copy.
   * @throws {RangeError} If it isn't within the bounds.
   */
  view(memory: NativeMemory, byteOffset = 0): View {
    return viewOf(Aggregate.layoutOf(this), window(memory, byteOffset, this.byteLength), 0, true) as View;
  }

  /**
   * Gives a view of several in memory, one behind the other.
   *
   * ```ts
   * import { struct } from "@belay/ffi";
   * import { assert, assertEquals } from "@std/assert";
   *
   * const Point = struct({ x: "f64", y: "f64" });
   * using memory = Point.allocMany(3);
   * const points = Point.viewMany(memory);
   * points.at(0).x = 1;
   * points.set(2, { x: 5, y: 6 });
   * assert(points.length === 3 && memory.getFloat64(0) === 1);
   * assertEquals([...points].map(({ y }) => y), [0, 0, 6]);
   * ```
   *
   * @param memory The memory.
   * @param byteOffset Where the first one begins: an offset in bytes, 0 by default.
   * @param length How many; by default as many as the memory has from there on.
   * @returns The view of all of them.
   * @throws {RangeError} If they aren't within the bounds, or `length` is no whole number.
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

/** The properties that structures and unions share. */
export abstract class FieldsType<F extends Fields, I> extends MemoryType<StructValue<F>, I, StructView<F>>
  implements RecordType<StructValue<F>, I> {
  /** Where each field begins, in bytes from the beginning. */
  readonly offsets: { readonly [K in keyof F]: number };

  /** @ignore Made by {@linkcode struct} and {@linkcode union}. */
  constructor(token: typeof inside, layout: RecordLayout) {
    super(token, layout);
    const offsets = layout.fields.map(({ name, byteOffset }) => [name, byteOffset]);
    this.offsets = Object.freeze(Object.fromEntries(offsets)) as { [K in keyof F]: number };
  }
}

/**
 * The type of a C structure; {@linkcode struct} makes it.
 *
 * It is a type in definitions, and has what its memory needs. The types of unions and arrays have the same methods.
 *
 * | method | what it does |
 * | --- | --- |
 * | `alloc(value?)`, `allocMany(length)` | allocates memory for one, with zeroes or a value, or for several |
 * | `borrow(pointer, length?)` | gives access to what a pointer of C's points to |
 * | `read(memory, byteOffset?)` | copies one out, as a plain object |
 * | `write(memory, value, byteOffset?)` | writes all of one |
 * | `view(memory, byteOffset?)` | gives a view whose properties are the memory |
 * | `viewMany(memory, byteOffset?, length?)` | gives a view of several, one behind the other |
 *
 * `byteLength`, `align` and `offsets` say how C lays it out.
 *
 * ```ts
 * import { dlopen, struct } from "@belay/ffi";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const Division = struct({ quot: "i32", rem: "i32" }); // div_t
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   div: { parameters: ["i32", "i32"], result: Division }, // by value
 * });
 * assertEquals(libc.symbols.div(47, 5), { quot: 9, rem: 2 });
 *
 * using memory = Division.alloc({ quot: 1, rem: 2 });
 * const view = Division.view(memory);
 * view.rem = 3;
 * assert(Division.read(memory).rem === 3 && Division.byteLength === 8);
 * ```
 *
 * @typeParam F The fields.
 */
export class StructType<F extends Fields> extends FieldsType<F, StructInput<F>> {}

/**
 * The type of a C union; {@linkcode union} makes it. It has the methods of a {@linkcode StructType}.
 *
 * ```ts
 * import { union } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const Value = union({ number: "f64", id: "u64" });
 * using memory = Value.alloc({ number: 1 });
 * const value = Value.view(memory);
 * assertEquals(value.id, 0x3ff0000000000000n);
 * value.number = 2; // the other member follows
 * assertEquals(value.id, 0x4000000000000000n);
 * ```
 *
 * @typeParam F The members.
 */
export class UnionType<F extends Fields> extends FieldsType<F, UnionInput<F>> {}

/**
 * The type of a C array of a fixed length; {@linkcode array} makes it. It has the methods of a {@linkcode StructType}.
 *
 * ```ts
 * import { array } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const Weights = array("f32", 4);
 * using memory = Weights.alloc([0, 1, 2, 3]);
 * Weights.view(memory).set(0, 9);
 * assertEquals(Weights.read(memory), [9, 1, 2, 3]);
 * ```
 *
 * @typeParam E The type of an element.
 */
export class ArrayType<E extends FieldType> extends MemoryType<FieldValue<E>[], ArrayInput<E>, ArrayView<E>> {
  /** How many elements it has. */
  readonly length: number;
  /** The type of an element. */
  readonly element: E;

  /** @ignore Made by {@linkcode array}. */
  constructor(token: typeof inside, layout: Layout, element: E, length: number) {
    super(token, layout);
    this.element = element;
    this.length = length;
  }
}

/**
 * The type of a C character array that holds a string; {@linkcode charArray} makes it. It has the methods of a
 * {@linkcode StructType}.
 *
 * ```ts
 * import { charArray } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const Name = charArray(16);
 * using memory = Name.alloc("belay");
 * assert(Name.read(memory) === "belay" && Name.byteLength === 16);
 * ```
 */
export class CharArrayType extends MemoryType<string, string, string> {}

/**
 * Elements in native memory, one behind the other, as an object that reads and writes that memory.
 *
 * Where C wants a pointer to the elements, pass the view. `JSON.stringify` sees the elements; `Object.keys` and
 * `structuredClone` don't.
 *
 * @typeParam E The type of an element.
 */
export interface ArrayView<E> extends Iterable<FieldView<E>>, PointerOwner {
  /** How many elements there are. */
  readonly length: number;
  /**
   * Gives the element at an index: a view if it is a structure, union or array, or else its value.
   *
   * @param index The index, from 0.
   * @returns The element.
   * @throws {RangeError} If the index is outside of the bounds.
   */
  at(index: number): FieldView<E>;
  /**
   * Writes the element at an index.
   *
   * @param index The index, from 0.
   * @param value The value to write.
   * @throws {TypeError} If the value isn't one of the type.
   * @throws {RangeError} If the index is outside of the bounds, or a number doesn't fit.
   */
  set(index: number, value: FieldInput<E>): void;
  /**
   * Copies all elements out, as plain values.
   *
   * @returns The copies.
   */
  toArray(): FieldValue<E>[];
}
