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
import type { CallbackDefinition, Pointer } from "../types/definitions.ts";
import type { CallbackFunction, NativeFunction } from "../types/inference.ts";
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

/** A TypeScript function that C can call; {@linkcode callback} makes it. */
export class Callback<D extends CallbackDefinition = CallbackDefinition> implements NativeFunction<D>, PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** The types of its parameters and result. */
  readonly definition: D;
  /** What C calls. It stays callable after the callback is gone, and answers with the fallback then. */
  readonly pointer: Pointer;
  readonly #bound: BoundFunction;
  readonly #birth: number;
  readonly #cleanup: Cleanup;

  /** Made by {@linkcode callback}. */
  constructor(token: typeof inside, definition: D, bound: BoundFunction) {
    if (token !== inside) refuseNew("Callback", "callback()");
    this.definition = definition;
    this.pointer = bound.pointer;
    this.#bound = bound;
    this.#birth = tracking() ? track("callback", bound.name) : 0;
    this.#cleanup = addCheckedCleanup(this, collected, this.#birth === 0 ? bound : { bound, birth: this.#birth });
  }

  /** Whether it was closed. */
  get disposed(): boolean {
    return this.#bound.fn === null;
  }

  static {
    // By the private field: an object that merely looks like a callback must not reach C, nor a proxy run code there.
    onCallbackState((value) => #bound in value ? value.#bound : undefined);
    onPointerOf((value) => #bound in value && value.#bound.fn !== null ? addressOf(value.#bound.pointer) : undefined);
  }

  /**
   * Ends the callback: the function is no longer held, and its C function may stand behind another callback of the same
   * shape after a while. A call that is running finishes. Doing it again does nothing.
   */
  close(): void {
    if (this.disposed) return;
    this.#cleanup.stop();
    if (this.#birth !== 0) untrack(this.#birth);
    letGo(this.#bound);
    unbind(this.#bound);
  }

  /** As {@linkcode Callback.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Keeps the event loop alive, and the callback from being collected, until {@linkcode Callback.unref} or
   * {@linkcode Callback.close}: for a callback that the program waits for, called by something that the event loop does.
   * Callbacks with `thread: "wait"` or `"post"` begin so, others don't. Doing it again, or on a closed callback, does
   * nothing.
   */
  ref(): void {
    if (!this.disposed) keepAlive(this.#bound, this, lookNowAndThen);
  }

  /** Ends what {@linkcode Callback.ref} began. */
  unref(): void {
    letGo(this.#bound);
  }
}

/**
 * Makes a TypeScript function callable from C.
 *
 * A parameter of type `"handle"` turns C's `void*` back into the value that its `Handle` was created with. However many
 * callbacks there are, the runtime has one native callback.
 *
 * *Ownership:* the callback lives until it is closed, by `once` at its first call. One that is dropped is released
 * after a garbage collection, unless it is `once`, ref'd, or its own function can reach it: the function is held for C.
 * C may keep the pointer: calling it later is safe and answers with the fallback, is counted, and reported once. After a
 * while the pointer may stand behind a later callback of the same shape, so don't let C keep it on purpose.
 *
 * *Errors:* what the function throws never unwinds through C. With `onError` that is called at once and answers C, and
 * nothing is thrown. Without it C gets the fallback, and the native call throws the error when it returns, the same object.
 * Other callbacks of that call answer with their fallbacks meanwhile, unless they are `always`. An error that belongs to no
 * native call of belay's is an uncaught one. A result that is not of its type, or a promise, is such an error; a buffer for a
 * pointer is a `PointerRuleError`. A handle that is null or deleted gets the fallback and is reported; the function does not
 * run. When C and TypeScript have called each other until the stack is nearly used up, the error is a `RangeError`.
 *
 * *Threads:* the function runs on the isolate's own thread. What becomes of a call from another thread is what `thread`
 * says: the fallback, counted and reported once, unless it is `"wait"` or `"post"`. Their arguments are copied, strings with
 * what they say. A call from a coroutine's stack gets the fallback. Signal handlers must not call it.
 *
 * ```ts
 * import { callback, handle } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using onRow = callback(
 *   { parameters: [handle<string[]>(), "i32"], result: "i32" },
 *   (rows, index) => rows.push(`row ${index}`),
 *   { fallback: -1 },
 * );
 * assert(!onRow.disposed);
 * ```
 *
 * @throws {TypeError} When the definition uses a type that a callback can't have.
 * @throws {PointerRuleError} When the fallback for a pointer is a buffer.
 * @throws {RangeError} When arguments and result take more than 128 words beside the registers, a fallback is out of its type's range, or the
 * system maps no more thunks.
 */
export function callback<const D extends CallbackDefinition & { readonly result: "void" }>(
  definition: D,
  fn: PostFunction<D>,
  options: PostOptions<D>,
): Callback<D>;
export function callback<const D extends CallbackDefinition>(
  definition: D,
  fn: CallbackFunction<D>,
  options?: CallbackOptions<D>,
): Callback<D>;
export function callback<const D extends CallbackDefinition>(
  definition: D,
  fn: TargetFunction,
  options?: CallbackOptions<D>,
): Callback<D> {
  if (typeof fn !== "function") throw new TypeError(`Cannot create a callback: expected a function, got ${typeof fn}`);
  if (options === undefined) return own(definition, bind(signatureOf(definition, fn), fn, fn, zero));
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
  if (thread === "post") checkPost(signature.definition);
  if (fallback !== undefined && signature.definition.result === "void") {
    throw new TypeError("Cannot create a callback: one without a result has no fallback");
  }
  const bits = fallback === undefined ? zero : signature.code.fallbackBits(fallback, name ?? functionName(fn));
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

function checkPost(definition: CallbackDefinition): void {
  if (definition.result !== "void") {
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
