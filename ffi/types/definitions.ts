/**
 * Definitions of C functions, variables and callbacks, and the TypeScript types that follow from them.
 *
 * @module
 */

import type { DataType, OutType, RecordType } from "./data_type.ts";

export declare const brand: unique symbol;

/**
 * An address in C's memory, or of a C function.
 *
 * NULL is `null`, never a `Pointer`. Two pointers to the same address are `===`. At run time a pointer is a plain
 * number or bigint, which of the two differs between runtimes; {@linkcode pointerValue} gives the address.
 *
 * @typeParam Tag What it points to, such as `"sqlite3"`. TypeScript refuses a pointer with another tag, and a pointer
 * without one where a tag is asked for.
 */
export interface Pointer<Tag extends string = string> {
  /** For TypeScript alone: what it points to. */
  readonly [brand]: Tag;
}

/** The type `"pointer"` with a tag; {@linkcode pointer} gives it. */
export type TaggedPointerType<Tag extends string> = "pointer" & { readonly [brand]: Tag };

/** The type `"handle"` or `"handleAddress"` with the type of its value; {@linkcode handle} gives it. */
export type TypedHandleType<T, Spelling extends "handle" | "handleAddress"> = Spelling & { readonly [brand]: [T] };

/**
 * Makes the type of a pointer to something with a name, such as `sqlite3 *` or `FILE *`.
 *
 * TypeScript then refuses a pointer to something else. At run time the type is `"pointer"`.
 *
 * ```ts
 * import { dlopen, pointer } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const file = pointer<"FILE">();
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   tmpfile: { parameters: [], result: file },
 *   fclose: { parameters: [file], result: "i32" },
 * });
 * const stream = libc.symbols.tmpfile(); // a Pointer<"FILE"> or null
 * assert(stream !== null && libc.symbols.fclose(stream) === 0);
 * ```
 *
 * @typeParam Tag The name of what it points to.
 * @returns The type, for a definition.
 */
export function pointer<Tag extends string>(): TaggedPointerType<Tag> {
  return "pointer" as TaggedPointerType<Tag>;
}

/**
 * Makes the type of a handle whose value has a known type: C's `void *` is the handle's id.
 *
 * As an argument it takes a {@linkcode Handle}, its id or null. A callback's parameter gives the handle's value.
 *
 * ```ts
 * import { dlopen, Handle, handle } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const compare = { parameters: [handle<string[]>(), "pointer"], result: "i32" } as const;
 * // `bsearch` calls the comparator with its first argument.
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   bsearch: { parameters: [handle<string[]>(), "buffer", "usize", "usize", compare], result: "pointer" },
 * });
 * using lines = Handle.create<string[]>([]);
 * libc.symbols.bsearch(lines, new Uint8Array(1), 1, 1, (value) => value.push("compared"));
 * assert(lines.value.join() === "compared");
 * ```
 *
 * @typeParam T The type of the handle's value. At run time belay doesn't check it.
 * @returns The type, for a definition.
 */
export function handle<T>(): TypedHandleType<T, "handle"> {
  return "handle" as TypedHandleType<T, "handle">;
}

/**
 * Makes the type of a handle that C gets by address: C's `void *` points to memory that holds the handle's id.
 *
 * Use it where C passes the address of its user data: elements that C compares, entries of C's containers. As an
 * argument the address is valid during the call only.
 *
 * ```ts
 * import { dlopen, Handle, handleAddress } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * // The elements of the array are handles; C passes their addresses.
 * const compare = { parameters: [handleAddress<string>(), handleAddress<string>()], result: "i32" } as const;
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   qsort: { parameters: ["buffer", "usize", "usize", compare], result: "void" },
 * });
 * using b = Handle.create("b");
 * using a = Handle.create("a");
 * const ids = BigUint64Array.of(BigInt(b.id), BigInt(a.id));
 * libc.symbols.qsort(ids, ids.length, 8, (left, right) => left.localeCompare(right));
 * assert(Handle.value(Number(ids[0])) === "a");
 * ```
 *
 * @typeParam T The type of the handle's value. At run time belay doesn't check it.
 * @returns The type, for a definition.
 */
export function handleAddress<T>(): TypedHandleType<T, "handleAddress"> {
  return "handleAddress" as TypedHandleType<T, "handleAddress">;
}

