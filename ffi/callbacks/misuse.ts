/**
 * What C did wrong with a callback, in words.
 *
 * @module
 */

import { liveWord } from "../core/record.ts";
import { core } from "../core/core.ts";
import { aside, type InVain, takeCallInVain, throwInVain } from "../core/pending.ts";
import { takeNoted, thunkNotes } from "../core/thunks.ts";
import { blameCaller } from "../ground/blame.ts";
import { CallbackThreadError, CallbackTimeoutError, InvalidHandleError } from "../ground/errors.ts";
import { handleTable } from "../lifetime/handle.ts";
import { report } from "../lifetime/report.ts";
import { type BoundFunction, boundFunctions, type Contract } from "./bound_function.ts";

/** Counts that `stats()` gives. */
export const callbackCounts = { staleCalls: 0, invalidHandles: 0, live: 0 };

export function invalidHandle(bound: BoundFunction, id: number, index: number): void {
  callbackCounts.invalidHandles += 1;
  if (bound.handleReported) return;
  bound.handleReported = true;
  const error = new InvalidHandleError("Cannot use", id, handleTable().invalidReason(id));
  const what = `C called callback "${bound.name}" with an invalid handle as parameter ${
    index + 1
  }, and got its fallback`;
  aside(() => report("invalid-handle", `${what}: ${error.message}`, error));
}

/** A call of a callback whose function is gone. */
export function stale(bound: BoundFunction): void {
  callbackCounts.staleCalls += 1;
  reportStale(bound);
}

function reportStale(bound: BoundFunction): void {
  if (bound.staleReported) return;
  bound.staleReported = true;
  const what = bound.lent
    ? `C called the function that was ${bound.name} after that call had returned, and got zero; make a callback() of what ` +
      "C keeps"
    : bound.collected
    ? `C called callback "${bound.name}" after it was garbage-collected, and got its fallback; keep a callback for as long ` +
      "as C may call it"
    : `C called callback "${bound.name}" after it was closed, and got its fallback`;
  aside(() => report("stale-callback", what));
}

/** Tells what thunks have to tell of calls from elsewhere: those that got the fallback once for each callback. */
export function tellNotices(where: string | undefined): void {
  const depth = takeCallInVain(where !== undefined);
  takeNoted((index) => {
    const bound = boundFunctions[index];
    if (bound === undefined) return;
    const notes = thunkNotes(index);
    const { contract } = bound;
    // Threads that may call until the program ends have done nothing wrong when they go on.
    const ended = contract !== undefined && core().words.u32[liveWord] === 0;
    // Where the callback is gone, the native call is not to blame.
    const inVain = bound.fn === null ? 0 : notes.inVain;
    if (inVain > 0 && depth > 0) {
      throwInVain(depth, inVainOf(bound), inVain);
      if (contract === undefined) bound.thrownCalls += inVain;
    }
    const refused = notes.misplacedCalls > bound.thrownCalls;
    if (refused && !bound.misplacedReported && !ended) reportMisplacedCalls(bound);
    if (notes.dropped > 0 && !bound.droppedReported) {
      bound.droppedReported = true;
      const what = `the queue of callback "${bound.name}" was full, and calls of it are being dropped`;
      aside(() => report("dropped-calls", what));
    }
    const timeouts = notes.timeouts + (depth > 0 ? 0 : inVain);
    if (contract !== undefined && timeouts > 0) reportTimeouts(bound, contract, timeouts, where);
  });
}

/** What the native call throws in which JavaScript was while other threads called a callback in vain. */
function inVainOf(bound: BoundFunction): InVain {
  const { name, contract, lent, signature: { hasStructures, definition: { result } } } = bound;
  const errorFor = (call: string, count: number): Error => {
    const remedy = `declare "${call}" with nonblocking: true`;
    const often = count === 1 ? "" : ` ${count} times`;
    const what = `C called callback "${name}" from another thread${often} while "${call}" ran`;
    if (contract === undefined) {
      const cure = hasStructures
        ? "and one that takes or returns structures can't be called from elsewhere"
        : lent
        ? remedy
        : `make it with thread: "wait" and ${remedy}${result === "void" ? '; or make it with thread: "post"' : ""}`;
      const message = `${what}, and got its fallback: the callback is called on JavaScript's thread only; ${cure}`;
      return blameCaller(new CallbackThreadError(message, name, call));
    }
    const { timeoutMs } = contract;
    const message =
      `${what}, waited up to ${timeoutMs} ms, and got its fallback: JavaScript was in that native call. Since its threads call ` +
      `back, ${remedy}`;
    return blameCaller(new CallbackTimeoutError(message, name, call, timeoutMs));
  };
  return { callback: bound, waits: contract !== undefined, errorFor };
}

function reportMisplacedCalls(bound: BoundFunction): void {
  bound.misplacedReported = true;
  // One that other threads may call is called by them when it is gone, too.
  if (bound.fn === null && bound.contract !== undefined) return reportStale(bound);
  const from = "another thread, from a coroutine's or a signal's stack, or with no stack left for it,";
  const remedy = bound.contract !== undefined
    ? ""
    : bound.signature.hasStructures
    ? "; one that takes or returns structures can't be called from other threads"
    : '; for calls from other threads it takes thread: "wait" or "post"';
  aside(() => report("misplaced-call", `C called callback "${bound.name}" from ${from} and got its fallback${remedy}`));
}

function reportTimeouts(bound: BoundFunction, { timeoutMs }: Contract, count: number, where: string | undefined): void {
  const { name } = bound;
  const why = where === undefined
    ? "JavaScript was busy all the time"
    : `JavaScript was busy until the native call "${where}" returned; if that takes long or waits for the thread, declare ` +
      "it with nonblocking: true";
  const often = count === 1 ? "" : ` ${count} times`;
  const error = new CallbackTimeoutError(
    `C called callback "${name}" from another thread${often}, waited up to ${timeoutMs} ms, and got its fallback: ${why}`,
    name,
    where,
    timeoutMs,
  );
  aside(() => report("timeout", error.message, error));
}
