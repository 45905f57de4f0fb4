/**
 * Memory outside of JavaScript's heap: C's, and what C is to have.
 *
 * The file is long because each of the forty accessors is written twice: by the core, and by a mapped `DataView`. One place
 * that all accessors call would make V8 take ten times as long. The two classes make each other, so they share the file.
 *
 * @module
 */

import { allocate, bytesBeforeZero, copyIn, copyOut, fill, loads, release, stores, textAt } from "../core/memory.ts";
import { gotFor, mismatch } from "../crossing/marshal.ts";
import { onPointerOf, pointerOf } from "../crossing/owners.ts";
import { checkStored, checkUse } from "../crossing/pointer_rules.ts";
import { addEntrances, blameCaller, RangeError, TypeError } from "../ground/blame.ts";
import { typedArrayByteLength } from "../ground/buffers.ts";
import { shown } from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { noOptions, ownOptions } from "../ground/options.ts";
import { addCheckedCleanup } from "../lifetime/cleanup.ts";
import { track, untrack } from "../lifetime/leaks.ts";
import { addressOf, isAddress, nullable } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { zeroTerminated, zeroTerminatedUtf16 } from "../types/c_string.ts";
import { owner, type PointerOwner } from "../types/data_type.ts";
import type { NamedType, Pointer } from "../types/definitions.ts";
import { checked, fits } from "../types/scalars.ts";
import { decode, type Encoding, type TextOptions, utf16, utf8, zeroIndex } from "../types/text.ts";
import { dropped, type Held, Mapping, memoryCounts, plus, windowByteLength } from "./mapping.ts";
import { pointerFrom, pointerValue } from "./pointer.ts";

/** Mapping takes as long as some dozen accesses by the core: what is larger and JavaScript's own is mapped at once. */
const smallByteLength = 1024;
/**
 * Other memory is mapped after so many accesses, and one more for so many bytes: engines take what is mapped for their own, and
 * collect garbage for it.
 */
const accessesBeforeMapping = 16;
const bytesForAnAccess = 4096;

