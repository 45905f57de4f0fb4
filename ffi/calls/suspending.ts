/**
 * Calls of C whose callbacks may be `async`: C waits on a stack of its own, and JavaScript goes on. A call is run piece by
 * piece, on JavaScript's thread: until C has returned, or a callback has a promise. A program may give a call up: its callbacks
 * get their fallbacks then, so that C comes to its end.
 *
 * @module
 */

import { boundFunctions } from "../callbacks/bound_function.ts";
import { answerLater, failLater } from "../callbacks/invoker.ts";
import { ownStack, type RunningCall, type Suspended, takeTailCall } from "../callbacks/own_stack.ts";
import { core, onEnd } from "../core/core.ts";
import { callHasErrors, failCall, keepErrors } from "../core/pending.ts";
import {
  attentionWord,
  callbackWord,
  liveWord,
  resultWord,
  stackStateCallsBack,
  stackStateReturned,
} from "../core/record.ts";
import { TypeError } from "../ground/blame.ts";
import { LibraryClosedError, shown } from "../ground/errors.ts";
import { ownOptions } from "../ground/options.ts";
import { checkStack } from "../ground/stack.ts";
import { report } from "../lifetime/report.ts";
import { backend } from "../runtime/choose.ts";
import type { SuspendingCallOptions } from "../types/definitions.ts";
import { conclude, enroll, leave, type NonblockingCall, withdraw } from "./nonblocking.ts";
import { beginPiece, callBack, endPiece, refuse, restStacks, stackSteps } from "./own_stack.ts";

// As they were before the program could replace them.
const { AbortSignal, performance, Promise } = globalThis;
// Deno's own for signals: with those of other targets, `AbortSignal.timeout()` wouldn't keep the event loop alive.
const { addEventListener, removeEventListener } = AbortSignal.prototype;
const { then } = Promise.prototype;

function ignore(): void {}

/** What C may do yet when the program has given a call up: call back so often, and take so long. */
const mostCallbacks = 256;
const mostMs = 100;

/** @throws {TypeError} When an option is misspelled or of the wrong type. */
export function checkedSignal(key: string, options: SuspendingCallOptions): AbortSignal | undefined {
  const { signal } = ownOptions(`Cannot call "${key}"`, options, ["signal"]);
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new TypeError(`Cannot call "${key}": signal must be an AbortSignal, got ${shown(signal)}`);
}

/** All calls that are not over. */
const outstanding = new Set<SuspendingCall>();

/** A call whose C code may wait: what it is, and what it waits for. */
export class SuspendingCall {
  readonly #index: number;
  readonly #call: NonblockingCall;
  readonly #signal: AbortSignal | undefined;
  /** Those of the same function that are not over. */
  readonly #same: Set<SuspendingCall>;
  /** The program has given the call up. */
  #isGivenUp = false;
  /** How often C may call back then, and until when by `performance.now()`: from when it first does. */
  #callbacksLeft = mostCallbacks;
  #endsBeforeMs: number | undefined;
  /** Before it begins, too: then nothing gives it up. */
  #isOver = true;
  /** The callback that C waits for. */
  #suspended: Suspended | undefined;
  /** Its fallback, which the core had put where the result goes. */
  #fallbackLow = 0;
  #fallbackHigh = 0;
  // Made once: a call may wait often.
  readonly #fulfilled = (value: unknown): void => this.#goOn(answerLater, value);
  readonly #rejected = (error: unknown): void => this.#goOn(failLater, error);

  readonly #aborted = (): void => this.giveUp(this.#signal?.reason);

