/**
 * Where the fields of a structure are, how a type is passed, and which functions C may confuse.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { type ArgumentClass, isStructureClass, type Leaf, type StructureClass } from "../types/calling_convention.ts";
import { data, type DataType, type RecordType } from "../types/data_type.ts";
import type { FunctionPointerDefinition, NamedType, ParameterType, ResultType } from "../types/definitions.ts";
import { unknownType } from "../types/spellings.ts";
import { argumentClass, isNamedType } from "./marshal.ts";

/** A scalar that can be in a structure. */
export type FieldScalar = Exclude<NamedType, "buffer" | "handleAddress"> | FunctionPointerDefinition;

/** How data is laid out. */
export type Layout = ScalarLayout | RecordLayout | ArrayLayout | TextLayout;

interface Measured {
  readonly byteLength: number;
  readonly align: number;
}

interface ScalarLayout extends Measured {
  readonly kind: "scalar";
  readonly type: FieldScalar;
}

/** A structure or union. */
export interface RecordLayout extends Measured {
  readonly kind: "struct" | "union";
  readonly fields: readonly { readonly name: string; readonly byteOffset: number; readonly layout: Layout }[];
}

interface ArrayLayout extends Measured {
  readonly kind: "array";
  readonly element: Layout;
  readonly length: number;
}

/** Characters of UTF-8, up to a zero or the end. */
interface TextLayout extends Measured {
  readonly kind: "text";
}

/** What all types of data have in common. */
export abstract class Aggregate<V, I> implements DataType<V, I> {
  declare readonly [data]?: readonly [V, I];
  readonly byteLength: number;
  readonly align: number;
  readonly #layout: Layout;

  /** Made by `struct()` and its like. */
  constructor(token: typeof inside, layout: Layout) {
    if (token !== inside) refuseNew("type", "struct(), union(), array() or charArray()");
    freezeLayout(layout);
    this.byteLength = layout.byteLength;
    this.align = layout.align;
    this.#layout = layout;
  }

  /** Whether a value is a type, not a proxy or what else merely looks like it. */
  static is(value: object): value is Aggregate<unknown, unknown> {
    return #layout in value;
  }

  /** How a type is laid out. */
  static layoutOf(type: DataType): Layout {
    return (type as Aggregate<unknown, unknown>).#layout;
  }
}

/** Layouts are within a program's reach. */
function freezeLayout(layout: Layout): void {
  if ("fields" in layout) { for (const field of Object.freeze(layout.fields)) Object.freeze(field); }
  Object.freeze(layout);
}

/** Whether a value is a type of data. */
export function isAggregate(type: unknown): type is DataType {
  return typeof type === "object" && type !== null && Aggregate.is(type);
}

/** Whether a value is a structure or union. */
export function isRecord(type: unknown): type is RecordType {
  return isAggregate(type) && "fields" in Aggregate.layoutOf(type);
}

/** The first structure or union among types. */
export function firstRecord(types: readonly unknown[]): RecordType | undefined {
  for (const type of types) if (typeof type !== "string" && isRecord(type)) return type;
  return undefined;
}

/**
 * The layout of a field of a type.
 *
 * @throws {TypeError} When there can be no such field.
 */
export function layoutOf(type: unknown, what: string): Layout {
  if (isAggregate(type)) return Aggregate.layoutOf(type);
  const isFunction = typeof type === "object" && type !== null && Object.hasOwn(type, "parameters");
  if (!isFunction && (!isNamedType(type) || type === "buffer" || type === "handleAddress")) {
    const isStructure = typeof type === "object" && type !== null && "struct" in type;
    const hint = type === "buffer"
      ? '; a buffer\'s address is a "pointer"'
      : isStructure
      ? "; a structure's type is what struct() gives"
      : "";
    const unknown = unknownType(type, ", which can't be stored");
    throw new TypeError(`Cannot define ${what}: it has the type ${unknown}${hint}`);
  }
  const { byteLength } = argumentClass(type as FieldScalar);
  return { kind: "scalar", type: type as FieldScalar, byteLength, align: byteLength };
}

