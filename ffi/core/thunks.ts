/**
 * The core's thunks, as this isolate sees them: by dense indices, in the order in which it claimed them.
 *
 * @module
 */

import { present } from "../ground/present.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { zeroTerminated } from "../types/c_string.ts";
import type { Pointer } from "../types/definitions.ts";
import {
  claimedChunk,
  core,
  coreFunctions,
  droppedWord,
  foreignCallsWord,
  notedWord,
  signature,
  thunkByteLengthWord,
  timeoutsWord,
  trampolineWord,
} from "./core.ts";

// As it was before the program could replace it.
const { Atomics } = globalThis;

/** `BELAY_CHUNK_LENGTH`, as powers of two; a `belay_thunk` in 32-bit words, and the places of its fields. */
const chunkBits = 4;
const chunkLength = 1 << chunkBits;
const slotBits = 4;
const slotByteLength = 4 << slotBits;
const layoutPlace = 4;
const foreignCallsPlace = 5;
const indexPlace = 6;
const statePlace = 7;
const timeoutPlace = 12;
const droppedPlace = 13;
const timeoutsPlace = 14;
const notedPlace = 15;
/** The same in 64-bit words. */
const fallbackPlace = 1;
const stringsPlace = 4;
const queuePlace = 5;
/** `BELAY_CONTRACT_MASK`. */
const contractMask = 3;

const claims = coreFunctions({ claim: signature("belay_thunks_claim", ["address", "view"], "u32") });
const counts = coreFunctions({
  thunks: signature("belay_thunk_count", [], "u32"),
  isolates: signature("belay_isolate_count", [], "u32"),
});

/** The slots of each chunk, and the same as 64-bit words. */
const chunks: Uint32Array<ArrayBuffer>[] = [];
const wideChunks: BigUint64Array<ArrayBuffer>[] = [];
/** What C calls, by a thunk's index. It stays callable for ever. */
export const thunkPointers: Pointer[] = [];

let firstChunkTaken = false;

/** Makes a chunk of thunks for a shape, and answers how many it made: 0 when there are no more. */
export function claimThunks(shape: string): number {
  const { isolate, words, firstChunk } = core();
  const isFirst = !firstChunkTaken && firstChunk.shape === shape && firstChunk.slots !== 0n;
  if (isFirst) firstChunkTaken = true;
  else if (claims().claim(isolate, zeroTerminated(shape)) === 0) return 0;
  const { addressKind, map } = backend();
  const address = (bits: bigint): Address => addressKind === "bigint" ? bits : Number(bits);
  const { slots: slotsAddress, code } = isFirst ? firstChunk : claimedChunk(words);
  const slots = new Uint32Array(map(slotsAddress, chunkLength * slotByteLength));
  for (let i = 0; i < chunkLength; i++) {
    slots[(i << slotBits) + indexPlace] = thunkPointers.length;
    const thunk = code + BigInt(i * present(words.u32[thunkByteLengthWord]));
    thunkPointers.push(address(thunk) as unknown as Pointer);
  }
  chunks.push(slots);
  wideChunks.push(new BigUint64Array(slots.buffer));
  return chunkLength;
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
  const slots = chunkOf(index);
  const slot = (index & (chunkLength - 1)) << slotBits;
  // At once: another thread may be reading it.
  wideChunkOf(index)[(slot >> 1) + fallbackPlace] = fallback;
  slots[slot + layoutPlace] = layout;
  slots[slot + foreignCallsPlace] = 0;
  slots[slot + droppedPlace] = 0;
  slots[slot + timeoutsPlace] = 0;
}

/** What becomes of calls of a thunk from other threads. */
export interface ThunkContract {
  /** `BELAY_CONTRACT_POST` or `BELAY_CONTRACT_WAIT`. */
  readonly kind: 1 | 2;
  /** Which of the argument words are strings. */
  readonly strings: bigint;
  readonly queue: Address;
  readonly timeoutMs: number;
}

/** Gives a thunk another contract, or `same` again, and answers the state that it had. */
export function setContract(index: number, contract: ThunkContract | undefined): number {
  const slots = chunkOf(index);
  const slot = (index & (chunkLength - 1)) << slotBits;
  const old = present(slots[slot + statePlace]);
  const state = ((old & ~contractMask) + contractMask + 1) >>> 0;
  // Other threads find one contract or the other: the state is stored before and after the rest.
  Atomics.store(slots, slot + statePlace, state);
  if (contract === undefined) return old;
  const wide = wideChunkOf(index);
  Atomics.store(wide, (slot >> 1) + stringsPlace, contract.strings);
  Atomics.store(wide, (slot >> 1) + queuePlace, BigInt(contract.queue));
  Atomics.store(slots, slot + timeoutPlace, contract.timeoutMs);
  Atomics.store(slots, slot + statePlace, state | contract.kind);
  return old;
}

/** Has a function called with each thunk that has something to tell. */
export function takeNoted(each: (index: number) => void): void {
  let next = Atomics.exchange(core().words.u32, notedWord, 0);
  while (next > 0) {
    const index = next - 1;
    const slots = chunkOf(index);
    // What happens from now on notes it again.
    next = Atomics.exchange(slots, ((index & (chunkLength - 1)) << slotBits) + notedPlace, 0) - 1;
    each(index);
  }
}

/** What a thunk has to tell: since it was described, unless it says something else. */
export interface ThunkNotes {
  /** Calls that came from elsewhere and got the fallback. */
  readonly foreignCalls: number;
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
  const slot = (index & (chunkLength - 1)) << slotBits;
  const inTime = Atomics.exchange(slots, slot + timeoutsPlace, 0);
  return {
    foreignCalls: present(slots[slot + foreignCallsPlace]),
    dropped: present(slots[slot + droppedPlace]),
    timeouts: inTime & 0xffff,
    inVain: inTime >>> 16,
  };
}

/** Names the function that every thunk of this isolate ends in; it gets the index in `words.u32[callbackWord]`. */
export function setTrampoline(trampoline: Address): void {
  core().words.u64[trampolineWord] = BigInt(trampoline);
}

/** Counts of this isolate's thunks: calls that got the fallback for where they came from, that were dropped, that waited too long. */
export function callCounts(): { foreign: number; dropped: number; timeouts: number } {
  const { u32 } = core().words;
  return {
    foreign: present(u32[foreignCallsWord]),
    dropped: present(u32[droppedWord]),
    timeouts: present(u32[timeoutsWord]),
  };
}

/** How many thunks the process has by now, and how many isolates. */
export function processCounts(): { thunks: number; isolates: number } {
  return { thunks: counts().thunks() as number, isolates: counts().isolates() as number };
}
