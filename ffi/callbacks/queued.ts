/**
 * Callbacks that other threads may call: `post` and `wait`.
 *
 * Their calls are queued in the core, which wakes the event loop; each is then made here as if C had just called.
 *
 * @module
 */

import {
  callTokenWord,
  contractPost,
  contractWait,
  droppedWord,
  nextFinish,
  nextLinger,
  nextPoll,
  nextTake,
  onFullBlock,
  onFullDropNewest,
  onFullDropOldest,
} from "../core/record.ts";
import { BackOff } from "../core/back_off.ts";
import { core, coreFunctions, signature } from "../core/core.ts";
import { setContract } from "../core/thunks.ts";
import { connect, fitting, now, onWake } from "../core/wake.ts";
import { RangeError, TypeError } from "../ground/blame.ts";
import { handleTable } from "../lifetime/handle.ts";
import { report } from "../lifetime/report.ts";
import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { invokeQueued } from "./binding.ts";
import type { BoundFunction, Contract } from "./bound_function.ts";
import type { OnFull } from "./options.ts";

// As it was before the program could replace it.
const { Atomics } = globalThis;

const functions = coreFunctions(() => ({
  createQueue: signature("belay_queue_create", ["address", "u32", "u32", "u32", "u32"], "address"),
  next: signature("belay_queued_next", ["address", "u32"], "u32"),
  mark: signature("belay_queued_mark", ["address"], "bool"),
  marked: signature("belay_queued_marked", ["address"], "bool"),
  cancel: signature("belay_queued_cancel", ["address", "u32", "u32", "address", "bool"], "u32"),
}));

/** What the core calls these. */
const onFullNumbers: Readonly<Record<OnFull, number>> = {
  block: onFullBlock,
  dropNewest: onFullDropNewest,
  dropOldest: onFullDropOldest,
};
const contractNumbers = { post: contractPost, wait: contractWait } as const;
/** After so many calls in one turn more are likely to come at once. */
const burstLength = 16;
/** Calls between two looks at the clock. */
const mostUnclocked = 64;
/** Words of the queue that callbacks without one of their own share. */
const sharedLength = 2 ** 15;
let sharedQueue: Address | undefined;

type Next = (isolate: Address, patience: number) => number;

/**
 * Waking the event loop takes longer than many a call of a thread that waits. So JavaScript waits for a moment whether the next
 * one comes; and leaves that the more often the more often none did.
 */
const backOff = new BackOff();
/** For so long in a turn: timers have theirs then, as they would have if JavaScript were woken for each. */
const pollMs = 1;

/** Takes the next call, and answers whether there is one. */
function take(next: Next, isolate: Address, patience: number): boolean {
  if (patience !== nextPoll) return next(isolate, patience) !== 0;
  if (backOff.skips()) return next(isolate, nextTake) !== 0;
  const found = next(isolate, nextPoll) !== 0;
  backOff.note(found);
  return found;
}

/** Makes the calls that are queued, and answers whether some are left for the next turn. */
function makeCalls(endMs: number, startMs: number): boolean {
  const { isolate, words } = core();
  const next = functions().next as Next;
  let lookAt = 1;
  let more = false;
  const { u32 } = words;
  const pollEndMs = Math.min(endMs, startMs + pollMs);
  let patience: number = nextTake;
  for (let count = 1; take(next, isolate, patience); count++) {
    // Of a nonblocking call, whose thread is likely to call again.
    const hasCall = u32[2 * callTokenWord] !== 0;
    invokeQueued();
    patience = hasCall ? nextPoll : count >= burstLength ? nextLinger : nextTake;
    if (count < lookAt) continue;
    const nowMs = now();
    if (nowMs >= (hasCall ? pollEndMs : endMs)) {
      next(isolate, nextFinish);
      more = true;
      break;
    }
    lookAt = count + fitting(count, startMs, nowMs, hasCall ? pollEndMs : endMs, mostUnclocked);
  }
  // Those that had to stay for these calls.
  handleTable().deleteReleased();
  return more;
}

function createQueue(callCount: number, layout: number, extraWords: number, onFull: OnFull): Address {
  const onFullNumber = onFullNumbers[onFull];
  const queue = functions().createQueue(core().isolate, callCount, layout, extraWords, onFullNumber) as Address | null;
  if (isNull(queue)) throw new RangeError(`Cannot create a callback: no memory for a queue of ${callCount} calls`);
  return queue;
}

/** Lets other threads call a callback. Calls of those without a queue of their own share one. */
export function openContract(
  bound: BoundFunction,
  thread: "post" | "wait",
  timeoutMs: number,
  queue: { readonly capacity: number; readonly onFull: OnFull } | undefined,
): void {
  const { layout, strings, lateString, hasStructures } = bound.signature;
  if (hasStructures) {
    throw new TypeError(
      `Cannot create callback "${bound.name}": structures are passed on JavaScript's thread only, so it can't be "${thread}"`,
    );
  }
  if (lateString !== undefined) {
    throw new TypeError(
      `Cannot create callback "${bound.name}": a "${thread}" callback takes strings in the first 64 words of its arguments, ` +
        `got one behind them as parameter ${lateString}`,
    );
  }
  connect();
  if (sharedQueue === undefined) {
    sharedQueue = createQueue(sharedLength, 0, 0, "block");
    onWake(makeCalls);
    const { isolate } = core();
    const { mark, marked } = functions();
    handleTable().onWaitingCalls({
      mark: () => mark(isolate) as boolean,
      marked: () => marked(isolate) as boolean,
    });
  }
  const extraWords = (thread === "wait" ? 1 : 0) + (strings === 0n ? 0 : 1);
  const address = queue === undefined ? sharedQueue : createQueue(queue.capacity, layout, extraWords, queue.onFull);
  bound.contract = {
    thread,
    timeoutMs,
    ...contractEnd(bound, address, queue !== undefined),
  };
  setContract(bound.thunk, { kind: contractNumbers[thread], strings, queue: address, timeoutMs });
}

/**
 * What ends a callback's contract: calls that are queued don't run, threads that wait get the fallback. Each step is taken
 * once, though the stack may end in the middle and all is done again.
 */
function contractEnd(bound: BoundFunction, queue: Address, ownQueue: boolean): Pick<Contract, "end" | "tell"> {
  let state: number | undefined;
  let dropped: number | undefined;
  return {
    end() {
      state ??= setContract(bound.thunk, undefined);
      dropped ??= functions().cancel(core().isolate, bound.thunk, state, queue, ownQueue) as number;
    },
    tell() {
      if (dropped === undefined || dropped === 0) return;
      Atomics.add(core().words.u32, droppedWord, dropped);
      const calls = dropped === 1 ? "a call" : `${dropped} calls`;
      report("dropped-calls", `callback "${bound.name}" was closed while ${calls} of it waited; they don't run`);
    },
  };
}
