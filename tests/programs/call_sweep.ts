/**
 * Calls of generated C functions: parameter types × types of out-parameters × result types × kinds of call.
 *
 * - Each type of parameter with each type of out-parameter in each kind of call, results in turn.
 * - Each type of parameter with each type of result in each kind of call, with no out-parameter and with all of them.
 * - All types of parameters with all types of out-parameters, with each type of result in each kind of call.
 *
 * C copies what it sees of an argument into memory that both share, and gives what it finds there. A small result has other
 * bits above it, which the ABI leaves undefined. Prints the number of calls and what was wrong, as JSON.
 */

import {
  array,
  type Callback,
  callback,
  charArray,
  dlopen,
  functionAt,
  type FunctionDefinition,
  Handle,
  NativeMemory,
  out,
  type OutType,
  type ParameterType,
  pointerFrom,
  pointerValue,
  type ResultType,
  struct,
  union,
} from "@belay/ffi";
import { compiled, scalars } from "../support/c_types.ts";

/** What is printed. */
export interface CallSweepFigures {
  readonly calls: number;
  readonly wrong: readonly string[];
  readonly seconds: number;
}

/** A value, and its bytes in C. */
interface Sample {
  readonly value: unknown;
  readonly bytes: Uint8Array;
}

const mixed = struct({ a: "i64", b: "f64" });
const floats = struct({ a: "f32", b: "f32", c: "f32" });
const large = struct({ a: "i64", b: "f64", c: "f32", d: "i32", e: "u64" });
const either = union({ a: "u32", b: "i16" });
const structures = { mixed, floats, large, either };
const numbers = array("i16", 3);
const characters = charArray(6);
const increment = { parameters: ["i32"], result: "i32" } as const;

const wholes = ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "isize", "usize"] as const;
const names = [...wholes, "f32", "f64", "bool", "pointer", "function", "cstring", "handle"] as const;
const parameterTypes = [...names, "buffer", "handleAddress", "callback", "mixed", "floats", "large", "either"] as const;
const resultTypes = [
  "void",
  ...names,
  "buffer",
  "handleAddress",
  "callback",
  "mixed",
  "floats",
  "large",
  "either",
] as const;
const outTypes = [...names, "callback", "mixed", "floats", "large", "either", "numbers", "characters"] as const;
type ParameterName = typeof parameterTypes[number];
type ResultName = typeof resultTypes[number];
type OutName = typeof outTypes[number];
type Name = ParameterName | OutName;

function belayType(name: Name | ResultName): unknown {
  return Object.hasOwn(structures, name)
    ? structures[name as keyof typeof structures]
    : { callback: increment, numbers, characters }[name as string] ?? name;
}

const kinds: Readonly<Record<string, Partial<FunctionDefinition>>> = {
  plain: {},
  nonblocking: { nonblocking: true },
  captureErrno: { captureErrno: true },
  variadic: { variadic: 1 },
  all: { nonblocking: true, captureErrno: true, variadic: 1 },
  own: { stack: "own" },
  pointer: {},
  pointerAll: { nonblocking: true, captureErrno: true, variadic: 1 },
};
/** The kinds of calls of functions that are known by their addresses. */
const byPointer = ["pointer", "pointerAll"];

// What both share: see `source`.
const mostBytes = 40;
const mostValues = 32;
const seenByteOffset = 0;
const givesByteOffset = seenByteOffset + mostValues * mostBytes;
const outsByteOffset = givesByteOffset + mostBytes;
const textByteOffset = outsByteOffset + mostValues * mostBytes;
const cellByteOffset = textByteOffset + 16;
const lengthsByteOffset = cellByteOffset + 8;
const countByteOffset = lengthsByteOffset + mostValues * 4;
const sharedByteLength = countByteOffset + 8;
const errorNumber = 7;
const text = "belay é";

