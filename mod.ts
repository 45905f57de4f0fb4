/**
 * C and Zig libraries from TypeScript, one API on Deno and Bun, where a callback can't crash the process.
 *
 * C holds a number, never a JavaScript object ({@linkcode Handle}); whatever native memory a value owns is released when
 * the value is gone ({@linkcode addCleanup}). Importing this module opens nothing.
 *
 * ```ts
 * import { dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   abs: { parameters: ["i32"], result: "i32" },
 * });
 * assert(libc.symbols.abs(-7) === 7);
 * ```
 *
 * @module
 */

import { addEntrances } from "./ffi/blame.ts";
import * as exported from "./mod.ts";

export { type Allocatable, Arena } from "./ffi/arena.ts";
export {
  Callback,
  callback,
  type CallbackOptions,
  type PostFunction,
  type PostOptions,
  type QueueOptions,
} from "./ffi/callback.ts";
export { Channel, type ChannelEvent, type ChannelOptions } from "./ffi/channel.ts";
export type { ChannelData } from "./ffi/channel_data.ts";
export { addCleanup, type Cleanup } from "./ffi/cleanup.ts";
export type { OnFull } from "./ffi/contracts.ts";
export {
  CallbackThreadError,
  CallbackTimeoutError,
  InvalidHandleError,
  type InvalidHandleReason,
  type LibraryCandidate,
  LibraryClosedError,
  LibraryLoadError,
  MemoryFreedError,
  PointerRuleError,
  SymbolNotFoundError,
} from "./ffi/errors.ts";
export { Handle } from "./ffi/handle.ts";
export { dlopen, type Library, type LibraryOptions } from "./ffi/library.ts";
export type { LibraryName, LibraryPath } from "./ffi/library_path.ts";
export { native, type NativeFunctions } from "./ffi/native.ts";
export { type AllocOptions, NativeMemory } from "./ffi/memory.ts";
export { Pin, pin } from "./ffi/pin.ts";
export { cstringAt, pointerFrom, pointerValue, utf16At } from "./ffi/pointer.ts";
export { type Configuration, configure, type Report } from "./ffi/report.ts";
export { Scope } from "./ffi/scope.ts";
export type { DataType, OutType, RecordType } from "./ffi/data_type.ts";
export {
  array,
  type ArrayInput,
  ArrayType,
  type ArrayView,
  cstringArray,
  type FieldInput,
  type Fields,
  type FieldsType,
  type FieldType,
  type FieldValue,
  type FieldView,
  type MemoryType,
  out,
  type ReadOnlyField,
  struct,
  type StructInput,
  type StructOptions,
  StructType,
  type StructValue,
  type StructView,
  TextType,
  union,
  type UnionInput,
  UnionType,
} from "./ffi/struct.ts";
export { type Stats, stats } from "./ffi/stats.ts";
export type { TextOptions } from "./ffi/text.ts";
export { type Leak, leaks } from "./ffi/tracking.ts";
export * from "./ffi/types.ts";

// Errors look there for the function that the program called.
addEntrances(exported);
