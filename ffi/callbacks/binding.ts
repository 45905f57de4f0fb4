/**
 * Puts functions behind thunks, and takes them away.
 *
 * @module
 */

import { callbackWord } from "../core/record.ts";
import { core } from "../core/core.ts";
import { callHasFailed, lookAtEnd, onNotices, someCallHasFailed } from "../core/pending.ts";
import { claimThunks, describeThunk, setContract, setTrampoline } from "../core/thunks.ts";
import { backend } from "../runtime/choose.ts";
import { BoundFunction, boundFunctions, type Signature, type TargetFunction } from "./bound_function.ts";
import { callbackCounts, tellNotices } from "./misuse.ts";
import { ThunkPool } from "./thunk_pool.ts";

export const zero = 0n;

/** Lends a function to one native call. */
export function lend(signature: Signature, fn: TargetFunction, name: string): BoundFunction {
  const bound = bind(signature, name, fn, zero);
  bound.lent = true;
  return bound;
}

// A program may replace it for a while (fake timers): what is put off here would never come.
const { queueMicrotask } = globalThis;

let pool: ThunkPool | undefined;

/** The pool and the trampoline, made with the first callback. */
function thunkPool(): ThunkPool {
  return pool ??= makeThunkPool();
}

function makeThunkPool(): ThunkPool {
  const { i32 } = core().words;
  const invoke = (): void => {
    const bound = boundFunctions[i32[callbackWord]!];
    if (bound !== undefined) bound.invoke(bound);
  };
  invokeCalled = invoke;
  setTrampoline(backend().createTrampoline(invoke));
  onNotices(tellNotices);
  // The last chance to tell of calls from elsewhere.
  backend().onExit(lookAtEnd);
  return new ThunkPool((shape) => {
    const count = claimThunks(shape);
    // Without holes, which engines look up more slowly.
    for (let i = 0; i < count; i++) {
      boundFunctions.push(undefined);
      isFresh.push(false);
    }
    return count;
  });
}

/** Makes the call that the core has put into the words: the trampoline's function, there since the first callback. */
let invokeCalled: () => void = () => {};

/** Makes the queued call that the core has put into the words, unless callbacks of its native call have thrown. */
export function invokeQueued(): void {
  if (someCallHasFailed()) {
    const bound = boundFunctions[core().words.u32[callbackWord]!];
    if (bound !== undefined && !bound.always && callHasFailed(bound.callToken, bound.contract?.thread === "wait")) {
      return;
    }
  }
  invokeCalled();
}

/** Thunks that callbacks of this isolate stand behind. */
export function thunksInUse(): number {
  return pool?.inUse ?? 0;
}

/** Puts a function behind a thunk. @throws {RangeError} When no thunk is left. */
export function bind(
  signature: Signature,
  name: string | TargetFunction,
  fn: TargetFunction,
  fallback: bigint,
): BoundFunction {
  const thunk = thunkPool().acquire(signature.thunks);
  const { layout, slotBits } = signature;
  // C may be in what is fetched for the callback before, which says by the state that it is that one's.
  if (signature.outer !== undefined) setContract(thunk, undefined);
  describeThunk(thunk, layout, slotBits === undefined ? fallback : slotBits(fallback));
  const bound = new BoundFunction(signature, thunk, name, fn);
  boundFunctions[thunk] = bound;
  callbackCounts.live += 1;
  return bound;
}

/**
 * Takes the function away: what C may still hold of it answers with the fallback, and is counted. Does nothing the second
 * time.
 */
export function unbind(bound: BoundFunction): void {
  if (bound.fn === null) return;
  const { contract, thunk } = bound;
  contract?.end();
  // Where the stack ends, JavaScriptCore may leave out a `catch`. So what says that it is done comes after what may fail.
  thunkPool().release(thunk, bound.signature.thunks);
  bound.fn = null;
  callbackCounts.live -= 1;
  contract?.tell();
  if (isFresh[thunk]) return;
  if (freshTombstones.length === 0) queueMicrotask(finishTombstones);
  freshTombstones.push(thunk);
  isFresh[thunk] = true;
}

/**
 * Thunks whose function went in this turn. Until its end the tombstone has `onError`, for a call that is running, and the
 * function, for its name.
 */
const freshTombstones: number[] = [];
const isFresh: boolean[] = [];

/** Leaves of a tombstone what reports need. Where the thunk is in use again by now, nobody will ask. */
function finishTombstones(): void {
  for (const thunk of freshTombstones) {
    const bound = boundFunctions[thunk];
    if (bound?.fn === null) {
      void bound.name;
      bound.onError = undefined;
    }
    isFresh[thunk] = false;
  }
  freshTombstones.length = 0;
}