const largestAlign = 2 ** 20;

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
 * memory.setFloat64(8, 2.5);
 * assert(memory.getFloat64(8) === 2.5);
 * assert(libc.symbols.memchr(memory.pointer, 0x40, 16) !== null);
 * ```
 */
export class NativeMemory implements PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** Its length in bytes. */
  readonly byteLength: number;
  /** The same, for bounds that a program can't assign to. */
  readonly #byteLength: number;
  readonly #pointer: Pointer<never>;
  #mapping: Mapping | undefined;
  /** Where in the mapping it begins. */
  readonly #start: number;
  readonly #isPart: boolean;
  /** The same memory, once it is mapped. */
  #mapped: MappedMemory | undefined;
  #accesses = 0;

  /** @ignore */
  protected constructor(
    token: typeof inside,
    pointer: Pointer,
    byteLength: number,
    mapping: Mapping | undefined,
    start: number,
    isPart: boolean,
  ) {
    if (token !== inside) refuseNew("NativeMemory", "NativeMemory.alloc(), borrow() or adopt()");
    this.#pointer = pointer as Pointer<never>;
    this.byteLength = byteLength;
    this.#byteLength = byteLength;
    this.#mapping = mapping;
    this.#start = start;
    this.#isPart = isPart;
  }

  static {
    onPointerOf((value) => {
      if (!(#pointer in value)) return undefined;
      if (value.#mapping?.freed === true) throw value.#mapping.freedError();
      return addressOf(value.#pointer);
    });
  }

  /** @ignore Whether a value is memory, not a proxy or what else merely looks like it. */
  static is(value: unknown): value is NativeMemory {
    return typeof value === "object" && value !== null && #pointer in value;
  }

  /**
   * Allocates memory.
   *
   * @throws {RangeError} When the length is no whole number from 0 to 2^53 - 1, `align` no power of two up to 2^20, or there
   * is no memory.
   */
  static alloc(byteLength: number, options: AllocOptions = noOptions): NativeMemory {
    checkLength("allocate", byteLength);
    const { align = 16, zero = true } = ownOptions("Cannot allocate memory", options, ["align", "zero"]);
    if (!Number.isInteger(align) || align < 1 || align > largestAlign || (align & (align - 1)) !== 0) {
      throw new RangeError(`Cannot allocate memory: align must be a power of two up to 2^20, got ${shown(align)}`);
    }
    if (typeof zero !== "boolean") {
      throw new TypeError(`Cannot allocate memory: zero must be a boolean, got ${shown(zero)}`);
    }
    const address = allocate(byteLength, align, zero);
    if (address === null) throw new RangeError(`Cannot allocate memory: there are no ${byteLength} bytes`);
    try {
      return NativeMemory.#own(address as unknown as Pointer, byteLength, undefined);
    } catch (error) {
      // Nothing was made that would release it: the stack was at its end, say.
      release(address);
      throw error;
    }
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
    return NativeMemory.#create(pointer, byteLength, undefined, 0, false);
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
   * assert(memory.getCString() === "belay");
   * ```
   *
   * @param free What frees it: called once, with the pointer. It must not reach the memory, which would keep it alive. What
   * it throws is thrown by {@linkcode NativeMemory.free}, and nobody's after a garbage collection; a library that is closed
   * by then is reported (`onReport`, a `leak`).
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
    return NativeMemory.#own(pointer, byteLength, free);
  }

  static #own(pointer: Pointer, byteLength: number, free: Held["free"]): NativeMemory {
    const mapping = new Mapping(pointer, byteLength, true);
    const memory = NativeMemory.#create(pointer, byteLength, mapping, 0, false);
    const held: Held = { pointer, byteLength, free, birth: track("memory", `${byteLength} bytes`) };
    mapping.held = held;
    try {
      mapping.cleanup = addCheckedCleanup(mapping, dropped, held);
    } catch (error) {
      untrack(held.birth);
      throw error;
    }
    memoryCounts.allocations += 1;
    return memory;
  }

  static #create(
    pointer: Pointer,
    byteLength: number,
    mapping: Mapping | undefined,
    start: number,
    isPart: boolean,
  ): NativeMemory {
    if (mapping?.isMappedAtOnce !== true || byteLength <= smallByteLength || !isInWindow(start, byteLength)) {
      return new NativeMemory(inside, pointer, byteLength, mapping, start, isPart);
    }
    return new MappedMemory(inside, pointer, byteLength, mapping, start, isPart);
  }

  /** Where it begins, for C. It takes the place of a pointer of any tag. @throws {MemoryFreedError} When it has been freed. */
  get pointer(): Pointer<never> {
    if (this.#mapping?.freed === true) throw this.#mapping.freedError();
    return this.#pointer;
  }

  /** Whether it has been freed. */
  get disposed(): boolean {
    return this.#mapping?.freed ?? false;
  }

  /**
   * Frees memory that was allocated or adopted. Borrowed memory is left to C, and can't be reached from here any more. Doing
   * it again does nothing.
   *
   * @throws {TypeError} When it is a part of other memory, which is freed as a whole.
   * @throws What the function that was given to {@linkcode NativeMemory.adopt} throws; it counts as freed then.
   * @throws {PointerRuleError} When a nonblocking call uses it that is outstanding: it can be freed after that. Or when a
   * buffer of {@linkcode NativeMemory.bytes} was transferred: it is never freed then. Or, on Bun, when the runtime itself is
   * using such an array, to write it to a file, say: it can be freed after that. Arrays that were made before may be empty.
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
  subarray(begin: number, end: number = this.#byteLength): NativeMemory {
    // No other is turned into a number, which could run anything.
    const byteLength = typeof end === "number" && typeof begin === "number" ? end - begin : NaN;
    this.#check(begin, byteLength);
    return NativeMemory.#create(plus(this.#pointer, begin), byteLength, this.#shared(), this.#start + begin, true);
  }

  /**
   * The memory itself as an array, from an offset on. It has length 0 once the memory has been freed, and keeps it from
   * being freed by a garbage collection. Its buffer must not be transferred: the memory itself would be the new buffer's,
   * which keeps nothing from being freed.
   *
   * An operation of the runtime's, such as writing the array to a file, may use the memory until it is over: don't free it
   * before. Bun refuses that. Deno doesn't tell, and the operation goes on with freed memory.
   *
   * @throws {RangeError} Outside the bounds, or when the runtime has no array of that length.
   * @throws {PointerRuleError} When a buffer that it gave was transferred.
   */
  bytes(byteOffset = 0, byteLength: number = this.#byteLength - byteOffset): Uint8Array<ArrayBuffer> {
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
  fill(value: number, byteOffset = 0, byteLength: number = this.#byteLength - byteOffset): void {
    if (!fits.u8(value)) throw blameCaller(mismatch("u8", value, "Cannot fill memory: the value"));
    this.#check(byteOffset, byteLength);
    fill(addressOf(this.#pointer), byteOffset, value, byteLength);
  }

  /**
   * Copies the memory out and decodes it as UTF-8; what is none becomes U+FFFD.
   *
   * @throws {TypeError} When it is no UTF-8, with `fatal`.
   */
  text(options: TextOptions = noOptions): string {
    this.#check(0, this.#byteLength);
    const { fatal = false } = options;
    const text = textAt(addressOf(this.#pointer), this.#byteLength);
    if (!fatal || !text.includes("\ufffd")) return text;
    const bytes = new Uint8Array(this.#byteLength);
    this.copyTo(bytes);
    return decode(utf8, bytes, { fatal }, () => "memory as text");
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
   * assert(memory.getCString() === "gr\ufffd");
   * assertThrows(() => memory.getCString(0, { fatal: true }), TypeError, "it is no UTF-8 from byte 2 on");
   * ```
   *
   * @throws {RangeError} Outside the bounds, or when no zero comes before their end.
   * @throws {TypeError} When it is no UTF-8, with `fatal`.
   */
  getCString(byteOffset = 0, options: TextOptions = noOptions): string {
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
   * assert(name.getUtf16(2) === "r\u00fc\u00df");
   * ```
   *
   * @throws {RangeError} Outside the bounds, or when no zero of two bytes comes before their end.
   * @throws {TypeError} When a surrogate stands alone, with `fatal`.
   */
  getUtf16(byteOffset = 0, options: TextOptions = noOptions): string {
    return this.#string(utf16, byteOffset, options);
  }

  #string(encoding: Encoding, byteOffset: number, options: TextOptions): string {
    const subject = (): string => `a string at offset ${byteOffset}`;
    const bytes = this.#bytesBeforeZero(encoding, byteOffset);
    if (bytes === undefined) throw new RangeError(`Cannot read ${subject()}: no zero ends it before the memory ends`);
    return decode(encoding, bytes, options, subject);
  }

  #bytesBeforeZero(encoding: Encoding, byteOffset: number): Uint8Array<ArrayBuffer> | undefined {
    const byteLength = this.#byteLength - byteOffset;
    this.#access(byteOffset, byteLength);
    const mapping = this.#mapping;
    if (mapping?.isMapped !== true || !isInWindow(this.#start, this.#byteLength)) {
      return bytesBeforeZero(encoding, addressOf(this.#pointer), byteOffset, byteLength);
    }
    const bytes = mapping.bytes(this.#start + byteOffset, byteLength);
    const end = zeroIndex(encoding, bytes);
    return end < 0 ? undefined : bytes.subarray(0, end);
  }

  /**
   * Writes a string as UTF-8 and a zero to an offset, and answers how many bytes that took.
   *
   * @throws {TypeError} When it contains a NUL character.
   * @throws {RangeError} Outside the bounds.
   */
  setCString(byteOffset: number, text: string): number {
    const bytes = zeroTerminated(text);
    this.copyFrom(bytes, byteOffset);
    return bytes.length;
  }

  /**
   * Writes a string as UTF-16 and a zero of two bytes to an offset, and answers how many bytes that took. Surrogates that
   * stand alone stay as they are.
   *
   * @throws {TypeError} When it contains a NUL character.
   * @throws {RangeError} Outside the bounds.
   */
  setUtf16(byteOffset: number, text: string): number {
    const bytes = zeroTerminatedUtf16(text);
    this.copyFrom(bytes, byteOffset);
    return bytes.length;
  }

  /** Reads a signed 8-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getInt8(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i8(this.#at(byteOffset, 1), byteOffset) as number
      : mapped.getInt8(byteOffset);
  }

  /** Writes a signed 8-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setInt8(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setInt8(byteOffset, value);
    stores().i8(this.#at(byteOffset, 1), byteOffset, checked.i8(value) ?? refuse("i8", value));
  }

  /** Reads an unsigned 8-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getUint8(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u8(this.#at(byteOffset, 1), byteOffset) as number
      : mapped.getUint8(byteOffset);
  }

  /** Writes an unsigned 8-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setUint8(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setUint8(byteOffset, value);
    stores().u8(this.#at(byteOffset, 1), byteOffset, checked.u8(value) ?? refuse("u8", value));
  }

  /** Reads a signed 16-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getInt16(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i16(this.#at(byteOffset, 2), byteOffset) as number
      : mapped.getInt16(byteOffset);
  }

  /** Writes a signed 16-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setInt16(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setInt16(byteOffset, value);
    stores().i16(this.#at(byteOffset, 2), byteOffset, checked.i16(value) ?? refuse("i16", value));
  }

  /** Reads an unsigned 16-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getUint16(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u16(this.#at(byteOffset, 2), byteOffset) as number
      : mapped.getUint16(byteOffset);
  }

  /** Writes an unsigned 16-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setUint16(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setUint16(byteOffset, value);
    stores().u16(this.#at(byteOffset, 2), byteOffset, checked.u16(value) ?? refuse("u16", value));
  }

  /** Reads a signed 32-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getInt32(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i32(this.#at(byteOffset, 4), byteOffset) as number
      : mapped.getInt32(byteOffset);
  }

  /** Writes a signed 32-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setInt32(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setInt32(byteOffset, value);
    stores().i32(this.#at(byteOffset, 4), byteOffset, checked.i32(value) ?? refuse("i32", value));
  }

  /** Reads an unsigned 32-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getUint32(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u32(this.#at(byteOffset, 4), byteOffset) as number
      : mapped.getUint32(byteOffset);
  }

  /** Writes an unsigned 32-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setUint32(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setUint32(byteOffset, value);
    stores().u32(this.#at(byteOffset, 4), byteOffset, checked.u32(value) ?? refuse("u32", value));
  }

  /** Reads a signed 64-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getBigInt64(byteOffset: number): bigint {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i64(this.#at(byteOffset, 8), byteOffset) as bigint
      : mapped.getBigInt64(byteOffset);
  }

  /** Writes a signed 64-bit integer to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setBigInt64(byteOffset: number, value: number | bigint): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setBigInt64(byteOffset, value);
    stores().i64(this.#at(byteOffset, 8), byteOffset, checked.i64(value) ?? refuse("i64", value));
  }

  /** Reads an unsigned 64-bit integer, such as a handle's id, at a byte offset. @throws {RangeError} Outside the bounds. */
  getBigUint64(byteOffset: number): bigint {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u64(this.#at(byteOffset, 8), byteOffset) as bigint
      : mapped.getBigUint64(byteOffset);
  }

  /** Writes an unsigned 64-bit integer, such as a handle's id, to a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setBigUint64(byteOffset: number, value: number | bigint): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setBigUint64(byteOffset, value);
    stores().u64(this.#at(byteOffset, 8), byteOffset, checked.u64(value) ?? refuse("u64", value));
  }

  /** Reads a float at a byte offset. @throws {RangeError} Outside the bounds. */
  getFloat32(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().f32(this.#at(byteOffset, 4), byteOffset) as number
      : mapped.getFloat32(byteOffset);
  }

  /** Writes a float to a byte offset, rounded as C does. @throws {TypeError | RangeError} When it is no number; outside the bounds. */
  setFloat32(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setFloat32(byteOffset, value);
    stores().f32(this.#at(byteOffset, 4), byteOffset, checked.f32(value) ?? refuse("f32", value));
  }

  /** Reads a double at a byte offset. @throws {RangeError} Outside the bounds. */
  getFloat64(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().f64(this.#at(byteOffset, 8), byteOffset) as number
      : mapped.getFloat64(byteOffset);
  }

  /** Writes a double to a byte offset. @throws {TypeError | RangeError} When it is no number; outside the bounds. */
  setFloat64(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setFloat64(byteOffset, value);
    stores().f64(this.#at(byteOffset, 8), byteOffset, checked.f64(value) ?? refuse("f64", value));
  }

  /** Reads a boolean, a byte that is zero or not. @throws {RangeError} Outside the bounds. */
  getBool(byteOffset: number): boolean {
    return this.getUint8(byteOffset) !== 0;
  }

  /** Writes a boolean as a byte. @throws {RangeError} Outside the bounds. @throws {TypeError} When it is none. */
  setBool(byteOffset: number, value: boolean): void {
    if (typeof value !== "boolean") refuse("bool", value);
    this.setUint8(byteOffset, value ? 1 : 0);
  }

  /** Reads the pointer at a byte offset. @throws {RangeError} Outside the bounds. */
  getPointer(byteOffset: number): Pointer | null {
    if (this.#mapped !== undefined) return this.#mapped.getPointer(byteOffset);
    return nullable(loads().address(this.#at(byteOffset, 8), byteOffset) as Address | null);
  }

  /**
   * Writes a pointer to a byte offset.
   *
   * @throws {RangeError} Outside the bounds.
   * @param value A pointer, or what has one: memory, a pin, a view, a callback, a channel.
   * @throws {PointerRuleError} When it is a buffer, a string or a function; or points into an argument of a call that has
   * returned.
   */
  setPointer(byteOffset: number, value: Pointer | PointerOwner | null): void {
    const owned = value === null || isAddress(value) ? undefined : pointerOf(value);
    const pointer = owned === undefined ? value : nullable(owned);
    checkStored(pointer);
    if (pointer !== null && !isAddress(pointer)) refuse("pointer", pointer);
    this.setBigUint64(byteOffset, pointerValue(pointer as Pointer | null));
  }

  #shared(): Mapping {
    return this.#mapping ??= new Mapping(this.#pointer, this.#byteLength, false);
  }

  /** @throws {MemoryFreedError | RangeError} Unless so many bytes are there. */
  #check(byteOffset: number, byteLength: number): void {
    // What is no number is not asked for one, which could run anything.
    const isInside = Number.isInteger(byteOffset) && Number.isInteger(byteLength) && byteLength >= 0 &&
      byteOffset >= 0 &&
      byteOffset <= this.#byteLength - byteLength;
    if (this.#mapping !== undefined) {
      if (this.#mapping.freed) throw this.#mapping.freedError();
      this.#mapping.checkTransfer();
    }
    if (!isInside) this.#refuse(byteOffset, byteLength);
  }

  #refuse(byteOffset: number, byteLength: number): never {
    throw new RangeError(
      `Cannot reach ${shown(byteLength)} bytes at offset ${
        shown(byteOffset)
      }: the memory has ${this.#byteLength} bytes`,
    );
  }

  /**
   * The address, for an access of so many bytes by the core. (Each accessor calls a function of its own: through one place that
   * calls them all, V8 takes ten times as long.)
   */
  #at(byteOffset: number, byteLength: number): Address {
    this.#access(byteOffset, byteLength);
    return addressOf(this.#pointer);
  }

  /** Counts an access by the core; later ones may be to mapped memory. @throws {MemoryFreedError | RangeError} */
  #access(byteOffset: number, byteLength: number): void {
    this.#check(byteOffset, byteLength);
    if (this.#mapped !== undefined) return;
    this.#accesses += 1;
    const mappedByteLength = this.#mapping?.windowLength(0) ?? this.#byteLength;
    const needed = accessesBeforeMapping + mappedByteLength / bytesForAnAccess;
    if (this.#accesses < needed || !isInWindow(this.#start, this.#byteLength)) return;
    this.#mapped = new MappedMemory(inside, this.#pointer, this.#byteLength, this.#shared(), this.#start, true);
  }
}

// What a console shows, on each runtime: of the class that programs know.
Object.defineProperty(NativeMemory.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: NativeMemory): string {
    return `NativeMemory { ${
      this.disposed ? "freed" : `0x${pointerValue(this.pointer).toString(16)}`
    }, ${this.byteLength} bytes }`;
  },
});

/** Whether memory is in the first window, as memory up to its length is. */
function isInWindow(start: number, byteLength: number): boolean {
  return start + byteLength <= windowByteLength;
}

/**
 * Memory that is mapped all its life. Its accessors leave the bounds, and whether it has been freed, to the array buffer; what
 * throws is looked at by those of the class above, which say why. So there is no call in the getters that isn't made: V8 peels
 * no loop into which a call without type feedback, or a throw, was inlined, and then doubles in it are objects, in five times
 * the time. Setters have one, for wrong values: wrong offsets in their place took ten times as long.
 */
class MappedMemory extends NativeMemory {
  readonly #view: DataView<ArrayBuffer>;

  constructor(
    token: typeof inside,
    pointer: Pointer,
    byteLength: number,
    mapping: Mapping,
    start: number,
    isPart: boolean,
  ) {
    super(token, pointer, byteLength, mapping, start, isPart);
    this.#view = new DataView(mapping.map(start), start, byteLength);
  }

  override getInt8(byteOffset: number): number {
    try {
      return this.#view.getInt8(whole(byteOffset));
    } catch {
      return super.getInt8(byteOffset);
    }
  }

  override setInt8(byteOffset: number, value: number): void {
    if (!fits.i8(value)) return super.setInt8(byteOffset, value);
    try {
      this.#view.setInt8(whole(byteOffset), value);
    } catch {
      super.setInt8(byteOffset, value);
    }
  }

  override getUint8(byteOffset: number): number {
    try {
      return this.#view.getUint8(whole(byteOffset));
    } catch {
      return super.getUint8(byteOffset);
    }
  }

  override setUint8(byteOffset: number, value: number): void {
    if (!fits.u8(value)) return super.setUint8(byteOffset, value);
    try {
      this.#view.setUint8(whole(byteOffset), value);
    } catch {
      super.setUint8(byteOffset, value);
    }
  }

  override getInt16(byteOffset: number): number {
    try {
      return this.#view.getInt16(whole(byteOffset), true);
    } catch {
      return super.getInt16(byteOffset);
    }
  }

  override setInt16(byteOffset: number, value: number): void {
    if (!fits.i16(value)) return super.setInt16(byteOffset, value);
    try {
      this.#view.setInt16(whole(byteOffset), value, true);
    } catch {
      super.setInt16(byteOffset, value);
    }
  }

  override getUint16(byteOffset: number): number {
    try {
      return this.#view.getUint16(whole(byteOffset), true);
    } catch {
      return super.getUint16(byteOffset);
    }
  }

  override setUint16(byteOffset: number, value: number): void {
    if (!fits.u16(value)) return super.setUint16(byteOffset, value);
    try {
      this.#view.setUint16(whole(byteOffset), value, true);
    } catch {
      super.setUint16(byteOffset, value);
    }
  }

  override getInt32(byteOffset: number): number {
    try {
      return this.#view.getInt32(whole(byteOffset), true);
    } catch {
      return super.getInt32(byteOffset);
    }
  }

  override setInt32(byteOffset: number, value: number): void {
    if (!fits.i32(value)) return super.setInt32(byteOffset, value);
    try {
      this.#view.setInt32(whole(byteOffset), value, true);
    } catch {
      super.setInt32(byteOffset, value);
    }
  }

  override getUint32(byteOffset: number): number {
    try {
      return this.#view.getUint32(whole(byteOffset), true);
    } catch {
      return super.getUint32(byteOffset);
    }
  }

  override setUint32(byteOffset: number, value: number): void {
    if (!fits.u32(value)) return super.setUint32(byteOffset, value);
    try {
      this.#view.setUint32(whole(byteOffset), value, true);
    } catch {
      super.setUint32(byteOffset, value);
    }
  }

  override getBigInt64(byteOffset: number): bigint {
    try {
      return this.#view.getBigInt64(whole(byteOffset), true);
    } catch {
      return super.getBigInt64(byteOffset);
    }
  }

  override setBigInt64(byteOffset: number, value: number | bigint): void {
    const fitting = checked.i64(value);
    if (fitting === undefined) return super.setBigInt64(byteOffset, value);
    try {
      this.#view.setBigInt64(whole(byteOffset), fitting, true);
    } catch {
      super.setBigInt64(byteOffset, value);
    }
  }

  override getBigUint64(byteOffset: number): bigint {
    try {
      return this.#view.getBigUint64(whole(byteOffset), true);
    } catch {
      return super.getBigUint64(byteOffset);
    }
  }

  override setBigUint64(byteOffset: number, value: number | bigint): void {
    const fitting = checked.u64(value);
    if (fitting === undefined) return super.setBigUint64(byteOffset, value);
    try {
      this.#view.setBigUint64(whole(byteOffset), fitting, true);
    } catch {
      super.setBigUint64(byteOffset, value);
    }
  }

  override getFloat32(byteOffset: number): number {
    try {
      return this.#view.getFloat32(whole(byteOffset), true);
    } catch {
      return super.getFloat32(byteOffset);
    }
  }

  override setFloat32(byteOffset: number, value: number): void {
    if (!fits.f32(value)) return super.setFloat32(byteOffset, value);
    try {
      this.#view.setFloat32(whole(byteOffset), value, true);
    } catch {
      super.setFloat32(byteOffset, value);
    }
  }

  override getFloat64(byteOffset: number): number {
    try {
      return this.#view.getFloat64(whole(byteOffset), true);
    } catch {
      return super.getFloat64(byteOffset);
    }
  }

  override setFloat64(byteOffset: number, value: number): void {
    if (!fits.f64(value)) return super.setFloat64(byteOffset, value);
    try {
      this.#view.setFloat64(whole(byteOffset), value, true);
    } catch {
      super.setFloat64(byteOffset, value);
    }
  }

  override getPointer(byteOffset: number): Pointer | null {
    return pointerFrom(this.getBigUint64(byteOffset));
  }
}

addEntrances({ MappedMemory });

/** An offset that the engine refuses in place of one that it would round. */
function whole(byteOffset: number): number {
  return (byteOffset | 0) === byteOffset ? byteOffset : -1;
}

function checkPointer(verb: string, pointer: Pointer): void {
  if (isAddress(pointer)) return checkUse(pointer);
  throw new TypeError(`Cannot ${verb} memory: expected a Pointer that is not null, got ${gotFor("pointer", pointer)}`);
}

/** How many bytes an array really has. @throws {TypeError} When it is none. */
function bytesIn(verb: string, bytes: unknown): number {
  // What merely looks like one, the engine refuses.
  if (bytes instanceof Uint8Array) return typedArrayByteLength.call(bytes);
  throw new TypeError(`Cannot ${verb} what is no Uint8Array: ${shown(bytes)}`);
}

function checkLength(verb: string, byteLength: number): void {
  if (Number.isSafeInteger(byteLength) && byteLength >= 0) return;
  throw new RangeError(`Cannot ${verb} memory: its length must be a whole number of bytes, got ${shown(byteLength)}`);
}

/** @throws {TypeError | RangeError} That says what a value of a type is. */
function refuse(type: NamedType, value: unknown): never {
  throw blameCaller(mismatch(type, value, `Cannot write to memory: the value (${type})`));
}
