/**
 * Structures, unions and arrays of C's.
 *
 * @module
 */

import { storedLayout } from "../crossing/definition.ts";
import { followsAddresses, type Layout, type RecordLayout, recordLayout } from "../crossing/layout.ts";
import { RangeError, TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { inside } from "../ground/inside.ts";
import { noOptions, ownOptions } from "../ground/options.ts";
import type { FieldType } from "../types/definitions.ts";
import { ArrayType, CharArrayType, type Fields, StructType, UnionType } from "./record_types.ts";

/** Options of {@linkcode struct} and {@linkcode union}. */
export interface StructOptions {
  /**
   * How `#pragma pack` changes the layout; `false` by default, for C's usual padding.
   *
   * `true` or 1 means no padding. 2, 4, 8 or 16 means that fields are aligned to at most so many bytes.
   */
  readonly packed?: boolean | 1 | 2 | 4 | 8 | 16;
}

/**
 * Makes the type of a C structure. belay lays out its fields as C does.
 *
 * As the type of a parameter or a result, it passes the structure by value: as a plain object, or as a view. In native
 * memory the structure is read and written whole ({@linkcode StructType}), or field by field through a view.
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
 * @typeParam F The type of the fields, which TypeScript infers.
 * @param fields The fields, in C's order: names with types.
 * @param options How `#pragma pack` changes the layout.
 * @returns The type.
 * @throws {TypeError} If it has no fields, or an option is malformed.
 * @throws {TypeError} If a field has a type that can't be stored, or a number as its name.
 */
export function struct<const F extends Fields>(fields: F, options: StructOptions = noOptions): StructType<F> {
  return frozen(new StructType<F>(inside, define("struct", fields, options)));
}

/**
 * Makes the type of a C union: all of its members share the same bytes.
 *
 * Write an object with one member. Reading gives every member's view of the bytes. A union that was read is written
 * back as the bytes that it has, with your change to one of its members.
 *
 * ```ts
 * import { union } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const Bits = union({ number: "f32", bits: "u32" });
 * using memory = Bits.alloc({ number: 1 });
 * assertEquals(Bits.read(memory).bits, 0x3f800000);
 * ```
 *
 * @typeParam F The type of the members, which TypeScript infers.
 * @param members The members: names with types. Instead of `"cstring"` and `"handle"` take `"pointer"`: reading would
 * follow what another member stored.
 * @param options How `#pragma pack` changes the layout.
 * @returns The type.
 * @throws {TypeError} If it has no members, or an option is malformed.
 * @throws {TypeError} If a member has a type that can't be stored, or that can't be in a union.
 */
export function union<const F extends Fields>(members: F, options: StructOptions = noOptions): UnionType<F> {
  return frozen(new UnionType<F>(inside, define("union", members, options)));
}

/**
 * Makes the type of a C array of a fixed length: for fields, and for memory.
 *
 * C passes arrays as pointers, so an array is no type of a parameter: pass a typed array as a `"buffer"`.
 *
 * ```ts
 * import { array, struct } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const Matrix = struct({ rows: array(array("f64", 2), 2) });
 * using memory = Matrix.alloc({ rows: [[1, 2], [3, 4]] });
 * Matrix.view(memory).rows.at(1).set(0, 9);
 * assertEquals(Matrix.read(memory).rows, [[1, 2], [9, 4]]);
 * ```
 *
 * @typeParam E The type of an element.
 * @param element The type of an element.
 * @param length How many elements: a whole number from 1 to 2^30.
 * @returns The type.
 * @throws {TypeError} If an element has a type that can't be stored.
 * @throws {RangeError} If the length is out of its range.
 */
export function array<const E extends FieldType>(element: E, length: number): ArrayType<E> {
  checkLength("an array", length);
  const layout = storedLayout(element, "an array");
  const { byteLength, align } = layout;
  const whole: Layout = { kind: "array", element: layout, length, byteLength: byteLength * length, align };
  return frozen(new ArrayType(inside, whole, element, length));
}

/**
 * Makes the type of a C `char[length]` that holds a string: UTF-8 with a zero behind it.
 *
 * The string has at most `length - 1` bytes as UTF-8. Reading ends at the first zero, or at the array's end. Invalid
 * UTF-8 becomes U+FFFD.
 *
 * ```ts
 * import { charArray, struct } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const Entry = struct({ name: charArray(8), size: "u32" });
 * using memory = Entry.alloc({ name: "gr\u00fc\u00df", size: 1 });
 * assert(Entry.read(memory).name === "gr\u00fc\u00df");
 * assertThrows(() => Entry.write(memory, { name: "too long", size: 1 }), TypeError, "at most 7 bytes");
 * ```
 *
 * @param length How many bytes the array has: a whole number from 1 to 2^30.
 * @returns The type, whose values are strings.
 * @throws {RangeError} If the length is out of its range.
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