/** What C calls a parameter, and how it sees one. */
function cParameter(name: ParameterName): { type: string; see: string; promoted: boolean } {
  const promoted = !["i8", "u8", "i16", "u16", "f32", "bool"].includes(name) && !Object.hasOwn(structures, name);
  if (Object.hasOwn(structures, name)) return { type: name, see: "COPY", promoted };
  if (Object.hasOwn(scalars, name)) return { type: scalars[name as keyof typeof scalars], see: "COPY", promoted };
  if (name === "handle") return { type: "uintptr_t", see: "COPY", promoted };
  return name === "callback"
    ? { type: "increment", see: "CALL", promoted }
    : { type: "void *", see: "FOLLOW", promoted };
}

/** What C returns: small integers with more above them. */
const cResults = ["uint64_t", "float", "double", ...Object.keys(structures)] as const;
function cResult(name: ResultName): number {
  if (Object.hasOwn(structures, name)) return cResults.indexOf(name);
  return name === "f32" ? 1 : name === "f64" ? 2 : 0;
}

const every = parameterTypes.map((name, index) => ({ ...cParameter(name), name: `a${index}`, index }));
const outPointers = outTypes.map((_, index) => `void *o${index}`);

function source(): string {
  const lines = [`#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
__declspec(dllimport) void SetLastError(unsigned long);
#define FAIL SetLastError(${errorNumber});
#else
#define EXPORT __attribute__((visibility("default")))
#define FAIL errno = ${errorNumber};
#endif
typedef void function(void);
typedef int32_t (*increment)(int32_t);
typedef struct { int64_t a; double b; } mixed;
typedef struct { float a, b, c; } floats;
typedef struct { int64_t a; double b; float c; int32_t d; uint64_t e; } large;
typedef union { uint32_t a; int16_t b; } either;
static struct {
  uint8_t seen[${mostValues}][${mostBytes}], gives[${mostBytes}], outs[${mostValues}][${mostBytes}];
  char text[16];
  uint64_t cell;
  uint32_t lengths[${mostValues}], count;
} shared;
EXPORT void *sharedAddress(void) { return &shared; }
#define COPY(i, a) memcpy(shared.seen[i], &a, sizeof a);
#define FOLLOW(i, a) if (a) memcpy(shared.seen[i], a, 8);
#define CALL(i, a) { int32_t r = a ? a(41) : -1; memcpy(shared.seen[i], &r, 4); }
#define GIVE(i, o) memcpy(o, shared.outs[i], shared.lengths[i]);
#define RETURN(T) { T r; memcpy(&r, shared.gives, sizeof r); FAIL return r; }
`];
  const outs = outPointers.map((_, index) => `GIVE(${index}, o${index})`).join(" ");
  const variadicOuts = "va_list l; va_start(l, a0); " +
    "for (uint32_t i = 0; i < shared.count; i++) GIVE(i, va_arg(l, void *)) va_end(l);";
  for (const [r, result] of cResults.entries()) {
    const add = (name: string, parameters: string, body: string): void => {
      lines.push(`EXPORT ${result} ${name}_${r}(${parameters}) { ${body} RETURN(${result}) }`);
    };
    for (const { type, see, promoted, index } of every) {
      add(`alone${index}`, `${type} a0`, `${see}(0, a0)`);
      add(`before${index}`, `${type} a0, void *o0`, `${see}(0, a0) GIVE(0, o0)`);
      add(`behind${index}`, `void *o0, ${type} a0`, `${see}(0, a0) GIVE(0, o0)`);
      add(`outs${index}`, `${type} a0, ${outPointers.join(", ")}`, `${see}(0, a0) ${outs}`);
      add(`fixed${index}`, `${type} a0, ...`, `${see}(0, a0) ${variadicOuts}`);
      if (!promoted) continue;
      const take = `va_list l; va_start(l, o0); ${type} a0 = va_arg(l, ${type}); va_end(l);`;
      add(`variable${index}`, "void *o0, ...", `${take} ${see}(0, a0) GIVE(0, o0)`);
    }
    const given = every.map(({ type, name }) => `${type} ${name}`);
    const seen = every.map(({ see, name, index }) => `${see}(${index}, ${name})`).join(" ");
    add("every", [...given, ...outPointers].join(", "), `${seen} ${outs}`);
  }
  return `${lines.join("\n")}\n`;
}

