/**
 * Release what a value owned when the value is gone, after Go's `runtime.AddCleanup`.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { reportUncaught } from "./report.ts";

// A program may replace it for a while (fake timers): what is put off here would never come.
const { queueMicrotask } = globalThis;

/**
 * A cleanup that waits until its target is gone; {@linkcode addCleanup} gives it.
 *
 * ```ts
 * import { addCleanup } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * class Session {
 *   readonly #cleanup = addCleanup(this, (id: number) => console.log(`session ${id} was forgotten`), 7);
 *
 *   close(): boolean {
 *     this.#cleanup.stop(); // closed by hand: nothing is left to do
 *     return this.#cleanup.disposed;
 *   }
 * }
 * assert(new Session().close());
 * ```
 */
export class Cleanup {
  /** Until it is registered. */
  #target: object | undefined;
  #cleanup: ((arg: unknown) => void) | undefined;
  #arg: unknown;

  /** @ignore Made by {@linkcode addCleanup}. */
  constructor(target: object, cleanup: (arg: unknown) => void, arg: unknown) {
    this.#target = target;
    this.#cleanup = cleanup;
    this.#arg = arg;
  }

  /**
   * Whether the cleanup has run or was stopped.
   *
   * @returns `true` if it won't run any more.
   */
  get disposed(): boolean {
    return this.#cleanup === undefined;
  }

  /** Cancels the cleanup at the end of a `using` block; see {@linkcode Cleanup.stop}. */
  [Symbol.dispose](): void {
    this.stop();
  }

  /** Cancels the cleanup. If it has run, or was stopped before, nothing happens. */
  stop(): void {
    if (this.#cleanup === undefined) return;
    if (this.#target === undefined) waiting.unregister(this);
    this.#target = undefined;
    this.#cleanup = undefined;
    this.#arg = undefined;
  }

  /** @ignore Runs the cleanup, once: the registry's side of the bargain. */
  static run(waiter: Cleanup): void {
    const cleanup = waiter.#cleanup;
    const arg = waiter.#arg;
    waiter.#cleanup = undefined;
    waiter.#arg = undefined;
    try {
      cleanup?.(arg);
    } catch (error) {
      // The other cleanups that became due with this one must still run.
      reportUncaught(error);
    }
  }

  /** @ignore Registers those that were not stopped meanwhile. */
  static register(waiters: readonly Cleanup[]): void {
    for (const waiter of waiters) {
      const target = waiter.#target;
      if (target === undefined) continue;
      waiter.#target = undefined;
      waiting.register(target, waiter, waiter);
    }
  }
}

const waiting = new FinalizationRegistry<Cleanup>(Cleanup.run);

/**
 * Registering and unregistering costs more than making and closing a callback. So what is new waits here, held, for the
 * end of the turn, and only what is still there then is registered.
 */
const fresh: Cleanup[] = [];
const mostFresh = 1024;

function registerFresh(): void {
  Cleanup.register(fresh);
  fresh.length = 0;
}

/**
 * Runs `cleanup(arg)` some time after `target` has become unreachable, at most once.
 *
 * A target may have any number of cleanups, and each runs. The cleanup gets `arg`, never the target. If `cleanup` or
 * `arg` can reach the target, the target is never collected, and the cleanup never runs. Nothing promises that it runs
 * before the process ends.
 *
 * *Ownership:* the cleanup holds `cleanup` and `arg` until it has run or was stopped. It doesn't hold the target.
 *
 * *Errors:* if a cleanup throws, the error is an uncaught one. Other cleanups run all the same.
 *
 * *Threads:* it runs on the thread of the isolate that added it, in a turn of the event loop of its own.
 *
 * ```ts
 * import { addCleanup, Handle } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const session = { name: "session" };
 * const handle = Handle.create("what C holds for the session");
 * const cleanup = addCleanup(session, Handle.delete, handle.id);
 *
 * cleanup.stop(); // if you release it by hand after all
 * handle.delete();
 * assert(cleanup.disposed);
 * ```
 *
 * @typeParam A The type of `arg`.
 * @param target The object or function whose end is waited for.
 * @param cleanup The function to call. It gets `arg`.
 * @param arg What `cleanup` needs to release: an id, a pointer.
 * @returns The cleanup, which can be stopped.
 * @throws {TypeError} If `target` is a primitive, `cleanup` is no function, or `arg` is `target`.
 * @see https://pkg.go.dev/runtime#AddCleanup
 */
export function addCleanup<A>(target: object, cleanup: (arg: A) => void, arg: A): Cleanup {
  if ((typeof target !== "object" || target === null) && typeof target !== "function") {
    throw new TypeError(`Cannot add a cleanup to a ${target === null ? "null" : typeof target}: expected an object`);
  }
  if (typeof cleanup !== "function") {
    throw new TypeError(`Cannot add a cleanup: expected a function, got ${typeof cleanup}`);
  }
  if (Object.is(target, arg)) {
    throw new TypeError("Cannot add a cleanup whose argument is its target: the target could never be collected");
  }
  return addCheckedCleanup(target, cleanup as (arg: unknown) => void, arg);
}

/** As {@linkcode addCleanup}, for arguments that need no check. */
export function addCheckedCleanup(target: object, cleanup: (arg: never) => void, arg: unknown): Cleanup {
  const waiter = new Cleanup(target, cleanup as (arg: unknown) => void, arg);
  if (fresh.length === 0) queueMicrotask(registerFresh);
  else if (fresh.length >= mostFresh) registerFresh();
  fresh.push(waiter);
  return waiter;
}
