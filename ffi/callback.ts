/**
 * TypeScript functions that C can call.
 *
 * @module
 */

import { RangeError, TypeError } from "./blame.ts";
import { lookNowAndThen } from "./calls.ts";
import { addCheckedCleanup, type Cleanup } from "./cleanup.ts";
import { addressOf, nativeFunctions, onPointerOf } from "./helpers.ts";
import { owner, type PointerOwner } from "./data_type.ts";
import { shown } from "./errors.ts";
import { inside, refuseNew } from "./inside.ts";
import { defaultTimeoutMs, type OnFull, openContract } from "./contracts.ts";
import { keepAlive, letGo } from "./keep_alive.ts";
import { ownOptions } from "./options.ts";
import { reportLeak } from "./report.ts";
import { track, tracking, untrack } from "./tracking.ts";
import type {
  CallbackDefinition,
  CallbackFunction,
  CallbackParameters,
  CallbackResult,
  NativeFunction,
  Pointer,
} from "./types.ts";
import {
  bind,
  type ErrorFunction,
  functionName,
  type Signature,
  signatureOf,
  unbind,
  type Upcall,
  type UpcallFunction,
} from "./upcall.ts";

/** Options of {@linkcode callback}. */
export interface CallbackOptions<D extends CallbackDefinition> {
  /** What reports and errors call it. The function's own name by default. */
  readonly name?: string;
  /** What C gets when the function threw, or is gone. Zero, `false` or NULL by default. */
  readonly fallback?: D["result"] extends "void" ? undefined : CallbackResult<D["result"]>;
  /**
   * Called at once with what the function throws, and with the arguments that C gave. C gets what it returns, or the
   * fallback where that is `undefined`. A callback that has it never raises its errors: nothing waits for them, and other
   * callbacks run as ever. If it throws itself, that error is raised as if there were no `onError`: the native call that
   * the callback runs in throws it, or else it is an uncaught error.
   */
  readonly onError?: (
    error: unknown,
    ...parameters: CallbackParameters<D["parameters"]>
  ) => CallbackResult<D["result"]> | undefined | void;
  /**
   * Whether it runs although an error of another callback waits for the native call to return: for functions by which C
   * cleans up, such as destructors, `close`, allocators and `free`. Other callbacks answer with their fallback meanwhile.
   * `false` by default.
   */
  readonly always?: boolean;
  /**
   * Whether it closes itself when it is first called: that call runs, the next is stale. It isn't collected before
   * that, so it may be given to C and forgotten.
   */
  readonly once?: boolean;
  /**
   * Who may call it. `"same"`, the default: the isolate's own thread; a call from elsewhere gets the fallback. `"wait"`: any
   * thread; it waits until the event loop has called the function, and gets the result. `"post"`, where there is no result:
   * any thread; it goes on at once, and the event loop calls the function afterwards, in order for each calling thread. That
   * is so on the isolate's own thread, too; the function may be `async`. Callbacks with `"post"` and `"wait"` keep the
   * event loop alive until they are closed, or {@linkcode Callback.unref}'d.
   */
  readonly thread?: D["result"] extends "void" ? "same" | "wait" | "post" : "same" | "wait";
  /**
   * How long a thread waits for the function to begin, and for space in a full queue, in milliseconds: 10,000 by default.
   * Then it gets the fallback. A {@linkcode CallbackTimeoutError} says why: the native call that JavaScript was in throws it,
   * or else a report has it. A function that has begun is waited for.
   */
  readonly timeoutMs?: number;
  /**
   * A queue of this callback's own for calls from other threads. Without it, callbacks share one, so that calls which a
   * thread makes to several of them arrive in that thread's order.
   */
  readonly queue?: QueueOptions;
}

/** A queue of calls from other threads. */
export interface QueueOptions {
  /** How many calls may wait. */
  readonly capacity: number;
  /**
   * What becomes of a call that finds it full. `"block"`, the default: the thread waits for space, at most `timeoutMs`, but
   * the isolate's own, whose call is dropped. `"dropNewest"`: it is dropped. `"dropOldest"`: the oldest is. Dropped calls
   * get the fallback, are counted, and reported once.
   */
  readonly onFull?: OnFull;
}

/** Options of {@linkcode callback} for a function that is called after C has gone on. */
export interface PostOptions<D extends CallbackDefinition> extends Omit<CallbackOptions<D>, "thread"> {
  readonly thread: "post";
}

/** A function that C calls and doesn't wait for: it may return a promise, whose rejection goes where its errors go. */
export type PostFunction<D extends CallbackDefinition> = (
  ...parameters: CallbackParameters<D["parameters"]>
) => unknown;