const path = compiled(source());
const addresses = dlopen(path, { sharedAddress: { parameters: [], result: "pointer" } });
const sharedPointer = addresses.symbols.sharedAddress();
if (sharedPointer === null) throw new Error("there is nothing to share");
const shared = NativeMemory.borrow(sharedPointer, sharedByteLength).bytes();
const view = new DataView(shared.buffer, shared.byteOffset, sharedByteLength);
const base = BigInt(pointerValue(sharedPointer));
new TextEncoder().encodeInto(text, shared.subarray(textByteOffset));

const handle = Handle.create({ name: "a value" });
view.setBigUint64(cellByteOffset, BigInt(handle.id), true);
const fn: Callback<typeof increment> = callback(increment, (value) => value + 1, { thread: "wait" });
const addressOf = (pointer: unknown): bigint => pointer === null ? 0n : BigInt(pointerValue(pointer as never));

function bytesOf(type: string, value: unknown): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8));
  const write: Readonly<Record<string, () => number>> = {
    i8: () => (bytes.setInt8(0, value as number), 1),
    u8: () => (bytes.setUint8(0, value as number), 1),
    i16: () => (bytes.setInt16(0, value as number, true), 2),
    u16: () => (bytes.setUint16(0, value as number, true), 2),
    i32: () => (bytes.setInt32(0, value as number, true), 4),
    u32: () => (bytes.setUint32(0, value as number, true), 4),
    f32: () => (bytes.setFloat32(0, value as number, true), 4),
    f64: () => (bytes.setFloat64(0, value as number, true), 8),
    u64: () => (bytes.setBigUint64(0, BigInt.asUintN(64, value as bigint), true), 8),
  };
  return new Uint8Array(bytes.buffer, 0, write[type]());
}

function scalarsIn(fields: readonly (readonly [string, unknown])[]): Uint8Array {
  return Uint8Array.from(fields.flatMap(([type, value]) => [...bytesOf(type, value)]));
}

const limits: Readonly<Record<string, readonly (number | bigint)[]>> = {
  i8: [-128, -1, 0, 127],
  u8: [255, 0, 128],
  i16: [-32768, -1, 0, 32767],
  u16: [65535, 0, 32768],
  i32: [-2147483648, -1, 0, 2147483647],
  u32: [4294967295, 0, 2147483648],
  i64: [-(2n ** 63n), -1n, 2n ** 53n + 1n],
  u64: [2n ** 64n - 1n, 0n, 2n ** 63n],
  isize: [-(2n ** 63n), -1n, 1n],
  usize: [2n ** 64n - 1n, 0n, 2n ** 53n + 1n],
  f32: [-1.5, 0.25, 2 ** 100],
  f64: [-0.1, 1e300, 2 ** 53],
};

let turn = 0;
function pick<T>(from: readonly T[]): T {
  return from[turn++ % from.length];
}

/** A value of a type that both sides may give. */
function sample(name: Name): Sample {
  const numeric = limits[name];
  if (numeric !== undefined) {
    const value = pick(numeric);
    return { value, bytes: bytesOf(typeof value === "bigint" ? "u64" : name, value) };
  }
  const word = (value: unknown, address: bigint): Sample => ({ value, bytes: bytesOf("u64", address) });
  const a = pick([-3, 0, 9]);
  const b = pick([0.5, -2, 3.25]);
  switch (name) {
    case "handle":
      return word(handle, BigInt(handle.id));
    case "pointer":
    case "function":
    case "callback": {
      const pointer = pick([null, pointerFrom(2n ** 47n - 8n), pointerFrom(4096)]);
      return word(pointer, addressOf(pointer));
    }
    case "mixed":
      return { value: { a: BigInt(a), b }, bytes: scalarsIn([["u64", BigInt(a)], ["f64", b]]) };
    case "floats":
      return { value: { a, b, c: 1 }, bytes: scalarsIn([["f32", a], ["f32", b], ["f32", 1]]) };
    case "large":
      return {
        value: { a: BigInt(a), b, c: b, d: a, e: 2n ** 60n },
        bytes: scalarsIn([["u64", BigInt(a)], ["f64", b], ["f32", b], ["i32", a], ["u64", 2n ** 60n]]),
      };
    case "numbers":
      return { value: [a, 1, -1], bytes: scalarsIn([["i16", a], ["i16", 1], ["i16", -1]]) };
    case "characters":
      return { value: "é12", bytes: new TextEncoder().encode("é12\0\0") };
    default:
      throw new Error(`there is no value of ${name}`);
  }
}

