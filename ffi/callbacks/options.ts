/**
 * What a program can say of a callback.
 *
 * @module
 */

import { RangeError, TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { ownOptions } from "../ground/options.ts";
import type { CallbackDefinition } from "../types/definitions.ts";
import type { CallbackParameters, CallbackResult } from "../types/inference.ts";

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

const optionNames = ["name", "fallback", "onError", "always", "once", "thread", "timeoutMs", "queue"] as const;
const longestTimeoutMs = 2 ** 31 - 1;
const largestCapacity = 2 ** 24;

/** @throws {TypeError} When an option is misspelled or of the wrong type. */
export function checkedOptions<D extends CallbackDefinition>(options: CallbackOptions<D>): CallbackOptions<D> {
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

/** What becomes of a call when its queue is full. */
export type OnFull = "block" | "dropNewest" | "dropOldest";

/** How long a thread waits, unless the callback says otherwise. */
export const defaultTimeoutMs = 10_000;
