/**
 * Release what a value owned when the value is gone, after Go's `runtime.AddCleanup`.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { reportUncaught } from "./report.ts";

// A program may replace it for a while (fake timers): what is put off here would never come.
const { queueMicrotask } = globalThis;

/** A cleanup that waits for its target; {@linkcode addCleanup} gives it. */
export class Cleanup {
  /** Until it is registered. */
  #target: object | undefined;
  #cleanup: ((arg: unknown) => void) | undefined;
  #arg: unknown;

  /** Made by {@linkcode addCleanup}. */
  constructor(target: object, cleanup: (arg: unknown) => void, arg: unknown) {
    this.#target = target;
    this.#cleanup = cleanup;
    this.#arg = arg;
  }

  /** Whether it has run or was stopped. */
  get disposed(): boolean {
    return this.#cleanup === undefined;
  }

  /** As {@linkcode Cleanup.stop}. */
  [Symbol.dispose](): void {
    this.stop();
  }

  /** Cancels the cleanup. Does nothing once it has run, or when it was stopped before. */
  stop(): void {
    if (this.#cleanup === undefined) return;
    if (this.#target === undefined) waiting.unregister(this);
    this.#target = undefined;
    this.#cleanup = undefined;
    this.#arg = undefined;
  }

  /** Runs the cleanup, once: the registry's side of the bargain. */
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

  /** Registers those that were not stopped meanwhile. */
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
 * A target may have any number of cleanups; each runs. The target is never brought back: the cleanup gets `arg`, not the
 * target, and must not reach the target through `arg` or what it closes over, or it will never run. Nothing promises
 * that it runs before the process ends. A cleanup that throws doesn't keep others from running; its error goes to the
 * runtime's uncaught-error path.
 *
 * *Threads:* it runs on the thread of the isolate that added it, in a turn of its own.
 *
 * ```ts
 * import { addCleanup, Handle } from "@belay/ffi";
 *
 * const session = { name: "session" };
 * const handle = Handle.create("what C holds for the session");
 * const cleanup = addCleanup(session, Handle.delete, handle.id);
 *
 * cleanup.stop(); // when it is released by hand after all
 * handle.delete();
 * ```
 *
 * @param target The object or function whose end is waited for.
 * @param cleanup Called with `arg`.
 * @param arg What `cleanup` needs to release: an id, a pointer.
 * @throws {TypeError} When `target` is a primitive, `cleanup` is no function, or `arg` is `target`.
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
