/**
 * Calls of C that the core makes, each from a block of words; those that its pool of threads makes, and the promises that
 * wait for them. `block_call.ts` generates the functions.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { RangeError } from "./blame.ts";
import { callNames, calls, look, lookNowAndThen, none, takeCallError } from "./calls.ts";
import { core, coreFunctions, coreIsAttached, isNull, signature, type WordViews, wordViews } from "./core.ts";
import {
  attentionWord,
  callByteLength,
  callCompletedNextByteOffset,
  completedWord,
  liveWord,
  maxCalls,
  pollsWord,
} from "./core/record.ts";
import { keepAlive, letGo } from "./keep_alive.ts";
import { isWithin, type LentView, nonblocking, usesMemory } from "./pointer_rules.ts";
import { present } from "./present.ts";
import { poolSettings, reportUncaught } from "./report.ts";
import { backend } from "./runtime.ts";
import { unbind, type Upcall } from "./upcall.ts";
import { connect, onCompletion, serveCompletions } from "./wake.ts";

// A program may replace them for a while (fake timers): what is put off here would never come.
const { Atomics, queueMicrotask } = globalThis;

const completedNextWord = callCompletedNextByteOffset / 4;
const firstCalls = 64;

const makers = coreFunctions({
  calls: signature("belay_call_blocks", ["address"], "address"),
  make: signature("belay_call_make", ["address", "u32"], "void"),
});
const functions = coreFunctions({
  submit: signature("belay_call_submit", ["address", "u32"], "bool"),
  poll: signature("belay_call_poll", ["address"], "bool"),
  limit: signature("belay_call_thread_limit", ["u32"], "void"),
});
const counts = coreFunctions({ threads: signature("belay_call_thread_count", [], "u32") });

/** What a call needs until it has ended, and what becomes of it then. */
export interface Outgoing {
  /** The result of the call at an index; it may throw. */
  readonly read: (index: number, kept: readonly LentView[] | undefined) => unknown;
  /** Memory of JavaScript's that C has. */
  readonly kept: readonly LentView[] | undefined;
  /** Pointers that it has as arguments. */
  readonly pointers: readonly Address[] | undefined;
  /** Functions that are lent to it. */
  readonly lent: readonly (Upcall | null)[] | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** The call is over, settled or not. */
  readonly ended: (() => void) | undefined;
  /** What messages call the function. */
  readonly name: string;
}

/** The calls' blocks as typed arrays, made anew when there are more of them, and the first one's address. */
export const blocks: { words: WordViews; base: number } = { words: wordViews(new ArrayBuffer(0)), base: 0 };
/** Indices of blocks that no call has; the last one is used next. */
const free: number[] = [];
const outgoing: (Outgoing | undefined)[] = [];
let base: Address | undefined;
type Submit = (isolate: Address, index: number) => boolean;
let submit: Submit | undefined;
let isolate: Address;
let live: Uint32Array<ArrayBuffer>;
/** What keeps the event loop alive while calls are outstanding, and whether it still does a moment later. */
const holder = {};
let lingers = false;

/**
 * Waking the event loop takes longer than many a call. So JavaScript waits for a moment, when the program's own code of the
 * turn has run, whether a call completes; and leaves that the more often the more often none did. At most so often in
 * a turn of the event loop, which has other things to do.
 */
const mostPolls = 64;
const mostSkipped = 64;
let polling = false;
let pollsLeft = 0;
let skipped = 0;
let toSkip = 0;

/** How many calls are outstanding. */
export function outstandingCalls(): number {
  return calls.outstanding;
}

nonblocking.has = (address) =>
  calls.outstanding > 0 && outgoing.some((call) => call?.kept?.some((view) => isWithin(view, address)));

/** Whether an outstanding call uses memory of so many bytes. */
export function isUsedByCall(address: Address, byteLength: number): boolean {
  return calls.outstanding > 0 && outgoing.some((call) => call !== undefined && usesMemory(call, address, byteLength));
}

/** What waits for calls to settle. */
let putOff: (() => void)[] = [];

/** Has a function called when the next call has settled. */
export function afterCall(fn: () => void): void {
  putOff.push(fn);
}

function runPutOff(): void {
  const due = putOff;
  putOff = [];
  for (const fn of due) {
    try {
      fn();
    } catch (error) {
      reportUncaught(error);
    }
  }
}

