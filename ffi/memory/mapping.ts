/**
 * The memory that pieces of it share: when it is freed, and how it is mapped into JavaScript.
 *
 * @module
 */

import { release } from "../core/memory.ts";
import { lent } from "../crossing/lent.ts";
import { checkFreed, MappedBuffer } from "../crossing/pointer_rules.ts";
import { RangeError } from "../ground/blame.ts";
import { detach } from "../ground/buffers.ts";
import { LibraryClosedError, MemoryFreedError, PointerRuleError } from "../ground/errors.ts";
import { present } from "../ground/present.ts";
import { checkStack } from "../ground/stack.ts";
import type { Cleanup } from "../lifetime/cleanup.ts";
import { untrack } from "../lifetime/leaks.ts";
import { report, reportLeak } from "../lifetime/report.ts";
import { addressOf } from "../runtime/address.ts";
import { backend } from "../runtime/choose.ts";
import type { Pointer } from "../types/definitions.ts";
import { pointerFrom, pointerValue } from "./pointer.ts";
import { givePiece, type Piece } from "./slabs.ts";

/** Memory is mapped in windows of so many bytes, since no runtime has to have larger array buffers; the next one begins here. */
export const windowByteLength = 2 ** 30;

/** A few bytes of a window that is larger are mapped alone, so many times. */
const leastDivided = 2 ** 16;
const mostParts = 16;

/** How much memory of its own this isolate holds. */
export const memoryCounts = { allocations: 0 };

/** What is given back when the memory is freed, or when nobody can reach it any more. It must not reach the mapping. */
export interface Held {
  readonly pointer: Pointer;
  readonly byteLength: number;
  /** What frees it, if it isn't belay's own. */
  readonly free: ((pointer: Pointer) => unknown) | undefined;
  /** What it is of a slab, if it is a piece of one. */
  readonly piece: Piece | undefined;
  /** The birth, where leaks are tracked. */
  readonly birth: number;
}

let leaveSlab: (memory: object, buffer: ArrayBuffer) => void;

/** Sets what has memory looked at by a buffer of its own, which may be transferred, in place of its slab's. */
export function onLeaveSlab(leave: typeof leaveSlab): void {
  leaveSlab = leave;
}

/** What a piece of memory and its parts share: made when it is mapped, divided or to be freed. */
export class Mapping {
  freed = false;
  /** Where it was freed, if leaks are tracked; its cause says where it was made. */
  #freedAt: Error | undefined;
  cleanup: Cleanup | undefined;
  held: Held | undefined;
  /** The memory whose view is a slab's, until a program may have a buffer onto the memory alone. */
  inSlab: object | undefined;
  readonly #pointer: Pointer;
  readonly #byteLength: number;
  readonly #isOwn: boolean;
  #windows: (ArrayBuffer | undefined)[] | undefined;
  /** An array onto each buffer that is mapped: nobody else has it, so its length says whether the buffer is detached. */
  readonly #mapped: Uint8Array<ArrayBuffer>[] = [];
  /** The one whose buffer is being detached. */
  #ending: Uint8Array<ArrayBuffer> | undefined;
  /** What was mapped beside the windows, by where it begins. */
  readonly #parts = new Map<number, ArrayBuffer>();

  constructor(pointer: Pointer, byteLength: number, isOwn: boolean) {
    this.#pointer = pointer;
    this.#byteLength = byteLength;
    this.#isOwn = isOwn;
  }

  /** Whether its first window is mapped. */
  get isMapped(): boolean {
    return this.#windows?.[0] !== undefined;
  }

  /** Whether what is large in its first window is mapped when it is made: engines count JavaScript's own with right. */
  get isMappedAtOnce(): boolean {
    return this.#isOwn || this.isMapped;
  }

  /** The window that a byte is in. */
  map(byteOffset: number): ArrayBuffer {
    const index = Math.floor(byteOffset / windowByteLength);
    const windows = this.#windows ??= [];
    const known = windows[index];
    if (known !== undefined) {
      this.checkTransfer();
      return known;
    }
    return windows[index] = this.#map(index * windowByteLength, this.windowLength(index));
  }

  /** How long a window is, the last one not always as long as others. */
  windowLength(index: number): number {
    return Math.min(windowByteLength, this.#byteLength - index * windowByteLength);
  }

  /** Some bytes of it, in a buffer that ends with it. */
  bytes(byteOffset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    if (byteLength === 0) return new Uint8Array(0);
    const index = Math.floor(byteOffset / windowByteLength);
    const inWindow = byteOffset - index * windowByteLength;
    const isAcross = inWindow + byteLength > this.windowLength(index);
    if (isAcross || this.#areFew(byteLength, index)) {
      return new Uint8Array(this.#mapPart(byteOffset, byteLength), 0, byteLength);
    }
    return new Uint8Array(this.map(byteOffset), inWindow, byteLength);
  }

  /** Whether so few bytes of a window that isn't mapped are wanted that they are mapped alone; but not again and again. */
  #areFew(byteLength: number, index: number): boolean {
    const windowLength = this.windowLength(index);
    if (byteLength > windowLength / 16 || windowLength < leastDivided || this.#windows?.[index] !== undefined) {
      return false;
    }
    return this.#parts.size < mostParts;
  }

  /** A buffer of its own, the same one for the same bytes. */
  #mapPart(byteOffset: number, byteLength: number): ArrayBuffer {
    this.checkTransfer();
    const known = this.#parts.get(byteOffset);
    if (known !== undefined && known.byteLength >= byteLength) return known;
    const buffer = this.#map(byteOffset, byteLength);
    this.#parts.set(byteOffset, buffer);
    return buffer;
  }

