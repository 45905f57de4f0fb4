/**
 * How C, Bun, Node and other bindings spell what belay's definitions say, for the messages that refuse these spellings.
 *
 * @module
 */

import { shown, shownStranger } from "../ground/errors.ts";

/** What belay calls a type, by its name elsewhere: in lower case, with single spaces, and without `const`. */
const types: Readonly<Record<string, string>> = {
  // C. A plain char is signed on some machines.
  char: '"i8" or "u8"',
  "signed char": '"i8"',
  "unsigned char": '"u8"',
  short: '"i16"',
  "unsigned short": '"u16"',
  int: '"i32"',
  signed: '"i32"',
  unsigned: '"u32"',
  "unsigned int": '"u32"',
  long: '"i64", on Windows "i32"',
  "unsigned long": '"u64", on Windows "u32"',
  "long long": '"i64"',
  "unsigned long long": '"u64"',
  float: '"f32"',
  double: '"f64"',
  _bool: '"bool"',
  int8_t: '"i8"',
  uint8_t: '"u8"',
  int16_t: '"i16"',
  uint16_t: '"u16"',
  int32_t: '"i32"',
  uint32_t: '"u32"',
  int64_t: '"i64"',
  uint64_t: '"u64"',
  size_t: '"usize"',
  ssize_t: '"isize"',
  ptrdiff_t: '"isize"',
  intptr_t: '"isize"',
  uintptr_t: '"usize"',
  time_t: '"i64"',
  off_t: '"i64"',
  wchar_t: '"i32", on Windows "u16"',
  enum: '"i32" or "u32"',
  // Bun, Node, koffi and the like.
  int8: '"i8"',
  uint8: '"u8"',
  byte: '"u8"',
  int16: '"i16"',
  uint16: '"u16"',
  ushort: '"u16"',
  int32: '"i32"',
  uint32: '"u32"',
  uint: '"u32"',
  ulong: '"u64", on Windows "u32"',
  int64: '"i64"',
  uint64: '"u64"',
  i64_fast: '"i64"',
  u64_fast: '"u64"',
  longlong: '"i64"',
  ulonglong: '"u64"',
  float32: '"f32"',
  float64: '"f64"',
  boolean: '"bool"',
  ptr: '"pointer"',
  string: '"cstring"',
  str: '"cstring"',
  utf8: '"cstring"',
  arraybuffer: '"buffer"',
  uint8array: '"buffer"',
  callback: '"function", or a callback\'s definition',
  fn: '"function", or a callback\'s definition',
  // TypeScript.
  number: '"f64" or an integer type',
  bigint: '"i64" or "u64"',
};

/** belay's own names, which another case is meant for. */
const ownNames = /^([iu](8|16|32|64|size)|f32|f64|bool|pointer|buffer|cstring|handle\*?|function|void)$/;

/** What belay calls a property of a definition, by its name elsewhere. */
const keys: Readonly<Record<string, string>> = {
  args: "parameters",
  arguments: "parameters",
  params: "parameters",
  parameter: "parameters",
  argtypes: "parameters",
  returns: "result",
  return: "result",
  returntype: "result",
  results: "result",
  resulttype: "result",
  ret: "result",
  async: "nonblocking",
  nonblocking: "nonblocking",
  symbol: "name",
  errno: "captureErrno",
  captureerrno: "captureErrno",
  varargs: "variadic",
  threadsafe: 'thread: "wait" or "post" among the options of callback()',
};

/** What belay calls the type with this name; `undefined` where that can't be told. */
function typeFor(name: string): string | undefined {
  const plain = name.toLowerCase().replaceAll(/\b(const|volatile)\b/g, " ").replaceAll(/\s*\*/g, "*")
    .replaceAll(/\s+/g, " ").trim();
  if (Object.hasOwn(types, plain)) return types[plain];
  const words = plain.replace(/ int$/, "").replace(/^signed (?!char)/, "");
  if (Object.hasOwn(types, words)) return types[words];
  if (ownNames.test(plain)) return `"${plain}"`;
  if (/^(signed |unsigned )?char\*$/.test(plain)) return '"cstring", or "buffer" where C writes to it';
  return /(\*|\[\d*\])$/.test(plain) ? '"pointer"' : undefined;
}

/**
 * A type that has no place in a definition, as messages say it, with what belay calls it where that can be told.
 *
 * @param rest What follows the type in the message.
 */
export function unknownType(type: unknown, rest = ""): string {
  if (typeof type !== "string") return `${shownType(type)}${rest}`;
  const known = typeFor(type);
  const hint = known === undefined || known === `"${type}"` ? "" : `; belay calls that ${known}`;
  return `${printable(type)}${rest}${hint}`;
}

function shownType(type: unknown): string {
  if (typeof type !== "object" || type === null || Array.isArray(type)) return shown(type);
  const prototype: unknown = Object.getPrototypeOf(type);
  if (prototype !== null && prototype !== Object.prototype) return shownStranger(type, typeClasses);
  const names = Object.keys(type);
  if (names.length === 0) return "{}";
  return `{ ${names.slice(0, 4).map(printable).join(", ")}${names.length > 4 ? ", …" : ""} }`;
}

/** The classes of types. */
const typeClasses = ["StructType", "UnionType", "ArrayType", "CharArrayType"];

/** A name without quotation marks, if it can stand so. */
function printable(name: string): string {
  return /^[\w$*, ()[\]]{1,40}$/.test(name) ? name : shown(name);
}

/** What follows the name of a property that belay doesn't know, where it can be told what was meant. */
export function keyHint(key: string): string {
  const plain = key.toLowerCase();
  const meant = Object.hasOwn(keys, plain) ? keys[plain] : undefined;
  if (meant === undefined || meant === key) return "";
  return meant.includes(" ") ? `; that is ${meant}` : `; that is "${meant}"`;
}
