/**
 * Memory outside of JavaScript's heap: C's, and what C is to have.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { addCheckedCleanup, type Cleanup } from "./cleanup.ts";
import { zeroTerminated } from "./core.ts";
import { allocate, copyIn, copyOut, fill, loads, release, stores, type StoreType } from "./core_memory.ts";
import { MemoryFreedError, PointerRuleError } from "./errors.ts";
import { addressOf, isAddress, nullable } from "./helpers.ts";
import { mismatch } from "./marshal.ts";
import { afterCall, isUsedByCall } from "./outgoing.ts";
import { pointerFrom, pointerValue } from "./pointer.ts";
import { checkFreed, checkStored, checkUse, countPin, uncountPin } from "./pointer_rules.ts";
import { reportLeak } from "./report.ts";
import { backend } from "./runtime.ts";
import { decode, type Encoding, type TextOptions, utf16, utf8, zeroIndex } from "./text.ts";
import { track, untrack } from "./tracking.ts";
import type { NamedType, Pointer } from "./types.ts";

/** Memory is mapped in windows of so many bytes, since no runtime has to have larger array buffers; the next one begins here. */
const windowByteLength = 2 ** 30;
/** A window goes on for the widest value that begins in it. */
const overlapByteLength = 8;
/** Mapping takes as long as some dozen accesses by the core. */
const accessesBeforeMapping = 16;
const largestAlign = 2 ** 20;

/** How much memory of its own this isolate holds. */
export const memoryCounts = { allocations: 0 };

/** What is given back when the memory is freed, or when nobody can reach it any more. It must not reach the block. */
interface Held {
  readonly pointer: Pointer;
  readonly byteLength: number;
  readonly give: () => void;
  /** The token of its creation, where leaks are tracked. */
  readonly token: number;
}

/** What a piece of memory and its parts share: made when it is mapped, divided or to be freed. */
class Block {
  freed = false;
  cleanup: Cleanup | undefined;
  held: Held | undefined;
  readonly #pointer: Pointer;
  readonly #byteLength: number;
  #windows: (DataView<ArrayBuffer> | undefined)[] | undefined;
  /** Further buffers that were given away. */
  #buffers: ArrayBuffer[] | undefined;

  constructor(pointer: Pointer, byteLength: number) {
    this.#pointer = pointer;
    this.#byteLength = byteLength;
  }

  /** The window that a byte is in. */
  map(byteOffset: number): DataView<ArrayBuffer> {
    const index = Math.floor(byteOffset / windowByteLength);
    const windows = this.#windows ??= [];
    const known = windows[index];
    if (known !== undefined) {
      this.checkTransfer();
      return known;
    }
    const start = index * windowByteLength;
    const made = new DataView(
      this.#map(start, Math.min(windowByteLength + overlapByteLength, this.#byteLength - start)),
    );
    return windows[index] = made;
  }

