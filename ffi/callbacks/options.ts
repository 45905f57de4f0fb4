/**
 * What a program can say of a callback.
 *
 * @module
 */

import { RangeError, TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { ownOptions } from "../ground/options.ts";
import type { CallbackDefinition } from "../types/definitions.ts";
import type { CallbackAnswer, CallbackArguments, CallbackResult } from "../types/inference.ts";

/**
 * Options of {@linkcode callback}.
 *
 * @typeParam D The callback's definition.
 */
export interface CallbackOptions<D extends CallbackDefinition> {
  /** What reports and errors call the callback; the function's own name by default. */
  readonly name?: string;
  /** What C gets if the function throws, or the callback has ended; zero, `false` or NULL by default. */
  readonly fallback?: D["result"] extends "void" ? undefined : CallbackResult<D["result"]>;
  /**
   * Gets what the function throws, with the arguments that C gave, and answers C.
   *
   * belay calls it at once. C gets its result, or the fallback if that is `undefined`. A callback with `onError`
   * doesn't raise its errors: no native call throws them, and other callbacks run as usual. Exception: if `onError`
   * itself throws, that error is raised as if there were no `onError`.
   */
  readonly onError?: (
    error: unknown,
    ...parameters: CallbackArguments<D>
  ) => CallbackAnswer<D> | undefined | void;
  /**
   * Whether the function runs although an error of another callback waits for the native call to return; `false` by
   * default.
   *
   * It is for functions by which C cleans up: destructors, `close`, allocators, `free`. Other callbacks answer with
   * their fallback meanwhile.
   */
  readonly always?: boolean;
  /**
   * Whether the function may return a promise, as an `async` one does; `false` by default. It is for TypeScript: C waits for
   * a promise where the call of C suspends, and nowhere else.
   */
  readonly suspends?: boolean;
  /**
   * Whether the callback closes itself at its first call; `false` by default.
   *
   * That call runs the function, and the next one gets the fallback. The callback isn't collected before the first
   * call, so you may give it to C and forget it.
   */
  readonly once?: boolean;
  /**
   * Which threads may call it: `"same"` (the default), `"wait"` or `"post"`.
   *
   * - `"same"`: the isolate's own thread. A call from another thread gets the fallback.
   * - `"wait"`: any thread. The thread waits until the event loop has called the function, and gets the result.
   * - `"post"`: any thread, if there is no result. C goes on at once. The event loop calls the function later, in order
   *   for each calling thread. That goes for the isolate's own thread as well. The function may be `async`.
   *
   * `"wait"` and `"post"` callbacks keep the event loop alive until {@linkcode Callback.close} or
   * {@linkcode Callback.unref}.
   */
  readonly thread?: D["result"] extends "void" ? "same" | "wait" | "post" : "same" | "wait";
  /**
   * How long a thread waits for the function to begin, or for space in a full queue, in milliseconds; 10,000 by
   * default.
   *
   * It is a whole number from 0 to 2^31 - 1. Then the thread gets the fallback. A {@linkcode CallbackTimeoutError} says
   * why: the native call that JavaScript was in throws it, or else a report has it. A thread waits for a function that
   * has begun, however long that takes. The option needs `thread: "wait"` or `"post"`.
   */
  readonly timeoutMs?: number;
  /**
   * A queue of this callback's own for calls from other threads; by default such callbacks share one.
   *
   * Calls that a thread makes to several callbacks of the shared queue arrive in that thread's order. The option needs
   * `thread: "wait"` or `"post"`.
   */
  readonly queue?: QueueOptions;
}

/** The size of a callback's own queue of calls from other threads, and what happens when it is full. */
export interface QueueOptions {
  /** How many calls may wait: a whole number from 1 to 2^24. */
  readonly capacity: number;
  /**
   * What happens to a call that finds the queue full: `"block"` (the default), `"dropNewest"` or `"dropOldest"`.
   *
   * - `"block"`: the thread waits for space, at most `timeoutMs`. A call from the isolate's own thread is dropped
   *   instead.
   * - `"dropNewest"`: the call is dropped.
   * - `"dropOldest"`: the call takes the place of the oldest one, which is dropped.
   *
   * C gets the fallback for a dropped call. Dropped calls are counted in `stats().counts.droppedCalls`, and reported
   * once.
   */
  readonly onFull?: OnFull;
}

/**
 * Options of {@linkcode callback} for a function that runs after C has gone on.
 *
 * @typeParam D The callback's definition.
 */
export interface PostOptions<D extends CallbackDefinition> extends Omit<CallbackOptions<D>, "thread"> {
  /**
   * Any thread may call it. C goes on at once, and the event loop calls the function later, in order for each calling
   * thread.
   *
   * That goes for the isolate's own thread as well. The callback keeps the event loop alive until
   * {@linkcode Callback.close} or {@linkcode Callback.unref}.
   */
  readonly thread: "post";
}

/**
 * A function that C doesn't wait for. If it returns a promise, a rejection goes where the callback's errors go.
 *
 * @typeParam D The callback's definition.
 */
export type PostFunction<D extends CallbackDefinition> = (
  ...parameters: CallbackArguments<D>
) => unknown;

const optionNames = [
  "name",
  "fallback",
  "onError",
  "always",
  "once",
  "thread",
  "timeoutMs",
  "queue",
  "suspends",
] as const;
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