  #map(byteOffset: number, byteLength: number): ArrayBuffer {
    // Who holds the buffer holds the memory, which stays where it is.
    const address = addressOf(plus(this.#pointer, byteOffset));
    let buffer: ArrayBuffer;
    try {
      buffer = backend().map(address, byteLength);
    } catch (cause) {
      throw new RangeError(`Cannot map ${byteLength} bytes: the runtime has no array of that length`, { cause });
    }
    this.#mapped.push(new Uint8Array(MappedBuffer.hold(buffer, this)));
    if (this.inSlab !== undefined) leaveSlab(this.inSlab, buffer);
    this.inSlab = undefined;
    return buffer;
  }

  /**
   * Ends it: nothing reaches the memory from here any more. When the stack is used up in the middle, it can be done again.
   *
   * @throws {PointerRuleError} When something else would.
   */
  free(): void {
    if (this.freed) return;
    const { held } = this;
    this.checkTransfer();
    checkFreed(held !== undefined && isUsed(held));
    this.#detachAll();
    this.cleanup?.stop();
    if (held !== undefined) {
      const leak = untrack(held.birth);
      if (leak !== undefined) this.#freedAt = new Error(`${this.#byteLength} bytes were freed`, { cause: leak });
      // Nobody could say whether a function that finds no stack has freed it.
      if (held.free !== undefined) checkStack("free memory");
      else releaseOwn(held);
    }
    this.freed = true;
    this.held = undefined;
    if (held === undefined) return;
    memoryCounts.allocations -= 1;
    held.free?.(held.pointer);
  }

  /** Empties every array onto the memory. @throws {PointerRuleError} When the runtime itself is using one. */
  #detachAll(): void {
    // What is wanted again, should this fail, is mapped again.
    this.#windows = undefined;
    this.#parts.clear();
    const mapped = this.#mapped;
    while (mapped.length > 0) {
      const array = present(mapped[mapped.length - 1]);
      this.#ending = array;
      if (!detach(array.buffer)) {
        this.#ending = undefined;
        throw new PointerRuleError("in-use");
      }
      mapped.length -= 1;
    }
  }

  /** What an access to it is once it has been freed. */
  freedError(): MemoryFreedError {
    const place = `0x${pointerValue(this.#pointer).toString(16)}`;
    return new MemoryFreedError(`${this.#byteLength} bytes at ${place}`, this.#freedAt);
  }

  /**
   * Refuses memory that was transferred: its new owner is out of reach, and freeing it would leave that pointing nowhere, so it
   * is a leak.
   *
   * @throws {PointerRuleError}
   */
  checkTransfer(): void {
    for (const array of this.#mapped) {
      if (array.length > 0 || array === this.#ending) continue;
      this.cleanup?.stop();
      throw new PointerRuleError("transferred");
    }
  }
}

/** What an access to a buffer is that was mapped onto memory, and is detached: the memory has been freed, or transferred. */
export function endedBehind(buffer: ArrayBuffer): MemoryFreedError | PointerRuleError {
  const memory = MappedBuffer.memoryOf(buffer);
  if (!(memory instanceof Mapping)) return new MemoryFreedError();
  try {
    if (!memory.freed) memory.checkTransfer();
  } catch (error) {
    return error as PointerRuleError;
  }
  return memory.freedError();
}

/** Gives belay's own memory back. */
function releaseOwn({ pointer, piece }: Held): void {
  if (piece === undefined) release(addressOf(pointer));
  else givePiece(piece);
}

/** Whether a nonblocking call that is outstanding has a pointer into it. */
function isUsed({ pointer, byteLength }: Held): boolean {
  return lent.isUsed(addressOf(pointer), byteLength);
}

/** Nobody has freed it, and nobody can any more. */
export function dropped(held: Held): void {
  if (isUsed(held)) return lent.afterCall(() => dropped(held));
  const { pointer, byteLength, free, birth } = held;
  const leak = untrack(birth);
  memoryCounts.allocations -= 1;
  try {
    if (free === undefined) releaseOwn(held);
    else free(pointer);
  } catch (error) {
    if (!(error instanceof LibraryClosedError)) throw error;
    return report("leak", `${byteLength} bytes were garbage-collected and can't be freed: ${error.message}`, error);
  }
  reportLeak(leak, "freed");
}

/** The pointer so many bytes further. */
export function plus(pointer: Pointer, byteOffset: number): Pointer {
  return pointerFrom(pointerValue(pointer) + BigInt(byteOffset)) as Pointer;
}
