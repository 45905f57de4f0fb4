/**
 * C's types, described once: as C declares them, as belay does, and values of them. What tests hold belay's layouts and
 * calls against is a C library that is generated from such descriptions.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { array, charArray, type Fields, type FieldType, pointerFrom, struct, union } from "@belay/ffi";
import { compileArgs, host, testLibrary } from "../../scripts/build.ts";
import { compile } from "./zig.ts";

/** What C calls the scalars that belay knows. */
export const scalars = {
  i8: "int8_t",
  u8: "uint8_t",
  i16: "int16_t",
  u16: "uint16_t",
  i32: "int32_t",
  u32: "uint32_t",
  i64: "int64_t",
  u64: "uint64_t",
  isize: "intptr_t",
  usize: "uintptr_t",
  f32: "float",
  f64: "double",
  bool: "_Bool",
  pointer: "void *",
  function: "function *",
} as const;

export type Scalar = keyof typeof scalars;

/** A type. */
export type CType =
  | Scalar
  | { readonly text: number }
  | { readonly of: CType; readonly length: number }
  | CRecord;

/** A structure or union, with names for its fields: `f0`, `f1` and so on. */
export interface CRecord {
  readonly kind: "struct" | "union";
  readonly fields: readonly CType[];
  readonly packed?: 1 | 2 | 4 | 8 | 16;
}

/** A C function that takes structures and scalars, and gives a structure. */
export interface CFunction {
  readonly parameters: readonly (Scalar | CRecord)[];
  readonly result: CRecord;
}

/** What C has as a type. */
export function isRecord(type: CType): type is CRecord {
  return typeof type === "object" && "kind" in type;
}

const belayTypes = new WeakMap<CRecord, ReturnType<typeof struct<Fields>>>();

/** A type as belay has it: the same one each time. */
export function belayRecord(type: CRecord): ReturnType<typeof struct<Fields>> {
  const known = belayTypes.get(type);
  if (known !== undefined) return known;
  const fields = Object.fromEntries(type.fields.map((field, index) => [`f${index}`, belayType(field)]));
  const make = type.kind === "struct" ? struct : union as unknown as typeof struct;
  const made = make<Fields>(fields, type.packed === undefined ? {} : { packed: type.packed });
  belayTypes.set(type, made);
  return made;
}

/** A type as belay has it. */
export function belayType(type: CType): FieldType {
  if (typeof type === "string") return type;
  if (isRecord(type)) return belayRecord(type);
  return "text" in type ? charArray(type.text) : array(belayType(type.of), type.length);
}

/** Numbers that come again. */
export type Random = (below: number) => number;

const bits = (random: Random, count: number): number => random(2 ** 31) % 2 ** count;

/** A value of a type. A union's has one member. */
export function valueOf(type: CType, random: Random): unknown {
  if (typeof type !== "string") {
    if ("text" in type) return "aé0€"[random(4)].repeat(random(Math.ceil(type.text / 3)));
    if (!isRecord(type)) return Array.from({ length: type.length }, () => valueOf(type.of, random));
    const chosen = type.kind === "struct" ? undefined : random(type.fields.length);
    const entries = type.fields.map((field, index) => [`f${index}`, () => valueOf(field, random)] as const)
      .filter((_, index) => chosen === undefined || index === chosen);
    return Object.fromEntries(entries.map(([name, value]) => [name, value()]));
  }
  const wide = (): bigint => BigInt(bits(random, 31)) << 33n | BigInt(bits(random, 31)) << 2n | BigInt(random(4));
  switch (type) {
    case "f32":
      return Math.fround((random(2 ** 31) - 2 ** 30) / 1024);
    case "f64":
      return (random(2 ** 31) - 2 ** 30) / 1024 * random(2 ** 31);
    case "bool":
      return random(2) === 1;
    case "pointer":
    case "function":
      return random(8) === 0 ? null : pointerFrom(wide() >> 17n);
    case "u64":
    case "usize":
      return BigInt.asUintN(64, wide());
    case "i64":
    case "isize":
      return BigInt.asIntN(64, wide());
    default: {
      const width = Number(type.slice(1));
      const unsigned = random(2) * 2 ** (width - 1) + bits(random, width - 1);
      return type[0] === "u" ? unsigned : unsigned - 2 ** (width - 1);
    }
  }
}

/** What is other than it was written, as a path; of a union, what was written is looked at. */
export function difference(type: CType, wrote: unknown, read: unknown, path = ""): string | undefined {
  if (typeof type === "string" || "text" in type) {
    return Object.is(wrote, read) ? undefined : `${path}: wrote ${String(wrote)}, read ${String(read)}`;
  }
  const inner = (field: CType, key: string | number): string | undefined =>
    difference(field, (wrote as never)[key], (read as never)[key], `${path}.${key}`);
  const found = isRecord(type)
    ? type.fields.map((field, index) => `f${index}` in (wrote as object) ? inner(field, `f${index}`) : undefined)
    : Array.from({ length: type.length }, (_, index) => inner(type.of, index));
  return found.find((each) => each !== undefined);
}

