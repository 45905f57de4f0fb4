/**
 * TypeScript functions that C can call.
 *
 * @module
 */

import { lookNowAndThen } from "../core/pending.ts";
import { onCallbackState, onPointerOf } from "../crossing/owners.ts";
import { TypeError } from "../ground/blame.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { addCheckedCleanup, type Cleanup } from "../lifetime/cleanup.ts";
import { keepAlive, letGo } from "../lifetime/keep_alive.ts";
import { track, tracking, untrack } from "../lifetime/leaks.ts";
import { reportLeak } from "../lifetime/report.ts";
import { addressOf } from "../runtime/address.ts";
import { owner, type PointerOwner } from "../types/data_type.ts";
import type { CallbackDefinition, FetchingDefinition, Pointer } from "../types/definitions.ts";
import type { CallbackFunction, NativeFunction, SuspendingFunction } from "../types/inference.ts";
import { bind, unbind, zero } from "./binding.ts";
import { type BoundFunction, type ErrorFunction, functionName, type TargetFunction } from "./bound_function.ts";
import {
  type CallbackOptions,
  checkedOptions,
  defaultTimeoutMs,
  type PostFunction,
  type PostOptions,
  type QueueOptions,
} from "./options.ts";
import { openContract } from "./queued.ts";
import { signatureOf } from "./signature.ts";

/**
 * A TypeScript function that C can call; {@linkcode callback} makes it.
 *
 * Pass the callback itself where C wants a function or a pointer. Keep it for as long as C may call it. A call that
 * comes too late is safe: C gets the fallback, and a report says so.
 *
 * ```ts
 * import { callback, configure, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const compare = { parameters: ["pointer", "pointer"], result: "i32" } as const;
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   bsearch: { parameters: ["pointer", "buffer", "usize", "usize", "function"], result: "pointer" },
 * });
 * const found = callback(compare, () => 0, { name: "found", fallback: 1 });
 * const { pointer } = found; // what C keeps
 * const search = () => libc.symbols.bsearch(null, new Uint8Array(1), 1, 1, pointer) !== null;
 * assert(search());
 *
 * let kind = "";
 * configure({ onReport: (report) => kind = report.kind });
 * found.close();
 * assert(!search() && kind === "stale-callback"); // C got the fallback, which means "not found"
 * configure({ onReport: undefined });
 * ```
 *
 * @typeParam D The definition: the types of its parameters and result.
 */