function alignUp(byteOffset: number, align: number): number {
  return Math.ceil(byteOffset / align) * align;
}

/**
 * Lays out fields as C does.
 *
 * @param pack The most that a field is aligned for, as `#pragma pack` has it.
 */
export function recordLayout(
  kind: "struct" | "union",
  fields: readonly (readonly [string, Layout])[],
  pack: number,
): RecordLayout {
  let end = 0;
  let align = 1;
  const placed: { name: string; byteOffset: number; layout: Layout }[] = [];
  for (const [name, layout] of fields) {
    const fieldAlign = Math.min(layout.align, pack);
    const byteOffset = kind === "union" ? 0 : alignUp(end, fieldAlign);
    placed.push({ name, byteOffset, layout });
    end = Math.max(end, byteOffset + layout.byteLength);
    align = Math.max(align, fieldAlign);
  }
  return { kind, fields: placed, byteLength: alignUp(end, align), align };
}

/** Whether what is laid out follows an address, or a handle's id, when it is read. */
export function followsAddresses(layout: Layout): boolean {
  if (layout.kind === "scalar") return layout.type === "cstring" || layout.type === "handle";
  if (layout.kind === "array") return followsAddresses(layout.element);
  return layout.kind !== "text" && layout.fields.some((field) => followsAddresses(field.layout));
}

const mostNamed = 8;

/** What generated code for a layout is called: by the names of its fields, since C's structures have none here. */
export function nameOf(layout: Layout): string {
  switch (layout.kind) {
    case "scalar":
      return typeof layout.type === "string" ? layout.type : "function";
    case "text":
      return `char[${layout.byteLength}]`;
    case "array":
      return `${nameOf(layout.element)}[${layout.length}]`;
    default: {
      const names = layout.fields.slice(0, mostNamed).map(({ name }) => name);
      return `${layout.kind} ${names.join(" ")}${layout.fields.length > mostNamed ? " …" : ""}`;
    }
  }
}

/** As far as it matters how a structure is passed. */
const mostClassified = 64;

/** How a type is passed by value. */
export function structureClass(type: RecordType): StructureClass {
  const layout = Aggregate.layoutOf(type);
  return { byteLength: layout.byteLength, leaves: layout.byteLength > mostClassified ? [] : leavesOf(layout, 0) };
}

function leavesOf(layout: Layout, byteOffset: number): Leaf[] {
  switch (layout.kind) {
    case "scalar": {
      return [{ byteOffset, ...argumentClass(layout.type) }];
    }
    case "text":
      return Array.from({ length: layout.byteLength }, (_, index) => (
        { byteOffset: byteOffset + index, byteLength: 1, float: false }
      ));
    case "array": {
      const { element, length } = layout;
      const elements = Array.from({ length }, (_, index) => leavesOf(element, byteOffset + index * element.byteLength));
      return elements.flat();
    }
    default:
      return layout.fields.flatMap((field) => leavesOf(field.layout, byteOffset + field.byteOffset));
  }
}

/** How an argument of a type is passed. */
export function classOf(type: Passed): ArgumentClass {
  return isRecord(type) ? structureClass(type) : argumentClass(type);
}

/** What is passed, and what is returned. */
type Passed = ParameterType | Exclude<ResultType, "void">;
interface Shaped {
  readonly parameters: readonly Passed[];
  readonly result: ResultType;
}

/** What tells functions apart that C may not confuse: the classes of parameters and result, not their names. */
export function shapeOf({ parameters, result }: Shaped): string {
  let shape = "";
  for (const type of parameters) shape += shapeOfClass(classOf(type));
  return result === "void" ? shape : `${shape}:${shapeOfClass(classOf(result))}`;
}

function shapeOfClass(type: ArgumentClass): string {
  if (isStructureClass(type)) {
    const leaves = type.leaves.map((leaf) => `${leaf.byteOffset}.${shapeOfClass(leaf)}`);
    return `(${type.byteLength} ${leaves.join()})`;
  }
  const { byteLength, float } = type;
  return float ? (byteLength === 4 ? "f" : "d") : `${byteLength}`;
}
