/**
 * How each type crosses: what checks it, what the runtime is told, where it stands in a callback's words. The answers are
 * source text, from which `ffi/calls/` and `invoker.ts` generate one function for each signature: engines can only inline
 * a native call in a function of its own, and a checked argument costs then less than a nanosecond.
 *
 * @module
 */

import { InvalidHandleError, shown, shownStranger } from "../ground/errors.ts";
import { Handle, handleTable } from "../lifetime/handle.ts";
import type { NativeType } from "../runtime/backend.ts";
import type { ScalarClass } from "../types/calling_convention.ts";
import type { OutType, RecordType } from "../types/data_type.ts";
import type {
  CallbackDefinition,
  FunctionPointerDefinition,
  NamedType,
  ParameterType,
  ResultType,
} from "../types/definitions.ts";
import { integerOf, scalarOf, scalars } from "../types/scalars.ts";
import { functionNumber } from "./function_types.ts";
import { knownFunction } from "./functions.ts";
import { callbackStateOf } from "./owners.ts";

const otherTypes = ["bool", "pointer", "buffer", "cstring", "handle", "handleAddress", "function"];

/** Whether a definition's type is one that has a name, `"void"` aside. */
export function isNamedType(type: unknown): type is NamedType {
  return typeof type === "string" && (Object.hasOwn(scalars, type) || otherTypes.includes(type));
}

/** Whether a parameter's type is a callback's definition. */
export function isCallbackDefinition(type: ParameterType): type is CallbackDefinition {
  return typeof type === "object" && Object.hasOwn(type, "parameters");
}

/** Whether a result's type is a structure's or union's, not a function's definition. */
function isDataType(type: ResultType): type is RecordType {
  return typeof type === "object" && !Object.hasOwn(type, "parameters");
}

/** Whether a parameter gives a value back. */
export function isOut(type: ParameterType): type is OutType {
  return typeof type === "object" && Object.hasOwn(type, "out");
}

/** A type as error messages spell it. */
export function typeName(type: ParameterType | ResultType): string {
  if (typeof type === "string") return type;
  if (Object.hasOwn(type, "out")) return "out";
  return Object.hasOwn(type, "parameters") ? "function" : "structure";
}

/** What the runtime is told of a parameter. */
export function parameterNativeType(type: ParameterType): NativeType {
  if (isOut(type)) return "view";
  if (typeof type === "object") return "address";
  if (type === "buffer" || type === "cstring" || type === "handleAddress") return "view";
  return type === "bool" ? "bool" : resultNativeType(type);
}

/** What the runtime is told of a result, or of a variable. */
export function resultNativeType(type: ResultType): NativeType {
  if (typeof type === "object") return "address";
  switch (type) {
    case "bool":
      // C's truth is any byte but 0. Deno's own looks at the lowest bit.
      return "u8";
    case "isize":
      return "i64";
    case "usize":
      return "u64";
    case "cstring":
      return "string";
    case "pointer":
    case "buffer":
    case "function":
    case "handle":
    case "handleAddress":
      return "address";
    default:
      return type;
  }
}

/** How an argument is passed that is no structure: as an address, if its type has no name. */
export function argumentClass(type: Exclude<ParameterType | ResultType, RecordType | "void">): ScalarClass {
  if (typeof type === "object") return { byteLength: 8, float: false };
  const scalar = scalarOf(type);
  if (scalar !== undefined) return { byteLength: scalar.bits / 8 as 1 | 2 | 4 | 8, float: scalar.kind === "float" };
  return { byteLength: type === "bool" ? 1 : 8, float: false };
}

/** The condition under which the small integer or float in `variable` is not of its type. */
function misfit(type: NamedType, variable: string): string {
  const notNumber = `typeof ${variable} !== "number"`;
  return integerOf(type) === undefined ? notNumber : `${notNumber} || ${wrapped(type, variable)} !== ${variable}`;
}

/** The number in `variable`, wrapped around to a small integer type; -0 becomes 0. */
function wrapped(type: NamedType, variable: string): string {
  const { bits, kind } = integerOf(type) ?? scalars.i32;
  const signed = kind === "signed";
  if (bits === 32) return signed ? `(${variable} | 0)` : `(${variable} >>> 0)`;
  return signed ? `(${variable} << ${32 - bits} >> ${32 - bits})` : `(${variable} & ${2 ** bits - 1})`;
}