/** A TypeScript function that C can call; {@linkcode callback} makes it. */
export class Callback<D extends CallbackDefinition = CallbackDefinition> implements NativeFunction<D>, PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** The types of its parameters and result. */
  readonly definition: D;
  /** What C calls. It stays callable after the callback is gone, and answers with the fallback then. */
  readonly pointer: Pointer;
  readonly #upcall: Upcall;
  readonly #token: number;
  readonly #cleanup: Cleanup;

  /** Made by {@linkcode callback}. */
  constructor(token: typeof inside, definition: D, upcall: Upcall) {
    if (token !== inside) refuseNew("Callback", "callback()");
    this.definition = definition;
    this.pointer = upcall.pointer;
    this.#upcall = upcall;
    this.#token = tracking() ? track("callback", upcall.name) : 0;
    this.#cleanup = addCheckedCleanup(this, collected, this.#token === 0 ? upcall : { upcall, token: this.#token });
  }

  /** Whether it was closed. */
  get disposed(): boolean {
    return this.#upcall.fn === null;
  }

  static {
    // By the private field: an object that merely looks like a callback must not reach C, nor a proxy run code there.
    nativeFunctions.stateOf = (value): Upcall | undefined =>
      typeof value === "object" && value !== null && #upcall in value ? value.#upcall : undefined;
    onPointerOf((value) =>
      #upcall in value && value.#upcall.fn !== null ? addressOf(value.#upcall.pointer) : undefined
    );
  }

  /**
   * Ends the callback: the function is no longer held, and its C function may stand behind another callback of the same
   * shape after a while. A call that is running finishes. Doing it again does nothing.
   */
  close(): void {
    if (this.disposed) return;
    this.#cleanup.stop();
    if (this.#token !== 0) untrack(this.#token);
    letGo(this.#upcall);
    unbind(this.#upcall);
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
    if (!this.disposed) keepAlive(this.#upcall, this, lookNowAndThen);
  }

  /** Ends what {@linkcode Callback.ref} began. */
  unref(): void {
    letGo(this.#upcall);
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
  fn: UpcallFunction,
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
  const upcall = bind(signature, name ?? fn, fn, bits);
  upcall.onError = onError as ErrorFunction | undefined;
  upcall.always = always;
  const made = own(definition, upcall);
  if (once) {
    upcall.fn = (...parameters) => {
      made.close();
      return fn(...parameters);
    };
  }
  if (thread !== "same") letOthersCall(made, upcall, thread, timeoutMs, queue);
  return made;
}

function letOthersCall(
  made: { ref(): void; close(): void },
  upcall: Upcall,
  thread: "post" | "wait",
  timeoutMs: number,
  queue: QueueOptions | undefined,
): void {
  try {
    openContract(upcall, thread, timeoutMs, queue && { capacity: queue.capacity, onFull: queue.onFull ?? "block" });
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

const zero = 0n;

/** The callback of an upcall, which is unbound when the stack doesn't suffice to make one. */
function own<D extends CallbackDefinition>(definition: D, upcall: Upcall): Callback<D> {
  try {
    return new Callback(inside, definition, upcall);
  } catch (error) {
    unbind(upcall);
    throw error;
  }
}

const optionNames = ["name", "fallback", "onError", "always", "once", "thread", "timeoutMs", "queue"] as const;
const longestTimeoutMs = 2 ** 31 - 1;
const largestCapacity = 2 ** 24;

/** @throws {TypeError} When an option is misspelled or of the wrong type. */
function checkedOptions<D extends CallbackDefinition>(options: CallbackOptions<D>): CallbackOptions<D> {
  const refuse = (what: string): never => {
    throw new TypeError(`Cannot create a callback: ${what}`);
  };
  const own: Record<string, unknown> = ownOptions("Cannot create a callback", options, optionNames);
  const { name, fallback, onError, always, once, thread, timeoutMs, queue } = own;
  if (name !== undefined && typeof name !== "string") refuse(`name must be a string, got ${typeof name}`);
  if (onError !== undefined && typeof onError !== "function") {
    refuse(`onError must be a function, got ${typeof onError}`);
  }
  if (always !== undefined && typeof always !== "boolean") refuse(`always must be a boolean, got ${typeof always}`);
  if (once !== undefined && typeof once !== "boolean") refuse(`once must be a boolean, got ${typeof once}`);
  if (thread !== undefined && thread !== "same" && thread !== "post" && thread !== "wait") {
    refuse(`thread must be "same", "post" or "wait", got ${JSON.stringify(thread)}`);
  }
  const alone = thread === undefined || thread === "same";
  if (timeoutMs !== undefined) {
    if (alone) refuse('timeoutMs needs thread "post" or "wait"');
    checkInteger("timeoutMs", timeoutMs, 0, longestTimeoutMs, "2^31 - 1");
  }
  if (queue !== undefined && alone) refuse('queue needs thread "post" or "wait"');
  return {
    name,
    fallback,
    onError,
    always,
    once,
    thread,
    timeoutMs,
    queue: queue === undefined ? undefined : checkedQueue(queue as QueueOptions, refuse),
  } as CallbackOptions<D>;
}

function checkedQueue(queue: QueueOptions, refuse: (what: string) => never): QueueOptions {
  const names = ["capacity", "onFull"] as const;
  const { capacity, onFull } = ownOptions("Cannot create a callback", queue, names, "an option of a queue", "queue");
  checkInteger("a queue's capacity", capacity, 1, largestCapacity, "2^24");
  if (onFull !== undefined && onFull !== "block" && onFull !== "dropNewest" && onFull !== "dropOldest") {
    return refuse(`a queue's onFull must be "block", "dropNewest" or "dropOldest", got ${JSON.stringify(onFull)}`);
  }
  return { capacity, onFull: onFull ?? "block" };
}

/** @throws {TypeError | RangeError} When it is no number; when it is not such an integer. */
function checkInteger(
  name: string,
  value: unknown,
  least: number,
  most: number,
  spelling: string,
): asserts value is number {
  const what = `Cannot create a callback: ${name} must be an integer from ${least} to ${spelling}, got ${shown(value)}`;
  if (typeof value !== "number") throw new TypeError(what);
  if (!Number.isInteger(value) || value < least || value > most) throw new RangeError(what);
}

/** Lends a function to one native call. */
export function lend(signature: Signature, fn: UpcallFunction, name: string): Upcall {
  const upcall = bind(signature, name, fn, zero);
  upcall.lent = true;
  return upcall;
}

/** A callback that was dropped. What leaks are tracked for comes with the token of its creation. */
function collected(dropped: Upcall | { readonly upcall: Upcall; readonly token: number }): void {
  const upcall = "token" in dropped ? dropped.upcall : dropped;
  upcall.collected = true;
  unbind(upcall);
  if (!("token" in dropped)) return;
  reportLeak(untrack(dropped.token), "closed");
}
