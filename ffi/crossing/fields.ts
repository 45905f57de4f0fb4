/**
 * Source that reads and writes what is laid out in memory: scalars, structures, arrays, unions, character arrays.
 *
 * @module
 */

import { blameCaller, TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { present } from "../ground/present.ts";
import { backend } from "../runtime/choose.ts";
import type { Piece } from "../types/calling_convention.ts";
import type { NamedType } from "../types/definitions.ts";
import { scalarOf } from "../types/scalars.ts";
import { utf8, zeroIndex } from "../types/text.ts";
import { functionNumber } from "./function_types.ts";
import { generate, sourceUrl } from "./generate.ts";
import { type FieldScalar, type Layout, nameOf, type RecordLayout, shapeOf } from "./layout.ts";
import { checkArgument, isNamedType, mismatch } from "./marshal.ts";
import { checkStored, checkUse, dangling, Returned } from "./pointer_rules.ts";

/** Reads a value whose first byte is at an offset. */
type Reader = (view: DataView, byteOffset: number) => unknown;
/** Writes it. @throws {TypeError | RangeError} That begins with `subject`. */
type Writer = (view: DataView, byteOffset: number, value: unknown, subject: string) => void;

/**
 * The key of a view's method that copies what it views to a place. The members of a union, read one by one and written back,
 * need not be what was there.
 */
export const copyTo: unique symbol = Symbol("copy to");

/** What a view has behind {@linkcode copyTo}. It asks a private field of the view. */
export type CopyMethod = (this: unknown, target: DataView, byteOffset: number) => void;

/** The method that views of a layout have, once there is one. */
interface Copier {
  method: CopyMethod | undefined;
}

const copiers = new WeakMap<Layout, Copier>();

/** The method of views of a layout: a program can find {@linkcode copyTo}, and its own method must not get at memory. */
export function copierOf(layout: Layout): Copier {
  let copier = copiers.get(layout);
  if (copier === undefined) copiers.set(layout, copier = { method: undefined });
  return copier;
}

const readers = new WeakMap<Layout, Reader>();
const writers = new WeakMap<Layout, Writer>();
const exactWriters = new WeakMap<Layout, Writer>();

/** What reads a layout. */
export function readerOf(layout: Layout): Reader {
  let reader = readers.get(layout);
  if (reader === undefined) readers.set(layout, reader = makeReader(layout));
  return reader;
}

/** What writes a layout as an argument or result. It ignores properties that are no fields: looking takes a third of a call's time. */
export function writerOf(layout: Layout): Writer {
  let writer = writers.get(layout);
  if (writer === undefined) writers.set(layout, writer = makeWriter(layout, false));
  return writer;
}

/** What writes a layout to memory, and refuses properties that are no fields. */
export function exactWriterOf(layout: Layout): Writer {
  let writer = exactWriters.get(layout);
  if (writer === undefined) exactWriters.set(layout, writer = makeWriter(layout, true));
  return writer;
}

/**
 * Statements that move a structure's pieces, 4 bytes at a time.
 *
 * @param source Gives an expression for what is at a byte offset: of the structure, or, when `back`, of where it is passed.
 * @param target The other way round.
 */
export function movePieces(
  pieces: readonly Piece[],
  source: (byteOffset: number) => string,
  target: (byteOffset: number) => string,
  back = false,
): string {
  const moves: string[] = [];
  for (const { from, to, byteLength } of pieces) {
    for (let byte = 0; byte < byteLength; byte += 4) {
      moves.push(`${target((back ? from : to) + byte)} = ${source((back ? to : from) + byte)};`);
    }
  }
  return moves.join(" ");
}

/** An expression that reads a scalar of `view`. */
export function readScalar(type: FieldScalar, view: string, place: string): string {
  if (typeof type !== "string") return `asFunction(${functionNumber(type)}, pointerIn(${view}, ${place}))`;
  switch (type) {
    case "bool":
      return `(${view}.getUint8(${place}) !== 0)`;
    case "cstring":
      return `stringAt(pointerIn(${view}, ${place}))`;
    case "handle":
      return `handleIn(${view}, ${place})`;
    default: {
      const accessor = scalarOf(type)?.accessor;
      return accessor === undefined ? `pointerIn(${view}, ${place})` : `${view}.get${accessor}(${place}, true)`;
    }
  }
}

/** What a scalar takes: a string's characters are C's, or an arena's. */
export function writtenType(type: FieldScalar): NamedType {
  return typeof type !== "string" ? "function" : type === "cstring" ? "pointer" : type;
}

/** What the source that {@linkcode writeScalar} gives names beside `helpers`. */
export const writeScope = { dangling, checkUse } as const;

/**
 * Refuses a value that is none of a type's.
 *
 * @throws {PointerRuleError | TypeError | RangeError} That begins with `subject`.
 */
export function refuseStored(type: NamedType, value: unknown, subject: string): never {
  if (type === "pointer" || type === "function") checkStored(value, subject);
  throw blameCaller(mismatch(type, value, subject));
}

/** Statements that check `value` and write it to `view`, or call `bad`, an expression that throws. */
export function writeScalar(type: FieldScalar, view: string, place: string, value: string, bad: string): string {
  const { addressKind } = backend();
  if (typeof type !== "string" || type === "function") {
    const shape = typeof type === "string" ? "undefined" : JSON.stringify(shapeOf(type));
    return `{ const address = functionAddress(${value}, ${shape}); if (address === undefined) ${bad};
      setPointerIn(${view}, ${place}, address); }`;
  }
  const written = writtenType(type);
  // Afterwards: what has a pointer is an address by then.
  const use = written === "pointer" ? ` if (dangling.some) checkUse(${value});` : "";
  const check = checkArgument(written, value, bad, addressKind) + use;
  if (type === "bool") return `${check} ${view}.setUint8(${place}, ${value} ? 1 : 0);`;
  const accessor = scalarOf(type)?.accessor;
  if (accessor === undefined) return `${check} setPointerIn(${view}, ${place}, ${value});`;
  return `${check} ${view}.set${accessor}(${place}, ${value}, true);`;
}

/** Source of functions that are needed by others, and a name for each. */
class Functions {
  /** Whether properties that are no fields are refused. */
  readonly areExact: boolean;
  readonly sources: string[] = [];
  readonly layouts: Layout[] = [];
  readonly copiers: Copier[] = [];
  readonly paths: Path[] = [];

  constructor(areExact = false) {
    this.areExact = areExact;
  }

  /** Adds a function that takes `view`, `at` and more parameters. */
  add(parameters: string, body: string): string {
    const name = `f${this.sources.length}`;
    this.sources.push(`const ${name} = (view, at, ${parameters}) => { ${body} };`);
    return name;
  }
}

function makeReader(layout: Layout): Reader {
  const functions = new Functions();
  const value = readLayout(layout, 0, functions);
  return generate(
    { readText, readUnion, layouts: functions.layouts },
    `${functions.sources.join("\n")} return (view, at) => (${value});`,
    sourceUrl("read", nameOf(layout)),
  ) as Reader;
}

function readLayout(layout: Layout, byteOffset: number, functions: Functions): string {
  const place = `at + ${byteOffset}`;
  switch (layout.kind) {
    case "scalar":
      return readScalar(layout.type, "view", place);
    case "text":
      return `readText(view, ${place}, ${layout.byteLength})`;
    case "array": {
      const { element, length } = layout;
      const body = `const values = new Array(${length});
        for (let i = 0; i < ${length}; i++, at += ${element.byteLength}) values[i] = ${
        readLayout(element, 0, functions)
      };
        return values;`;
      return `${functions.add("", body)}(view, ${place})`;
    }
    case "union":
      return `readUnion(layouts[${functions.layouts.push(layout) - 1}], view, ${place})`;
    default: {
      const fields = layout.fields.map((field) =>
        // Not "__proto__: value", which would set the prototype.
        `[${JSON.stringify(field.name)}]: ${readLayout(field.layout, byteOffset + field.byteOffset, functions)}`
      );
      return `({ ${fields.join(", ")} })`;
    }
  }
}

function makeWriter(layout: Layout, isExact: boolean): Writer {
  const functions = new Functions(isExact);
  const body = writeLayout(layout, 0, "value", [""], functions);
  const placeOf = (path: number, indices: readonly number[]): string =>
    present(functions.paths[path]).map((piece, i) => i === 0 ? piece : `[${indices[i - 1]}]${piece}`).join("");
  const refuseUnknown = (known: RecordLayout, value: object, subject: string, path: number, ...indices: number[]) => {
    const unknown = unknownKey(Object.keys(value), known.fields);
    if (unknown !== undefined) throw noField(known, whatIsAt(`${placeOf(path, indices)}.${unknown}`, subject));
  };
  const bad = (subject: string, path: number, type: string, value: unknown, ...indices: number[]): never => {
    const what = whatIsAt(placeOf(path, indices), subject);
    if (isNamedType(type)) refuseStored(type, value, what);
    throw new TypeError(`${what} must be ${type}, got ${shown(value)}`);
  };
  const source = `${functions.sources.join("\n")} return (view, at, value, subject) => { ${body} };`;
  return generate(
    {
      ...writeScope,
      bad,
      refuseUnknown,
      copyTo,
      UnionCopy,
      memberOf,
      membersDiffer,
      fillWithZeroes,
      layouts: functions.layouts,
      copiers: functions.copiers,
      writeText,
    },
    source,
    sourceUrl("write", nameOf(layout)),
  ) as Writer;
}

/** The first key that is no field's name. */
function unknownKey(keys: readonly string[], fields: RecordLayout["fields"]): string | undefined {
  let inOrder = 0;
  // Mostly that is all.
  while (inOrder < keys.length && keys[inOrder] === fields[inOrder]?.name) inOrder += 1;
  if (inOrder === keys.length) return undefined;
  return keys.slice(inOrder).find((key) => fields.every(({ name }) => name !== key));
}

/** What is thrown for a property that is no field of a structure, or no member of a union. */
export function noField({ kind, fields }: RecordLayout, what: string): TypeError {
  const names = fields.map(({ name }) => name).join(", ");
  const reason = kind === "union" ? "no member: the union has" : "no field: the structure has";
  return new TypeError(`${what} is ${reason} ${names}`);
}

/** What is at a place of the whole that a subject is about, for an error's message. */
function whatIsAt(place: string, subject: string): string {
  // Of a call, the subject names the argument.
  if (place === "") return subject.includes(":") ? subject : `${subject}: the value`;
  // A name that the subject ends with goes on: "at" with ".x" is "at.x".
  if (subject.endsWith('"')) return `${subject.slice(0, -1)}${place}"`;
  return `${subject}: "${place.replace(/^\./, "")}"`;
}

/** Where a value is in the whole that is written: names with a dot before each, and an index between each two pieces. */
type Path = readonly string[];

function writeLayout(layout: Layout, byteOffset: number, value: string, path: Path, functions: Functions): string {
  const place = `at + ${byteOffset}`;
  const indices = path.slice(1).map((_, i) => `i${i}`);
  const more = ["subject", ...indices].join(", ");
  // Only a number in the source: V8 inlines no function whose code is long, though most of it never runs.
  const row = functions.paths.push(path) - 1;
  const refuse = (type: string, of = "value"): string => `bad(${["subject", row, type, of, ...indices].join(", ")})`;
  switch (layout.kind) {
    case "scalar": {
      const type = JSON.stringify(writtenType(layout.type));
      return `{ let v = ${value}; ${writeScalar(layout.type, "view", place, "v", refuse(type, "v"))} }`;
    }
    case "text":
      return `{ const value_ = ${value}; if (!writeText(view, ${place}, ${layout.byteLength}, value_)) ${
        refuse(
          JSON.stringify(`a string without NUL characters, of at most ${layout.byteLength - 1} bytes as UTF-8`),
          "value_",
        )
      }; }`;
    case "array": {
      const { element, length } = layout;
      const wanted = JSON.stringify(`${length} values`);
      const index = `i${indices.length}`;
      // Arrays, typed arrays and views have it.
      const body = `if (value === null || typeof value !== "object" || value.length !== ${length} ||
          typeof value.at !== "function") ${refuse(wanted)};
        for (let ${index} = 0; ${index} < ${length}; ${index}++, at += ${element.byteLength}) ${
        writeLayout(element, 0, `value.at(${index})`, [...path, ""], functions)
      }`;
      return `${functions.add(`value, ${more}`, body)}(view, ${place}, ${value}, ${more});`;
    }
    default: {
      const inner = (name: string): Path => [...path.slice(0, -1), `${path[path.length - 1]}.${name}`];
      const isUnion = layout.kind === "union";
      const writes = layout.fields.map((field) => {
        const write = (source: string): string =>
          writeLayout(field.layout, field.byteOffset, source, inner(field.name), functions);
        if (!isUnion) return write(`value[${JSON.stringify(field.name)}]`);
        return `{ const member = memberOf(value, ${JSON.stringify(field.name)});
          if (member !== undefined) { given += 1; ${write("member")} } }`;
      });
      const known = `layouts[${functions.layouts.push(layout) - 1}]`;
      const exact = functions.areExact
        ? `refuseUnknown(${[known, "value", "subject", row, ...indices].join(", ")});`
        : "";
      const copier = `copiers[${functions.copiers.push(copierOf(layout)) - 1}]`;
      const begin = `if (value === null || typeof value !== "object") ${refuse('"an object"')};
        const copy = value[copyTo];
        if (copy !== undefined && copy === ${copier}.method) return copy.call(value, view, at);`;
      const fields = writes.join("\n");
      const body = !isUnion ? `${begin} ${exact} ${fields}` : `${begin}
        if (UnionCopy.write(value, ${known}, view, at)) return;
        let given = 0; fillWithZeroes(view, at, ${layout.byteLength}); ${fields}
        if (given === 0) ${refuse('"an object with one of the union\'s members"')};
        ${exact}
        if (given > 1 && membersDiffer(${known}, view, at, value)) ${
        refuse('"an object with the member that is meant, alone"')
      };`;
      return `${functions.add(`value, ${more}`, body)}(view, ${place}, ${value}, ${more});`;
    }
  }
}

/** A member of an object; `undefined` when it has none, or only what every object has. */
function memberOf(value: Readonly<Record<string, unknown>>, name: string): unknown {
  return !(name in Object.prototype) || hasOfItsOwn(value, name) ? value[name] : undefined;
}

/** Whether an object has a property, or its class. */
function hasOfItsOwn(value: object, name: string): boolean {
  let each: object | null = value;
  while (each !== null && each !== Object.prototype) {
    if (Object.hasOwn(each, name)) return true;
    each = Object.getPrototypeOf(each) as object | null;
  }
  return false;
}

/** An object that a member of a copied union has given, and what it makes of the union's bytes. */
interface Given {
  readonly layout: Layout;
  readonly value: object;
  bytes: Uint8Array;
  /** Whether the union still has it: no other member was written since. */
  isCurrent: boolean;
}

/** What {@linkcode readUnion} gives: a plain object with private fields. */
class UnionCopy extends Returned {
  readonly #layout: Layout;
  readonly #bytes: Uint8Array;
  readonly #settle: () => void;

  constructor(value: object, layout: Layout, bytes: Uint8Array, settle: () => void) {
    super(value);
    this.#layout = layout;
    this.#bytes = bytes;
    this.#settle = settle;
  }

  /** Writes a copy of a union of the same layout, and answers whether it is one. */
  static write(value: object, layout: Layout, target: DataView, byteOffset: number): boolean {
    if (!(#layout in value) || value.#layout !== layout) return false;
    value.#settle();
    bytesOf(target, byteOffset, layout.byteLength).set(value.#bytes);
    return true;
  }
}

/**
 * A copy of a union, whose members read and write the copy: it is written back as the bytes that it has, since nobody knows
 * which of its members was meant. What is changed inside of an object or array that a member gave is the copy's, too.
 */
function readUnion(layout: RecordLayout, view: DataView, byteOffset: number): object {
  const bytes = bytesOf(view, byteOffset, layout.byteLength).slice();
  const given = new Map<string, Given>();
  const withMember = (member: Layout, name: string, value: unknown): Uint8Array =>
    bytesWith(bytes, member, value, `Cannot write to a union: "${name}"`);
  const put = (name: string, changed: Uint8Array): void => {
    bytes.set(changed);
    for (const [other, each] of given) {
      each.bytes = withMember(each.layout, other, each.value);
      each.isCurrent = other === name;
    }
  };
  const settle = (): void => {
    const changes = [...given].map(([name, each]) => ({
      name,
      before: each.bytes,
      changed: withMember(each.layout, name, each.value),
    })).filter(({ before, changed }) => isOther(changed, before));
    const [first, second] = changes;
    if (first !== undefined && second !== undefined) {
      throw new TypeError(`Cannot write to a union: "${first.name}" and "${second.name}" were both changed`);
    }
    for (const { name, changed } of changes) put(name, changed);
  };
  const value = new UnionCopy({}, layout, bytes, settle);
  for (const { name, layout: member } of layout.fields) {
    Object.defineProperty(value, name, {
      enumerable: true,
      get() {
        settle();
        const known = given.get(name);
        if (known?.isCurrent) return known.value;
        const read = readerOf(member)(new DataView(bytes.buffer), 0);
        if (typeof read !== "object" || read === null) return read;
        given.set(name, { layout: member, value: read, bytes: withMember(member, name, read), isCurrent: true });
        return read;
      },
      set(wanted: unknown) {
        settle();
        const changed = withMember(member, name, wanted);
        given.delete(name);
        put(name, changed);
      },
    });
  }
  // A misspelled member is refused.
  return Object.preventExtensions(value);
}

/** A union's bytes with one of its members written to them. */
function bytesWith(
  bytes: Uint8Array,
  member: Layout,
  value: unknown,
  subject: string,
): Uint8Array<ArrayBuffer> {
  const changed = bytes.slice();
  exactWriterOf(member)(new DataView(changed.buffer), 0, value, subject);
  return changed;
}

function isOther(bytes: Uint8Array, known: Uint8Array): boolean {
  return bytes.some((byte, index) => byte !== known[index]);
}

/** Whether members of an object are not what a union has, now that all of them were written: a later one was over them. */
function membersDiffer(
  layout: RecordLayout,
  view: DataView,
  byteOffset: number,
  value: Readonly<Record<string, unknown>>,
): boolean {
  const written = bytesOf(view, byteOffset, layout.byteLength);
  return layout.fields.some((field) => {
    const member = memberOf(value, field.name);
    if (member === undefined) return false;
    return isOther(bytesWith(written, field.layout, member, "Cannot write to a union"), written);
  });
}

/** Of a union, a member may be written that is shorter than others. */
function fillWithZeroes(view: DataView, byteOffset: number, byteLength: number): void {
  bytesOf(view, byteOffset, byteLength).fill(0);
}

/** Bytes of what a view is of. */
export function bytesOf(view: DataView, byteOffset: number, byteLength: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + byteOffset, byteLength);
}

/** The text in a character array: up to the first zero, or all of it. */
export function readText(view: DataView, byteOffset: number, byteLength: number): string {
  const bytes = bytesOf(view, byteOffset, byteLength);
  const end = zeroIndex(utf8, bytes);
  return utf8.decoder.decode(bytes.subarray(0, end < 0 ? byteLength : end));
}

/** Fills a character array; answers whether the text fits with a zero at its end. */
export function writeText(view: DataView, byteOffset: number, byteLength: number, text: unknown): boolean {
  if (typeof text !== "string" || text.includes("\0")) return false;
  const bytes = bytesOf(view, byteOffset, byteLength);
  const encoded = utf8.units(text);
  if (encoded.length >= byteLength) return false;
  bytes.fill(0);
  bytes.set(encoded);
  return true;
}