/** The condition under which what is in `variable` is no address. */
function misaddress(variable: string, addressKind: "number" | "bigint"): string {
  return addressKind === "bigint"
    ? `typeof ${variable} !== "bigint" || BigInt.asUintN(64, ${variable}) !== ${variable}`
    : `!isAddress(${variable})`;
}

/**
 * A statement that makes `variable` what the runtime takes, or calls `bad`, which throws.
 *
 * @param bad Source of a call that throws, with the offending value as `variable`.
 */
export function checkArgument(
  type: ParameterType,
  variable: string,
  bad: string,
  addressKind: "number" | "bigint",
): string {
  if (typeof type === "object") throw new TypeError("Only scalars are checked here");
  const integer = integerOf(type);
  if (integer?.bits === 64) {
    const wrap = integer.kind === "signed" ? "BigInt.asIntN" : "BigInt.asUintN";
    const safe = `Number.isSafeInteger(${variable})`;
    const numeric = integer.kind === "signed" ? safe : `${safe} && ${variable} >= 0`;
    return `if (typeof ${variable} === "bigint") { if (${wrap}(64, ${variable}) !== ${variable}) ${bad}; }
      else if (${numeric}) ${variable} = BigInt(${variable}); else ${bad};`;
  }
  switch (type) {
    case "bool":
      return `if (typeof ${variable} !== "boolean") ${bad};`;
    case "pointer":
      return `if (${variable} === null) ${variable} = ${addressKind === "bigint" ? "0n" : "0"};
      else if (${misaddress(variable, addressKind)}) {
        const owned = pointerOf(${variable}); if (owned === undefined) ${bad}; ${variable} = owned;
      }`;
    case "buffer":
      return `if (${variable} !== null) { const view = asView(${variable}); if (view === undefined) ${bad}; ${variable} = view; }`;
    case "cstring":
      return `if (${variable} !== null) { if (typeof ${variable} !== "string" || ${variable}.includes("\\0")) ${bad};
      ${variable} = asString(${variable}); }`;
    case "handle":
      return `{ const id = handleId(${variable}); if (id === undefined) ${bad}; ${variable} = toAddress(id); }`;
    case "handleAddress":
      return `{ const id = handleId(${variable}); if (id === undefined) ${bad}; ${variable} = asCell(id); }`;
    case "function":
      return `{ const address = functionAddress(${variable}); if (address === undefined) ${bad}; ${variable} = address; }`;
    case "f32":
    case "f64":
      return `if (${misfit(type, variable)}) ${bad};`;
    default:
      return `if (${misfit(type, variable)}) ${bad}; ${variable} = ${wrapped(type, variable)};`;
  }
}

/** An expression for what the runtime's result in `variable` is in TypeScript; errors name `key`. */
export function fromResult(type: ResultType, variable: string): string {
  if (typeof type === "object") return `asFunction(${functionNumber(type)}, ${variable})`;
  switch (type) {
    case "pointer":
    case "buffer":
    case "function":
      return `nullable(${variable})`;
    case "handle":
      return `handles.value(toNumber(${variable}), key)`;
    case "handleAddress":
      return `handles.value(handleIdAt(${variable}), key)`;
    case "cstring":
      return `stringOf(${variable})`;
    case "bool":
      return `(${variable} !== 0)`;
    case "void":
      return "undefined";
    default:
      return variable;
  }
}

/** The index of an element of so many bytes: from the start of the words, or from the elements `b1` to `b8` of a block. */
function at(byteLength: number, byteOffset: number, inBlock: boolean): string {
  return inBlock ? `b${byteLength} + ${byteOffset / byteLength}` : `${byteOffset / byteLength}`;
}

/**
 * An expression that reads a callback's argument from the words at a byte offset; handles as their ids.
 *
 * @param inBlock Whether the offset is from the block whose first element, of so many bytes, `b1` to `b8` are.
 */