  constructor(index: number, call: NonblockingCall, signal: AbortSignal | undefined, same: Set<SuspendingCall>) {
    this.#index = index;
    this.#call = call;
    this.#signal = signal;
    this.#same = same;
    if (signal !== undefined) addEventListener.call(signal, "abort", this.#aborted);
  }

  /**
   * Rejects the promise, and lets C come to its end.
   *
   * @param endsBeforeMs Until when, by `performance.now()`, if not for as long as C has by itself.
   */
  giveUp(reason: unknown, endsBeforeMs?: number): void {
    if (this.#isGivenUp || this.#isOver || core().words.u32[liveWord] === 0) return;
    // So that it can be done again where this finds none.
    checkStack(`give up the call of "${this.#call.name}"`);
    this.#isGivenUp = true;
    this.#endsBeforeMs = endsBeforeMs;
    failCall(this.#index + 1, reason, this.#call);
    const suspended = this.#suspended;
    // Where nothing waits, C or a callback of it runs, and looks when that has ended.
    if (suspended === undefined) return;
    this.#suspended = undefined;
    this.run(suspended);
  }

  /** Whether C has had its time since the program gave the call up. C is about to call back. */
  #isLate(): boolean {
    if (!this.#isGivenUp) return false;
    const nowMs = performance.now();
    this.#endsBeforeMs ??= nowMs + mostMs;
    return this.#callbacksLeft-- === 0 || nowMs > this.#endsBeforeMs;
  }

  /** Goes on when the promise has settled: writes the result, or what becomes of the error. */
  #goOn(answer: (suspended: Suspended, value: unknown) => void, value: unknown): void {
    const suspended = this.#suspended;
    // It was settled already, or the isolate's world has ended.
    if (suspended === undefined || core().words.u32[liveWord] === 0) return;
    this.#suspended = undefined;
    this.run(suspended, answer, value);
  }

  /**
   * Starts the call, or goes on with it, until C has returned or waits for a promise.
   *
   * @param suspended The callback that C waits for: it gets the fallback unless there is an `answer`.
   */
  run(suspended?: Suspended, answer?: (suspended: Suspended, value: unknown) => void, value?: unknown): void {
    const index = this.#index;
    const call = this.#call;
    const { start, goOn } = stackSteps();
    const { isolate, words: { i32 } } = core();
    const token = index + 1;
    const running: RunningCall = { suspended: undefined };
    let state: number;
    if (suspended === undefined) this.#begin();
    const outside = beginPiece(i32, running);
    try {
      if (suspended !== undefined) {
        i32[2 * resultWord] = this.#fallbackLow;
        i32[2 * resultWord + 1] = this.#fallbackHigh;
        answer?.(suspended, value);
      }
      state = suspended === undefined ? start(isolate, index) : goOn(isolate, index);
      if (ownStack.tailIndex >= 0) takeTailCall();
      while (state === stackStateCallsBack && !this.#isLate()) {
        const bound = boundFunctions[i32[callbackWord]!];
        if (bound !== undefined && (bound.always || !callHasErrors(token))) {
          this.#fallbackLow = i32[2 * resultWord]!;
          this.#fallbackHigh = i32[2 * resultWord + 1]!;
          callBack(bound);
          if (running.suspended !== undefined) {
            if (!this.#isGivenUp) break;
            then.call(promiseOf(running.suspended), ignore, ignore);
            running.suspended = undefined;
            i32[2 * resultWord] = this.#fallbackLow;
            i32[2 * resultWord + 1] = this.#fallbackHigh;
          }
        }
        state = goOn(isolate, index);
        if (ownStack.tailIndex >= 0) takeTailCall();
      }
    } finally {
      endPiece(i32, outside);
    }
    if (i32[attentionWord] !== 0) keepErrors(token, call.name);
    if (running.suspended !== undefined) return this.#wait(running.suspended);
    this.#end();
    if (state === stackStateReturned) conclude(index);
    else if (state !== stackStateCallsBack) conclude(index, () => refuse(state, call.name));
    else this.#leave();
    if (this.#signal === undefined) return;
    try {
      removeEventListener.call(this.#signal, "abort", this.#aborted);
    } catch {
      // At the stack's end. It is called in vain then.
    }
  }

  #begin(): void {
    this.#same.add(this);
    outstanding.add(this);
    this.#isOver = false;
  }

  /** The call is over. */
  #end(): void {
    this.#isOver = true;
    this.#same.delete(this);
    outstanding.delete(this);
    if (outstanding.size === 0) restSoon();
  }

  #leave(): void {
    leave(this.#index);
    report(
      "abandoned-call",
      `"${this.#call.name}" had called back ${mostCallbacks} times, or for ${mostMs} ms, after the program gave it up: C is left where it is, ` +
        "with its stack and the memory of its arguments",
    );
  }

  #wait(suspended: Suspended): void {
    this.#suspended = suspended;
    then.call(promiseOf(suspended), this.#fulfilled, this.#rejected);
    // By what ran between the two pieces: a report's listener.
    if (this.#isGivenUp && this.#suspended === suspended) this.#goOn(ignore, undefined);
  }
}

/** What isn't a promise of this world's becomes one. */
function promiseOf({ promise }: Suspended): Promise<unknown> {
  try {
    return Promise.resolve(promise);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** When a rest was asked for, by `performance.now()`; 0 when none is to come. */
let restAskedMs = 0;
/** After so long, the runtime has dropped what it was asked. */
const restIsLateMs = 1000;

/** Gives the system what calls have left in stacks, if none has begun in a turn of the event loop. */
function restSoon(): void {
  const { later } = backend();
  const nowMs = performance.now();
  if (later === undefined || restAskedMs !== 0 && nowMs - restAskedMs < restIsLateMs) return;
  restAskedMs = nowMs;
  later(() => {
    restAskedMs = 0;
    if (outstanding.size === 0 && core().words.u32[liveWord] !== 0) restStacks();
  });
}

let isPrepared = false;

/** Before the first call. */
function prepare(): void {
  if (isPrepared) return;
  stackSteps();
  onEnd(() => {
    const endsBeforeMs = performance.now() + mostMs;
    for (const call of [...outstanding]) {
      // The rest is left as it is.
      if (performance.now() > endsBeforeMs) return;
      call.giveUp(new Error("The isolate has ended"), endsBeforeMs);
    }
  });
  isPrepared = true;
}

/** Gives up calls of a function whose library is closed. */
export function giveUpAll(calls: ReadonlySet<SuspendingCall>, key: string, library: string): void {
  for (const call of [...calls]) call.giveUp(new LibraryClosedError("call", key, library));
}

/**
 * Makes a call whose arguments are in a block, as far as it goes; not at all if its signal is aborted.
 *
 * @throws {Error} When C wasn't called: the block is given back then.
 */
export function startSuspending(
  index: number,
  call: NonblockingCall,
  signal: AbortSignal | undefined,
  same: Set<SuspendingCall>,
): void {
  let started: SuspendingCall | undefined;
  try {
    prepare();
    checkStack(`call "${call.name}"`);
    enroll(index, call);
    started = new SuspendingCall(index, call, signal, same);
  } catch (error) {
    withdraw(index, call);
    throw error;
  }
  // Reading the arguments may have run the program's code.
  if (signal?.aborted !== true) return started.run();
  conclude(index, () => {
    throw signal.reason;
  });
}
