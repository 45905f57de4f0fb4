/**
 * What the two directions of calls share: the error that waits for the native call that it belongs to, what else waits to
 * be looked at, and the memory that running native calls use.
 *
 * @module
 */

import { core } from "./core.ts";
import { coreIsAttached } from "./core.ts";
import {
  attentionError,
  attentionInVain,
  attentionNotice,
  attentionRelease,
  attentionWord,
  callTokenWord,
  inVainCallWord,
  nativeCallWord,
} from "./record.ts";
import { inUrl } from "../ground/source_name.ts";
import { handleTable } from "../lifetime/handle.ts";
import { report, reportUncaught } from "../lifetime/report.ts";

/** Stands for "there is no value": any value can be a handle's. */
export const none: unique symbol = Symbol("none");

/** What callbacks of one native call threw. */
class CallErrors {
  /** What the native call throws, or its promise is rejected with. */
  readonly first: unknown;
  /** What came later: it becomes the first one's `suppressed`, or is reported. */
  further: unknown[] | undefined = undefined;
  /** The callback that threw first, for the report. */
  readonly thrower: Named;
  /** When it did, of `performance.now()`. */
  readonly sinceMs: number;
  lateReported = false;

  constructor(error: unknown, thrower: Named) {
    this.first = error;
    this.thrower = thrower;
    this.sinceMs = performance.now();
  }

  /** How many errors these are. */
  get count(): number {
    return 1 + (this.further?.length ?? 0);
  }

  /** Adds what came later. */
  add(error: unknown): void {
    (this.further ??= []).push(error);
  }
}

/** Something that messages name. */
interface Named {
  readonly name: string;
}

/** The errors that wait for a synchronous native call to return. */
class WaitingErrors extends CallErrors {
  /** How many native calls were running, that one the innermost. */
  readonly depth: number;
  /** Errors that wait for a native call around this one. */
  readonly outer: WaitingErrors | null;

  constructor(error: unknown, thrower: Named, depth: number, outer: WaitingErrors | null) {
    super(error, thrower);
    this.depth = depth;
    this.outer = outer;
  }
}

/** This isolate's calls. */
export interface CallState {
  /** The errors that wait for the innermost native call that any wait for. */
  waiting: WaitingErrors | null;
  /** How many nonblocking calls are outstanding, and the sum of their tokens: of a single one it is the token. */
  outstanding: number;
  tokenSum: number;
}

/** The one state of this isolate. */
export const calls: CallState = { waiting: null, outstanding: 0, tokenSum: 0 };

/**
 * In the source URL of each generated native call, before the function's name, so that a stack shows which are running:
 * nothing else has it, nor another copy of this package.
 */
const nativeCallMark = `belay-native-call-${Math.random().toString(36).slice(2)}/`;

/** What stacks call the generated function for a C function. */
export function nativeCallUrl(key: string): string {
  return nativeCallMark + inUrl(key);
}

/**
 * `words.i32[nativeCallWord]` has how many synchronous native calls run in its lower half, and in its upper half a number of the
 * outermost, by which the core tells one call from another. A native call adds 1 while it runs; the outermost one has added
 * this afterwards.
 */
export const outermostEnded = 0x10000;
/** Of that word: how many calls run. */
export const depthMask = 0xffff;

/** An expression for that word when a native call has ended, from the variable that has what it was before. */
export function callsAfter(before: string): string {
  return `(${before} & ${depthMask}) === 0 ? (${before} + ${outermostEnded}) | 0 : ${before}`;
}

// As they were before the program could replace them.
const { Atomics, Error, performance } = globalThis;
const { defineProperty, getOwnPropertyDescriptor, hasOwn, isExtensible } = Object;

/** How many synchronous native calls of this isolate are running. */
function depth(): number {
  return core().words.i32[nativeCallWord]! & depthMask;
}

/** Has the next look find that an error waits. Other threads set flags of the same word. */
function wantAttention(): void {
  Atomics.or(core().words.u32, attentionWord, attentionError);
}

/** What callbacks of nonblocking calls threw, by the call's token. */
const failedCalls = new Map<number, CallErrors>();
/** What nonblocking calls are called in messages, by their tokens. */
export const callNames: string[] = [""];

/** The nonblocking call that the queued callback which is running belongs to, or 0. */
function token(): number {
  // It is an index and 1: the upper half is empty.
  return core().words.u32[callTokenWord * 2]!;
}

