/**
 * Structures, unions and arrays of C's.
 *
 * @module
 */

import {
  Aggregate,
  bytesAt,
  copierOf,
  type CopyMethod,
  copyTo,
  exactWriterOf,
  followsAddresses,
  type Layout,
  layoutOf,
  noField,
  readerOf,
  readScalar,
  readText,
  type RecordLayout,
  recordLayout,
  refuseStored,
  writeScalar,
  writeScope,
  writtenType,
} from "./aggregate.ts";
import type { Address } from "./backend.ts";
import { RangeError, TypeError } from "./blame.ts";
import type { DataType, OutType, PointerOwner, RecordType } from "./data_type.ts";
import { shown, shownStranger } from "./errors.ts";
import { generate, onPointerOf } from "./helpers.ts";
import { inside } from "./inside.ts";
import { freedBehind, NativeMemory } from "./memory.ts";
import { noOptions, ownOptions } from "./options.ts";
import { backend } from "./runtime.ts";
import type {
  BigIntegerType,
  CallbackDefinition,
  NamedType,
  NativeFunction,
  NumberType,
  Pointer,
  StoredValue,
  ToNative,
} from "./types.ts";
import { validateCallback } from "./upcall.ts";

/** What a field can be. */
export type FieldType =
  | NumberType
  | BigIntegerType
  | "bool"
  | "pointer"
  | "cstring"
  | "handle"
  | "function"
  | CallbackDefinition
  | DataType;

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
/** Fields that give what can't be written to them. */
export type ReadOnlyField = "cstring" | "handle";
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

/** Larger ones are not worth the memory. */
const mostKept = 4096;

/**
 * The bytes of what is read or written, for all of a layout: an array of its own for each would take ten times as long. Whoever
 * has them says when they are free again. While they are taken others get bytes of their own, since a value may have getters
 * that read or write the same; those that an error left behind are replaced.
 */
class Scratch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  isTaken = true;

  private constructor(byteLength: number) {
    this.bytes = new Uint8Array(new ArrayBuffer(byteLength));
    this.view = new DataView(this.bytes.buffer);
  }

  static take(layout: Layout): Scratch {
    const known = scratches.get(layout);
    if (known?.isTaken === false) {
      known.isTaken = true;
      return known;
    }
    const made = new Scratch(layout.byteLength);
    if (layout.byteLength <= mostKept) scratches.set(layout, made);
    return made;
  }
}

const scratches = new WeakMap<Layout, Scratch>();

