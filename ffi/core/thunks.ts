/**
 * The core's thunks, as this isolate sees them: by dense indices, in the order in which it claimed them.
 *
 * @module
 */

import { control, core } from "./core.ts";
import {
  chunkCodeWord,
  chunkSlotsWord,
  contractMask,
  type contractPost,
  type contractWait,
  droppedWord,
  misplacedCallsWord,
  noticesWord,
  operationClaimThunks,
  operationIsolateCount,
  operationThunkCount,
  thunkByteLength,
  thunkChunkLength,
  thunkDroppedWord,
  thunkFallbackWord,
  thunkIndexWord,
  thunkLayoutWord,
  thunkMisplacedCallsWord,
  thunkNextNoticeWord,
  thunkQueueWord,
  thunkStateWord,
  thunkStrideWord,
  thunkStringsWord,
  thunkTimeoutMsWord,
  thunkTimeoutsByteOffset,
  timeoutsWord,
  trampolineWord,
} from "./record.ts";
import { present } from "../ground/present.ts";
import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { zeroTerminated } from "../types/c_string.ts";
import type { Pointer } from "../types/definitions.ts";

// As it was before the program could replace it.
const { Atomics } = globalThis;

/** How many thunks a chunk has, and how many 32-bit words a thunk's slot has: both are powers of two. */
const chunkBits = 31 - Math.clz32(thunkChunkLength);
const slotBits = 31 - Math.clz32(thunkByteLength / 4);
/** Where two counts of 16 bits are that are taken at once. */
const timeoutsPlace = thunkTimeoutsByteOffset / 4;

/** The slots of each chunk, and the same as 64-bit words. */
const chunks: Uint32Array<ArrayBuffer>[] = [];
const wideChunks: BigUint64Array<ArrayBuffer>[] = [];
/** What C calls, by a thunk's index. It stays callable for ever. */
export const thunkPointers: Pointer[] = [];

/** Makes a chunk of thunks for a shape, and answers how many it made: 0 when there are no more. */
export function claimThunks(shape: string): number {
  const { isolate, words: { u32, u64 } } = core();
  if (isNull(control(operationClaimThunks, { object: isolate, text: zeroTerminated(shape) }))) return 0;
  const { addressKind, map } = backend();
  const code = present(u64[chunkCodeWord]);
  const stride = present(u32[thunkStrideWord]);
  const slots = new Uint32Array(map(present(u64[chunkSlotsWord]), thunkChunkLength * thunkByteLength));
  const first = Number(code);
  for (let i = 0; i < thunkChunkLength; i++) {
    slots[(i << slotBits) + thunkIndexWord] = thunkPointers.length;
    const thunk: Address = addressKind === "number" ? first + i * stride : code + BigInt(i * stride);
    thunkPointers.push(thunk as unknown as Pointer);
  }
  chunks.push(slots);
  wideChunks.push(new BigUint64Array(slots.buffer));
  return thunkChunkLength;
}

/** The chunk that a thunk's slot is in. */
function chunkOf(index: number): Uint32Array<ArrayBuffer> {
  return present(chunks[index >>> chunkBits]);
}

function wideChunkOf(index: number): BigUint64Array<ArrayBuffer> {
  return present(wideChunks[index >>> chunkBits]);
}

/** Puts a signature behind a thunk: where its arguments are, and the result bits for when nobody can be asked. */
export function describeThunk(index: number, layout: number, fallback: bigint): void {
  const chunk = index >>> chunkBits;
  const slots = present(chunks[chunk]);
  const slot = (index & (thunkChunkLength - 1)) << slotBits;
  // At once: another thread may be reading it.
  present(wideChunks[chunk])[(slot >> 1) + thunkFallbackWord] = fallback;
  slots[slot + thunkLayoutWord] = layout;
  slots[slot + thunkMisplacedCallsWord] = 0;
  slots[slot + thunkDroppedWord] = 0;
  slots[slot + timeoutsPlace] = 0;
}

/** What becomes of calls of a thunk from other threads. */
export interface ThunkContract {
  readonly kind: typeof contractPost | typeof contractWait;
  /** Which of the argument words are strings. */
  readonly strings: bigint;
  readonly queue: Address;
  readonly timeoutMs: number;
}

/** Gives a thunk another contract, or `same` again, and answers the state that it had. */
export function setContract(index: number, contract: ThunkContract | undefined): number {
  const slots = chunkOf(index);
  const slot = (index & (thunkChunkLength - 1)) << slotBits;
  const old = present(slots[slot + thunkStateWord]);
  const state = ((old & ~contractMask) + contractMask + 1) >>> 0;
  // Other threads find one contract or the other: the state is stored before and after the rest.
  Atomics.store(slots, slot + thunkStateWord, state);
  if (contract === undefined) return old;
  const wide = wideChunkOf(index);
  Atomics.store(wide, (slot >> 1) + thunkStringsWord, contract.strings);
  Atomics.store(wide, (slot >> 1) + thunkQueueWord, BigInt(contract.queue));
  Atomics.store(slots, slot + thunkTimeoutMsWord, contract.timeoutMs);
  Atomics.store(slots, slot + thunkStateWord, state | contract.kind);
  return old;
}

/** Has a function called with each thunk that has something to tell. */
export function takeNoted(each: (index: number) => void): void {
  let next = Atomics.exchange(core().words.u32, noticesWord, 0);
  while (next > 0) {
    const index = next - 1;
    const slots = chunkOf(index);
    // What happens from now on notes it again.
    next = Atomics.exchange(slots, ((index & (thunkChunkLength - 1)) << slotBits) + thunkNextNoticeWord, 0) - 1;
    each(index);
  }
}

/** What a thunk has to tell: since it was described, unless it says something else. */
export interface ThunkNotes {
  /** Calls that came from elsewhere and got the fallback. */
  readonly misplacedCalls: number;
  /** Calls that were not queued, or were dropped for newer ones. */
  readonly dropped: number;
  /** Calls since the last look that waited too long, and that were no fault of the native call which JavaScript was in. */
  readonly timeouts: number;
  /** Calls since the last look that were refused, or waited too long, since JavaScript was in a native call all the time. */
  readonly inVain: number;
}

/** Takes what a thunk has to tell. */
export function thunkNotes(index: number): ThunkNotes {
  const slots = chunkOf(index);
  const slot = (index & (thunkChunkLength - 1)) << slotBits;
  const inTime = Atomics.exchange(slots, slot + timeoutsPlace, 0);
  return {
    misplacedCalls: present(slots[slot + thunkMisplacedCallsWord]),
    dropped: present(slots[slot + thunkDroppedWord]),
    timeouts: inTime & 0xffff,
    inVain: inTime >>> 16,
  };
}

/** Names the function that every thunk of this isolate ends in; it gets the index in `words.u32[callbackWord]`. */
export function setTrampoline(trampoline: Address): void {
  core().words.u64[trampolineWord] = BigInt(trampoline);
}

/** Counts of this isolate's thunks: calls that got the fallback for where they came from, that were dropped, that waited too long. */
export function callCounts(): { misplaced: number; dropped: number; timeouts: number } {
  const { u32 } = core().words;
  return {
    misplaced: present(u32[misplacedCallsWord]),
    dropped: present(u32[droppedWord]),
    timeouts: present(u32[timeoutsWord]),
  };
}

/** How many thunks the process has by now, and how many isolates. */
export function processCounts(): { thunks: number; isolates: number } {
  return { thunks: Number(control(operationThunkCount)), isolates: Number(control(operationIsolateCount)) };
}
