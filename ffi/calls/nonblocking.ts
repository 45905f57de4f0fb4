/**
 * Calls of C that the core's call threads make, each from a block of words, and the promises that wait for them.
 * `block_call.ts` generates the functions.
 *
 * @module
 */

import { BackOff } from "../core/back_off.ts";
import {
  attentionWord,
  callByteLength,
  completedWord,
  liveWord,
  operationCallThreadCount,
  operationLimitCallThreads,
  pollsWord,
} from "../core/record.ts";
import { unbind } from "../callbacks/binding.ts";
import type { BoundFunction } from "../callbacks/bound_function.ts";
import { blocks, completedNextWord, freeBlock, live } from "../core/call_blocks.ts";
import { control, core, coreFunctions, coreIsAttached, signature } from "../core/core.ts";
import { callNames, calls, look, lookNowAndThen, none, takeCallError } from "../core/pending.ts";
import { connect, onCompletion, serveCompletions } from "../core/wake.ts";
import { lent, type LentView, type Loan } from "../crossing/lent.ts";
import { present } from "../ground/present.ts";
import { keepAlive, letGo } from "../lifetime/keep_alive.ts";
import { onCallThreads } from "../lifetime/settings.ts";
import type { Address } from "../runtime/backend.ts";

// A program may replace them for a while (fake timers): what is put off here would never come.
const { Atomics, queueMicrotask } = globalThis;

const functions = coreFunctions(() => ({
  submit: signature("belay_call_submit", ["address", "u32"], "bool"),
  poll: signature("belay_call_poll", ["address"], "bool"),
}));

/** What a call needs until it has ended, and what becomes of it then. */
export interface NonblockingCall extends Loan {
  /** The result of the call at an index; it may throw. */
  readonly read: (index: number, kept: readonly LentView[] | undefined) => unknown;
  /** What the program has passed that may own what C has: it isn't collected meanwhile. */
  readonly owners: readonly unknown[] | undefined;
  /** Functions that are lent to it. */
  readonly lent: readonly (BoundFunction | null)[] | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** The call is over, settled or not. */
  readonly ended: (() => void) | undefined;
  /** What messages call the function. */
  readonly name: string;
}

const outstanding: (NonblockingCall | undefined)[] = [];

type Submit = (isolate: Address, index: number) => boolean;
let submit: Submit | undefined;
let isolate: Address;

/** What keeps the event loop alive while calls are outstanding, and whether it still does a moment later. */
const holder = {};
let lingers = false;

/**
 * Waking the event loop takes longer than many a call. So JavaScript waits for a moment, when the program's own code of the
 * turn has run, whether a call completes; and leaves that the more often the more often none did. At most so often in
 * a turn of the event loop, which has other things to do.
 */
const mostPolls = 64;
let polling = false;
let pollsLeft = 0;
const backOff = new BackOff();

/** How many calls are outstanding. */
export function outstandingCalls(): number {
  return calls.outstanding;
}

/** How many call threads the process has. */
export function callThreads(): number {
  return coreIsAttached() ? Number(control(operationCallThreadCount)) : 0;
}

/** Has the core's threads make calls, and the event loop woken when they have. */
function openCallThreads(): Submit {
  connect();
  isolate = core().isolate;
  onCallThreads((number) => void control(operationLimitCallThreads, { number }));
  onCompletion({ woken: () => pollsLeft = mostPolls, take: takeCompleted, settle: settleTaken });
  return functions().submit as Submit;
}

/** Notes what a call needs until it has ended. */
export function enroll(index: number, call: NonblockingCall): void {
  // Without holes, which engines look up more slowly.
  while (outstanding.length <= index) outstanding.push(undefined);
  outstanding[index] = call;
  if (call.kept !== undefined || call.pointers !== undefined) lent.lend(index, call);
  callNames[index + 1] = call.name;
  if (call.lent !== undefined) { for (const bound of call.lent) if (bound !== null) bound.callToken = index + 1; }
}

/** Gives back the block of a call that was not made, and what was enrolled of it. */
export function withdraw(index: number, call: NonblockingCall): void {
  if (index < outstanding.length) outstanding[index] = undefined;
  // Before the block may be another call's.
  lent.takeBack(index);
  freeBlock(index);
  call.ended?.();
}