/** The integer types whose values a JavaScript number holds. */
export type SmallIntegerType = "i8" | "u8" | "i16" | "u16" | "i32" | "u32";
/** The integer types of 64 bits and of a pointer's size. They take a number or a bigint, and give a bigint. */
export type BigIntegerType = "i64" | "u64" | "isize" | "usize";
/** The types whose values are JavaScript numbers. */
export type NumberType = SmallIntegerType | "f32" | "f64";
/**
 * A type that a string names.
 *
 * - `"i8"` to `"u32"`, `"f32"`, `"f64"`: a number.
 * - `"i64"`, `"u64"`, `"isize"`, `"usize"`: a bigint; a safe integer is taken as well.
 * - `"bool"`: a boolean.
 * - `"pointer"`: a {@linkcode Pointer}, or null; what has a pointer is taken as well.
 * - `"buffer"`: an `ArrayBuffer` or a view of one, whose memory C may use during the call. From C it is a
 *   {@linkcode Pointer}, or null.
 * - `"cstring"`: a string, or null. C sees UTF-8 with a zero at its end.
 * - `"handle"`, `"handleAddress"`: a {@linkcode Handle} or its id for C, the handle's value for TypeScript.
 * - `"function"`: a {@linkcode Callback}, a {@linkcode Pointer} or null.
 */
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

/**
 * The parameters and the result of a C function that TypeScript implements.
 *
 * It is the definition of a {@linkcode callback}, and the type of a parameter that takes a function or a `Callback`.
 */
export interface CallbackDefinition {
  /**
   * The types of the parameters. A structure arrives as a plain object. At most 128 words of 8 bytes arrive on the
   * stack.
   */
  readonly parameters: readonly (NamedType | RecordType | FunctionPointerDefinition)[];
  /**
   * The type of the result; `"void"` for no result.
   *
   * It can't be `"buffer"`, `"cstring"` or `"handleAddress"`, since nothing would keep that memory for C. A structure
   * has no fallback of its own: C gets zeroes.
   */
  readonly result: Exclude<NamedType, "buffer" | "cstring" | "handleAddress"> | RecordType | "void";
}

/**
 * One of the arguments that C gives a callback; `argument` makes it.
 *
 * @typeParam I Its index.
 */
export interface ArgumentOperand<I extends number = number> {
  /** For TypeScript alone. */
  readonly [brand]: ["argument", I];
}

/**
 * A value that is fetched before JavaScript is asked; `fetchCall`, `fetchAt` and `fetchAddress` make it.
 *
 * @typeParam V What the function gets.
 */
export interface FetchedOperand<V = unknown> {
  /** For TypeScript alone. */
  readonly [brand]: ["fetched", V];
}

/** What a C function that the core calls takes: such a value, or a constant. */
export type Operand = ArgumentOperand | FetchedOperand | number | bigint | boolean | null;

/**
 * A C function that takes a callback's result; `answerCall` makes it.
 *
 * @typeParam V What the callback gives.
 */
export interface AnswerCall<V = unknown> {
  /** For TypeScript alone. */
  readonly [brand]: ["answer", V];
}

/** The definition of a callback for which the core asks C before it enters JavaScript, and which it answers by C's functions. */
export interface FetchingDefinition extends CallbackDefinition {
  /**
   * What the function gets in place of C's arguments: at most 8 of what `argument`, `fetchCall`, `fetchAt` and `fetchAddress`
   * give. They are asked for in this order, what they take before them, on the thread on which C calls.
   */
  readonly fetch?: readonly (ArgumentOperand | FetchedOperand)[];
  /** What takes the function's result: what `answerCall` gives. It needs `thread: "same"`. */
  readonly answer?: AnswerCall;
}

/**
 * The type of a C function's parameter.
 *
 * - A name, such as `"i32"`: see {@linkcode NamedType}.
 * - A callback's definition: takes a function, a `Callback`, a `Pointer` or null.
 * - A structure or union: is passed by value, and takes a plain object or a view.
 * - What {@linkcode out} gives: takes nothing.
 */
export type ParameterType = NamedType | CallbackDefinition | RecordType | OutType;
/** The type of a C function's result; `"void"` for no result. A definition gives the function that C has returned a pointer to. */
export type ResultType = NamedType | RecordType | FunctionPointerDefinition | "void";

/**
 * The definition of a C function, spelled as Deno spells it.
 *
 * belay reads the object's own properties only, and once. That goes for all definitions and options.
 */