/** An argument, and the first bytes of what C sees of it. */
function argument(name: ParameterName): Sample {
  switch (name) {
    case "bool": {
      const value = pick([true, false]);
      return { value, bytes: bytesOf("u8", value ? 1 : 0) };
    }
    case "cstring":
      return { value: text, bytes: new TextEncoder().encode(text) };
    case "buffer": {
      const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, turn & 0xff]);
      return { value: bytes, bytes };
    }
    case "handleAddress":
      return { value: handle, bytes: bytesOf("u64", BigInt(handle.id)) };
    case "callback":
      return { value: pick([(value: number) => value + 1, fn]), bytes: bytesOf("i32", 42) };
    case "function":
      return { value: fn, bytes: bytesOf("u64", addressOf(fn.pointer)) };
    case "either": {
      const value = pick([7, 2 ** 31]);
      return { value: { a: value }, bytes: bytesOf("u32", value) };
    }
    default:
      return sample(name);
  }
}

/** What C gives, and what that has to be in TypeScript. */
function given(name: OutName | ResultName): Sample {
  switch (name) {
    case "callback": {
      const { value, bytes } = sample(name);
      return { value: value === null ? null : `function at 0x${addressOf(value).toString(16)}`, bytes };
    }
    case "void":
      return { value: undefined, bytes: new Uint8Array() };
    case "bool": {
      const byte = pick([0, 1, 2, 0x80, 0xfe, 0xff]);
      return { value: byte !== 0, bytes: bytesOf("u8", byte) };
    }
    case "cstring":
      return { value: text, bytes: bytesOf("u64", base + BigInt(textByteOffset)) };
    case "handle":
      return { value: handle.value, bytes: bytesOf("u64", BigInt(handle.id)) };
    case "handleAddress":
      return { value: handle.value, bytes: bytesOf("u64", base + BigInt(cellByteOffset)) };
    case "buffer":
      return sample("pointer");
    case "either":
      return { value: { a: 0x1234fffe, b: -2 }, bytes: bytesOf("u32", 0x1234fffe) };
    default:
      return sample(name);
  }
}

function shown(value: unknown): string {
  return JSON.stringify(
    value,
    (_, each) =>
      typeof each === "bigint"
        ? `${each}n`
        : typeof each === "function"
        ? each.name
        : each === undefined
        ? "undefined"
        : each,
  );
}

interface Case {
  readonly kind: string;
  /** As they stand in the definition; out-parameters by their names with a `*`. */
  readonly parameters: readonly string[];
  readonly result: ResultName;
  readonly symbol: string;
}

function definitionOf({ kind, parameters, result, symbol }: Case): FunctionDefinition {
  const types = parameters.map((name) =>
    name.endsWith(" out") ? out(belayType(name.slice(0, -4) as Name) as never) as OutType : belayType(name as Name)
  );
  return {
    name: symbol,
    parameters: types as ParameterType[],
    result: belayType(result) as ResultType,
    ...kinds[kind],
  };
}

const wrong: string[] = [];
let calls = 0;

