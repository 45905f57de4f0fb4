/**
 * Definitions of C functions, variables and callbacks, and the TypeScript types that follow from them.
 *
 * @module
 */

import type { DataType, OutType, RecordType } from "./data_type.ts";

export declare const brand: unique symbol;

/**
 * An address in C's memory, or of a C function. Opaque: what it is at run time differs between runtimes, except that two
 * of the same address are `===`, and that NULL is `null` everywhere. The tag says what it points to; TypeScript refuses
 * a pointer with another tag, and one without where a tag is asked for.
 */
export interface Pointer<Tag extends string = string> {
  readonly [brand]: Tag;
}

/** The type `"pointer"` with a tag; {@linkcode pointer} gives it. */
export type TaggedPointerType<Tag extends string> = "pointer" & { readonly [brand]: Tag };

/** The type `"handle"` or `"handleAddress"` with the type of its value; {@linkcode handle} gives it. */
export type TypedHandleType<T, Spelling extends "handle" | "handleAddress"> = Spelling & { readonly [brand]: [T] };

/**
 * The type of a pointer to something that has a name.
 *
 * ```ts
 * import { pointer } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const database = pointer<"sqlite3">();
 * const symbols = {
 *   sqlite3_close_v2: { parameters: [database], result: "i32" },
 * } as const;
 * assert(symbols.sqlite3_close_v2.parameters[0] === database);
 * ```
 */
export function pointer<Tag extends string>(): TaggedPointerType<Tag> {
  return "pointer" as TaggedPointerType<Tag>;
}

/**
 * The type of a handle whose value has a known type, passed by value: the `void*` is the id.
 *
 * ```ts
 * import { callback, handle } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using onRow = callback(
 *   { parameters: [handle<string[]>(), "i32"], result: "void" },
 *   (rows, index) => void rows.push(`row ${index}`),
 * );
 * assert(onRow.pointer !== null);
 * ```
 */
export function handle<T>(): TypedHandleType<T, "handle"> {
  return "handle" as TypedHandleType<T, "handle">;
}

/** As {@linkcode handle}, passed by address: the `void*` points to memory that holds the id. */
export function handleAddress<T>(): TypedHandleType<T, "handleAddress"> {
  return "handleAddress" as TypedHandleType<T, "handleAddress">;
}

/** Integers that a JavaScript number holds. */
export type SmallIntegerType = "i8" | "u8" | "i16" | "u16" | "i32" | "u32";
/** Integers of 64 bits, or of a pointer's size. They take a number or a bigint, and give a bigint. */
export type BigIntegerType = "i64" | "u64" | "isize" | "usize";
/** Numbers. */
export type NumberType = SmallIntegerType | "f32" | "f64";
/** Every type that has a name. */
export type NamedType =
  | NumberType
  | BigIntegerType
  | "bool"
  | "pointer"
  | "buffer"
  | "cstring"
  | "handle"
  | "handleAddress"
  | "function";

/** A C function that TypeScript implements: the definition of a callback, and the type of a parameter that takes one. */
export interface CallbackDefinition {
  /** The types of the parameters: at most 128 words of them arrive on the stack. A structure arrives as a plain object. */
  readonly parameters: readonly (NamedType | RecordType)[];
  /**
   * The type of the result: none whose memory C would hold and nobody keep. The fallback of a structure is zeroes.
   */
  readonly result: Exclude<NamedType, "buffer" | "cstring" | "handleAddress"> | RecordType | "void";
}

/**
 * The type of a parameter of a C function. A callback's definition takes a function, a `Callback` or a pointer; a structure,
 * passed by value, a plain object or a view; what {@linkcode out} makes takes nothing.
 */
export type ParameterType = NamedType | CallbackDefinition | RecordType | OutType;
/** The type of a C function's result. */
export type ResultType = NamedType | RecordType | "void";

/** A C function, spelled as Deno spells it. Only the definition's own properties count, here and in all definitions and options. */
export interface FunctionDefinition {
  /** The types of the parameters. */
  readonly parameters: readonly ParameterType[];
  /** The type of the result. */
  readonly result: ResultType;
  /** The symbol's name in the library, where it differs from the key. */
  readonly name?: string;
  /** Whether the library may lack it; it is `null` then. */
  readonly optional?: boolean;
  /**
   * Whether another thread makes the call, while JavaScript goes on: the function returns a promise then. Buffers and
   * strings stay in place until it settles; don't write to them meanwhile. Callbacks that C makes during the call come
   * from another thread: functions that are passed to it may be called so, others need `thread: "wait"` or `"post"`. What
   * such a function throws rejects the promise.
   */
  readonly nonblocking?: boolean;
  /**
   * Whether C's error number is wanted: `errno`, or on Windows what `GetLastError()` gives. It is set to 0 before the call
   * and read right after it, on the same thread, before the runtime does anything. The function then gives an array, with the
   * number at its end.
   */
  readonly captureErrno?: boolean;
  /**
   * How many parameters come before the `...`, where C's declaration has one; the types after that are those of this use. A
   * function can be defined for several uses, under different keys. C passes small integers as `int` there, and `float` as
   * `double`: they are declared so.
   */
  readonly variadic?: number;
}

/** A static variable. Each read of the property reads it anew. */
export interface VariableDefinition {
  /** Its type; `"pointer"` reads a pointer that is stored in it. */
  readonly type: NumberType | BigIntegerType | "bool" | "pointer" | "cstring" | "handle";
  /** The symbol's name in the library, where it differs from the key. */
  readonly name?: string;
  /** Whether the library may lack it; it is `null` then. */
  readonly optional?: boolean;
}

/** The functions and variables of a library, by name. */
export type Definitions = Readonly<Record<string, FunctionDefinition | VariableDefinition>>;

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
