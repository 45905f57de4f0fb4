/**
 * Small memory: pieces of slabs that are mapped once. Mapping a piece by itself takes a microsecond, and reading what isn't mapped
 * four times as long.
 *
 * Each slab has pieces of one length, as in allocators of that name (Bonwick, "The Slab Allocator", 1994).
 *
 * @module
 */

import { allocate, release } from "../core/memory.ts";
import { core, onEnd } from "../core/core.ts";
import type { Address } from "../runtime/backend.ts";
import { addressOf } from "../runtime/address.ts";
import { backend } from "../runtime/choose.ts";
import type { Pointer } from "../types/definitions.ts";
import { pointerFrom, pointerValue } from "./pointer.ts";

/** The longest piece, whose address is also a multiple of that. */
export const longestPiece = 1024;
const shortestPiece = 16;
const slabByteLength = 65536;

/** Memory that is a part of a slab. */
export interface Piece {
  readonly slab: Slab;
  readonly index: number;
}

class Slab {
  readonly pieceByteLength: number;
  readonly #pointer: Pointer;
  readonly #words: Float64Array<ArrayBuffer>;
  /** Of the pieces that were used: their pointers, and the views that they had last. V8 takes 200 ns to make one. */
  readonly #pointers: Pointer[] = [];
  readonly #views: DataView<ArrayBuffer>[] = [];
  readonly #free: number[] = [];
  live = 0;

  constructor(pointer: Pointer, pieceByteLength: number) {
    this.#pointer = pointer;
    this.pieceByteLength = pieceByteLength;
    this.#words = new Float64Array(backend().map(addressOf(pointer), slabByteLength));
  }

  get isFull(): boolean {
    return this.live * this.pieceByteLength === slabByteLength;
  }

  /** Takes a piece, with zeroes in its first bytes if they are wanted. */
  take(byteLength: number, zero: boolean): Piece {
    const known = this.#free.pop();
    const index = known ?? this.#pointers.length;
    // The rest of a slab has never been written to.
    if (known === undefined) this.#add(index, byteLength);
    else if (zero) {
      const words = this.#words;
      const start = index * this.pieceByteLength / 8;
      const end = start + byteLength / 8;
      for (let word = start; word < end; word++) words[word] = 0;
    }
    this.live += 1;
    return { slab: this, index };
  }

  #add(index: number, byteLength: number): void {
    const byteOffset = index * this.pieceByteLength;
    // Both, or none where the stack ends in between: then the next piece is this one.
    const view = new DataView(this.#words.buffer, byteOffset, byteLength);
    const pointer = pointerFrom(pointerValue(this.#pointer) + BigInt(byteOffset)) as Pointer;
    this.#views[index] = view;
    this.#pointers[index] = pointer;
  }

  give(index: number): void {
    this.#free.push(index);
    this.live -= 1;
  }

  pointerOf(index: number): Pointer {
    return this.#pointers[index] as Pointer;
  }

  /** A view onto a piece. Who had the piece before has none by now. */
  view(index: number, byteLength: number): DataView<ArrayBuffer> {
    const known = this.#views[index] as DataView<ArrayBuffer>;
    if (known.byteLength === byteLength) return known;
    return this.#views[index] = new DataView(this.#words.buffer, index * this.pieceByteLength, byteLength);
  }

  /** Nobody has a piece of it any more. */
  end(): void {
    release(addressOf(this.#pointer) as Address);
  }
}

/** The slabs that have pieces left, by the pieces' length: powers of two. */
const open = new Map<number, Slab[]>();
let isPrepared = false;

/** Those that nobody has pieces of are given back; others may be in C's hands. */
function endAll(): void {
  for (const slabs of open.values()) {
    for (const slab of slabs) if (slab.live === 0) slab.end();
  }
  open.clear();
}

/** A piece for so many bytes, at an address that is a multiple of `align`; `undefined` when there is no memory. */
export function takePiece(byteLength: number, align: number, zero: boolean): Piece | undefined {
  let pieceByteLength = shortestPiece;
  while (pieceByteLength < byteLength || pieceByteLength < align) pieceByteLength *= 2;
  let slabs = open.get(pieceByteLength);
  if (slabs === undefined) open.set(pieceByteLength, slabs = []);
  let slab = slabs[slabs.length - 1];
  if (slab === undefined) {
    if (!isPrepared) {
      core();
      onEnd(endAll);
      isPrepared = true;
    }
    const address = allocate(slabByteLength, longestPiece, true);
    if (address === null) return undefined;
    try {
      slab = new Slab(address as unknown as Pointer, pieceByteLength);
    } catch (error) {
      release(address);
      throw error;
    }
    slabs.push(slab);
  }
  const piece = slab.take(byteLength, zero);
  if (slab.isFull) slabs.pop();
  return piece;
}

/** Gives a piece back. */
export function givePiece({ slab, index }: Piece): void {
  const slabs = open.get(slab.pieceByteLength);
  const wasFull = slab.isFull;
  slab.give(index);
  if (slabs === undefined) return;
  if (wasFull) slabs.unshift(slab);
  // One stays, for the next piece.
  if (slab.live > 0 || slabs.length < 2) return;
  slabs.splice(slabs.indexOf(slab), 1);
  slab.end();
}