/** How many threads the process's pool has. */
export function poolThreads(): number {
  return coreIsAttached() ? counts().threads() as number : 0;
}

function open(): Address {
  const address = makers().calls(core().isolate) as Address | null;
  if (isNull(address)) throw new RangeError("Cannot make a call: no memory for its arguments");
  blocks.base = Number(address);
  live = core().words.u32;
  return address;
}

/** What makes a call at once: a function of the isolate's address and a block's index. */
export function callMaker(): (isolate: Address, index: number) => void {
  return makers().make as (isolate: Address, index: number) => void;
}

/** Has the core's threads make calls, and the event loop woken when they have. */
function openPool(): Submit {
  connect();
  isolate = core().isolate;
  poolSettings.changed = (threads) => void functions().limit(threads);
  if (poolSettings.threads !== undefined) poolSettings.changed(poolSettings.threads);
  onCompletion({ woken: () => pollsLeft = mostPolls, take: takeCompleted, settle: settleTaken });
  return functions().submit as Submit;
}

/** Makes more blocks and answers the index of one. */
function grow(key: string): number {
  base ??= open();
  const count = outgoing.length;
  if (count === maxCalls) throw new RangeError(`Cannot call "${key}": ${maxCalls} calls are outstanding`);
  const newCount = Math.max(firstCalls, 2 * count);
  blocks.words = wordViews(backend().map(base, newCount * callByteLength));
  for (let index = newCount - 1; index >= count; index--) free.push(index);
  // Without holes, which engines look up more slowly.
  for (let index = count; index < newCount; index++) outgoing.push(undefined);
  return free.pop() as number;
}

/** The index of a block for a call's arguments. @throws {Error} When there is none, or nothing can run any more. */
export function takeBlock(key: string): number {
  const index = free.pop() ?? grow(key);
  if (live[liveWord] !== 0) return index;
  free.push(index);
  throw new Error(`Cannot call "${key}": the isolate has ended`);
}

/** Gives a block back whose call has been made, or isn't. */
export function freeBlock(index: number): void {
  free.push(index);
}

/**
 * Submits the call whose arguments are in a block, or gives that back.
 *
 * @throws {Error} When nobody can make the call, or the stack is used up: it was not submitted then.
 */
export function startCall(index: number, call: Outgoing): void {
  let submitted = false;
  try {
    const submitCall: Submit = submit ??= openPool();
    if (calls.outstanding === 0 && !lingers) keepAlive(holder, outgoing, lookNowAndThen);
    outgoing[index] = call;
    callNames[index + 1] = call.name;
    if (call.lent !== undefined) { for (const upcall of call.lent) if (upcall !== null) upcall.lentTo = index + 1; }
    if (!polling && pollsLeft > 0) {
      if (toSkip > 0) toSkip -= 1;
      else beginPolling();
    }
    submitted = submitCall(isolate, index);
    if (!submitted) throw new Error("Cannot make a nonblocking call: the system starts no thread");
    // From here on nothing is called that could find no stack.
    calls.outstanding += 1;
    calls.tokenSum += index + 1;
  } finally {
    if (!submitted) {
      outgoing[index] = undefined;
      free.push(index);
      call.ended?.();
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
  const worthIt = functions().poll(isolate);
  skipped = worthIt ? 0 : Math.min(2 * skipped + 1, mostSkipped);
  toSkip = skipped;
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

function endLoan(upcall: Upcall): void {
  unbind(upcall);
  // The block is another call's before long.
  upcall.lentTo = 0;
}

function settle(index: number): void {
  const call = outgoing[index] as Outgoing;
  outgoing[index] = undefined;
  if (call.lent !== undefined) { for (const upcall of call.lent) if (upcall !== null) endLoan(upcall); }
  const token = index + 1;
  calls.outstanding -= 1;
  calls.tokenSum -= token;
  let value = takeCallError(token);
  let failed = value !== none;
  if (!failed) {
    try {
      value = call.read(index, call.kept);
    } catch (error) {
      failed = true;
      value = error;
    }
  }
  free.push(index);
  call.ended?.();
  if (putOff.length > 0) runPutOff();
  if (failed) call.reject(value);
  else call.resolve(value);
}
