/**
 * Views of structures and arrays in C's memory: a class is generated for each type.
 *
 * @module
 */

import {
  bytesOf,
  copierOf,
  type CopyMethod,
  copyTo,
  exactWriterOf,
  noField,
  readerOf,
  readScalar,
  readText,
  refuseStored,
  writeScalar,
  writeScope,
  writtenType,
} from "../crossing/fields.ts";
import { generate, sourceUrl } from "../crossing/generate.ts";
import { noBytes } from "../crossing/helpers.ts";
import type { Layout, RecordLayout } from "../crossing/layout.ts";
import { nameOf } from "../crossing/layout.ts";
import { onPointerOf } from "../crossing/owners.ts";
import { MappedBuffer } from "../crossing/pointer_rules.ts";
import { RangeError, TypeError } from "../ground/blame.ts";
import { shownStranger } from "../ground/errors.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { NamedType } from "../types/definitions.ts";
import { endedBehind } from "./mapping.ts";
import { NativeMemory } from "./native_memory.ts";

/** Fields that give what can't be written to them. */
export type ReadOnlyField = "cstring" | "handle";

/** Larger ones are not worth the memory. */
const mostKept = 4096;

/**
 * The bytes of what is read or written, for all of a layout: an array of its own for each would take ten times as long. Whoever
 * has them says when they are free again. While they are taken others get bytes of their own, since a value may have getters
 * that read or write the same; those that an error left behind are replaced.
 */
export class Scratch {
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
export function written(layout: Layout, value: unknown, subject: string): Scratch {
  const scratch = Scratch.take(layout);
  scratch.bytes.fill(0);
  exactWriterOf(layout)(scratch.view, 0, value, subject);
  return scratch;
}

export function checkMemory(memory: NativeMemory): void {
  if (NativeMemory.is(memory)) return;
  throw new TypeError(
    "Cannot use as memory what is no NativeMemory: borrow() says that a pointer of C's points to some, " +
      `got ${shownStranger(memory, ["NativeMemory", "MappedMemory"])}`,
  );
}

/** Memory that views read and write. */
export function window(memory: NativeMemory, byteOffset: number, byteLength: number): DataView {
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

/**
 * Where C's memory is that a view is of; `undefined` where it is of anything else: the classes are within a program's reach,
 * which may make views of what it likes.
 *
 * @throws {MemoryFreedError | PointerRuleError} When it has been freed; when it was transferred.
 */
function addressIn(view: DataView<ArrayBuffer> | undefined, at: number): Address | undefined {
  const buffer = view?.buffer;
  if (view === undefined || typeof buffer !== "object" || buffer === null) return undefined;
  if (!MappedBuffer.is(buffer)) {
    // Of no elements: no runtime gives the address of nothing.
    return view.byteLength === 0 ? backend().viewAddress(backend().hold(noBytes)) : undefined;
  }
  if (buffer.detached) throw endedBehind(buffer);
  return backend().viewAddress(new Uint8Array(buffer, view.byteOffset + at));
}

/** @param isWhole Whether its fields are its own properties; see {@linkcode makeViewClass}. */
export function viewOf(layout: Layout, view: DataView, at: number, isWhole: boolean): unknown {
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

export function arrayClass(element: Layout): ArrayClass {
  const known = arrayClasses.get(element);
  if (known !== undefined) return known;
  const made = makeArrayClass(element);
  arrayClasses.set(element, made);
  return made;
}

/** What an access that the engine refused is. */
function failed(error: unknown, view: DataView): unknown {
  return (view.buffer as ArrayBuffer).detached ? endedBehind(view.buffer as ArrayBuffer) : error;
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
  bytesOf(view, place, layout.byteLength).set(scratch.bytes);
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
  bytesOf(to, toAt, byteLength).set(bytesOf(from, at, byteLength));
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
    sourceUrl("view", nameOf(layout)),
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
    sourceUrl("view", `${nameOf(element)}[]`),
  ) as ArrayClass;
}

function outside(index: number, length: number): RangeError {
  return new RangeError(`Cannot reach the element ${index}: the array has ${length}`);
}
