/**
 * What can't be thrown, because no caller of ours is there to catch it, is reported.
 *
 * @module
 */

import type { Leak } from "./leaks.ts";

/** Something that went wrong where nothing could be thrown. */
export interface Report {
  /**
   * `stale-callback`: C called a callback that was closed or garbage-collected. `invalid-handle`: C passed a handle
   * that names nothing, or sent an event with one, which was dropped. `misplaced-call`: C called from another thread, or from a stack that is not the thread's own. All
   * three got the callback's fallback; the report of a misplaced call follows with the isolate's next call of C or callback,
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

const { queueMicrotask, reportError } = globalThis;

const print = (report: Report): void => console.warn(`belay: ${report.message}`);
let listener: (report: Report) => void = print;

/** Has reports told to a function; `undefined` restores the default, which prints them. */
export function setReportListener(given: ((report: Report) => void) | undefined): void {
  listener = given ?? print;
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