/** Which bytes of a type hold something: all but the padding. A union's may be held by any member. */
function heldBytes(type: CType): boolean[] {
  const held = new Array<boolean>(belayRecord({ kind: "struct", fields: [type] }).byteLength).fill(false);
  if (typeof type === "string" || "text" in type) return held.fill(true);
  const place = (bytes: readonly boolean[], from: number): void =>
    bytes.forEach((holds, index) => held[from + index] ||= holds);
  if (isRecord(type)) {
    const { offsets } = belayRecord(type);
    type.fields.forEach((field, index) => place(heldBytes(field), offsets[`f${index}`]));
  } else {
    const element = heldBytes(type.of);
    for (let i = 0; i < type.length; i++) place(element, i * element.length);
  }
  return held;
}

/**
 * Whether a type has a union in which a structure's padding is another member's. Clang takes such a union for the
 * structure, and passes 4 bytes of a double by value (`findings/clang-union-half-a-double.sh`).
 */
export function hasUnionOverPadding(type: CType): boolean {
  if (typeof type === "string" || "text" in type) return false;
  if (!isRecord(type)) return hasUnionOverPadding(type.of);
  if (type.fields.some(hasUnionOverPadding)) return true;
  if (type.kind === "struct") return false;
  const held = heldBytes(type);
  return type.fields.some((field) => heldBytes(field).some((holds, index) => held[index] && !holds));
}

/** C's source: types, and what tests ask of them. */
export class CSource {
  readonly #names = new Map<CRecord, string>();
  readonly #measures: string[] = [];
  readonly #lines: string[] = [];
  #functions = 0;

  /** Declares a type, and those that it has; answers its name. */
  record(type: CRecord): string {
    const known = this.#names.get(type);
    if (known !== undefined) return known;
    const fields = type.fields.map((field, index) => this.#declare(field, `f${index}`));
    const name = `t${this.#names.size}`;
    this.#names.set(type, name);
    const { kind, packed } = type;
    if (packed !== undefined) this.#lines.push(`#pragma pack(push, ${packed})`);
    this.#lines.push(`typedef ${kind} { ${fields.map((field) => `${field}; `).join("")}} ${name};`);
    if (packed !== undefined) this.#lines.push("#pragma pack(pop)");
    const offsets = type.fields.map((_, index) => `offsetof(${name}, f${index})`);
    this.#measures.push(`sizeof(${name}), _Alignof(${name}), ${offsets.join(", ")}`);
    return name;
  }

  /** The types that have been declared, in the order in which the library's `measures` have them. */
  get records(): readonly CRecord[] {
    return [...this.#names.keys()];
  }

  #declare(type: CType, name: string): string {
    if (typeof type === "string") return `${scalars[type]} ${name}`.replace("* ", "*");
    if (isRecord(type)) return `${this.record(type)} ${name}`;
    return "text" in type ? `char ${name}[${type.text}]` : this.#declare(type.of, `${name}[${type.length}]`);
  }

  /**
   * Adds a function, `call<n>`, and one that calls such a function, `back<n>`; answers n. The first takes the parameters, and
   * then the addresses of memory for a copy of each and of what it gives. The second takes the function, the addresses of the
   * parameters, and that of memory for what it gave.
   */
  callable({ parameters, result }: CFunction): number {
    const name = this.record(result);
    const types = parameters.map((type) => typeof type === "string" ? scalars[type] : this.record(type));
    const number = this.#functions++;
    const given = types.map((type, index) => `${type} a${index}`);
    const copies = types.map((type, index) => `*(${type} *)seen[${index}] = a${index};`);
    this.#lines.push(
      `EXPORT ${name} call${number}(${given.map((each) => `${each}, `).join("")}void **seen, const ${name} *gives) {`,
      `  ${copies.join(" ")} return *gives; }`,
      `EXPORT void back${number}(${name} (*fn)(${types.join(", ") || "void"}), void **args, ${name} *gave) {`,
      `  *gave = fn(${types.map((type, index) => `*(${type} *)args[${index}]`).join(", ")}); }`,
    );
    return number;
  }

  /** All of it. */
  get text(): string {
    return `${prelude}${this.#lines.join("\n")}
static const uint32_t measures[] = { ${this.#measures.join(",\n")} };
EXPORT const uint32_t *measuresAddress(void) { return measures; }\n`;
  }
}

const prelude = `#include <stddef.h>
#include <stdint.h>
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
typedef void function(void);
`;

/** The sizes, alignments and offsets of a source's types, as belay has them. */
export function belayMeasures(records: readonly CRecord[]): number[] {
  return records.flatMap((record) => {
    const { byteLength, align, offsets } = belayRecord(record);
    return [byteLength, align, ...Object.values(offsets)];
  });
}

/** A library that is made of a source: compiled when there is none of the same, which both runtimes then use. */
export function compiled(source: string, flags: readonly string[] = ["-O1", "-fno-sanitize=undefined"]): string {
  const digest = createHash("sha256").update([source, ...flags].join("\0")).digest("hex").slice(0, 24);
  const library = testLibrary.replace("testlib", `generated-${digest}`);
  if (existsSync(library)) return library;
  mkdirSync(dirname(library), { recursive: true });
  const own = `${library}.${process.pid}`;
  writeFileSync(`${own}.c`, source);
  compile([...compileArgs(host, flags), "-o", own, `${own}.c`]);
  rmSync(`${own}.c`);
  renameSync(own, library);
  return library;
}
