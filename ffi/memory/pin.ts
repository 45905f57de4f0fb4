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
 * A buffer of JavaScript's that stays where it is, so that C may keep a pointer to it; {@linkcode pin} gives it.
 *
 * Where C wants a pointer, pass the pin itself.
 *
 * ```ts
 * import { dlopen, pin, stats } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   strlen: { parameters: ["pointer"], result: "usize" },
 * });
 * {
 *   using pinned = pin(new TextEncoder().encode("belay\0"));
 *   assert(libc.symbols.strlen(pinned) === 5n && stats().live.pins === 1);
 * }
 * assert(stats().live.pins === 0);
 * ```
 */
export class Pin implements PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** How many bytes are pinned. */
  readonly byteLength: number;
  #held: Held | undefined;
  readonly #pointer: Pointer;
  readonly #cleanup: Cleanup;

  /** @ignore Made by {@linkcode pin}. */
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
   * The address of the buffer, for C.
   *
   * Prefer to pass the pin itself: then belay refuses a pin that has ended.
   *
   * @returns The address. It is good until the buffer is unpinned.
   * @throws {PointerRuleError} If the buffer has been unpinned, or was transferred meanwhile.
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

  /**
   * Whether the buffer has been unpinned.
   *
   * @returns `true` after {@linkcode Pin.unpin}.
   */
  get disposed(): boolean {
    return this.#held === undefined;
  }

  /**
   * Lets the buffer go: from now on C may not use the pointer. Doing it again does nothing.
   *
   * If a nonblocking call has the pointer, the buffer stays where it is until that call has settled.
   */
  unpin(): void {
    if (this.#held === undefined) return;
    this.#cleanup.stop();
    untrack(this.#held.birth);
    letGo(this.#held);
    this.#held = undefined;
  }

  /** Lets the buffer go at the end of a `using` block; see {@linkcode Pin.unpin}. */
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
 * Keeps a buffer of JavaScript's where it is, so that C may keep a pointer to it between calls.
 *
 * Without a pin, a buffer's address is good for one call only. A buffer may have several pins; each counts. Don't
 * transfer a pinned buffer.
 *
 * *Ownership:* the pin holds the buffer until {@linkcode Pin.unpin} or the end of its `using` block. If you drop the
 * pin, it is released after a garbage collection, and reported if leaks are tracked. A pointer in C doesn't count.
 *
 * *Threads:* C's threads may read and write the buffer while JavaScript does. belay puts no lock in between.
 *
 * ```ts
 * import { dlopen, NativeMemory, pin } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   memchr: { parameters: ["pointer", "i32", "usize"], result: "pointer" },
 * });
 * using pinned = pin(new TextEncoder().encode("key=value"));
 * const found = libc.symbols.memchr(pinned, 0x3d, pinned.byteLength); // C may keep this pointer as well
 * assert(found !== null && NativeMemory.borrow(found, 6).text() === "=value");
 * ```
 *
 * @param buffer An `ArrayBuffer`, a `SharedArrayBuffer`, or a view of one.
 * @returns The pin.
 * @throws {TypeError} If it is no buffer, or one that is resizable or detached.
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
