/**
 * C and Zig libraries from TypeScript, one API on Deno and Bun, where a callback can't crash the process.
 *
 * - {@linkcode dlopen} opens a library. {@linkcode struct}, {@linkcode union}, {@linkcode array}, {@linkcode pointer},
 *   {@linkcode out} and {@linkcode handle} make the types that need more than a name, such as `"i32"`.
 * - {@linkcode callback} makes a TypeScript function callable from C. {@linkcode Handle} lets C hold a TypeScript
 *   value, as a number.
 * - {@linkcode NativeMemory} is memory for C. {@linkcode pin} keeps a buffer of JavaScript's in its place.
 *   {@linkcode Arena} and {@linkcode Scope} release together what was made together.
 * - {@linkcode Channel} has events of C libraries that are written for belay.
 * - {@linkcode stats}, {@linkcode leaks} and {@linkcode configure} tell what is alive, and what went wrong quietly.
 *
 * An *isolate* is the main thread or one worker, each with its own JavaScript heap. Importing this module opens
 * nothing.
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

import { addEntrances } from "./ffi/ground/blame.ts";
import { Callback } from "./ffi/callbacks/callback.ts";
import { Pin } from "./ffi/memory/pin.ts";
import { ArrayType, CharArrayType, StructType, UnionType } from "./ffi/memory/record_types.ts";
import * as exported from "./mod.ts";

// Libraries, and what their definitions say.
export { tailCall } from "./ffi/calls/tail_call.ts";
export { functionAt } from "./ffi/calls/function_at.ts";
export { dlopen, type Library, type LibraryOptions } from "./ffi/calls/library.ts";
export type { LibraryName, LibraryPath } from "./ffi/calls/library_path.ts";
export type {
  BigIntegerType,
  CallbackDefinition,
  Definitions,
  FieldType,
  FunctionDefinition,
  FunctionPointerDefinition,
  NamedType,
  NumberType,
  ParameterType,
  ResultType,
  SuspendingCallOptions,
  TaggedPointerType,
  TypedHandleType,
  VariableDefinition,
} from "./ffi/types/definitions.ts";
export type {
  FromNative,
  LibraryFunction,
  LibraryFunctionResult,
  LibrarySymbols,
  NativeFunction,
  StoredValue,
} from "./ffi/types/inference.ts";
export { out } from "./ffi/crossing/definition.ts";
export { answerCall, argument, fetchAddress, fetchAt, fetchCall } from "./ffi/callbacks/fetching.ts";
export type {
  AnswerCall,
  ArgumentOperand,
  FetchedOperand,
  FetchingDefinition,
  Operand,
} from "./ffi/types/definitions.ts";
export { handle, handleAddress, pointer } from "./ffi/types/definitions.ts";
export { native, type NativeFunctions } from "./ffi/native.ts";

// Callbacks, and the values that C hands back.
export { type Callback, callback } from "./ffi/callbacks/callback.ts";
export {
  type CallbackOptions,
  type OnFull,
  type PostFunction,
  type PostOptions,
  type QueueOptions,
} from "./ffi/callbacks/options.ts";
export type { CallbackFunction, SuspendingFunction } from "./ffi/types/inference.ts";
export { Handle } from "./ffi/lifetime/handle.ts";

// Pointers and memory.
export type { Pointer } from "./ffi/types/definitions.ts";
export { cstringAt, pointerFrom, pointerValue, utf16At } from "./ffi/memory/pointer.ts";
export { bytesAt, cstringsAt, pointersAt, textAt } from "./ffi/memory/spans.ts";
export type { PointerOwner } from "./ffi/types/data_type.ts";
export { type AllocOptions, type BorrowOptions, NativeMemory } from "./ffi/memory/native_memory.ts";
export { type Pin, pin } from "./ffi/memory/pin.ts";
export type { TextOptions } from "./ffi/types/text.ts";

// Structures, unions, arrays.
export { array, charArray, struct, type StructOptions, union } from "./ffi/memory/struct.ts";
export {
  type ArrayType,
  type ArrayView,
  type CharArrayType,
  type Fields,
  type FieldView,
  type StructInput,
  type StructType,
  type StructValue,
  type StructView,
  type UnionInput,
  type UnionType,
} from "./ffi/memory/record_types.ts";
export type { DataType, OutType, RecordType } from "./ffi/types/data_type.ts";

// Lifetimes.
export { addCleanup, type Cleanup } from "./ffi/lifetime/cleanup.ts";
export { Scope } from "./ffi/scope.ts";
export { Arena } from "./ffi/arena.ts";

// Events of C libraries.
export { Channel, type ChannelOptions } from "./ffi/channels/channel.ts";
export { type ChannelEvent } from "./ffi/channels/channel_data.ts";
export type { ChannelData } from "./ffi/channels/channel_data.ts";

// Settings, and what a program is told.
export { configure, type ConfigureOptions } from "./ffi/lifetime/settings.ts";
export { type Report } from "./ffi/lifetime/report.ts";
export { type Stats, stats } from "./ffi/stats.ts";
export { type Leak, leaks } from "./ffi/lifetime/leaks.ts";
export {
  CallbackThreadError,
  CallbackTimeoutError,
  InvalidHandleError,
  type InvalidHandleReason,
  type LibraryCandidate,
  LibraryClosedError,
  LibraryLoadError,
  MemoryFreedError,
  type PointerRule,
  PointerRuleError,
  SymbolNotFoundError,
} from "./ffi/ground/errors.ts";

// Errors look there for the function that the program called: also for methods of what only functions make.
addEntrances(() => ({ ...exported, Callback, Pin, ArrayType, CharArrayType, StructType, UnionType }));
