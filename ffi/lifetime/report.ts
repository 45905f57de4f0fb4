/**
 * What can't be thrown, because no caller of ours is there to catch it, is reported.
 *
 * @module
 */

import type { Leak } from "./leaks.ts";

/**
 * Something that went wrong where belay couldn't throw an error.
 *
 * belay gives it to the function that `configure({ onReport })` has set. By default it is printed with `console.warn`.
 */
export interface Report {
  /**
   * What went wrong.
   *
   * - `stale-callback`: C called a callback that was closed or garbage-collected, and got its fallback.
   * - `invalid-handle`: C passed a null or deleted handle to a callback, and got its fallback. Or it sent an event with
   *   one to a channel, which dropped the event.
   * - `misplaced-call`: C called from another thread, or from a stack that isn't the thread's own, and got the
   *   fallback. The report comes with the isolate's next native call or callback, or with {@linkcode stats}.
   * - `leak`: something was garbage-collected before it was closed, freed or unpinned. belay has released it, and
   *   reports it only while leaks are tracked. Exception: adopted memory whose library is closed can't be freed, which
   *   is always reported.
   * - `dropped-calls`: calls from other threads found their queue full, or their callback was closed before they ran.
   * - `timeout`: a thread of C's waited too long for a callback with `thread: "wait"`, and got the fallback.
   * - `waiting-error`: a callback threw a second ago, and the native call that will throw the error hasn't returned.
   * - `abandoned-call`: a suspending call was aborted, and C did not return for all that.
   * - `suppressed-error`: an error came after another one of the same native call, which can't take it as its
   *   `suppressed`.
   */
  readonly kind:
    | "stale-callback"
    | "invalid-handle"
    | "misplaced-call"
    | "leak"
    | "dropped-calls"
    | "timeout"
    | "waiting-error"
    | "abandoned-call"
    | "suppressed-error";
  /** A sentence for a person. */
  readonly message: string;
  /** The error that says the same to a program. For a `leak`, the stack of the creation. */
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