/**
 * The nonblocking call that an error of a queued callback belongs to, or 0: the one whose thread called, or that the
 * function is lent to; for a thread of C's own the only one that is outstanding.
 */
function callOf(callToken: number): number {
  return token() || callToken || (calls.outstanding === 1 ? calls.tokenSum : 0);
}

/** Whether callbacks of any nonblocking call that is outstanding have thrown. */
export function someCallHasFailed(): boolean {
  return failedCalls.size > 0;
}

/**
 * Whether callbacks of the nonblocking call that a queued callback belongs to have thrown: others of that call answer with
 * their fallback.
 *
 * @param callToken The token of the call that the function is lent to.
 * @param waits Whether C waits for the answer. Where it doesn't, only what is known to be that call's is meant.
 */
export function callHasFailed(callToken: number, waits: boolean): boolean {
  return failedCalls.has(waits ? callOf(callToken) : token() || callToken);
}

/** Takes what callbacks of a nonblocking call threw: {@linkcode none} if none did. */
export function takeCallError(token: number): unknown {
  const errors = failedCalls.size > 0 ? failedCalls.get(token) : undefined;
  if (errors === undefined) return none;
  failedCalls.delete(token);
  return withSuppressed(errors);
}

let observer: (where: string | undefined) => void = () => {};

/**
 * Has a function called when thunks have something to tell of calls from elsewhere.
 *
 * @param given Gets the name of the native call that has just returned, if that is when it was found.
 */
export function onNotices(given: (where: string | undefined) => void): void {
  observer = given;
}

/** Calls of a callback from other threads that nobody could serve while JavaScript was in a native call. */
export interface InVain {
  readonly callback: Named;
  /** Whether the threads wait for an answer. */
  readonly waits: boolean;
  /** The error for the native call of a name; how many calls there were. */
  readonly errorFor: (where: string, count: number) => Error;
}

/** The same while the native call that will throw it hasn't returned. */
interface WaitingInVain extends InVain {
  /** How many native calls were running, that one the innermost. */
  readonly depth: number;
  readonly sinceMs: number;
  count: number;
  told: boolean;
}

let inVain: WaitingInVain[] = [];

/**
 * The native call that threads have called back in vain in since this was last asked: how many were running, it the innermost.
 * 0 when it has returned without being asked.
 *
 * @param hasReturned Whether a native call has just returned.
 */
export function takeCallInVain(hasReturned: boolean): number {
  const { u32 } = core().words;
  const noted = Atomics.exchange(u32, inVainCallWord, 0);
  const now = u32[nativeCallWord]!;
  // The outermost one has another number when it has returned.
  const current = hasReturned && (now & depthMask) === 0 ? (now - outermostEnded) >>> 16 : now >>> 16;
  return noted >>> 16 === current ? Math.min(noted & depthMask, depth() + (hasReturned ? 1 : 0)) : 0;
}

/** Has the native call throw, at a depth of calls, that threads called back in vain. */
export function throwInVain(depth: number, given: InVain, count: number): void {
  const known = inVain.find((each) => each.callback === given.callback && each.depth === depth);
  if (known === undefined) inVain.push({ ...given, depth, sinceMs: performance.now(), count, told: false });
  else known.count += count;
}

/** Looks what waits for JavaScript. Called when the attention word isn't zero, and now and then. */
export function look(): void {
  lookAround(undefined);
}

/** The last look, before the program ends: reports what no native call will throw any more. */
export function lookAtEnd(): void {
  look();
  for (const each of inVain) tellInVain(each, "one that has not returned");
}

/**
 * Looks what waits for JavaScript after a native call has returned, and answers whether that has an error to throw, which
 * {@linkcode takeError} gives then.
 *
 * @param where The name of the native call.
 */
export function errorIsDue(where: string): boolean {
  lookAround(where);
  const now = depth();
  if (inVain.length > 0) throwDueInVain(now, where);
  const { waiting } = calls;
  return waiting !== null && waiting.depth > now;
}

/** Whether a native call has an error to throw when it returns. */
function somethingWaits(): boolean {
  return calls.waiting !== null || inVain.length > 0;
}

