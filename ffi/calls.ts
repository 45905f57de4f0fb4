/**
 * What the two directions of calls share: the error that waits for the native call that it belongs to, and the memory
 * that running native calls use.
 *
 * @module
 */

import { reportUncaught } from "./report.ts";

/** Stands for "no error is waiting"; any value can be thrown. */
export const none: unique symbol = Symbol("none");

/** Buffers of native calls that are running now, innermost first. */
interface Kept {
  readonly outer: Kept | null;
  readonly values: readonly unknown[];
}

/** This isolate's calls. Generated code reads and writes the fields. */
export interface CallState {
  /**
   * What a callback threw. Until the native call that it ran in returns and throws it, further callbacks answer with their
   * fallback. The call unwinds before anything outside it runs, so one place is enough for any depth of nesting.
   */
  pending: unknown;
  kept: Kept | null;
}

/** The one state of this isolate. */
export const calls: CallState = { pending: none, kept: null };

/**
 * Keeps an error until the native call around the callback returns. When no call of belay's is there to throw it, because
 * another binding or the event loop called C, it goes to `onError`, or to the runtime's uncaught-error path, as soon as
 * the turn's own code is done.
 */
export function postpone(error: unknown, onError: ((error: unknown) => void) | undefined): void {
  calls.pending = error;
  queueMicrotask(() => {
    if (calls.pending !== error) return;
    calls.pending = none;
    if (onError === undefined) return reportUncaught(error);
    try {
      onError(error);
    } catch (second) {
      reportUncaught(second);
    }
  });
}

/** Takes the waiting error: what a native call throws when it has returned. */
export function takePending(): unknown {
  const error = calls.pending;
  calls.pending = none;
  return error;
}
