/**
 * Calls of C whose callbacks may be `async`: C waits on a stack of its own, and JavaScript goes on. A call is run piece by
 * piece, on JavaScript's thread: until C has returned, or a callback has a promise. A program may give a call up: its callbacks
 * get their fallbacks then, so that C comes to its end.
 *
 * @module
 */

import { type BoundFunction, boundFunctions } from "../callbacks/bound_function.ts";
import { answerLater, failLater } from "../callbacks/invoker.ts";
import { ownStack, type RunningCall } from "../callbacks/own_stack.ts";
import { control, core, onEnd } from "../core/core.ts";
import { callHasErrors, depthMask, failCall, keepErrors, outermostEnded, raise } from "../core/pending.ts";
import {
  attentionWord,
  liveWord,
  nativeCallWord,
  operationEndProcess,
  operationWatchStacks,
  resultWord,
  stackStateCallsBack,
  stackStateReturned,
  suspendedWord,
  watchedWord,
} from "../core/record.ts";
import { TypeError } from "../ground/blame.ts";
import { LibraryClosedError, shown } from "../ground/errors.ts";
import { ownOptions } from "../ground/options.ts";
import { checkStack } from "../ground/stack.ts";
import { report } from "../lifetime/report.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { SuspendingCallOptions } from "../types/definitions.ts";
import { conclude, enroll, leave, type NonblockingCall, withdraw } from "./nonblocking.ts";
import { refuse, restStacks, type StackSteps, stackSteps } from "./own_stack.ts";

// As they were before the program could replace them.
const { AbortSignal, performance, Promise } = globalThis;
// Deno's own for signals: with those of other targets, `AbortSignal.timeout()` wouldn't keep the event loop alive.
const { addEventListener, removeEventListener } = AbortSignal.prototype;
const { then } = Promise.prototype;

function ignore(): void {}

/** What C may do yet when the program has given a call up: call back so often, and take so long. */
const mostCallbacks = 256;
const mostMs = 100;
/** How long the process waits at its end for C that doesn't call back. */
const mostEndMs = 1000;

/** @throws {TypeError} When an option is misspelled or of the wrong type. */
export function checkedSignal(key: string, options: SuspendingCallOptions): AbortSignal | undefined {
  const { signal } = ownOptions(`Cannot call "${key}"`, options, ["signal"]);
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new TypeError(`Cannot call "${key}": signal must be an AbortSignal, got ${shown(signal)}`);
}

/** All calls that are not over. */
const outstanding = new Set<SuspendingCall>();

/** A call whose C code may wait: what it is, and what it waits for. */
export class SuspendingCall implements RunningCall {
  readonly #index: number;
  // The isolate's, and the core's way on: asking for them with each piece takes a tenth of its time.
  readonly #isolate: Address = core().isolate;
  readonly #i32: Int32Array<ArrayBuffer> = core().words.i32;
  readonly #goOnWith: StackSteps["goOn"] = stackSteps().goOn;
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
  // See `RunningCall`.
  bound: BoundFunction | undefined = undefined;
  promise: unknown = undefined;
  given: unknown[] = [];
  resultAddress: Address | undefined = undefined;
  /** Whether C waits for that promise, and how often it has waited. */
  #isWaiting = false;
  #waits = 0;
  /** Whether the promises of its callbacks are awaited. */
  #isServed = false;
  /** Its fallback, which the core had put where the result goes. */
  #fallbackLow = 0;
  #fallbackHigh = 0;
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
    // Where nothing waits, C or a callback of it runs, and looks when that has ended.
    if (this.#isWaiting) this.#goOn(undefined, undefined);
  }

  /** Whether C has had its time since the program gave the call up. C is about to call back. */
  #isLate(): boolean {
    if (!this.#isGivenUp) return false;
    const nowMs = performance.now();
    this.#endsBeforeMs ??= nowMs + mostMs;
    return this.#callbacksLeft-- === 0 || nowMs > this.#endsBeforeMs;
  }

  /** Starts the call: runs it until C has returned or waits for a promise. */
  run(): void {
    this.#same.add(this);
    outstanding.add(this);
    this.#isOver = false;
    this.#endPiece(this.#runPiece(false, undefined, undefined));
  }