export function readWord(
  type: NamedType | FunctionPointerDefinition,
  byteOffset: number,
  addressKind: "number" | "bigint",
  inBlock = false,
): string {
  if (typeof type === "object") {
    return `asFunction(${functionNumber(type)}, ${readWord("pointer", byteOffset, addressKind, inBlock)})`;
  }
  const integer = integerOf(type);
  if (integer !== undefined) {
    return `${integer.kind === "signed" ? "i" : "u"}${integer.bits}[${at(integer.bits / 8, byteOffset, inBlock)}]`;
  }
  const low = `u32[${at(4, byteOffset, inBlock)}]`;
  const high = `u32[${at(4, byteOffset + 4, inBlock)}]`;
  const number = `(${low} + ${high} * 4294967296)`;
  const word = `u64[${at(8, byteOffset, inBlock)}]`;
  // An address beyond 2^53 is a bigint everywhere.
  const address = addressKind === "bigint" ? word : `(${high} < 2097152 ? ${number} : ${word})`;
  switch (type) {
    case "f32":
      return `f32[${at(4, byteOffset, inBlock)}]`;
    case "f64":
      return `f64[${at(8, byteOffset, inBlock)}]`;
    case "bool":
      return `(u8[${at(1, byteOffset, inBlock)}] !== 0)`;
    case "handle":
      return number;
    case "handleAddress":
      return `handleIdAt(${address})`;
    case "cstring":
      return `stringAt(${address})`;
    default:
      return `((${low} | ${high}) === 0 ? null : ${address})`;
  }
}

/** An expression for a call's result in its block: see {@linkcode readWord}. Errors name `key`. */
export function readResult(type: ResultType, byteOffset: number, addressKind: "number" | "bigint"): string {
  if (type === "void") return "undefined";
  if (isDataType(type)) throw new TypeError("Only scalars are read here");
  const word = readWord(type, byteOffset, addressKind, true);
  return type === "handle" || type === "handleAddress" ? `handles.value(${word}, key)` : word;
}

/**
 * A statement that writes a checked argument to its call's block: see {@linkcode readWord}.
 *
 * @param packed Whether it has no more space than its own width.
 */
export function writeArgument(
  type: ParameterType,
  variable: string,
  byteOffset: number,
  packed: boolean,
  addressKind: "number" | "bigint",
): string {
  const element = (name: string, byteLength: number): string => `${name}[${at(byteLength, byteOffset, true)}]`;
  const integer = typeof type === "object" ? undefined : integerOf(type);
  if (integer !== undefined) {
    // Callees may count on 32 bits.
    const bits = packed ? integer.bits : Math.max(integer.bits, 32);
    return `${element(`${integer.kind === "signed" ? "i" : "u"}${bits}`, bits / 8)} = ${variable};`;
  }
  if (type === "f32") return `${element("f32", 4)} = ${variable};`;
  if (type === "f64") return `${element("f64", 8)} = ${variable};`;
  if (type === "bool") return `${packed ? element("u8", 1) : element("u32", 4)} = ${variable} ? 1 : 0;`;
  const view = parameterNativeType(type) === "view";
  const none = addressKind === "bigint" ? "0n" : "0";
  const address = view ? `(${variable} === null ? ${none} : viewAddress(${variable}))` : variable;
  if (addressKind === "bigint") return `${element("u64", 8)} = ${address};`;
  return `{ const address = ${address};
      if (typeof address === "bigint") ${element("u64", 8)} = address;
      else { ${element("u32", 4)} = address; u32[${at(4, byteOffset + 4, true)}] = address / 4294967296; } }`;
}

/**
 * Statements that write a callback's result, in `variable`, to the words; or call `bad`, an expression that throws.
 *
 * @param use Statements for a result that was checked and is not written yet.
 */