function lookAround(where: string | undefined): void {
  // First, since what follows may find no stack.
  const kept = somethingWaits() ? attentionError : 0;
  const flags = Atomics.exchange(core().words.u32, attentionWord, kept);
  if ((flags & attentionRelease) !== 0) handleTable().deleteReleased();
  if ((flags & attentionNotice) !== 0) observer(where);
  if (inVain.length === 0) return;
  keepAttention();
  if (where !== undefined) return;
  for (const each of inVain) {
    if (!each.told && performance.now() - each.sinceMs >= lateMs) tellInVain(each, nativeCallOnStack());
  }
}

/** Sets the flags for what waits: native calls look when they return, and threads find that it is in vain to wait for them. */
function keepAttention(): void {
  const now = depth();
  let flags = somethingWaits() ? attentionError : 0;
  for (const { waits, depth } of inVain) if (waits && depth <= now) flags |= attentionInVain;
  if (flags !== 0) Atomics.or(core().words.u32, attentionWord, flags);
}

/** Reports what a native call will throw that has not returned for long. */
function tellInVain(each: WaitingInVain, where: string): void {
  if (each.told) return;
  each.told = true;
  const error = each.errorFor(where, each.count);
  aside(() => report("waiting-error", error.message, error));
}

/** The native call that has returned leaves with `now` others: it throws what is due. */
function throwDueInVain(now: number, where: string): void {
  const due = inVain.filter((each) => each.depth > now);
  if (due.length === 0) return;
  inVain = inVain.filter((each) => each.depth <= now);
  for (const { errorFor, count, callback } of due) wait(errorFor(where, count), callback, now + 1);
}

/** Takes the error that the native call which has returned throws. */
export function takeError(): unknown {
  const waiting = calls.waiting as WaitingErrors;
  calls.waiting = waiting.outer;
  if (!somethingWaits()) Atomics.and(core().words.u32, attentionWord, ~attentionError);
  return withSuppressed(waiting);
}

/** Has an error wait for the native call that is the innermost when `depth` of them are running. */
function wait(error: unknown, thrower: Named, depth: number): void {
  const { waiting } = calls;
  if (waiting !== null && waiting.depth === depth) waiting.add(error);
  else calls.waiting = new WaitingErrors(error, thrower, depth, waiting);
  wantAttention();
}

/** The lists that {@linkcode withSuppressed} has made. */
const ownLists = new WeakSet<unknown[]>();

/**
 * The first of a call's errors, with the others in its `suppressed`. Those that it can't take, because it takes no property or
 * has a `suppressed` of the program's, are reported.
 */
function withSuppressed({ first, further, thrower }: CallErrors): unknown {
  const others = further?.filter((error) => error !== first) ?? [];
  if (others.length === 0 || takeSuppressed(first, others)) return first;
  for (const error of others) {
    const what =
      `an error of a callback came after that of "${thrower.name}" in the same native call, which throws the ` +
      `first one: ${shortly(error)}`;
    aside(() => report("suppressed-error", what, error));
  }
  return first;
}

function takeSuppressed(error: unknown, others: unknown[]): boolean {
  try {
    if (!(error instanceof Error) || !isExtensible(error)) return false;
    const known: unknown = getOwnPropertyDescriptor(error, "suppressed")?.value;
    if (Array.isArray(known) && ownLists.has(known)) {
      known.push(...others);
      return true;
    }
    if (hasOwn(error, "suppressed")) return false;
    defineProperty(error, "suppressed", { value: others, configurable: true, enumerable: true, writable: true });
    ownLists.add(others);
    return true;
  } catch {
    // A proxy that forbids it, say.
    return false;
  }
}

function shortly(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "an error that can't be shown";
  }
}

/** Whether a callback that is called now answers with its fallback, since another one of the same native call threw. */
export function errorWaitsHere(): boolean {
  const { waiting } = calls;
  if (waiting === null || waiting.depth !== depth()) return false;
  if (!waiting.lateReported) reportLate(waiting, nativeCallOnStack);
  return true;
}

const lateMs = 1000;

/** Says that a native call has not returned that an error waits for, once that is so for a second. */
function reportLate(errors: CallErrors, where: () => string): void {
  const ms = performance.now() - errors.sinceMs;
  if (errors.lateReported || ms < lateMs) return;
  errors.lateReported = true;
  const { first, thrower: { name } } = errors;
  const seconds = (ms / 1000).toFixed(1);
  aside(() =>
    report(
      "waiting-error",
      `callback "${name}" threw ${seconds} s ago, and the native call "${where()}" has not returned since. It throws the ` +
        "error when it returns; until then its other callbacks answer with their fallbacks, unless they are always: true. " +
        `With an onError, "${name}" would not raise: ${shortly(first)}`,
      first,
    )
  );
}

