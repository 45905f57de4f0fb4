/**
 * What the two directions of calls share: the error that waits for the native call that it belongs to, what else waits to
 * be looked at, and the memory that running native calls use.
 *
 * @module
 */

import { attentionError, attentionForeign, attentionRelease, attentionWord, core, tokenWord } from "./core.ts";
import { handleTable } from "./handle.ts";
import { reportUncaught } from "./report.ts";

/** Stands for "no error is waiting"; any value can be thrown. */
export const none: unique symbol = Symbol("none");

/** Buffers of native calls that are running now, innermost first. */
interface Kept {
  readonly outer: Kept | null;
  /** A list of views, or the one. An array for one costs a twentieth of the call. */
  readonly values: unknown;
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
 * In the source URL of each generated native call, so that a stack shows whether one is running: nothing else has it, nor
 * another copy of this package.
 */
export const nativeCallMark: string = `belay-native-call-${Math.random().toString(36).slice(2)}`;

// As they were before the program could replace them.
const { Atomics, Error } = globalThis;

/** Has the next look find that an error waits. Other threads set flags of the same word. */
function wantAttention(): void {
  Atomics.or(core().words.u32, attentionWord, attentionError);
}

/** What callbacks of nonblocking calls threw, by the call's token: the first error of each. */
export const callErrors: Map<number, unknown> = new Map();

/** The nonblocking call that the queued callback which is running belongs to, or 0. */
function token(): number {
  // It is an index and 1: the upper half is empty.
  return core().words.u32[tokenWord * 2];
}

/**
 * Whether the nonblocking call that a queued callback belongs to has an error: its callbacks run no more.
 *
 * @param lentTo The token of the call that the function is lent to.
 */
export function callHasFailed(lentTo: number): boolean {
  return callErrors.has(token()) || callErrors.has(lentTo);
}

const observers: ((where: string | undefined) => void)[] = [];

/**
 * Has a function called when thunks have something to tell of calls from elsewhere.
 *
 * @param observer Gets the name of the native call that has just returned, if that is when it was found.
 */
export function onForeignCall(observer: (where: string | undefined) => void): void {
  observers.push(observer);
}

/**
 * Looks what waits, and answers whether it is an error. Called when the attention word isn't zero.
 *
 * @param where The name of the native call that has just returned.
 */
export function errorWaits(where?: string): boolean {
  const waiting = calls.pending !== none;
  const flags = Atomics.exchange(core().words.u32, attentionWord, waiting ? attentionError : 0);
  if ((flags & attentionRelease) !== 0) handleTable().deleteReleased();
  if ((flags & attentionForeign) !== 0) { for (const observer of observers) observer(where); }
  return waiting;
}

/**
 * Whether a native call of belay's is on the stack. Asked only when an error has to go somewhere: a count kept by each
 * call would cost it up to half its time.
 */
function inNativeCall(): boolean {
  // Mostly it is near; an error that unwinds a deep recursion must not format all of it at each level.
  return stackHasCall(16) || stackHasCall(Infinity);
}

function stackHasCall(frames: number): boolean {
  const { stackTraceLimit } = Error;
  const prepare = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  try {
    Error.stackTraceLimit = frames;
    // A program may have stacks formatted its own way.
    if (prepare !== undefined) Reflect.set(Error, "prepareStackTrace", undefined);
    return String(new Error().stack).includes(nativeCallMark);
  } catch {
    // A program that forbids to look gets the error from the next native call that returns.
    return true;
  } finally {
    restoreErrors(stackTraceLimit, prepare);
  }
}

function restoreErrors(stackTraceLimit: number, prepare: PropertyDescriptor | undefined): void {
  try {
    Error.stackTraceLimit = stackTraceLimit;
    if (prepare !== undefined) Object.defineProperty(Error, "prepareStackTrace", prepare);
  } catch {
    // Then it could not be changed either.
  }
}

/**
 * Keeps an error until the native call around the callback returns. When no call of belay's is there to throw it, because
 * another binding or the event loop called C, it goes to `onError`, or to the runtime's uncaught-error path.
 *
 * @param lentTo The token of the nonblocking call that the callback is lent to, whose promise it rejects, or 0.
 */
export function postpone(error: unknown, onError: ((error: unknown) => void) | undefined, lentTo: number): void {
  const rejects = token() || lentTo;
  if (inNativeCall()) {
    calls.pending = error;
    wantAttention();
  } else if (rejects !== 0) {
    if (!callErrors.has(rejects)) callErrors.set(rejects, error);
  } else if (onError === undefined) {
    reportUncaught(error);
  } else {
    aside(() => onError(error));
  }
}

/** Runs a function of the program's, whose own calls must not take the error that is waiting. */
export function aside(fn: () => void): void {
  const waiting = calls.pending;
  calls.pending = none;
  try {
    fn();
  } catch (error) {
    reportUncaught(error);
  } finally {
    // What a callback threw meanwhile, and no call of belay's has taken.
    if (calls.pending !== none) reportUncaught(calls.pending);
    calls.pending = waiting;
    if (waiting !== none) wantAttention();
  }
}

/** Takes the waiting error: what a native call throws when it has returned. */
export function takePending(): unknown {
  const error = calls.pending;
  calls.pending = none;
  return error;
}
