/**
 * The core's thunks, as this isolate sees them: by dense indices, in the order in which it claimed them.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import {
  chunkCodeWord,
  chunkSlotsWord,
  core,
  coreFunctions,
  foreignCallsWord,
  signature,
  thunkByteLengthWord,
  trampolineWord,
} from "./core.ts";
import { backend } from "./runtime.ts";
import type { Pointer } from "./types.ts";

/** `BELAY_CHUNK_LENGTH`, as powers of two; a `belay_thunk` in 32-bit words, and the places of its fields, `fallback` in 64. */
const chunkBits = 4;
const chunkLength = 1 << chunkBits;
const slotBits = 3;
const slotByteLength = 4 << slotBits;
const fallbackPlace = 1;
const stackWordsPlace = 4;
const foreignCallsPlace = 5;
const indexPlace = 6;

const counts = coreFunctions({
  thunks: signature("belay_thunk_count", [], "u32"),
  isolates: signature("belay_isolate_count", [], "u32"),
});

/** The slots of each chunk, and the same as 64-bit words. */
const chunks: Uint32Array<ArrayBuffer>[] = [];
const wideChunks: BigUint64Array<ArrayBuffer>[] = [];
/** What C calls, by a thunk's index. It stays callable for ever. */
export const thunkPointers: Pointer[] = [];

/** Makes a chunk of thunks for a shape, and answers how many it made: 0 when there are no more. */
export function claimThunks(shape: string): number {
  const { words, claimThunks } = core();
  if (!claimThunks(shape)) return 0;
  const { addressKind, map } = backend();
  const address = (bits: bigint): Address => addressKind === "bigint" ? bits : Number(bits);
  const slots = new Uint32Array(map(address(words.u64[chunkSlotsWord]), chunkLength * slotByteLength));
  const code = words.u64[chunkCodeWord];
  for (let i = 0; i < chunkLength; i++) {
    slots[(i << slotBits) + indexPlace] = thunkPointers.length;
    const thunk = code + BigInt(i * words.u32[thunkByteLengthWord]);
    thunkPointers.push(address(thunk) as unknown as Pointer);
  }
  chunks.push(slots);
  wideChunks.push(new BigUint64Array(slots.buffer));
  return chunkLength;
}

/** Puts a signature behind a thunk: the words on its stack, and the result bits for when nobody can be asked. */
export function describeThunk(index: number, stackWords: number, fallback: bigint): void {
  const slots = chunks[index >>> chunkBits];
  const slot = (index & (chunkLength - 1)) << slotBits;
  // At once: another thread may be reading it.
  wideChunks[index >>> chunkBits][(slot >> 1) + fallbackPlace] = fallback;
  slots[slot + stackWordsPlace] = stackWords;
  slots[slot + foreignCallsPlace] = 0;
}

/** How many calls of a thunk came from elsewhere since it was described. */
export function foreignCallsOf(index: number): number {
  return chunks[index >>> chunkBits][((index & (chunkLength - 1)) << slotBits) + foreignCallsPlace];
}

/** Names the function that every thunk of this isolate ends in; it gets the index in `words.u32[callbackWord]`. */
export function setTrampoline(trampoline: Address): void {
  core().words.u64[trampolineWord] = BigInt(trampoline);
}

/** Calls of this isolate's thunks that came from elsewhere. */
export function foreignCalls(): number {
  return core().words.u32[foreignCallsWord];
}

/** How many thunks the process has by now, and how many isolates. */
export function processCounts(): { thunks: number; isolates: number } {
  return { thunks: counts().thunks() as number, isolates: counts().isolates() as number };
}