export class Callback<D extends CallbackDefinition = CallbackDefinition> implements NativeFunction<D>, PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** The types of its parameters and result. Use it as the type of the parameter that takes the callback. */
  readonly definition: D;
  /** The C function. It stays callable after the callback has been closed; then it answers with the fallback. */
  readonly pointer: Pointer;
  readonly #bound: BoundFunction;
  readonly #birth: number;
  readonly #cleanup: Cleanup;

  /** @ignore Made by {@linkcode callback}. */
  constructor(token: typeof inside, definition: D, bound: BoundFunction) {
    if (token !== inside) refuseNew("Callback", "callback()");
    this.definition = definition;
    this.pointer = bound.pointer;
    this.#bound = bound;
    this.#birth = tracking() ? track("callback", bound.name) : 0;
    this.#cleanup = addCheckedCleanup(this, collected, this.#birth === 0 ? bound : { bound, birth: this.#birth });
  }

  /**
   * Whether the callback has ended: it was closed, or it was `once` and has been called.
   *
   * @returns `true` if C gets the fallback from now on.
   */
  get disposed(): boolean {
    return this.#bound.fn === null;
  }

  static {
    // By the private field: an object that merely looks like a callback must not reach C, nor a proxy run code there.
    onCallbackState((value) => #bound in value ? value.#bound : undefined);
    onPointerOf((value) => #bound in value && value.#bound.fn !== null ? addressOf(value.#bound.pointer) : undefined);
  }

  /**
   * Ends the callback: from now on C gets its fallback, and the function is no longer held.
   *
   * A call that is running finishes. Closing it again does nothing. After a while the pointer may stand for another
   * callback of the same shape. The shape is the number and kinds of the parameters, and the kind of the result.
   */
  close(): void {
    if (this.disposed) return;
    this.#cleanup.stop();
    if (this.#birth !== 0) untrack(this.#birth);
    letGo(this.#bound);
    unbind(this.#bound);
  }

  /** Ends the callback at the end of a `using` block; see {@linkcode Callback.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Keeps the event loop alive, and the callback from being collected, until {@linkcode Callback.unref} or
   * {@linkcode Callback.close}.
   *
   * It is for a callback that the program waits for and that something in the event loop calls. Callbacks with
   * `thread: "wait"` or `"post"` begin so, others don't. Doing it again, or on a closed callback, does nothing.
   *
   * ```ts
   * import { callback } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using onReply = callback({ parameters: ["i32"], result: "void" }, (code) => {
   *   console.log("reply", code);
   *   onReply.unref(); // the program may end
   * });
   * onReply.ref(); // the program goes on until the reply has come
   * onReply.unref(); // here, where no library replies
   * assert(!onReply.disposed);
   * ```
   */
  ref(): void {
    if (!this.disposed) keepAlive(this.#bound, this, lookNowAndThen);
  }

  /**
   * Lets the event loop end, and the callback be collected, although C may still call it; undoes
   * {@linkcode Callback.ref}.
   */
  unref(): void {
    letGo(this.#bound);
  }
}

/**
 * Makes a TypeScript function callable from C by any thread: C goes on at once, and the event loop calls the function
 * later.
 *
 * That is `thread: "post"`. There is no result, and the function may be `async`. belay copies the arguments when C
 * calls, strings with their text. It doesn't copy what a pointer points to. The other signature of `callback` says the
 * rest.
 *
 * ```ts
 * import { callback } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using onLog = callback(
 *   { parameters: ["i32", "cstring"], result: "void" },
 *   async (code, message) => console.log(await Promise.resolve(code), message),
 *   { thread: "post", queue: { capacity: 1000, onFull: "dropOldest" } },
 * );
 * assert(!onLog.disposed); // it keeps the event loop alive until it is closed
 * ```
 *
 * @typeParam D The type of the definition, which TypeScript infers.
 * @param definition The types of the parameters; the result is `"void"`.
 * @param fn The function that the event loop calls.
 * @param options The options, of which `thread` is `"post"`.
 * @returns The callback. Close it when C doesn't call any more: it keeps the event loop alive.
 * @throws {TypeError} If the definition has a type that such a callback can't have, or an option is malformed.
 * @throws {RangeError} If an option is out of its range.
 * @throws {RangeError} If the parameters take more than 128 words of 8 bytes beside the registers.
 * @throws {RangeError} If the system has no memory for more C functions.
 */
export function callback<const D extends FetchingDefinition & { readonly result: "void" }>(
  definition: D,
  fn: PostFunction<D>,
  options: PostOptions<D>,
): Callback<D>;
/**
 * Makes a TypeScript function callable from C.
 *
 * A parameter of type `"handle"` gives the value of the handle whose id C passes as its `void *`. Making a callback is
 * cheap: the runtime has one native callback, however many callbacks there are.
 *
 * *Ownership:* the callback lives until it is closed, which `once` does at the first call. If you drop it, it is
 * released after a garbage collection. Exceptions: it is `once`, {@linkcode Callback.ref} was called, or its own
 * function can reach it. C may keep the pointer. A call that comes too late is safe: C gets the `fallback`, and the
 * call is counted and reported once. Don't let C keep the pointer on purpose: after a while it may stand for a later
 * callback.
 *
 * *Errors:* an error that the function throws never unwinds through C.
 *
 * - With `onError`, belay calls that at once. Its result answers C, and nothing is thrown.
 * - Without it, C gets the `fallback`. The native call that the callback ran in throws the same error when it returns.
 *   Until then that call's other callbacks answer with their fallbacks, unless they are `always`.
 * - If no native call of belay's is running, the error is an uncaught one.
 * - A promise, or a result that isn't of the result's type, is such an error as well. A buffer for a pointer is a
 *   {@linkcode PointerRuleError}.
 * - If C passes a handle that is null or deleted, the function doesn't run. C gets the fallback, and a report says so.
 * - If C and TypeScript have called each other until the stack is nearly used up, the error is a `RangeError`.
 *
 * *Threads:* the function runs on the thread of the isolate that made the callback. With `thread: "same"`, the default,
 * a call from another thread gets the fallback, and is counted and reported once. `"wait"` and `"post"` serve such
 * calls. Their arguments are copied when C calls, strings with their text. A call from a coroutine's stack gets the
 * fallback. Signal handlers must not call it.
 *
 * ```ts
 * import { callback, dlopen, NativeMemory, type Pointer } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const at = (pointer: Pointer | null) => pointer === null ? 0 : NativeMemory.borrow(pointer, 4).getInt32(0);
 * using ascending = callback({ parameters: ["pointer", "pointer"], result: "i32" }, (a, b) => at(a) - at(b));
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   qsort: { parameters: ["buffer", "usize", "usize", ascending.definition], result: "void" },
 * });
 * const numbers = new Int32Array([3, 1, 2]);
 * libc.symbols.qsort(numbers, numbers.length, 4, ascending);
 * assert(numbers.join() === "1,2,3");
 * ```
 *
 * @typeParam D The type of the definition, which TypeScript infers.
 * @param definition The types of the parameters and the result.
 * @param fn The function that C calls.
 * @param options The answer if the function can't give one, the threads that may call it, and so on.
 * @returns The callback. Keep it for as long as C may call it.
 * @throws {TypeError} If the definition has a type that a callback can't have, or an option is malformed.
 * @throws {PointerRuleError} If the fallback for a pointer is a buffer.
 * @throws {RangeError} If the fallback, or another option, is out of its range.
 * @throws {RangeError} If arguments and result take more than 128 words of 8 bytes beside the registers.
 * @throws {RangeError} If the system has no memory for more C functions.
 */
export function callback<const D extends FetchingDefinition>(
  definition: D,
  fn: CallbackFunction<D>,
  options?: CallbackOptions<D>,
): Callback<D>;
/**
 * Makes a function callable that may be `async`, for calls that suspend: C waits for its promise. Anywhere else a promise is
 * an error.
 *
 * @typeParam D The type of the definition, which TypeScript infers.
 * @param definition The types of parameters and result.
 * @param fn The function.
 * @param options As for other callbacks, with `suspends: true`.
 * @returns The callback.
 */
export function callback<const D extends FetchingDefinition>(
  definition: D,
  fn: SuspendingFunction<D>,
  options: CallbackOptions<D> & { readonly suspends: true },
): Callback<D>;
export function callback<const D extends FetchingDefinition>(
  definition: D,
  fn: TargetFunction,
  options?: CallbackOptions<D>,
): Callback<D> {
  if (typeof fn !== "function") throw new TypeError(`Cannot create a callback: expected a function, got ${typeof fn}`);
  if (options !== undefined) return callbackWith(definition, fn, options);
  return own(definition, bind(signatureOf(definition, fn), fn, fn, zero));
}

function callbackWith<D extends CallbackDefinition>(
  definition: D,
  fn: TargetFunction,
  options: CallbackOptions<D>,
): Callback<D> {
  const {
    name,
    fallback,
    onError,
    always = false,
    once = false,
    thread = "same",
    timeoutMs = defaultTimeoutMs,
    queue,
  } = checkedOptions(options);
  const signature = signatureOf(definition, name ?? fn);
  const { outer = signature } = signature;
  if (thread === "post") checkPost(signature.definition, outer.definition.result);
  if (thread !== "same" && signature.answers) {
    throw new TypeError(
      `Cannot create a callback: thread "${thread}" takes no answer, for which JavaScript's thread is needed`,
    );
  }
  if (fallback !== undefined && outer.definition.result === "void") {
    throw new TypeError("Cannot create a callback: one without a result has no fallback");
  }
  const bits = fallback === undefined ? zero : outer.code.fallbackBits(fallback, name ?? functionName(fn));
  const bound = bind(signature, name ?? fn, fn, bits);
  if (typeof fallback === "object" && fallback !== null) fallbackOwners.set(bound, fallback);
  bound.onError = onError as ErrorFunction | undefined;
  bound.always = always;
  const made = own(definition, bound);
  if (once) {
    bound.fn = (...parameters) => {
      made.close();
      return fn(...parameters);
    };
  }
  if (thread !== "same") letOthersCall(made, bound, thread, timeoutMs, queue);
  return made;
}

/** What the pointers are of that C gets as fallbacks, kept for as long as it may get them: also from what stays of a callback. */
const fallbackOwners = new WeakMap<BoundFunction, object>();

function letOthersCall(
  made: { ref(): void; close(): void },
  bound: BoundFunction,
  thread: "post" | "wait",
  timeoutMs: number,
  queue: QueueOptions | undefined,
): void {
  try {
    openContract(bound, thread, timeoutMs, queue && { capacity: queue.capacity, onFull: queue.onFull ?? "block" });
    made.ref();
  } catch (error) {
    made.close();
    throw error;
  }
}

function checkPost(definition: CallbackDefinition, result: CallbackDefinition["result"]): void {
  if (result !== "void") {
    throw new TypeError('Cannot create a callback: thread "post" takes no result, since C goes on without one');
  }
  if (definition.parameters.includes("handleAddress")) {
    throw new TypeError(
      'Cannot create a callback: thread "post" takes no handleAddress, whose memory may be gone by then',
    );
  }
}

/** The callback of an bound, which is unbound when the stack doesn't suffice to make one. */
export function own<D extends CallbackDefinition>(definition: D, bound: BoundFunction): Callback<D> {
  try {
    return new Callback(inside, definition, bound);
  } catch (error) {
    unbind(bound);
    throw error;
  }
}

/** A callback that was dropped. What leaks are tracked for comes with its birth. */
function collected(dropped: BoundFunction | { readonly bound: BoundFunction; readonly birth: number }): void {
  const bound = "birth" in dropped ? dropped.bound : dropped;
  bound.collected = true;
  unbind(bound);
  if (!("birth" in dropped)) return;
  reportLeak(untrack(dropped.birth), "closed");
}