/**
 * Submits the call whose arguments are in a block, or gives that back.
 *
 * @throws {Error} When nobody can make the call, or the stack is used up: it was not submitted then.
 */
export function startCall(index: number, call: NonblockingCall): void {
  let submitted = false;
  try {
    const submitCall: Submit = submit ??= openCallThreads();
    if (calls.outstanding === 0 && !lingers) keepAlive(holder, outstanding, lookNowAndThen);
    enroll(index, call);
    if (!polling && pollsLeft > 0) {
      if (!backOff.skips()) beginPolling();
    }
    submitted = submitCall(isolate, index);
    if (!submitted) throw new Error("Cannot make a nonblocking call: the system starts no thread");
    // From here on nothing is called that could find no stack.
    calls.outstanding += 1;
    calls.tokenSum += index + 1;
  } finally {
    if (!submitted) {
      withdraw(index, call);
      if (calls.outstanding === 0 && !lingers) letGo(holder);
    }
  }
}

function beginPolling(): void {
  // First what may find no stack: the core wakes nobody while it thinks that JavaScript looks.
  queueMicrotask(poll);
  polling = true;
  pollsLeft -= 1;
  Atomics.store(live, pollsWord, 1);
}

function poll(): void {
  const worthIt = functions().poll(isolate) as boolean;
  backOff.note(worthIt);
  polling = false;
  serveCompletions();
}

/** Calls that have completed and are not settled yet, in the order in which they have. */
const taken: number[] = [];
/** How many of these are settled by now: settling one may throw, or settle others. */
let settled = 0;

function takeCompleted(): boolean {
  let next = Atomics.exchange(live, completedWord, 0);
  const { u32 } = blocks.words;
  const latestFirst: number[] = [];
  while (next !== 0) {
    latestFirst.push(next - 1);
    next = present(u32[(next - 1) * (callByteLength / 4) + completedNextWord]);
  }
  for (let i = latestFirst.length - 1; i >= 0; i--) taken.push(present(latestFirst[i]));
  return taken.length > settled;
}

function settleTaken(): void {
  if (taken.length === 0 || live[liveWord] === 0) return;
  if (live[attentionWord] !== 0) look();
  while (settled < taken.length) settle(present(taken[settled++]));
  taken.length = settled = 0;
  if (calls.outstanding === 0 && !lingers) void letGoSoon();
}

/**
 * Lets the event loop end if no call has been started when the promises' reactions have run: a program that makes one call
 * after the other would pay for a timer each time.
 */
async function letGoSoon(): Promise<void> {
  lingers = true;
  for (let i = 0; i < 8; i++) await undefined;
  lingers = false;
  if (calls.outstanding === 0) letGo(holder);
}

function endLoan(bound: BoundFunction): void {
  unbind(bound);
  // The block is another call's before long.
  bound.callToken = 0;
}

function settle(index: number): void {
  calls.outstanding -= 1;
  calls.tokenSum -= index + 1;
  conclude(index);
}

/** Takes a call that is over for the program. */
function take(index: number): NonblockingCall {
  const call = outstanding[index] as NonblockingCall;
  outstanding[index] = undefined;
  if (call.lent !== undefined) { for (const bound of call.lent) if (bound !== null) endLoan(bound); }
  return call;
}

/** Calls that were left where they were, and what they keep: the block, what is lent to them, the library's code. */
export const abandoned: NonblockingCall[] = [];

/** Rejects the promise of a suspended call that C doesn't return from. */
export function leave(index: number): void {
  const call = take(index);
  abandoned.push(call);
  call.reject(takeCallError(index + 1));
}

/** Settles the promise of a call that has ended, by its result, or what `instead` throws. */
export function conclude(index: number, instead?: () => never): void {
  const call = take(index);
  let value = takeCallError(index + 1);
  let failed = value !== none;
  if (!failed) {
    try {
      instead?.();
      value = call.read(index, call.kept);
    } catch (error) {
      failed = true;
      value = error;
    }
  }
  // Before the block may be another call's: what is called from here on may start one.
  lent.giveBack(index);
  freeBlock(index);
  call.ended?.();
  if (failed) call.reject(value);
  else call.resolve(value);
}