  /** Goes on with it. The callback that C waits for gets the fallback unless there is an `answer`. */
  #goOn(answer: typeof answerLater | undefined, value: unknown): void {
    this.#isWaiting = false;
    this.#i32[suspendedWord]! -= 1;
    this.#endPiece(this.#runPiece(true, answer, value));
  }

  #endPiece(state: number): void {
    const call = this.#call;
    if (this.#i32[attentionWord] !== 0) keepErrors(this.#index + 1, call.name);
    if (this.bound !== undefined) return this.#wait();
    this.#end();
    if (state === stackStateReturned) conclude(this.#index);
    else if (state < stackStateCallsBack) conclude(this.#index, () => refuse(state, call.name));
    else this.#leave();
    if (this.#signal === undefined) return;
    try {
      removeEventListener.call(this.#signal, "abort", this.#aborted);
    } catch {
      // At the stack's end. It is called in vain then.
    }
  }

  /** Runs C, and the callbacks that it wants. Answers the state in which it was left. */
  #runPiece(isWaiting: boolean, answer: typeof answerLater | undefined, value: unknown): number {
    const index = this.#index;
    const isolate = this.#isolate;
    const i32 = this.#i32;
    const goOn = this.#goOnWith;
    // What is put back afterwards: all of what runs around it. The result word has the fallback of a callback, perhaps.
    const native = i32[nativeCallWord]!;
    const low = i32[2 * resultWord]!;
    const high = i32[2 * resultWord + 1]!;
    const { depth, running } = ownStack;
    i32[nativeCallWord] = native + 1;
    ownStack.running = this;
    ownStack.depth = (native & depthMask) + 1;
    try {
      if (isWaiting) {
        const { bound, given, resultAddress } = this;
        this.bound = undefined;
        this.#answerWithFallback(i32);
        answer?.(bound as BoundFunction, given, resultAddress, value);
      }
      let state = isWaiting ? goOn(isolate, index) : stackSteps().start(isolate, index);
      while (state >= stackStateCallsBack && !this.#isLate()) {
        const bound = boundFunctions[state - stackStateCallsBack];
        if (bound !== undefined && (bound.always || !callHasErrors(index + 1))) {
          this.#fallbackLow = i32[2 * resultWord]!;
          this.#fallbackHigh = i32[2 * resultWord + 1]!;
          callBack(bound);
          if (this.bound !== undefined) {
            if (!this.#isGivenUp) break;
            this.#drop();
            this.bound = undefined;
            this.#answerWithFallback(i32);
          }
        }
        state = goOn(isolate, index);
      }
      return state;
    } finally {
      ownStack.running = running;
      ownStack.depth = depth;
      i32[2 * resultWord] = low;
      i32[2 * resultWord + 1] = high;
      i32[nativeCallWord] = (native & depthMask) === 0 ? (native + outermostEnded) | 0 : native;
    }
  }

  #answerWithFallback(i32: Int32Array): void {
    i32[2 * resultWord] = this.#fallbackLow;
    i32[2 * resultWord + 1] = this.#fallbackHigh;
  }

  /** C doesn't wait for the promise. */
  #drop(): void {
    then.call(promiseOf(this.promise), ignore, ignore);
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

  #wait(): void {
    const i32 = this.#i32;
    this.#isWaiting = true;
    i32[suspendedWord]! += 1;
    if (i32[watchedWord] === 0) control(operationWatchStacks, { object: this.#isolate });
    // By what ran between the two pieces: a report's listener.
    if (this.#isGivenUp) {
      this.#drop();
      return this.#goOn(undefined, undefined);
    }
    this.#waits += 1;
    if (!this.#isServed) void this.#serve();
  }

  /**
   * Goes on whenever the promise has settled that C waits for. One function awaits them all: that costs less than a reaction for
   * each.
   */
  async #serve(): Promise<void> {
    this.#isServed = true;
    while (this.#isWaiting) {
      const waits = this.#waits;
      let answer = answerLater;
      let value: unknown;
      try {
        value = await this.promise;
      } catch (error) {
        answer = failLater;
        value = error;
      }
      // C has gone on already, or the isolate's world has ended.
      if (!this.#isWaiting || this.#waits !== waits || this.#i32[liveWord] === 0) return;
      this.#goOn(answer, value);
    }
  }
}

/** Calls the function that C wants called. */
function callBack(bound: BoundFunction): void {
  try {
    bound.invoke(bound);
  } catch (error) {
    // Where the stack ends, before the function's own `try`.
    raise(error, bound, 0);
  }
}

/** What isn't a promise of this world's becomes one. */
function promiseOf(promise: unknown): Promise<unknown> {
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
    if (outstanding.size === 0) return;
    const endsBeforeMs = performance.now() + mostMs;
    // C may wait by itself when it goes on, and nobody can stop it then.
    const code = backend().exitCode();
    // It isn't success: the runtime may know of a failure that it has not told, and tests may be left that have not run.
    if (code !== undefined) control(operationEndProcess, { number: code || 1, bits: mostEndMs });
    try {
      for (const call of [...outstanding]) {
        // The rest is left as it is.
        if (performance.now() > endsBeforeMs) return;
        call.giveUp(new Error("The isolate has ended"), endsBeforeMs);
      }
    } finally {
      if (code !== undefined) control(operationEndProcess);
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
