/**
 * Calls of C whose callbacks may be `async`: C waits on a stack of its own, and JavaScript goes on. A call is run piece by
 * piece, on JavaScript's thread: until C has returned, or a callback has a promise.
 *
 * @module
 */

import { boundFunctions } from "../callbacks/bound_function.ts";
import { answerLater, failLater } from "../callbacks/invoker.ts";
import { ownStack, type RunningCall, type Suspended, takeTailCall } from "../callbacks/own_stack.ts";
import { freeBlock } from "../core/call_blocks.ts";
import { core } from "../core/core.ts";
import { callHasErrors, depthMask, keepErrors, outermostEnded, raise } from "../core/pending.ts";
import {
  attentionWord,
  callbackWord,
  liveWord,
  nativeCallWord,
  resultWord,
  stackStateCallsBack,
  stackStateReturned,
} from "../core/record.ts";
import { conclude, enroll, type NonblockingCall } from "./nonblocking.ts";
import { refuse, type StackSteps, stackSteps } from "./own_stack.ts";

// As it was before the program could replace it.
const { Promise } = globalThis;
const { then } = Promise.prototype;

let steps: StackSteps | undefined;

/** What a call is gone on with: the result of the callback that C waits for is written. */
type Answer = () => void;

/**
 * Makes a call whose arguments are in a block, as far as it goes.
 *
 * @throws {Error} When C wasn't called: the block is given back then.
 */
export function startSuspending(index: number, call: NonblockingCall): void {
  try {
    steps ??= stackSteps();
    enroll(index, call);
  } catch (error) {
    freeBlock(index);
    call.ended?.();
    throw error;
  }
  run(index, call, undefined);
}

/** Starts a call, or goes on with it, until C has returned or waits for a promise. */
function run(index: number, call: NonblockingCall, answer: Answer | undefined): void {
  const { start, goOn } = steps as StackSteps;
  const { isolate, words: { i32 } } = core();
  const token = index + 1;
  const outer = ownStack.running;
  const outerDepth = ownStack.depth;
  const native = i32[nativeCallWord]!;
  // Of the callback that runs around this: its fallback, perhaps.
  const low = i32[2 * resultWord]!;
  const high = i32[2 * resultWord + 1]!;
  const running: RunningCall = { suspended: undefined };
  let state: number;
  let fallbackLow = 0;
  let fallbackHigh = 0;
  i32[nativeCallWord] = native + 1;
  ownStack.running = running;
  ownStack.depth = (native & depthMask) + 1;
  try {
    answer?.();
    state = answer === undefined ? start(isolate, index) : goOn(isolate, index);
    if (ownStack.tailIndex >= 0) takeTailCall();
    while (state === stackStateCallsBack) {
      const bound = boundFunctions[i32[callbackWord]!];
      if (bound !== undefined && (bound.always || !callHasErrors(token))) {
        fallbackLow = i32[2 * resultWord]!;
        fallbackHigh = i32[2 * resultWord + 1]!;
        try {
          bound.invoke(bound);
        } catch (error) {
          // Where the stack ends, before the function's own `try`.
          raise(error, bound, 0);
        }
        if (running.suspended !== undefined) break;
      }
      state = goOn(isolate, index);
      if (ownStack.tailIndex >= 0) takeTailCall();
    }
  } finally {
    ownStack.running = outer;
    ownStack.depth = outerDepth;
    i32[2 * resultWord] = low;
    i32[2 * resultWord + 1] = high;
    i32[nativeCallWord] = (native & depthMask) === 0 ? (native + 1 + outermostEnded - 1) | 0 : native;
  }
  if (i32[attentionWord] !== 0) keepErrors(token, call.name);
  const { suspended } = running;
  if (suspended !== undefined) return wait(index, call, suspended, fallbackLow, fallbackHigh);
  if (state === stackStateReturned) return conclude(index);
  conclude(index, () => refuse(state, call.name));
}

/** Goes on with a call when the promise of its callback has settled. */
function wait(index: number, call: NonblockingCall, suspended: Suspended, low: number, high: number): void {
  const { i32, u32 } = core().words;
  const goOn = (answer: Answer): void => {
    // The isolate's world has ended.
    if (u32[liveWord] === 0) return;
    run(index, call, () => {
      i32[2 * resultWord] = low;
      i32[2 * resultWord + 1] = high;
      answer();
    });
  };
  const fulfilled = (value: unknown): void => goOn(() => answerLater(suspended, value));
  const rejected = (error: unknown): void => goOn(() => failLater(suspended, error));
  then.call(Promise.resolve(suspended.promise), fulfilled, rejected);
}