export function writeResult(
  type: NamedType | "void",
  variable: string,
  byteOffset: number,
  bad: string,
  addressKind: "number" | "bigint",
  use = "",
): string {
  const writeAddress = (address: string): string =>
    addressKind === "bigint"
      ? `u64[${byteOffset / 8}] = ${address};`
      : `if (typeof ${address} === "bigint") u64[${byteOffset / 8}] = ${address};
      else { u32[${byteOffset / 4}] = ${address}; u32[${byteOffset / 4 + 1}] = ${address} / 4294967296; }`;
  if (type === "void") return `if (${variable} !== undefined) refusePromise(bound, ${variable});`;
  const check = checkArgument(type, variable, bad, addressKind);
  const integer = integerOf(type);
  if (integer?.bits === 64) {
    return `${check} ${integer.kind === "signed" ? "i64" : "u64"}[${byteOffset / 8}] = ${variable};`;
  }
  if (integer !== undefined) {
    return `${check} ${integer.kind === "signed" ? "i32" : "u32"}[${byteOffset / 4}] = ${variable};`;
  }
  switch (type) {
    case "f32":
      return `${check} f32[${byteOffset / 4}] = ${variable};`;
    case "f64":
      return `${check} f64[${byteOffset / 8}] = ${variable};`;
    case "bool":
      return `${check} u32[${byteOffset / 4}] = ${variable} ? 1 : 0;`;
    default:
      return `${check} ${use} ${writeAddress(variable)}`;
  }
}

/** What was expected of a value of a type, and what kind of error it is that it isn't. */
export function mismatch(
  type: ParameterType | ResultType,
  value: unknown,
  subject: string,
): TypeError | RangeError | InvalidHandleError {
  const expected = `${subject} must be ${expectation(type)}, got`;
  if (type === "handle" || type === "handleAddress") {
    const id = value instanceof Handle ? value.id : value;
    if (typeof id === "number") return new InvalidHandleError(expected, id, handleTable().invalidReason(id));
  }
  const message = `${expected} ${gotFor(type, value)}`;
  const number = typeof value === "bigint" || Number.isInteger(value);
  const integer = typeof type === "string" && type !== "void" && integerOf(type) !== undefined;
  return number && integer && !(typeof value === "bigint" && integerOf(type)?.bits !== 64)
    ? new RangeError(message)
    : new TypeError(message);
}

/** A value that is none of a type, with what a program that has it probably means. */
export function gotFor(type: ParameterType | ResultType, value: unknown): string {
  if (type === "handle" || type === "handleAddress") {
    return typeof value === "bigint" ? `${shown(value)}, and an id is a number` : shownStranger(value, ["Handle"]);
  }
  const isFunction = type === "function" || typeof type === "object" && Object.hasOwn(type, "parameters");
  const state = callbackStateOf(value);
  if (state !== undefined && (isFunction || type === "pointer" && state.fn === null)) {
    return `a Callback ${state.fn === null ? "that was closed" : "of another shape"}`;
  }
  if (isFunction && typeof value === "function" && knownFunction(value) !== undefined) {
    return `${shown(value)}, of C's, which is closed or of another shape`;
  }
  if (type !== "pointer" && !isFunction || typeof value !== "object" || value === null) return shown(value);
  const stranger = shownStranger(value, ["Callback"]);
  if (isFunction && stranger !== shown(value)) return stranger;
  if ("pointer" in value) return `${shown(value)}: pass its property .pointer`;
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer
    ? `${shown(value)}: pin() it and pass the pin, or declare the parameter as "buffer"`
    : shown(value);
}

function expectation(type: ParameterType | ResultType): string {
  if (typeof type === "object") {
    return isCallbackDefinition(type as ParameterType)
      ? "a function, a live Callback of this shape, a Pointer or null"
      : "an object";
  }
  const integer = type === "void" ? undefined : integerOf(type);
  if (integer !== undefined) {
    const { bits } = integer;
    const signed = integer.kind === "signed";
    const least = signed ? -(2n ** BigInt(bits - 1)) : 0n;
    const most = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
    const kind = bits === 64 ? "a bigint or safe integer" : "an integer";
    return `${kind} from ${least} to ${most}`;
  }
  switch (type) {
    case "f32":
    case "f64":
      return "a number";
    case "bool":
      return "a boolean";
    case "pointer":
      return "a Pointer or null";
    case "buffer":
      return "an ArrayBuffer of fixed length that is not detached, a view of one, or null";
    case "cstring":
      return "a string without NUL characters, or null";
    case "function":
      return "a live Callback, a Pointer or null (a function where the parameter is declared with its definition)";
    case "void":
      return "nothing";
    default:
      return "a live Handle, its id or null";
  }
}
