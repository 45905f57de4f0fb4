/**
 * Definitions of C functions, variables and callbacks, and the TypeScript types that follow from them.
 *
 * @module
 */

import type { DataType, OutType, PointerOwner, RecordType } from "./data_type.ts";
import type { Handle } from "./handle.ts";

declare const brand: unique symbol;

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

/** Memory that can be passed as a `"buffer"`. */
export type BufferSource = ArrayBufferView | ArrayBufferLike;

/** Anything but a promise: a function that returns a promise can't answer C. */
export type NotPromise =
  | void
  | undefined
  | null
  | string
  | number
  | bigint
  | boolean
  | symbol
  | (object & { readonly then?: never });

/** What C's value of a type is in TypeScript. */
export type FromNative<T> = T extends DataType<infer V, infer _> ? V
  : T extends { readonly [brand]: infer B } ? T extends "pointer" ? B extends string ? Pointer<B> | null : never
    : B extends [infer V] ? V
    : never
  : T extends NumberType ? number
  : T extends BigIntegerType ? bigint
  : T extends "bool" ? boolean
  : T extends "pointer" | "buffer" | "function" | CallbackDefinition ? Pointer | null
  : T extends "cstring" ? string | null
  : T extends "handle" | "handleAddress" ? unknown
  : T extends "void" ? void
  : never;

/** What is read of a type in C's memory: there a handle may be null. */
export type StoredValue<T> = T extends TypedHandleType<infer V, "handle"> ? V | null : FromNative<T>;

/** What a C function takes for a parameter of a type. */
export type ToNative<T> = T extends DataType<infer _, infer I> ? I
  : T extends { readonly [brand]: infer B }
    ? T extends "pointer" ? B extends string ? Pointer<B> | PointerOwner | null : never
    : B extends [infer V] ? Handle<V> | number | null
    : never
  : T extends NumberType ? number
  : T extends BigIntegerType ? number | bigint
  : T extends "bool" ? boolean
  : T extends "pointer" ? Pointer | PointerOwner | null
  : T extends "buffer" ? BufferSource | null
  : T extends "cstring" ? string | null
  : T extends "handle" | "handleAddress" ? Handle | number | null
  : T extends "function" ? NativeFunction | Pointer | null
  : T extends CallbackDefinition ? CallbackFunction<T> | NativeFunction<T> | Pointer | null
  : never;

/** What a callback may answer for a result of a type. */
export type CallbackResult<T> = T extends "void" ? NotPromise : ToNative<T>;

/** The values that a callback is called with. */
export type CallbackParameters<P extends readonly unknown[]> = { -readonly [K in keyof P]: FromNative<P[K]> };

/** The arguments that a C function takes: none for its out-parameters. */
export type FunctionArguments<P extends readonly unknown[]> = [Extract<P[number], OutType>] extends [never]
  ? { -readonly [K in keyof P]: ToNative<P[K]> }
  : P extends readonly [infer H, ...infer T]
    ? H extends OutType ? FunctionArguments<T> : [ToNative<H>, ...FunctionArguments<T>]
  : [];

/** What a C function gives by its out-parameters. */
type OutValues<P extends readonly unknown[]> = [Extract<P[number], OutType>] extends [never] ? []
  : P extends readonly [infer H, ...infer T]
    ? H extends OutType<infer O> ? [StoredValue<O>, ...OutValues<T>] : OutValues<T>
  : [];

/** What follows a C function's result, where it gives more than that. */
type FurtherValues<D extends FunctionDefinition> = [
  ...OutValues<D["parameters"]>,
  ...(D extends { readonly captureErrno: true } ? [number] : []),
];

/** A function that can stand behind a callback of a definition. */
export type CallbackFunction<D extends CallbackDefinition> = (
  ...parameters: CallbackParameters<D["parameters"]>
) => CallbackResult<D["result"]>;

/** Something that has a C function pointer: a `Callback`. */
export interface NativeFunction<D extends CallbackDefinition = CallbackDefinition> {
  /** Its definition; a parameter of another definition refuses it. */
  readonly definition: D;
  /** What C calls. */
  readonly pointer: Pointer;
}

/** A C function as TypeScript calls it. */
export type LibraryFunction<D extends FunctionDefinition> = (
  ...args: FunctionArguments<D["parameters"]>
) => LibraryFunctionResult<D>;

/** What a C function gives when it has returned: its result, or an array where there is more. */
export type LibraryFunctionValue<D extends FunctionDefinition> = FurtherValues<D> extends [] ? FromNative<D["result"]>
  : [FromNative<D["result"]>, ...FurtherValues<D>];

/** What calling a C function gives: a promise where it is nonblocking. */
export type LibraryFunctionResult<D extends FunctionDefinition> = D extends unknown
  ? [Nonblocking<D>] extends [true] ? Promise<LibraryFunctionValue<D>>
  : [Nonblocking<D>] extends [false | undefined] ? LibraryFunctionValue<D>
  : LibraryFunctionValue<D> | Promise<LibraryFunctionValue<D>>
  : never;

type Nonblocking<D> = D extends { readonly nonblocking: infer N } ? N : undefined;

type LibrarySymbol<D> = D extends FunctionDefinition ? LibraryFunction<D>
  : D extends VariableDefinition ? FromNative<D["type"]>
  : never;

/** The functions and variables of an opened library. */
export type LibrarySymbols<S extends Definitions> = {
  readonly [K in keyof S]: S[K] extends { readonly optional: infer O }
    ? LibrarySymbol<S[K]> | (true extends O ? null : never)
    : LibrarySymbol<S[K]>;
};
