/**
 * JavaScript's memory at an address that C may keep.
 *
 * @module
 */

import { asView, noBytes } from "../crossing/helpers.ts";
import { lent } from "../crossing/lent.ts";
import { onPointerOf } from "../crossing/owners.ts";
import { countPin, uncountPin } from "../crossing/pointer_rules.ts";
import { TypeError } from "../ground/blame.ts";
import { bufferOf, isDetached, lengthOfTypedArray } from "../ground/buffers.ts";
import { PointerRuleError, shown } from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { addCheckedCleanup, type Cleanup } from "../lifetime/cleanup.ts";
import { track, untrack } from "../lifetime/leaks.ts";
import { reportLeak } from "../lifetime/report.ts";
import { addressOf, nullable } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { owner, type PointerOwner } from "../types/data_type.ts";
import type { Pointer } from "../types/definitions.ts";
import type { BufferSource } from "../types/inference.ts";

/** How many pins of this isolate hold something. */
export const pinCounts = { live: 0 };

/** What a pin holds. */
interface Held {
  readonly address: Address;
  /** What keeps the memory where it is. */
  readonly view: ArrayBufferView;
  readonly byteLength: number;
  readonly buffer: ArrayBufferLike;
  readonly birth: number;
}

/**
 * A buffer of JavaScript's that stays where it is, for C to keep a pointer to it; {@linkcode pin} gives it.
 */
export class Pin implements PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** How many bytes are pinned. */
  readonly byteLength: number;
  #held: Held | undefined;
  readonly #pointer: Pointer;
  readonly #cleanup: Cleanup;

  /** Made by {@linkcode pin}. */
  constructor(token: typeof inside, view: ArrayBufferView, byteLength: number) {
    if (token !== inside) refuseNew("Pin", "pin()");
    this.byteLength = byteLength;
    const address = backend().viewAddress(view);
    this.#pointer = nullable(address) as Pointer;
    const buffer = bufferOf(view);
    this.#held = { address, view, byteLength, buffer, birth: track("pin", `${byteLength} bytes`) };
    this.#cleanup = addCheckedCleanup(this, dropped, this.#held);
    pinCounts.live += 1;
    countPin(buffer);
  }

  /**
   * Where the buffer is, until it is unpinned.
   *
   * @throws {PointerRuleError} When it has been unpinned, or the buffer was transferred meanwhile.
   */
  get pointer(): Pointer {
    if (this.#held === undefined) throw new PointerRuleError("unpinned");
    if (isDetached(this.#held.buffer)) throw new PointerRuleError("pinned");
    return this.#pointer;
  }

  static {
    const { get: pointerGetter } = Object.getOwnPropertyDescriptor(Pin.prototype, "pointer") as PropertyDescriptor;
    onPointerOf((value) => #held in value ? addressOf(pointerGetter?.call(value) as Pointer) : undefined);
  }

  /** Whether it has been unpinned. */
  get disposed(): boolean {
    return this.#held === undefined;
  }

  /**
   * Lets the buffer go: C may not use the pointer any more. Where a nonblocking call has it, the buffer is let go when that
   * has settled. Doing it again does nothing.
   */
  unpin(): void {
    if (this.#held === undefined) return;
    this.#cleanup.stop();
    untrack(this.#held.birth);
    letGo(this.#held);
    this.#held = undefined;
  }

  /** As {@linkcode Pin.unpin}. */
  [Symbol.dispose](): void {
    this.unpin();
  }
}

/** A pin that nobody holds, and that was not unpinned. */
function dropped(held: Held): void {
  letGo(held);
  reportLeak(untrack(held.birth), "unpinned");
}

/** Lets a buffer go once no nonblocking call has a pointer into it. */
function letGo(held: Held): void {
  const { address, byteLength, buffer } = held;
  if (byteLength > 0 && lent.isUsed(address, byteLength)) return lent.afterCall(() => letGo(held));
  uncountPin(buffer);
  pinCounts.live -= 1;
}

/**
 * Keeps a buffer where it is, so that C may keep a pointer to it, after Go's `runtime.Pinner`. A buffer may have several
 * pins; each counts.
 *
 * *Ownership:* the buffer is held until it is unpinned. A pin that is dropped is released after a garbage collection, and
 * reported as a leak where these are tracked: a pointer in C doesn't count.
 *
 * *Threads:* C's threads may read and write the memory meanwhile, as JavaScript does, with nothing in between.
 *
 * ```ts
 * import { pin } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const samples = new Float32Array(4);
 * using pinned = pin(samples);
 * assert(pinned.byteLength === 16);
 * // C may keep pinned.pointer until here.
 * ```
 *
 * @throws {TypeError} When it is no `ArrayBuffer` of fixed length that is not detached, nor a view of one.
 * @see https://pkg.go.dev/runtime#Pinner
 */
export function pin(buffer: BufferSource): Pin {
  const view = asView(buffer);
  if (view === undefined) {
    throw new TypeError(
      "Cannot pin: expected an ArrayBuffer of fixed length that is not detached, or a view of one, " +
        `got ${shown(buffer)}`,
    );
  }
  // Of no bytes, another view is there to have an address.
  return new Pin(inside, view, view === noBytes ? 0 : lengthOfTypedArray(view) as number);
}
