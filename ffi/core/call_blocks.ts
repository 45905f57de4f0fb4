/**
 * The words of calls that the core makes: a block for each.
 *
 * @module
 */

import { callByteLength, callCompletedNextByteOffset, liveWord, maxCalls } from "./record.ts";
import { RangeError } from "../ground/blame.ts";
import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { core, coreFunctions, signature, type WordViews, wordViews } from "./core.ts";

export const completedNextWord = callCompletedNextByteOffset / 4;
const firstCalls = 64;

const makers = coreFunctions(() => ({
  calls: signature("belay_call_blocks", ["address"], "address"),
  make: signature("belay_call_make", ["address", "u32"], "void"),
}));

/** The calls' blocks as typed arrays, made anew when there are more of them; the first one's address; how many there are. */
export const blocks: { words: WordViews; base: number; count: number } = {
  words: wordViews(new ArrayBuffer(0)),
  base: 0,
  count: 0,
};
/** Indices of blocks that no call has; the last one is used next. */
const free: number[] = [];

let base: Address | undefined;

export let live: Uint32Array<ArrayBuffer>;

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

/** Makes more blocks and answers the index of one. */
function grow(key: string): number {
  base ??= open();
  const { count } = blocks;
  if (count === maxCalls) throw new RangeError(`Cannot call "${key}": ${maxCalls} calls are outstanding`);
  const newCount = Math.max(firstCalls, 2 * count);
  blocks.words = wordViews(backend().map(base, newCount * callByteLength));
  // First: should the stack end in the middle, no index is given twice.
  blocks.count = newCount;
  for (let index = newCount - 1; index >= count; index--) free.push(index);
  return free.pop() as number;
}

/** The index of a block for a call's arguments. @throws {Error} When there is none, or nothing can run any more. */
export function takeBlock(key: string): number {
  const index = free.pop() ?? grow(key);
  if (live[liveWord] !== 0) return index;
  free.push(index);
  ended(key);
}

/** Says why a call isn't made: the blocks of an isolate that has ended are unmapped when another one takes its place. */
export function ended(key: string): never {
  throw new Error(`Cannot call "${key}": the isolate has ended`);
}

/** Gives a block back whose call has been made, or isn't. */
export function freeBlock(index: number): void {
  free.push(index);
}
