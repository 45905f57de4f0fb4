/**
 * What can't be thrown, because no caller of ours is there to catch it, is reported.
 *
 * @module
 */

import { RangeError, TypeError } from "./blame.ts";
import { ownOptions } from "./options.ts";
import { type Leak, setTracking } from "./tracking.ts";

/** Something that went wrong where nothing could be thrown. */
export interface Report {
  /**
   * `stale-callback`: C called a callback that was closed or garbage-collected. `invalid-handle`: C passed a handle
   * that names nothing, or sent an event with one, which was dropped. `misplaced-call`: C called from another thread, or from a stack that is not the thread's own. All
   * three got the callback's fallback; the report of a foreign call follows with the isolate's next call of C or callback,
   * or with `stats()`. `leak`: a callback, channel or library was garbage-collected before it
   * was closed; it has been released (only while leaks are tracked); or memory was, and can't be freed, since the library
   * with the function for that is closed. `dropped-calls`: calls from other threads found
   * their queue full, or their callback was closed before they ran. `timeout`: a thread of C's waited too long for a
   * callback with `thread: "wait"`, and got the fallback. `waiting-error`: a callback threw a second ago, and the native call
   * that will throw the error has not returned. `suppressed-error`: an error came after another one of the same native call,
   * which can't take it as its `suppressed`.
   */
  readonly kind:
    | "stale-callback"
    | "invalid-handle"
    | "misplaced-call"
    | "leak"
    | "dropped-calls"
    | "timeout"
    | "waiting-error"
    | "suppressed-error";
  /** A sentence for a person. */
  readonly message: string;
  /** The error that says the same to a program, or the stack of the creation of what leaked. */
  readonly cause?: unknown;
}

/** Options of {@linkcode configure}. */
export interface ConfigureOptions {
  /** Keep the creation stack of each handle, callback, channel, library, memory and pin, for `leaks()`. Off by default. */
  readonly trackLeaks?: boolean;
  /** Who is told of reports. `undefined` restores the default, which prints them with `console.warn`. */
  readonly onReport?: ((report: Report) => void) | undefined;
  /**
   * How many threads may make nonblocking calls: 64 by default, from 1 to 1,024. They are the process's, so what was set
   * last counts for all isolates; where an isolate sets it before its first nonblocking call, it counts from then on.
   */
  readonly callThreads?: number;
  /**
   * Whether pointers are held against the rules: what a callback returns, what is stored in C's memory, pointers into
   * arguments of calls that have returned, memory that is freed under a nonblocking call. On by default; what breaks a
   * rule is a {@linkcode PointerRuleError}. Off, it isn't looked for, and may end the process.
   */
  readonly pointerChecks?: boolean;
}

/** Whether pointers are held against the rules. */
export const pointerSettings = { checks: true };

/** How many threads the pool may have, if that was set, and who is told when it is. */
export const poolSettings: { threads: number | undefined; changed: ((threads: number) => void) | undefined } = {
  threads: undefined,
  changed: undefined,
};
const mostThreads = 1024;
const settingNames = ["trackLeaks", "onReport", "callThreads", "pointerChecks"] as const;

const { queueMicrotask, reportError } = globalThis;

const print = (report: Report): void => console.warn(`belay: ${report.message}`);
let listener: (report: Report) => void = print;

/**
 * Changes belay's settings for this isolate. What is left out stays as it is.
 *
 * ```ts
 * import { configure } from "@belay/ffi";
 *
 * configure({ onReport: (report) => console.error(report.kind, report.message) });
 * configure({ onReport: undefined });
 * ```
 */
export function configure(options: ConfigureOptions): void {
  const own = ownOptions("Cannot configure belay", options, settingNames, "a setting", "the configuration");
  const { onReport, trackLeaks, callThreads, pointerChecks } = own;
  if (onReport !== undefined && typeof onReport !== "function") {
    throw new TypeError(`Cannot configure "onReport": expected a function or undefined, got ${String(onReport)}`);
  }
  if (pointerChecks !== undefined && typeof pointerChecks !== "boolean") {
    throw new TypeError(`Cannot configure "pointerChecks": expected a boolean, got ${String(pointerChecks)}`);
  }
  if (callThreads !== undefined) {
    const what = `Cannot configure "callThreads": expected an integer from 1 to ${mostThreads}, got ${
      String(callThreads)
    }`;
    if (typeof callThreads !== "number") throw new TypeError(what);
    if (!Number.isInteger(callThreads) || callThreads < 1 || callThreads > mostThreads) throw new RangeError(what);
    poolSettings.threads = callThreads;
    poolSettings.changed?.(callThreads);
  }
  if (pointerChecks !== undefined) pointerSettings.checks = pointerChecks;
  if (trackLeaks !== undefined) setTracking(trackLeaks);
  if ("onReport" in own) listener = onReport ?? print;
}

/** Tells the listener; an error of its own goes to the runtime's uncaught-error path. */
export function report(kind: Report["kind"], message: string, cause?: unknown): void {
  try {
    listener({ kind, message, cause });
  } catch (error) {
    reportUncaught(error);
  }
}

/** Tells of what was collected, if its creation was tracked. */
export function reportLeak(leak: Leak | undefined, end: "closed" | "freed" | "unpinned"): void {
  if (leak === undefined) return;
  const { kind, name, stack } = leak;
  report("leak", `${kind} "${name}" was garbage-collected before it was ${end}; it has been released`, stack);
}

/** Hands an error to the runtime as one that nobody caught, once nothing of C is on the stack. */
export function reportUncaught(error: unknown): void {
  // Bun would give the place of a `throw` here as where the error came from.
  queueMicrotask(() => reportError(error));
}
