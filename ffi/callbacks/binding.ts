/**
 * Puts functions behind thunks, and takes them away.
 *
 * @module
 */

import { callbackWord, core } from "../core/core.ts";
import { callHasFailed, lookAtEnd, onForeignCall, someCallHasFailed } from "../core/pending.ts";
import { claimThunks, describeThunk, setTrampoline } from "../core/thunks.ts";
import { backend } from "../runtime/choose.ts";
import { type Signature, Upcall, type UpcallFunction, upcalls } from "./bound_function.ts";
import { reportNoted, upcallCounts } from "./misuse.ts";
import { ThunkPool } from "./thunk_pool.ts";

export const zero = 0n;

/** Lends a function to one native call. */
export function lend(signature: Signature, fn: UpcallFunction, name: string): Upcall {
  const upcall = bind(signature, name, fn, zero);
  upcall.lent = true;
  return upcall;
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
    const upcall = upcalls[i32[callbackWord]!];
    if (upcall !== undefined) upcall.invoke(upcall);
  };
  invokeCalled = invoke;
  setTrampoline(backend().createTrampoline(invoke));
  onForeignCall(reportNoted);
  // The last chance to tell of calls from elsewhere.
  backend().onExit(lookAtEnd);
  return new ThunkPool((shape) => {
    const count = claimThunks(shape);
    // Without holes, which engines look up more slowly.
    for (let i = 0; i < count; i++) {
      upcalls.push(undefined);
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
    const upcall = upcalls[core().words.u32[callbackWord]!];
    if (upcall !== undefined && !upcall.always && callHasFailed(upcall.lentTo, upcall.contract?.thread === "wait")) {
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
  name: string | UpcallFunction,
  fn: UpcallFunction,
  fallback: bigint,
): Upcall {
  const thunk = thunkPool().acquire(signature.thunks);
  const { layout, resultByteLength } = signature;
  describeThunk(thunk, layout, resultByteLength === 0 ? fallback : BigInt(resultByteLength));
  const upcall = new Upcall(signature, thunk, name, fn);
  upcalls[thunk] = upcall;
  upcallCounts.live += 1;
  return upcall;
}

/**
 * Takes the function away: what C may still hold of it answers with the fallback, and is counted. Does nothing the second
 * time.
 */
export function unbind(upcall: Upcall): void {
  if (upcall.fn === null) return;
  const { contract, thunk } = upcall;
  contract?.end();
  // Where the stack ends, JavaScriptCore may leave out a `catch`. So what says that it is done comes after what may fail.
  thunkPool().release(thunk, upcall.signature.thunks);
  upcall.fn = null;
  upcallCounts.live -= 1;
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
    const upcall = upcalls[thunk];
    if (upcall?.fn === null) {
      void upcall.name;
      upcall.onError = undefined;
    }
    isFresh[thunk] = false;
  }
  freshTombstones.length = 0;
}