export interface FunctionDefinition {
  /** The types of the parameters, in C's order. */
  readonly parameters: readonly ParameterType[];
  /** The type of the result. */
  readonly result: ResultType;
  /** The symbol's name in the library, if it isn't the key. */
  readonly name?: string;
  /** Whether the library may lack the symbol, which is `null` then; `false` by default. */
  readonly optional?: boolean;
  /**
   * Whether another thread makes the call, while JavaScript goes on; `false` by default.
   *
   * The function then returns a promise. Buffers and strings stay in place until the promise settles; don't write to
   * them meanwhile. C calls back from that thread, or from threads of its own. Functions that are passed to the call
   * may be called so; other callbacks need `thread: "wait"` or `"post"`. If such a function throws, its error rejects
   * the promise.
   */
  readonly nonblocking?: boolean;
  /**
   * `"own"` has C run on a stack of its own, on the same thread. A callback then costs as much as a call: C gives way to
   * JavaScript, which calls the function and lets C go on. Otherwise nothing changes for the program.
   *
   * C must not call callbacks of the runtime's own there, nor ask where its stack is, as collectors do.
   */
  readonly stack?: "own";
  /**
   * Whether callbacks of the call may be `async`; `false` by default. C runs on a stack of its own, on the same thread. Where
   * a callback returns a promise, C waits there for it, and JavaScript goes on: the event loop runs, and other such calls can
   * be made.
   *
   * The function then returns a promise, and takes {@linkcode SuspendingCallOptions} after its arguments. Buffers and strings
   * stay in place until the promise settles; don't write to them meanwhile. What C holds while it waits, a lock for example, it holds for everybody.
   */
  readonly suspends?: boolean;
  /**
   * How many bytes of addresses the call's own stack takes, where it has one: from 128 KiB to 1 GiB. Without it, the stack is
   * as large as `configure({ callStackSize })` says, and is used again by later calls. This one isn't.
   */
  readonly stackSize?: number;
  /**
   * Whether the call also gives C's error number: `errno`, or on Windows that of `GetLastError()`. `false` by default.
   *
   * The function then returns an array with the number at its end. belay sets the number to 0 before the call. It reads
   * the number right after the call, on the thread that made it, before the runtime does anything.
   */
  readonly captureErrno?: boolean;
  /**
   * How many parameters come before C's `...`; the types behind them are those of this use.
   *
   * A function can be defined for several uses, under different keys. C passes small integers as `int` there, and
   * `float` as `double`: declare `"i32"` and `"f64"`.
   */
  readonly variadic?: number;
}

/**
 * The definition of a function that C gives the address of: it has no symbol that could be missing.
 *
 * As the type of a result, an {@linkcode out}, a field or a callback's parameter it gives that function; `null` for NULL.
 */
export interface FunctionPointerDefinition extends Omit<FunctionDefinition, "optional"> {}

/** Options of a call of a function with `suspends: true`: they follow its arguments. */
export interface SuspendingCallOptions {
  /**
   * Gives the call up when it is aborted: the promise is rejected with its `reason`, unless a callback threw before. C goes on
   * where it waits, and gets the fallback there and from the callbacks that it calls still, so that it can return; those with
   * `always` run, but C doesn't wait for their promises. That happens before `abort()` returns, if it isn't called in a
   * callback of the call.
   *
   * If C calls back more than 256 times, or for more than 100 ms, it is left where it is: a report tells so. Its stack and the
   * memory of its arguments are never freed then.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The definition of a static variable of a library.
 *
 * Each read of the property reads C's memory. A variable can't be written.
 */
export interface VariableDefinition {
  /**
   * The variable's type. `"pointer"` gives the pointer that is stored in the variable, `"cstring"` the string at it.
   */
  readonly type: NumberType | BigIntegerType | "bool" | "pointer" | "cstring" | "handle";
  /** The symbol's name in the library, if it isn't the key. */
  readonly name?: string;
  /** Whether the library may lack the symbol, which is `null` then; `false` by default. */
  readonly optional?: boolean;
}

/** The definitions of a library's functions and variables, by the names that they get in TypeScript. */
export type Definitions = Readonly<Record<string, FunctionDefinition | VariableDefinition>>;

/**
 * The type of a structure's field, an array's element, a union's member or an {@linkcode out}.
 *
 * It is the name of a scalar type, a callback's definition, or what {@linkcode struct}, {@linkcode union},
 * {@linkcode array} and {@linkcode charArray} give.
 */
export type FieldType =
  | NumberType
  | BigIntegerType
  | "bool"
  | "pointer"
  | "cstring"
  | "handle"
  | "function"
  | FunctionPointerDefinition
  | DataType;
