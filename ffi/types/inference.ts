/**
 * What TypeScript concludes from a definition.
 *
 * @module
 */

import type { Handle } from "../lifetime/handle.ts";
import type { DataType, OutType, PointerOwner } from "./data_type.ts";
import type {
  AnswerCall,
  ArgumentOperand,
  BigIntegerType,
  brand,
  CallbackDefinition,
  Definitions,
  FetchedOperand,
  FunctionDefinition,
  FunctionPointerDefinition,
  NumberType,
  Pointer,
  SuspendingCallOptions,
  TypedHandleType,
  VariableDefinition,
} from "./definitions.ts";

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
  : T extends FunctionPointerDefinition ? LibraryFunction<T> | null
  : T extends "pointer" | "buffer" | "function" ? Pointer | null
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

/** The values that C gives for parameters. */
export type CallbackParameters<P extends readonly unknown[]> = { -readonly [K in keyof P]: FromNative<P[K]> };

/** The values that the function of a callback is called with: what C gives, or what is fetched. */
export type CallbackArguments<D extends CallbackDefinition> = 0 extends 1 & D ? CallbackParameters<D["parameters"]>
  : D extends { readonly fetch: infer F extends readonly unknown[] }
    ? { -readonly [K in keyof F]: FetchedValue<F[K], D["parameters"]> }
  : CallbackParameters<D["parameters"]>;

type FetchedValue<F, P extends readonly unknown[]> = F extends FetchedOperand<infer V> ? V
  : F extends ArgumentOperand<infer I> ? FromNative<P[I]>
  : never;

/** What the function of a callback may answer: for C, or for C's function that takes it. */
export type CallbackAnswer<D extends CallbackDefinition> = D extends { readonly answer: AnswerCall<infer V> }
  ? V | undefined | void
  : CallbackResult<D["result"]>;

/** The arguments that a C function takes: none for its out-parameters. */
export type FunctionArguments<P extends readonly unknown[], Suspends extends boolean = false> =
  [Extract<P[number], OutType>] extends [never] ? { -readonly [K in keyof P]: Argument<P[K], Suspends> }
    : P extends readonly [infer H, ...infer T]
      ? H extends OutType ? FunctionArguments<T, Suspends> : [Argument<H, Suspends>, ...FunctionArguments<T, Suspends>]
    : [];

/** What is passed for a parameter: a suspending call takes `async` functions, too. */
type Argument<T, Suspends extends boolean> = Suspends extends true
  ? T extends CallbackDefinition ? ToNative<T> | SuspendingFunction<T> : ToNative<T>
  : ToNative<T>;

/**
 * A TypeScript function that C may wait for: it may return a promise.
 *
 * @typeParam D The definition.
 */
export type SuspendingFunction<D extends CallbackDefinition> = (
  ...parameters: CallbackArguments<D>
) => CallbackAnswer<D> | PromiseLike<LaterAnswer<D>>;

type LaterAnswer<D extends CallbackDefinition> = D extends { readonly answer: AnswerCall<infer V> }
  ? V | undefined | void
  : D["result"] extends "void" ? void
  : ToNative<D["result"]>;

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

/**
 * A function that TypeScript implements for a callback's definition: its parameters and its result follow from that.
 *
 * @typeParam D The definition.
 */
export type CallbackFunction<D extends CallbackDefinition> = (
  ...parameters: CallbackArguments<D>
) => CallbackAnswer<D>;

/**
 * Something with a C function pointer of a known definition: a {@linkcode Callback}.
 *
 * @typeParam D The definition.
 */
export interface NativeFunction<D extends CallbackDefinition = CallbackDefinition> {
  /** The types of its parameters and result. A parameter with a definition of another shape refuses it. */
  readonly definition: D;
  /** What C calls. */
  readonly pointer: Pointer;
}

/**
 * A C function as TypeScript calls it: its arguments and its result follow from its definition.
 *
 * @typeParam D The definition.
 */
export type LibraryFunction<D extends FunctionDefinition> = (
  ...args: true extends Suspends<D> ? [
      ...FunctionArguments<D["parameters"], D extends { readonly suspends: true } ? true : false>,
      options?: SuspendingCallOptions,
    ]
    : FunctionArguments<D["parameters"]>
) => LibraryFunctionResult<D>;

/** What a C function gives when it has returned: its result, or an array where there is more. */
export type LibraryFunctionValue<D extends FunctionDefinition> = FurtherValues<D> extends [] ? FromNative<D["result"]>
  : [FromNative<D["result"]>, ...FurtherValues<D>];

/** What calling a C function gives: a promise where it is nonblocking, or suspends. */
export type LibraryFunctionResult<D extends FunctionDefinition> = D extends unknown
  ? [Later<D>] extends [true] ? Promise<LibraryFunctionValue<D>>
  : [Later<D>] extends [false] ? LibraryFunctionValue<D>
  : LibraryFunctionValue<D> | Promise<LibraryFunctionValue<D>>
  : never;

/** Whether it answers a promise: `boolean` if that isn't known. */
type Later<D> = [Nonblocking<D>, Suspends<D>] extends [false | undefined, false | undefined] ? false
  : true extends (Nonblocking<D> extends true ? true : never) | (Suspends<D> extends true ? true : never)
    ? [Nonblocking<D>] extends [true] ? true : [Suspends<D>] extends [true] ? true : boolean
  : boolean;
type Nonblocking<D> = D extends { readonly nonblocking: infer N } ? N : undefined;
type Suspends<D> = D extends { readonly suspends: infer S } ? S : undefined;

type LibrarySymbol<D> = D extends FunctionDefinition ? LibraryFunction<D>
  : D extends VariableDefinition ? FromNative<D["type"]>
  : never;

/**
 * The functions and variables of an opened library, by the keys of its definitions.
 *
 * @typeParam S The definitions.
 */
export type LibrarySymbols<S extends Definitions> = {
  readonly [K in keyof S]: S[K] extends { readonly optional: infer O }
    ? LibrarySymbol<S[K]> | (true extends O ? null : never)
    : LibrarySymbol<S[K]>;
};