  /** Some bytes of it, in a buffer that ends with it. */
  bytes(byteOffset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    if (byteLength === 0) return new Uint8Array(0);
    const { buffer } = this.map(byteOffset);
    const inWindow = byteOffset % windowByteLength;
    if (inWindow + byteLength <= buffer.byteLength) return new Uint8Array(buffer, inWindow, byteLength);
    const made = this.#map(byteOffset, byteLength);
    (this.#buffers ??= []).push(made);
    return new Uint8Array(made);
  }

  #map(byteOffset: number, byteLength: number): ArrayBuffer {
    const buffer = backend().map(addressOf(plus(this.#pointer, byteOffset)), byteLength);
    // Who holds the buffer holds the memory, which stays where it is.
    blockOf.set(buffer, this);
    countPin(buffer);
    return buffer;
  }

  /**
   * Ends it: nothing reaches the memory from here any more.
   *
   * @throws {PointerRuleError} When something else would.
   */
  free(): void {
    if (this.freed) return;
    const { held } = this;
    this.checkTransfer();
    checkFreed(held !== undefined && isUsed(held));
    this.freed = true;
    this.cleanup?.stop();
    for (const buffer of this.#mapped()) detach(buffer);
    this.#windows = undefined;
    this.#buffers = undefined;
    this.held = undefined;
    if (held === undefined) return;
    untrack(held.token);
    held.give();
  }

  /**
   * Refuses memory that was transferred: its new owner is out of reach, and freeing it would leave that pointing nowhere, so it
   * is a leak.
   *
   * @throws {PointerRuleError}
   */
  checkTransfer(): void {
    if (this.#windows === undefined && this.#buffers === undefined) return;
    for (const { detached } of this.#mapped()) {
      if (!detached) continue;
      this.cleanup?.stop();
      throw new PointerRuleError("what NativeMemory.bytes() gives is not transferred: copy it with slice() first");
    }
  }

  *#mapped(): Iterable<ArrayBuffer> {
    for (const view of this.#windows ?? []) if (view !== undefined) yield view.buffer;
    yield* this.#buffers ?? [];
  }
}

const blockOf = new WeakMap<ArrayBuffer, Block>();

/** The views of a mapped buffer have no length any more, and nothing is known of it. */
function detach(buffer: ArrayBuffer): void {
  buffer.transfer(0);
  blockOf.delete(buffer);
  uncountPin(buffer);
}

function plus(pointer: Pointer, byteOffset: number): Pointer {
  return pointerFrom(pointerValue(pointer) + BigInt(byteOffset)) as Pointer;
}

/** Whether a nonblocking call that is outstanding has a pointer into it. */
function isUsed({ pointer, byteLength }: Held): boolean {
  return isUsedByCall(addressOf(pointer), byteLength);
}

/** Nobody has freed it, and nobody can any more. */
function dropped(held: Held): void {
  if (isUsed(held)) return afterCall(() => dropped(held));
  const { give, token } = held;
  give();
  reportLeak(untrack(token), "freed");
}

/** Options of {@linkcode NativeMemory.alloc}. */
export interface AllocOptions {
  /** What its address is a multiple of: a power of two up to 2^20, 16 by default. */
  readonly align?: number;
  /** Whether it begins as zeroes, as it does by default. */
  readonly zero?: boolean;
}

/**
 * A piece of memory outside of JavaScript's heap, with bounds: allocated here, C's with a way to free it, or borrowed. A
 * bare pointer can't be read: its length has to be said first.
 *
 * Offsets and lengths are in bytes. Numbers have the machine's byte order and need no alignment. It may be larger than
 * 4 GiB.
 *
 * *Ownership:* what was allocated or adopted is freed by {@linkcode NativeMemory.free} or `using`, or else after a garbage
 * collection, when neither the memory, nor a part of it, nor what {@linkcode NativeMemory.bytes} gave can be reached any
 * more; a pointer in C doesn't count. Borrowed memory is C's: nothing here keeps it valid, and reading it after C has freed
 * it is an error that can't be seen from here.
 *
 * *Errors:* once it has been freed, every access throws a {@linkcode MemoryFreedError}, also through a part of it, and what
 * `bytes` gave has length 0. An access outside the bounds is a `RangeError`.
 *
 * *Threads:* reads and writes are plain ones. It is freed on the isolate's thread.
 *
 * ```ts
 * import { dlopen, NativeMemory } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   memchr: { parameters: ["pointer", "i32", "usize"], result: "pointer" },
 * });
 * using memory = NativeMemory.alloc(16);
 * memory.setF64(8, 2.5);
 * assert(memory.getF64(8) === 2.5);
 * assert(libc.symbols.memchr(memory.pointer, 0x40, 16) !== null);
 * ```
 */
export class NativeMemory {
  /** Its length in bytes. */
  readonly byteLength: number;
  readonly #pointer: Pointer<never>;
  #block: Block | undefined;
  /** Where in the block it begins. */
  readonly #start: number;
  readonly #isPart: boolean;
  /** All of it, once it is mapped, where it is within one window. */
  #view: DataView<ArrayBuffer> | undefined;
  #accesses = 0;

  private constructor(pointer: Pointer, byteLength: number, block: Block | undefined, start: number, isPart: boolean) {
    this.#pointer = pointer as Pointer<never>;
    this.byteLength = byteLength;
    this.#block = block;
    this.#start = start;
    this.#isPart = isPart;
  }

  /**
   * Allocates memory.
   *
   * @throws {RangeError} When the length is no whole number from 0 to 2^53 - 1, `align` no power of two up to 2^20, or there
   * is no memory.
   */
  static alloc(byteLength: number, options: AllocOptions = {}): NativeMemory {
    const { align = 16, zero = true, ...rest } = options;
    checkLength("allocate", byteLength);
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) throw new TypeError(`Cannot allocate memory: "${unknown}" is not an option`);
    if (!Number.isInteger(align) || align < 1 || align > largestAlign || (align & (align - 1)) !== 0) {
      throw new RangeError(`Cannot allocate memory: align must be a power of two up to 2^20, got ${align}`);
    }
    const address = allocate(byteLength, align, zero);
    if (address === null) throw new RangeError(`Cannot allocate memory: there are no ${byteLength} bytes`);
    return NativeMemory.#own(address as unknown as Pointer, byteLength, () => release(address));
  }

  /**
   * Says how much memory a pointer of C's points to.
   *
   * @throws {TypeError} When `pointer` is null.
   * @throws {PointerRuleError} When it points into an argument of a call that has returned.
   * @throws {RangeError} When `byteLength` is no whole number from 0 to 2^53 - 1.
   */
  static borrow(pointer: Pointer, byteLength: number): NativeMemory {
    checkPointer("borrow", pointer);
    checkLength("borrow", byteLength);
    return new NativeMemory(pointer, byteLength, undefined, 0, false);
  }

  /**
   * Takes over memory that C has allocated.
   *
   * ```ts
   * import { dlopen, NativeMemory } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const { strdup, free } = dlopen({ name: "c", versions: ["6"] }, {
   *   strdup: { parameters: ["cstring"], result: "pointer" },
   *   free: { parameters: ["pointer"], result: "void" },
   * }).symbols;
   * const copy = strdup("belay");
   * assert(copy !== null);
   * using memory = NativeMemory.adopt(copy, 6, free);
   * assert(memory.cstring() === "belay");
   * ```
   *
   * @param free What frees it: called once, with the pointer. It must not reach the memory, which would keep it alive.
   * @throws {TypeError} When `pointer` is null, or `free` no function.
   * @throws {PointerRuleError} When it points into an argument of a call that has returned.
   * @throws {RangeError} When `byteLength` is no whole number from 0 to 2^53 - 1.
   */
  static adopt(pointer: Pointer, byteLength: number, free: (pointer: Pointer) => unknown): NativeMemory {
    checkPointer("adopt", pointer);
    checkLength("adopt", byteLength);
    if (typeof free !== "function") {
      throw new TypeError(`Cannot adopt memory: free must be a function, got ${typeof free}`);
    }
    return NativeMemory.#own(pointer, byteLength, () => void free(pointer));
  }

  static #own(pointer: Pointer, byteLength: number, give: () => void): NativeMemory {
    const block = new Block(pointer, byteLength);
    memoryCounts.allocations += 1;
    const held = {
      pointer,
      byteLength,
      give(): void {
        memoryCounts.allocations -= 1;
        give();
      },
      token: track("memory", `${byteLength} bytes`),
    };
    block.held = held;
    block.cleanup = addCheckedCleanup(block, dropped, held);
    return new NativeMemory(pointer, byteLength, block, 0, false);
  }

  /** Where it begins, for C. It takes the place of a pointer of any tag. @throws {MemoryFreedError} When it has been freed. */
  get pointer(): Pointer<never> {
    if (this.#block?.freed === true) throw new MemoryFreedError();
    return this.#pointer;
  }

  /** Whether it has been freed. */
  get freed(): boolean {
    return this.#block?.freed ?? false;
  }

  /**
   * Frees memory that was allocated or adopted. Borrowed memory is left to C, and can't be reached from here any more. Doing
   * it again does nothing.
   *
   * @throws {TypeError} When it is a part of other memory, which is freed as a whole.
   * @throws {PointerRuleError} When a nonblocking call uses it that is outstanding: it can be freed after that. Or when a
   * buffer of {@linkcode NativeMemory.bytes} was transferred: it is never freed then.
   */
  free(): void {
    if (this.#isPart) throw new TypeError("Cannot free a part of memory: free the whole");
    this.#shared().free();
  }

  /** As {@linkcode NativeMemory.free}. */
  [Symbol.dispose](): void {
    this.free();
  }

  /** The part from one offset up to, not including, another; it is freed with the whole. @throws {RangeError} Outside the bounds. */
  subarray(begin: number, end: number = this.byteLength): NativeMemory {
    const byteLength = end - begin;
    this.#check(begin, byteLength);
    return new NativeMemory(plus(this.#pointer, begin), byteLength, this.#shared(), this.#start + begin, true);
  }

  /**
   * The memory itself as an array, from an offset on. It has length 0 once the memory has been freed, and keeps it from
   * being freed by a garbage collection. Its buffer must not be transferred: the memory itself would be the new buffer's,
   * which keeps nothing from being freed.
   *
   * @throws {RangeError} Outside the bounds, or when the runtime has no array of that length.
   * @throws {PointerRuleError} When a buffer that it gave was transferred.
   */
  bytes(byteOffset = 0, byteLength: number = this.byteLength - byteOffset): Uint8Array<ArrayBuffer> {
    this.#check(byteOffset, byteLength);
    return this.#shared().bytes(this.#start + byteOffset, byteLength);
  }

  /** Copies from a byte offset on into `target`, as many bytes as it has. @throws {TypeError | RangeError} When it is no `Uint8Array`; outside the bounds. */
  copyTo(target: Uint8Array, byteOffset = 0): void {
    const byteLength = bytesIn("copy to", target);
    this.#check(byteOffset, byteLength);
    if (byteLength > 0) copyOut(target, addressOf(this.#pointer), byteOffset, byteLength);
  }

  /** Copies all of `source` to a byte offset. @throws {TypeError | RangeError} When it is no `Uint8Array`; outside the bounds. */
  copyFrom(source: Uint8Array, byteOffset = 0): void {
    const byteLength = bytesIn("copy from", source);
    this.#check(byteOffset, byteLength);
    if (byteLength > 0) copyIn(addressOf(this.#pointer), byteOffset, source, byteLength);
  }

  /** Sets bytes to a value from 0 to 255, all from an offset on if no length is given. @throws {RangeError} Outside the bounds. */
  fill(value: number, byteOffset = 0, byteLength: number = this.byteLength - byteOffset): void {
    if (!fits.u8(value)) throw mismatch("u8", value, "Cannot fill memory: the value");
    this.#check(byteOffset, byteLength);
    fill(addressOf(this.#pointer), byteOffset, value, byteLength);
  }

  /**
   * Copies the memory out and decodes it as UTF-8; what is none becomes U+FFFD.
   *
   * @throws {TypeError} When it is no UTF-8, with `fatal`.
   */
  text(options: TextOptions = {}): string {
    const bytes = new Uint8Array(this.byteLength);
    this.copyTo(bytes);
    return decode(utf8, bytes, options, () => "memory as text");
  }

  /**
   * The zero-terminated string at an offset, decoded as UTF-8; what is none becomes U+FFFD.
   *
   * ```ts
   * import { NativeMemory } from "@belay/ffi";
   * import { assert, assertThrows } from "@std/assert";
   *
   * using memory = NativeMemory.alloc(4);
   * memory.copyFrom(Uint8Array.of(0x67, 0x72, 0xfc)); // Latin-1
   * assert(memory.cstring() === "gr\ufffd");
   * assertThrows(() => memory.cstring(0, { fatal: true }), TypeError, "it is no UTF-8 from byte 2 on");
   * ```
   *
   * @throws {RangeError} Outside the bounds, or when no zero comes before their end.
   * @throws {TypeError} When it is no UTF-8, with `fatal`.
   */
  cstring(byteOffset = 0, options: TextOptions = {}): string {
    return this.#string(utf8, byteOffset, options);
  }

  /**
   * The zero-terminated UTF-16 string at an offset, as Windows and ICU have them, in the machine's byte order. A surrogate
   * that stands alone becomes U+FFFD.
   *
   * ```ts
   * import { Arena } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using arena = new Arena();
   * const name = arena.utf16("gr\u00fc\u00df");
   * assert(name.byteLength === 10);
   * assert(name.utf16(2) === "r\u00fc\u00df");
   * ```
   *
   * @throws {RangeError} Outside the bounds, or when no zero of two bytes comes before their end.
   * @throws {TypeError} When a surrogate stands alone, with `fatal`.
   */
  utf16(byteOffset = 0, options: TextOptions = {}): string {
    return this.#string(utf16, byteOffset, options);
  }

  #string(encoding: Encoding, byteOffset: number, options: TextOptions): string {
    const bytes = this.bytes(byteOffset);
    const subject = (): string => `a string at offset ${byteOffset}`;
    const end = zeroIndex(encoding, bytes);
    if (end < 0) throw new RangeError(`Cannot read ${subject()}: no zero ends it before the memory ends`);
    return decode(encoding, bytes.subarray(0, end), options, subject);
  }

  /**
   * Writes a string as UTF-8 and a zero to an offset, and answers how many bytes that took.
   *
   * @throws {TypeError} When it contains a NUL character.
   * @throws {RangeError} Outside the bounds.
   */
  setCstring(byteOffset: number, text: string): number {
    const bytes = zeroTerminated(text);
    this.copyFrom(bytes, byteOffset);
    return bytes.length;
  }

  // Each accessor first tries what is fast: the array buffer's own checks of bounds, and of its being there. What throws then
  // is looked at once more, and so is what has not been mapped. Checks of our own in one place take three times as long.

  /** Reads a signed 8-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getI8(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getInt8(byteOffset);
      } catch { /* Below. */ }
    }
    return this.#get("i8", byteOffset) as number;
  }

  /** Writes a signed 8-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setI8(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.i8(value)) {
      try {
        return view.setInt8(byteOffset, value);
      } catch { /* Below. */ }
    }
    this.#set("i8", byteOffset, value);
  }

  /** Reads an unsigned 8-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getU8(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getUint8(byteOffset);
      } catch { /* Below. */ }
    }
    return this.#get("u8", byteOffset) as number;
  }

  /** Writes an unsigned 8-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setU8(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.u8(value)) {
      try {
        return view.setUint8(byteOffset, value);
      } catch { /* Below. */ }
    }
    this.#set("u8", byteOffset, value);
  }