/** A value as bytes, with zeroes between the fields. @throws {TypeError | RangeError} When it is none of the layout's. */
function written(layout: Layout, value: unknown, subject: string): Scratch {
  const scratch = Scratch.take(layout);
  scratch.bytes.fill(0);
  exactWriterOf(layout)(scratch.view, 0, value, subject);
  return scratch;
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

/**
 * The type of a parameter through which a C function gives a value back, as in `int sqlite3_open(const char *, sqlite3 **)`.
 * The caller passes nothing for it. The result is an array: what the function returned, then what it gave, in the order of
 * the parameters. What the function doesn't write is zero.
 *
 * ```ts
 * import { dlopen, out } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * using libm = dlopen({ name: "m", versions: ["6"] }, {
 *   frexp: { parameters: ["f64", out("i32")], result: "f64" },
 * });
 * assertEquals(libm.symbols.frexp(8), [0.5, 4]);
 * ```
 */
export function out<const T extends FieldType>(type: T): OutType<T> {
  storedLayout(type, "an out-parameter");
  return { out: type };
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

/** The layout of what can be stored. @throws {TypeError} When it can't be, or is no callback's definition. */
function storedLayout(type: FieldType, what: string): Layout {
  const layout = layoutOf(type, what);
  if (layout.kind !== "scalar" || typeof layout.type === "string") return layout;
  // A program may change its definition later.
  return { ...layout, type: validateCallback(layout.type) };
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

function checkMemory(memory: NativeMemory): void {
  if (NativeMemory.is(memory)) return;
  throw new TypeError(
    "Cannot use as memory what is no NativeMemory: borrow() says that a pointer of C's points to some, " +
      `got ${shownStranger(memory, ["NativeMemory", "MappedMemory"])}`,
  );
}

/** Memory that views read and write. */
function window(memory: NativeMemory, byteOffset: number, byteLength: number): DataView {
  checkMemory(memory);
  const bytes = memory.bytes(byteOffset, byteLength);
  return new DataView(bytes.buffer, bytes.byteOffset, byteLength);
}

type ViewClass = new (view: DataView, at: number) => object;
type ArrayClass = new (view: DataView, length: number) => object;
const viewClasses = new WeakMap<Layout, ViewClass>();
const wholeViewClasses = new WeakMap<Layout, ViewClass>();
const arrayClasses = new WeakMap<Layout, ArrayClass>();

/** What a view is the view of, by the prototype that views of its class have. It asks a private field of the view. */
const viewAddresses = new WeakMap<object, (value: object) => Address | undefined>();

function noteView(prototype: object, addressOfView: (value: object) => Address | undefined): void {
  viewAddresses.set(prototype, addressOfView);
}

onPointerOf((value) => {
  const prototype: object | null = Object.getPrototypeOf(value);
  return prototype === null ? undefined : viewAddresses.get(prototype)?.(value);
});

/** Where C's memory is that a view is of. @throws {MemoryFreedError} When it has been freed. */
function addressIn(view: DataView<ArrayBuffer>, at: number): Address {
  const { buffer } = view;
  if (buffer.detached) throw freedBehind(buffer);
  return backend().viewAddress(new Uint8Array(buffer, view.byteOffset + at));
}

/** @param isWhole Whether its fields are its own properties; see {@linkcode makeViewClass}. */
function viewOf(layout: Layout, view: DataView, at: number, isWhole: boolean): unknown {
  if (layout.kind === "text") return readText(view, at, layout.byteLength);
  if (layout.kind === "array") {
    const own = new DataView(view.buffer, view.byteOffset + at, layout.byteLength);
    return new (arrayClass(layout.element))(own, layout.length);
  }
  if (layout.kind === "scalar") throw new TypeError("A scalar has no view");
  return new (viewClass(layout, isWhole))(view, at);
}

function viewClass(layout: RecordLayout, isWhole: boolean): ViewClass {
  const classes = isWhole ? wholeViewClasses : viewClasses;
  const known = classes.get(layout);
  if (known !== undefined) return known;
  const made = makeViewClass(layout, isWhole);
  classes.set(layout, made);
  return made;
}

function arrayClass(element: Layout): ArrayClass {
  const known = arrayClasses.get(element);
  if (known !== undefined) return known;
  const made = makeArrayClass(element);
  arrayClasses.set(element, made);
  return made;
}

/** What an access that the engine refused is. */
function failed(error: unknown, view: DataView): unknown {
  return (view.buffer as ArrayBuffer).detached ? freedBehind(view.buffer as ArrayBuffer) : error;
}

/** What a write does, by the name of a field or the index of an element. */
function writing(name: string | number): string {
  return `Cannot write to memory: "${typeof name === "number" ? `[${name}]` : name}"`;
}

function bad(name: string | number, type: NamedType, value: unknown): never {
  refuseStored(type, value, writing(name));
}

function readWhole(layout: Layout, view: DataView, at: number): unknown {
  try {
    return readerOf(layout)(view, at);
  } catch (error) {
    throw failed(error, view);
  }
}

/** Writes all of a value, or nothing: it may be wrong in the middle, or be made of what is overwritten. */
function writeWhole(layout: Layout, view: DataView, place: number, value: unknown, name: string | number): void {
  const scratch = written(layout, value, writing(name));
  bytesAt(view, place, layout.byteLength).set(scratch.bytes);
  scratch.isTaken = false;
}

/** Refuses to write a field of a view that gives what an address or id stands for. */
function readOnly(name: string, type: ReadOnlyField): never {
  const [what, setter] = type === "handle"
    ? ["the handle's id", "setBigUint64()"]
    : ["a pointer to the text", "setPointer()"];
  throw new TypeError(
    `${writing(name)} (${type}) is read only in a view: write the structure, or ${what} by the memory's ${setter}`,
  );
}

/** The bodies of functions that read and write what is at `place` of `view`; `inner` has its layout at an index. */
function accessors(layout: Layout, index: number, name: string, place: string): { get: string; set: string } {
  if (layout.kind !== "scalar") {
    return {
      get: `return viewOf(inner[${index}], view, ${place}, false);`,
      set: `writeWhole(inner[${index}], view, ${place}, value, ${name});`,
    };
  }
  const type = JSON.stringify(writtenType(layout.type));
  return {
    get: `return ${readScalar(layout.type, "view", place)};`,
    set: writeScalar(layout.type, "view", place, "value", `bad(${name}, ${type}, value)`),
  };
}

/** A body whose failure is explained. The engine sees to the bounds, and to memory that has been freed. */
function explained(body: string): string {
  return `try { ${body} } catch (error) { throw failed(error, view); }`;
}

function copyBytes(from: DataView, at: number, to: DataView, toAt: number, byteLength: number): void {
  bytesAt(to, toAt, byteLength).set(bytesAt(from, at, byteLength));
}

/** What a console shows of a view; where it can't be read, why. */
function shownView(view: DataView, read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return (view.buffer as ArrayBuffer).detached ? "[freed or transferred memory]" : `[${String(error)}]`;
  }
}

/** How consoles ask. */
const inspect = '[Symbol.for("nodejs.util.inspect.custom")]';

/** Whether a field gives what can't be written to it. */
function isReadOnly(layout: Layout): layout is Layout & { readonly type: ReadOnlyField } {
  return layout.kind === "scalar" && (layout.type === "cstring" || layout.type === "handle");
}

/**
 * The class of a structure's views. The fields of one that is made as a whole are its own properties, and it makes the views of
 * what is in it once: so `Object.keys` and spread see what they see of other objects. To give an object accessors of its own takes
 * V8 0.2 µs for each, a hundred times as long as an element's view may take; the fields of that are properties of its class.
 */
function makeViewClass(layout: RecordLayout, isWhole: boolean): ViewClass {
  const inner = layout.fields.map((field) => field.layout);
  const names = layout.fields.map((field) => field.name);
  const cached: string[] = [];
  const members = layout.fields.map(({ name, byteOffset, layout: field }, index) => {
    const key = JSON.stringify(name);
    const { get, set } = accessors(field, index, key, `at + ${byteOffset}`);
    const isCached = isWhole && (field.kind === "array" || "fields" in field);
    if (isCached) cached.push(`#inner${index};`);
    const read = isCached
      ? `return this.#inner${index} ??= viewOf(inner[${index}], view, at + ${byteOffset}, true);`
      : get;
    const write = isReadOnly(field) ? `readOnly(${key}, "${field.type}");` : explained(set);
    return `get [${key}]() { const view = this.#view, at = this.#at; ${explained(read)} }
      set [${key}](value) { const view = this.#view, at = this.#at; ${write} }`;
  });
  const source = `const own = [];
    class View {
      #view; #at; ${cached.join(" ")}
      static { noteView(this.prototype, (value) => #view in value ? addressIn(value.#view, value.#at) : undefined); }
      constructor(view, at) {
        this.#view = view; this.#at = at;
        ${isWhole ? "for (let i = 0; i < own.length; i++) defineProperty(this, names[i], own[i]);" : ""}
      }
      toJSON() { return readWhole(layout, this.#view, this.#at); }
      ${members.join("\n")}
      [copyTo](target, byteOffset) {
        const view = this.#view;
        ${explained(`copyBytes(view, this.#at, target, byteOffset, ${layout.byteLength});`)}
      }
      ${inspect}() { return shownView(this.#view, () => readWhole(layout, this.#view, this.#at)); }
    }
    for (const name of names) {
      defineProperty(View.prototype, name, { enumerable: true });
      own.push({ ...getOwnPropertyDescriptor(View.prototype, name), configurable: false });
    }
    Object.setPrototypeOf(View.prototype, otherProperties);
    return View;`;
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const View = generate(
    {
      ...writeScope,
      layout,
      inner,
      names,
      viewOf,
      readWhole,
      writeWhole,
      copyTo,
      copyBytes,
      failed,
      bad,
      readOnly,
      shownView,
      noteView,
      addressIn,
      otherProperties: otherProperties(layout),
      defineProperty,
      getOwnPropertyDescriptor,
    },
    source,
  ) as ViewClass & { readonly prototype: { readonly [copyTo]: CopyMethod } };
  copierOf(layout).method = Object.freeze(View.prototype[copyTo]);
  return View;
}

/**
 * The prototype of a view's prototype: what is assigned reaches it where it is no field. Objects that can't be extended would
 * refuse that, too, but making them takes ten times as long.
 */
function otherProperties(layout: RecordLayout): object {
  return new Proxy({}, {
    set(_, key): never {
      throw noField(layout, writing(String(key)));
    },
  });
}

function makeArrayClass(element: Layout): ArrayClass {
  const { byteLength } = element;
  const { get, set } = accessors(element, 0, "index", "at");
  const isRecord = "fields" in element;
  // V8 makes of this what it makes of a typed array; with a place to add, or a private length, it takes twice as long.
  const locate = `const place = index >>> 0;
      if (place !== index || place >= this.length) throw outside(index, this.length);
      const view = this.#view, at = place * ${byteLength};`;
  const source = `return class ArrayView {
      #view;
      static { noteView(this.prototype, (value) => #view in value ? addressIn(value.#view, 0) : undefined); }
      constructor(view, length) { this.#view = view; this.length = length; Object.freeze(this); }
      at(index) { ${locate} ${isRecord ? "return new View(view, at);" : explained(get)} }
      set(index, value) { ${locate} ${explained(set)} }
      toJSON() { return this.toArray(); }
      *[Symbol.iterator]() { for (let i = 0; i < this.length; i++) yield this.at(i); }
      toArray() {
        const read = readerOf(element), view = this.#view, values = [];
        ${explained(`for (let i = 0; i < this.length; i++) values.push(read(view, i * ${byteLength}));`)}
        return values;
      }
      ${inspect}() { return shownView(this.#view, () => this.toArray()); }
    };`;
  const View = isRecord ? viewClass(element, false) : undefined;
  return generate(
    {
      ...writeScope,
      element,
      inner: [element],
      View,
      viewOf,
      readerOf,
      writeWhole,
      failed,
      bad,
      outside,
      shownView,
      noteView,
      addressIn,
    },
    source,
  ) as ArrayClass;
}

function outside(index: number, length: number): RangeError {
  return new RangeError(`Cannot reach the element ${index}: the array has ${length}`);
}