/** As {@linkcode look}; and tells of nonblocking calls that have failed and not returned for long. */
export function lookNowAndThen(): void {
  if (coreIsAttached() && core().words.u32[attentionWord] !== 0) look();
  for (const [failed, errors] of failedCalls) reportLate(errors, () => callNames[failed] ?? "");
}

/** The name of the innermost native call of belay's that is on the stack. It takes tens of microseconds. */
function nativeCallOnStack(): string {
  const stack = textOfStack();
  const start = stack.indexOf(nativeCallMark);
  if (start < 0) return "unknown";
  const [name = ""] = stack.slice(start + nativeCallMark.length).split(/[:),\s]/, 1);
  return decodeURIComponent(name);
}

/** This stack as the engine formats it, whatever the program has set; empty where it forbids to look. */
function textOfStack(): string {
  // Assigned, not defined: Bun sees nothing else.
  const settings = Error as { stackTraceLimit?: unknown; prepareStackTrace?: unknown };
  try {
    const { stackTraceLimit, prepareStackTrace } = settings;
    try {
      settings.stackTraceLimit = Infinity;
      if (prepareStackTrace !== undefined) settings.prepareStackTrace = undefined;
      return String(new Error().stack);
    } finally {
      settings.stackTraceLimit = stackTraceLimit;
      if (prepareStackTrace !== undefined) settings.prepareStackTrace = prepareStackTrace;
    }
  } catch {
    return "";
  }
}

/**
 * Raises what a callback threw: the native call that the callback runs in throws it when it returns, or the promise of the
 * nonblocking call that the callback belongs to is rejected with it. Where there is neither, because another binding or the
 * event loop called C, it goes to the runtime's uncaught-error path.
 *
 * @param callToken The token of the nonblocking call that the callback is lent to, or 0.
 */
export function raise(error: unknown, thrower: Named, callToken: number): void {
  const running = depth();
  if (running > 0) return wait(error, thrower, running);
  const failing = callOf(callToken);
  if (failing === 0) return reportUncaught(error);
  failCall(failing, error, thrower);
}

/** Has the promise of a call be rejected with an error, unless it is by another one. */
export function failCall(token: number, error: unknown, thrower: Named): void {
  const errors = failedCalls.get(token);
  if (errors === undefined) failedCalls.set(token, new CallErrors(error, thrower));
  else errors.add(error);
}

/** Whether callbacks of the call with a token have thrown. */
export function callHasErrors(token: number): boolean {
  return failedCalls.has(token);
}

/**
 * Keeps what callbacks threw in a piece of a suspending call until that has returned. The piece has ended.
 *
 * @param where The name of the native call.
 */
export function keepErrors(token: number, where: string): void {
  if (!errorIsDue(where)) return;
  const { thrower } = calls.waiting as WaitingErrors;
  failCall(token, takeError(), thrower);
}

/** Runs a function of the program's, whose own calls must not take the errors that are waiting. */
export function aside(fn: () => void): void {
  const { waiting } = calls;
  const outerInVain = inVain;
  calls.waiting = null;
  inVain = [];
  try {
    fn();
  } catch (error) {
    reportUncaught(error);
  } finally {
    const left = calls.waiting;
    calls.waiting = waiting;
    inVain = [...outerInVain, ...inVain];
    keepAttention();
    // What a callback threw meanwhile, and no call of belay's has taken.
    if (left !== null) reportUncaught(withSuppressed(left));
  }
}

/**
 * Runs what the event loop runs. A program can have the loop run inside of a callback (Bun's `expect().resolves`): errors
 * of what the loop calls are none of the native call around that.
 */
export function fromEventLoop<A>(fn: (argument: A) => void, argument: A): void {
  const { i32 } = core().words;
  const outer = i32[nativeCallWord]!;
  if ((outer & depthMask) === 0) return fn(argument);
  i32[nativeCallWord] = outer & ~depthMask;
  try {
    aside(() => fn(argument));
  } finally {
    i32[nativeCallWord] = outer;
  }
}

/** How many errors wait for a native call to return, synchronous or not. */
export function waitingErrors(): number {
  let count = 0;
  for (let { waiting } = calls; waiting !== null; waiting = waiting.outer) count += waiting.count;
  for (const errors of failedCalls.values()) count += errors.count;
  return count;
}