  /** Reads a signed 16-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getI16(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getInt16(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("i16", byteOffset) as number;
  }

  /** Writes a signed 16-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setI16(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.i16(value)) {
      try {
        return view.setInt16(byteOffset, value, true);
      } catch { /* Below. */ }
    }
    this.#set("i16", byteOffset, value);
  }

  /** Reads an unsigned 16-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getU16(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getUint16(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("u16", byteOffset) as number;
  }

  /** Writes an unsigned 16-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setU16(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.u16(value)) {
      try {
        return view.setUint16(byteOffset, value, true);
      } catch { /* Below. */ }
    }
    this.#set("u16", byteOffset, value);
  }

  /** Reads a signed 32-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getI32(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getInt32(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("i32", byteOffset) as number;
  }

  /** Writes a signed 32-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setI32(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.i32(value)) {
      try {
        return view.setInt32(byteOffset, value, true);
      } catch { /* Below. */ }
    }
    this.#set("i32", byteOffset, value);
  }

  /** Reads an unsigned 32-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getU32(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getUint32(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("u32", byteOffset) as number;
  }

  /** Writes an unsigned 32-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setU32(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.u32(value)) {
      try {
        return view.setUint32(byteOffset, value, true);
      } catch { /* Below. */ }
    }
    this.#set("u32", byteOffset, value);
  }

  /** Reads a signed 64-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getI64(byteOffset: number): bigint {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getBigInt64(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("i64", byteOffset) as bigint;
  }

  /** Writes a signed 64-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setI64(byteOffset: number, value: number | bigint): void {
    this.#set("i64", byteOffset, value);
  }

  /** Reads an unsigned 64-bit integer, such as a handle's id, at a byte offset. @throws {RangeError} Outside the bounds. */
  getU64(byteOffset: number): bigint {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getBigUint64(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("u64", byteOffset) as bigint;
  }

  /** Writes an unsigned 64-bit integer, such as a handle's id, to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setU64(byteOffset: number, value: number | bigint): void {
    this.#set("u64", byteOffset, value);
  }

  /** Reads a float at a byte offset. @throws {RangeError} Outside the bounds. */
  getF32(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getFloat32(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("f32", byteOffset) as number;
  }

  /** Writes a float to a byte offset, rounded as C does. @throws {TypeError | RangeError} When it is no number; outside the bounds. */
  setF32(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.f32(value)) {
      try {
        return view.setFloat32(byteOffset, value, true);
      } catch { /* Below. */ }
    }
    this.#set("f32", byteOffset, value);
  }

  /** Reads a double at a byte offset. @throws {RangeError} Outside the bounds. */
  getF64(byteOffset: number): number {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset) {
      try {
        return view.getFloat64(byteOffset, true);
      } catch { /* Below. */ }
    }
    return this.#get("f64", byteOffset) as number;
  }

  /** Writes a double to a byte offset. @throws {TypeError | RangeError} When it is no number; outside the bounds. */
  setF64(byteOffset: number, value: number): void {
    const view = this.#view;
    if (view !== undefined && (byteOffset | 0) === byteOffset && fits.f64(value)) {
      try {
        return view.setFloat64(byteOffset, value, true);
      } catch { /* Below. */ }
    }
    this.#set("f64", byteOffset, value);
  }

  /** Reads a boolean, a byte that is zero or not. @throws {RangeError} Outside the bounds. */
  getBool(byteOffset: number): boolean {
    return this.getU8(byteOffset) !== 0;
  }

  /** Writes a boolean as a byte. @throws {RangeError} Outside the bounds. @throws {TypeError} When it is none. */
  setBool(byteOffset: number, value: boolean): void {
    if (typeof value !== "boolean") refuse("bool", value);
    this.setU8(byteOffset, value ? 1 : 0);
  }

  /** Reads the pointer at a byte offset. @throws {RangeError} Outside the bounds. */
  getPointer(byteOffset: number): Pointer | null {
    if (this.#accesses >= accessesBeforeMapping) return pointerFrom(this.getU64(byteOffset));
    this.#check(byteOffset, 8);
    this.#accesses += 1;
    return nullable(loads().address(addressOf(this.#pointer), byteOffset) as Address | null);
  }

  /**
   * Writes a pointer to a byte offset.
   *
   * @throws {RangeError} Outside the bounds.
   * @throws {PointerRuleError} When it is a buffer, a string, a function, or what has a pointer; or points into an argument
   * of a call that has returned.
   */
  setPointer(byteOffset: number, value: Pointer | null): void {
    checkStored(value);
    if (value !== null && !isAddress(value)) refuse("pointer", value);
    this.setU64(byteOffset, pointerValue(value));
  }

  #shared(): Block {
    return this.#block ??= new Block(this.#pointer, this.byteLength);
  }

  /** @throws {MemoryFreedError | RangeError} Unless so many bytes are there. */
  #check(byteOffset: number, byteLength: number): void {
    if (this.#block !== undefined) {
      if (this.#block.freed) throw new MemoryFreedError();
      this.#block.checkTransfer();
    }
    const inside = byteOffset >= 0 && byteOffset <= this.byteLength - byteLength && byteLength >= 0;
    if (!inside || !Number.isInteger(byteOffset) || !Number.isInteger(byteLength)) this.#refuse(byteOffset, byteLength);
  }

  #refuse(byteOffset: number, byteLength: number): never {
    throw new RangeError(
      `Cannot reach ${byteLength} bytes at offset ${byteOffset}: the memory has ${this.byteLength} bytes`,
    );
  }

  #get(type: StoreType, byteOffset: number): unknown {
    const { byteLength, get } = accessors[type];
    this.#check(byteOffset, byteLength);
    if (!this.#isWorthMapping()) return loads()[type](addressOf(this.#pointer), byteOffset);
    const place = this.#start + byteOffset;
    return get(this.#window(place), place % windowByteLength);
  }

  #set(type: StoreType, byteOffset: number, value: unknown): void {
    const { byteLength, checked, set } = accessors[type];
    this.#check(byteOffset, byteLength);
    const fitting = checked(value) ?? refuse(type, value);
    if (!this.#isWorthMapping()) return void stores()[type](addressOf(this.#pointer), byteOffset, fitting);
    const place = this.#start + byteOffset;
    set(this.#window(place), place % windowByteLength, fitting as never);
  }

  #isWorthMapping(): boolean {
    this.#accesses += 1;
    return this.#accesses > accessesBeforeMapping;
  }

  #window(place: number): DataView<ArrayBuffer> {
    const window = this.#shared().map(place);
    if (this.#start + this.byteLength <= windowByteLength) {
      this.#view = new DataView(window.buffer, this.#start, this.byteLength);
    }
    return window;
  }
}

/** Whether a value is of a type. */
const fits = {
  i8: (value: unknown): value is number => typeof value === "number" && (value << 24 >> 24) === value,
  u8: (value: unknown): value is number => typeof value === "number" && (value & 0xff) === value,
  i16: (value: unknown): value is number => typeof value === "number" && (value << 16 >> 16) === value,
  u16: (value: unknown): value is number => typeof value === "number" && (value & 0xffff) === value,
  i32: (value: unknown): value is number => typeof value === "number" && (value | 0) === value,
  u32: (value: unknown): value is number => typeof value === "number" && (value >>> 0) === value,
  f32: (value: unknown): value is number => typeof value === "number",
  f64: (value: unknown): value is number => typeof value === "number",
};

/** How a type stands in a window; `checked` answers `undefined` for what is not of the type. */
interface Accessor<V> {
  readonly byteLength: number;
  readonly checked: (value: unknown) => V | undefined;
  readonly get: (window: DataView, place: number) => V;
  readonly set: (window: DataView, place: number, value: V) => void;
}

const accessors: { readonly [T in StoreType]: Accessor<T extends "i64" | "u64" ? bigint : number> } = {
  i8: {
    byteLength: 1,
    checked: (value) => fits.i8(value) ? value : undefined,
    get: (window, place) => window.getInt8(place),
    set: (window, place, value) => window.setInt8(place, value),
  },
  u8: {
    byteLength: 1,
    checked: (value) => fits.u8(value) ? value : undefined,
    get: (window, place) => window.getUint8(place),
    set: (window, place, value) => window.setUint8(place, value),
  },
  i16: {
    byteLength: 2,
    checked: (value) => fits.i16(value) ? value : undefined,
    get: (window, place) => window.getInt16(place, true),
    set: (window, place, value) => window.setInt16(place, value, true),
  },
  u16: {
    byteLength: 2,
    checked: (value) => fits.u16(value) ? value : undefined,
    get: (window, place) => window.getUint16(place, true),
    set: (window, place, value) => window.setUint16(place, value, true),
  },
  i32: {
    byteLength: 4,
    checked: (value) => fits.i32(value) ? value : undefined,
    get: (window, place) => window.getInt32(place, true),
    set: (window, place, value) => window.setInt32(place, value, true),
  },
  u32: {
    byteLength: 4,
    checked: (value) => fits.u32(value) ? value : undefined,
    get: (window, place) => window.getUint32(place, true),
    set: (window, place, value) => window.setUint32(place, value, true),
  },
  i64: {
    byteLength: 8,
    checked: (value) => wide(value, BigInt.asIntN),
    get: (window, place) => window.getBigInt64(place, true),
    set: (window, place, value) => window.setBigInt64(place, value, true),
  },
  u64: {
    byteLength: 8,
    checked: (value) => wide(value, BigInt.asUintN),
    get: (window, place) => window.getBigUint64(place, true),
    set: (window, place, value) => window.setBigUint64(place, value, true),
  },
  f32: {
    byteLength: 4,
    checked: (value) => fits.f32(value) ? value : undefined,
    get: (window, place) => window.getFloat32(place, true),
    set: (window, place, value) => window.setFloat32(place, value, true),
  },
  f64: {
    byteLength: 8,
    checked: (value) => fits.f64(value) ? value : undefined,
    get: (window, place) => window.getFloat64(place, true),
    set: (window, place, value) => window.setFloat64(place, value, true),
  },
};

function checkPointer(verb: string, pointer: Pointer): void {
  if (typeof pointer === "bigint" || typeof pointer === "number") return checkUse(pointer);
  throw new TypeError(`Cannot ${verb} memory: expected a Pointer that is not null`);
}

// What the engine says: a subclass may say something else.
const { get: lengthGetter } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  "byteLength",
) as { get: () => number };

/** How many bytes an array really has. @throws {TypeError} When it is none. */
function bytesIn(verb: string, bytes: unknown): number {
  if (bytes instanceof Uint8Array) return lengthGetter.call(bytes);
  throw new TypeError(`Cannot ${verb} what is no Uint8Array: ${String(bytes)}`);
}

function checkLength(verb: string, byteLength: number): void {
  if (Number.isSafeInteger(byteLength) && byteLength >= 0) return;
  throw new RangeError(`Cannot ${verb} memory: its length must be a whole number of bytes, got ${byteLength}`);
}

/** @throws {TypeError | RangeError} That says what a value of a type is. */
function refuse(type: NamedType, value: unknown): never {
  throw mismatch(type, value, `Cannot write to memory: the value (${type})`);
}

/** A 64-bit integer as a bigint, if `wrap` leaves it as it is. */
function wide(value: unknown, wrap: (bits: number, value: bigint) => bigint): bigint | undefined {
  const bits = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
  return typeof bits === "bigint" && wrap(64, bits) === bits ? bits : undefined;
}