async function call(each: Case, fnOfC: (...args: unknown[]) => unknown): Promise<void> {
  const { kind, parameters, result } = each;
  const fail = (what: string): void =>
    void wrong.push(
      `${kind} (${parameters.length > 4 ? parameters.length : parameters.join(", ")}) → ${result}: ${what}`,
    );
  const args = parameters.filter((name) => !name.endsWith(" out")).map((name) => argument(name as ParameterName));
  const outs = parameters.filter((name) => name.endsWith(" out")).map((name) => given(name.slice(0, -4) as OutName));
  const gives = given(result);
  shared.fill(0xa5, 0, textByteOffset);
  shared.set(gives.bytes, givesByteOffset);
  for (const [index, { bytes }] of outs.entries()) {
    shared.set(bytes, outsByteOffset + index * mostBytes);
    view.setUint32(lengthsByteOffset + index * 4, bytes.length, true);
  }
  view.setUint32(countByteOffset, outs.length, true);
  calls += 1;
  let got: unknown;
  try {
    const answer = fnOfC(...args.map(({ value }) => value));
    if ((answer instanceof Promise) !== (kinds[kind].nonblocking === true)) fail("a promise or none");
    got = await answer;
  } catch (error) {
    return fail(String(error));
  }
  const further = [...outs.map(({ value }) => value), ...(kinds[kind].captureErrno === true ? [errorNumber] : [])];
  const wanted = further.length === 0 ? gives.value : [gives.value, ...further];
  if (shown(got) !== shown(wanted)) fail(`wanted ${shown(wanted)}, got ${shown(got)}`);
  for (const [index, { bytes }] of args.entries()) {
    const seen = shared.subarray(seenByteOffset + index * mostBytes).subarray(0, bytes.length);
    if (seen.join() !== bytes.join()) fail(`C's argument ${index} is ${seen.join()}, not ${bytes.join()}`);
  }
}

async function run(cases: readonly Case[]): Promise<void> {
  const definitions = Object.fromEntries(cases.map((each, index) => [`c${index}`, definitionOf(each)]));
  using library = dlopen(path, definitions);
  const symbols = library.symbols as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;
  for (const [index, each] of cases.entries()) {
    const fnOfC = byPointer.includes(each.kind)
      ? functionAt(library.address(each.symbol), definitions[`c${index}`]) as typeof symbols[string]
      : symbols[`c${index}`];
    await call(each, fnOfC);
  }
}

const began = performance.now();
const kindNames = Object.keys(kinds);
const allOuts = outTypes.map((name) => `${name} out`);
for (const [p, parameter] of parameterTypes.entries()) {
  const cases: Case[] = [];
  for (const [k, kind] of kindNames.entries()) {
    const variadic = kinds[kind].variadic !== undefined;
    for (const [o, type] of outTypes.entries()) {
      const result = resultTypes[(p + o + 5 * k) % resultTypes.length];
      const behind = (o + k) % 2 === 0 && (!variadic || every[p].promoted);
      const shape = variadic ? behind ? "variable" : "fixed" : behind ? "behind" : "before";
      const parameters = behind ? [`${type} out`, parameter] : [parameter, `${type} out`];
      cases.push({ kind, parameters, result, symbol: `${shape}${p}_${cResult(result)}` });
    }
    for (const result of resultTypes) {
      const symbol = (shape: string): string => `${variadic ? "fixed" : shape}${p}_${cResult(result)}`;
      cases.push({ kind, parameters: [parameter], result, symbol: symbol("alone") });
      cases.push({ kind, parameters: [parameter, ...allOuts], result, symbol: symbol("outs") });
    }
  }
  await run(cases);
}
for (const kind of kindNames.filter((each) => kinds[each].variadic === undefined)) {
  for (const result of resultTypes) {
    const parameters = [...parameterTypes, ...allOuts];
    await run([{ kind, parameters, result, symbol: `every_${cResult(result)}` }]).catch((error) =>
      wrong.push(`${error}`)
    );
  }
}
const figures: CallSweepFigures = { calls, wrong, seconds: (performance.now() - began) / 1000 };
console.log(JSON.stringify(figures));
fn.close();
