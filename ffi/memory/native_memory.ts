/**
 * Memory outside of JavaScript's heap: C's, and what C is to have.
 *
 * The file is long because each of the forty accessors is written twice: by the core, and by a mapped `DataView`. One place
 * that all accessors call would make V8 take ten times as long. The two classes make each other, so they share the file.
 *
 * @module
 */

import { allocate, bytesBeforeZero, copyIn, copyOut, decodedAt, fill, loads, release, stores } from "../core/memory.ts";
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
import { dropped, type Held, Mapping, memoryCounts, onLeaveSlab, plus, windowByteLength } from "./mapping.ts";
import { pointerFrom, pointerValue } from "./pointer.ts";
import { givePiece, longestPiece, type Piece, takePiece } from "./slabs.ts";

/** Mapping takes as long as some dozen accesses by the core: what is larger and JavaScript's own is mapped at once. */
const smallByteLength = longestPiece;
/** In place of a view onto memory that has been freed, and isn't detached since it is a slab's. */
const endedView = new DataView(new ArrayBuffer(0));
/**
 * Other memory is mapped after so many accesses, and one more for so many bytes: engines take what is mapped for their own, and
 * collect garbage for it.
 */
const accessesBeforeMapping = 16;
const bytesForAnAccess = 4096;

const largestAlign = 2 ** 20;

/** Options of {@linkcode NativeMemory.alloc}. */
export interface AllocOptions {
  /** What the address is a multiple of, in bytes: a power of two up to 2^20, 16 by default. */
  readonly align?: number;
  /** Whether the memory begins as zeroes; `true` by default. */
  readonly zero?: boolean;
  /**
   * Whether the memory is mapped into JavaScript at once; `true` by default. See {@linkcode BorrowOptions}.
   *
   * Up to 1,024 bytes come from memory that is mapped already, which they share with other such pieces. With `false` they are
   * allocated by themselves: what looks for C code that writes behind its memory sees the end of each.
   */
  readonly map?: boolean;
}

/** Options of {@linkcode NativeMemory.borrow}. */
export interface BorrowOptions {
  /**
   * Whether the memory is mapped into JavaScript at once; `false` by default.
   *
   * Mapping takes a microsecond or two, and an array buffer, which engines count as memory of JavaScript's own. Reading and
   * writing is as fast as by a `DataView` then. Otherwise memory is mapped when it has been used for a while.
   */
  readonly map?: boolean;
}

/**
 * A piece of memory outside of JavaScript's heap, with bounds: it stays where it is, so C may keep a pointer to it.
 *
 * It is allocated by {@linkcode NativeMemory.alloc}, taken over from C by {@linkcode NativeMemory.adopt}, or C's own,
 * by {@linkcode NativeMemory.borrow}. Where C wants a pointer, pass the memory itself. Offsets and lengths are in
 * bytes. Numbers have the machine's byte order, and need no alignment. The memory may be larger than 4 GiB.
 *
 * *Ownership:* {@linkcode NativeMemory.free} or `using` frees memory that was allocated or adopted. If you forget it,
 * it is freed after a garbage collection, once JavaScript can't reach it any more. Its parts, its views and arrays of
 * {@linkcode NativeMemory.bytes} keep it; a pointer in C doesn't. Borrowed memory stays C's. Reading it after C has
 * freed it is an error that belay can't see.
 *
 * *Errors:* after the memory has been freed, every access throws a {@linkcode MemoryFreedError}, also through a part of
 * it. Arrays of `bytes` have length 0 then. An access outside of the bounds is a `RangeError`, and nothing is read or
 * written.
 *
 * *Threads:* the memory is read and written without locks, and freed on its isolate's thread.
 *
 * ```ts
 * import { dlopen, NativeMemory, stats } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   memset: { parameters: ["pointer", "i32", "usize"], result: "pointer" },
 * });
 * {
 *   using memory = NativeMemory.alloc(16); // zeroes
 *   libc.symbols.memset(memory, 0x41, 4); // the memory itself is the pointer
 *   memory.setFloat64(8, 2.5);
 *   assert(memory.getCString() === "AAAA" && memory.getFloat64(8) === 2.5);
 * }
 * assert(stats().live.memory === 0);
 * ```
 */
export class NativeMemory implements PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** How many bytes the memory has. */
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
   * Allocates memory, which belay frees.
   *
   * ```ts
   * import { NativeMemory } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using memory = NativeMemory.alloc(64, { align: 64 });
   * assert(memory.byteLength === 64 && memory.getUint8(63) === 0);
   * ```
   *
   * @param byteLength How many bytes: a whole number from 0 to 2^53 - 1.
   * @param options The alignment, and whether the memory begins as zeroes.
   * @returns The memory, with zeroes unless `zero` is `false`.
   * @throws {RangeError} If the length is out of its range, `align` is no power of two up to 2^20, or there isn't so
   * much memory.
   * @throws {TypeError} If an option is misspelled, or `zero` or `map` is no boolean.
   */
  static alloc(byteLength: number, options: AllocOptions = noOptions): NativeMemory {
    checkLength("allocate", byteLength);
    const { align = 16, zero = true, map = true } = ownOptions(
      "Cannot allocate memory",
      options,
      ["align", "zero", "map"],
    );
    if (!Number.isInteger(align) || align < 1 || align > largestAlign || (align & (align - 1)) !== 0) {
      throw new RangeError(`Cannot allocate memory: align must be a power of two up to 2^20, got ${shown(align)}`);
    }
    if (typeof zero !== "boolean") {
      throw new TypeError(`Cannot allocate memory: zero must be a boolean, got ${shown(zero)}`);
    }
    checkMap("allocate", map);
    const isPiece = map && byteLength > 0 && byteLength <= longestPiece && align <= longestPiece;
    const piece = isPiece ? takePiece(byteLength, align, zero) : undefined;
    const address = piece === undefined ? allocate(byteLength, align, zero) : undefined;
    if (address === null) throw new RangeError(`Cannot allocate memory: there are no ${byteLength} bytes`);
    const pointer = piece?.slab.pointerOf(piece.index) ?? address as unknown as Pointer;
    try {
      return NativeMemory.#own(pointer, byteLength, undefined, map, piece);
    } catch (error) {
      // Nothing was made that would release it: the stack was at its end, say.
      if (piece !== undefined) givePiece(piece);
      else if (address !== undefined) release(address);
      throw error;
    }
  }

  /**
   * Gives access to memory that a pointer of C's points to, and that stays C's.
   *
   * A pointer has no length: you say how many bytes C has there, and belay believes you.
   *
   * ```ts
   * import { dlopen, NativeMemory } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using zlib = dlopen({ name: "z", versions: ["1"] }, {
   *   get_crc_table: { parameters: [], result: "pointer" }, // const uint32_t *, 256 of them
   * });
   * const table = zlib.symbols.get_crc_table();
   * assert(table !== null);
   * assert(NativeMemory.borrow(table, 1024).getUint32(4) === 0x77073096);
   * ```
   *
   * @param pointer Where the memory is.
   * @param byteLength How many bytes it has: a whole number from 0 to 2^53 - 1.
   * @param options Whether it is mapped at once.
   * @returns The memory. Freeing it only ends the access from here.
   * @throws {TypeError} If `pointer` is null, an option is misspelled, or `map` is no boolean.
   * @throws {PointerRuleError} If it points into an argument of a call that has returned.
   * @throws {RangeError} If the length is out of its range, or the runtime has no array of it.
   */
  static borrow(pointer: Pointer, byteLength: number, options: BorrowOptions = noOptions): NativeMemory {
    checkPointer("borrow", pointer);
    checkLength("borrow", byteLength);
    if (options === noOptions) return new NativeMemory(inside, pointer, byteLength, undefined, 0, false);
    const { map = false } = ownOptions("Cannot borrow memory", options, ["map"]);
    checkMap("borrow", map);
    return NativeMemory.#create(pointer, byteLength, new Mapping(pointer, byteLength, false), 0, false, map);
  }

  /**
   * Takes over memory that C has allocated: belay frees it by a function that you give.
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
   * @param pointer Where the memory is.
   * @param byteLength How many bytes it has: a whole number from 0 to 2^53 - 1.
   * @param free The function that frees it, called once with the pointer. It must not reach the `NativeMemory`, or that
   * is never collected. If it throws, {@linkcode NativeMemory.free} throws the same error. After a garbage collection
   * the error is an uncaught one; if the function's library has been closed, it is a report (`leak`).
   * @returns The memory.
   * @throws {TypeError} If `pointer` is null, or `free` is no function.
   * @throws {PointerRuleError} If it points into an argument of a call that has returned.
   * @throws {RangeError} If the length is out of its range.
   */
  static adopt(pointer: Pointer, byteLength: number, free: (pointer: Pointer) => unknown): NativeMemory {
    checkPointer("adopt", pointer);
    checkLength("adopt", byteLength);
    if (typeof free !== "function") {
      throw new TypeError(`Cannot adopt memory: free must be a function, got ${typeof free}`);
    }
    return NativeMemory.#own(pointer, byteLength, free, byteLength > smallByteLength);
  }

  static #own(pointer: Pointer, byteLength: number, free: Held["free"], map: boolean, piece?: Piece): NativeMemory {
    const mapping = new Mapping(pointer, byteLength, true);
    const memory = piece === undefined
      ? NativeMemory.#create(pointer, byteLength, mapping, 0, false, map)
      : MappedMemory.inSlab(pointer, byteLength, mapping, piece);
    const held: Held = { pointer, byteLength, free, piece, birth: track("memory", `${byteLength} bytes`) };
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
    mapping: Mapping,
    start: number,
    isPart: boolean,
    map: boolean,
  ): NativeMemory {
    // An array of no bytes can't be told from one that is detached.
    if (!map || byteLength === 0 || !isInWindow(start, byteLength)) {
      return new NativeMemory(inside, pointer, byteLength, mapping, start, isPart);
    }
    return new MappedMemory(inside, pointer, byteLength, mapping, start, isPart);
  }

  /**
   * The address of the memory, for C. It fits where a pointer of any tag is wanted.
   *
   * Prefer to pass the memory itself: then belay refuses memory that was freed.
   *
   * @returns The address. It is good until the memory is freed.
   * @throws {MemoryFreedError} If the memory has been freed.
   */
  get pointer(): Pointer<never> {
    if (this.#mapping?.freed === true) throw this.#mapping.freedError();
    return this.#pointer;
  }

  /**
   * Whether the memory has been freed.
   *
   * @returns `true` after {@linkcode NativeMemory.free}, for the parts of the memory as well.
   */
  get disposed(): boolean {
    return this.#mapping?.freed ?? false;
  }

  /**
   * Frees memory that was allocated or adopted. Doing it again does nothing.
   *
   * Borrowed memory is left to C; only the access from here ends.
   *
   * @throws {TypeError} If it is a part of other memory: free the whole.
   * @throws {PointerRuleError} If a nonblocking call that is outstanding uses the memory. It can be freed after the
   * call.
   * @throws {PointerRuleError} If a buffer of {@linkcode NativeMemory.bytes} was transferred. The memory is never freed
   * then.
   * @throws {PointerRuleError} On Bun, if the runtime is using an array of `bytes`, to write it to a file, say. The
   * memory can be freed after that; arrays that were made before may be empty.
   * @throws What the function that was given to {@linkcode NativeMemory.adopt} throws. The memory counts as freed then.
   */
  free(): void {
    if (this.#isPart) throw new TypeError("Cannot free a part of memory: free the whole");
    const shared = this.#shared();
    // First: a piece of a slab may be another's as soon as it is free.
    const view = MappedMemory.endView(this);
    try {
      shared.free();
    } catch (error) {
      if (view !== undefined && !shared.freed) MappedMemory.restoreView(this, view);
      throw error;
    }
  }

  /** Frees the memory at the end of a `using` block; see {@linkcode NativeMemory.free}. */
  [Symbol.dispose](): void {
    this.free();
  }

  /**
   * Gives a part of the memory, without a copy. It is freed with the whole, and can't be freed alone.
   *
   * ```ts
   * import { NativeMemory } from "@belay/ffi";
   * import { assert, assertThrows } from "@std/assert";
   *
   * using memory = NativeMemory.alloc(16);
   * const part = memory.subarray(8);
   * part.setUint8(0, 7);
   * assert(memory.getUint8(8) === 7);
   * assertThrows(() => part.getUint8(8), RangeError, "the memory has 8 bytes");
   * ```
   *
   * @param begin Where the part begins: an offset in bytes.
   * @param end Where it ends: the offset of the first byte behind it, by default the end of the memory.
   * @returns The part.
   * @throws {RangeError} If it isn't within the bounds.
   */
  subarray(begin: number, end: number = this.#byteLength): NativeMemory {
    // No other is turned into a number, which could run anything.
    const byteLength = typeof end === "number" && typeof begin === "number" ? end - begin : NaN;
    this.#check(begin, byteLength);
    const shared = this.#shared();
    const map = shared.isMappedAtOnce && byteLength > smallByteLength;
    return NativeMemory.#create(plus(this.#pointer, begin), byteLength, shared, this.#start + begin, true, map);
  }

  /**
   * Gives an array onto the memory itself, without a copy: for loops that matter, and for other JavaScript APIs.
   *
   * The array has length 0 once the memory has been freed. It keeps its memory from being freed by a garbage
   * collection. Don't transfer its buffer (`structuredClone`, `postMessage`): copy it with `slice()` first. After a
   * transfer the memory is never freed. Don't free the memory while the runtime uses the array, to write it to a file,
   * say. Bun lets belay refuse that. On Deno belay can't see it, and the operation goes on with freed memory.
   *
   * ```ts
   * import { NativeMemory } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const memory = NativeMemory.alloc(8);
   * const bytes = memory.bytes();
   * bytes[0] = 7;
   * const floats = new Float32Array(bytes.buffer, bytes.byteOffset, 2);
   * floats[1] = 1;
   * assert(memory.getUint8(0) === 7 && memory.getFloat32(4) === 1);
   * memory.free();
   * assert(bytes.length === 0 && floats.length === 0);
   * ```
   *
   * @param byteOffset Where the array begins: an offset in bytes, 0 by default.
   * @param byteLength How many bytes it has; by default all up to the end of the memory.
   * @returns The array.
   * @throws {RangeError} If it isn't within the bounds, or the runtime has no array of that length.
   * @throws {PointerRuleError} If a buffer of such an array was transferred.
   */
  bytes(byteOffset = 0, byteLength: number = this.#byteLength - byteOffset): Uint8Array<ArrayBuffer> {
    this.#check(byteOffset, byteLength);
    return this.#shared().bytes(this.#start + byteOffset, byteLength);
  }

  /**
   * Copies bytes out of the memory into `target`, as many as that has.
   *
   * @param target The array to fill.
   * @param byteOffset Where to begin to read: an offset in bytes, 0 by default.
   * @throws {TypeError} If `target` is no `Uint8Array`.
   * @throws {RangeError} If the bytes aren't within the bounds.
   */
  copyTo(target: Uint8Array, byteOffset = 0): void {
    const byteLength = bytesIn("copy to", target);
    this.#check(byteOffset, byteLength);
    if (byteLength > 0) copyOut(target, addressOf(this.#pointer), byteOffset, byteLength);
  }

  /**
   * Copies all bytes of `source` into the memory.
   *
   * @param source The array to copy.
   * @param byteOffset Where to begin to write: an offset in bytes, 0 by default.
   * @throws {TypeError} If `source` is no `Uint8Array`.
   * @throws {RangeError} If the bytes aren't within the bounds.
   */
  copyFrom(source: Uint8Array, byteOffset = 0): void {
    const byteLength = bytesIn("copy from", source);
    this.#check(byteOffset, byteLength);
    if (byteLength > 0) copyIn(addressOf(this.#pointer), byteOffset, source, byteLength);
  }

  /**
   * Sets each byte of the memory, or of a part of it, to one value.
   *
   * @param value The value of each byte, from 0 to 255.
   * @param byteOffset Where to begin: an offset in bytes, 0 by default.
   * @param byteLength How many bytes; by default all up to the end of the memory.
   * @throws {RangeError} If the bytes aren't within the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  fill(value: number, byteOffset = 0, byteLength: number = this.#byteLength - byteOffset): void {
    if (!fits.u8(value)) throw blameCaller(mismatch("u8", value, "Cannot fill memory: the value"));
    this.#check(byteOffset, byteLength);
    fill(addressOf(this.#pointer), byteOffset, value, byteLength);
  }

  /**
   * Copies the whole memory out and decodes it as UTF-8. Invalid UTF-8 becomes U+FFFD, and a byte order mark is kept.
   *
   * @param options Whether invalid UTF-8 is an error instead.
   * @returns The text, zeroes included. {@linkcode NativeMemory.getCString} ends at a zero.
   * @throws {TypeError} If the memory isn't valid UTF-8, with `fatal`.
   */
  text(options: TextOptions = noOptions): string {
    this.#check(0, this.#byteLength);
    const { fatal = false } = options;
    const text = decodedAt(addressOf(this.#pointer), this.#byteLength);
    if (!fatal || !text.includes("\ufffd")) return text;
    const bytes = new Uint8Array(this.#byteLength);
    this.copyTo(bytes);
    return decode(utf8, bytes, { fatal }, () => "memory as text");
  }

  /**
   * Reads the zero-terminated string at an offset, decoded as UTF-8. Invalid UTF-8 becomes U+FFFD.
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
   * @param byteOffset Where the string begins: an offset in bytes, 0 by default.
   * @param options Whether invalid UTF-8 is an error instead.
   * @returns The string, without the zero.
   * @throws {RangeError} If the offset is outside of the bounds, or no zero comes before the end of the memory.
   * @throws {TypeError} If the string isn't valid UTF-8, with `fatal`.
   */
  getCString(byteOffset = 0, options: TextOptions = noOptions): string {
    return this.#string(utf8, byteOffset, options);
  }

  /**
   * Reads the zero-terminated UTF-16 string at an offset, as Windows and ICU have them, in the machine's byte order.
   *
   * A surrogate that stands alone becomes U+FFFD.
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
   * @param byteOffset Where the string begins: an offset in bytes, 0 by default.
   * @param options Whether a surrogate that stands alone is an error instead.
   * @returns The string, without the zero.
   * @throws {RangeError} If the offset is outside of the bounds, or no zero of two bytes comes before the end of the
   * memory.
   * @throws {TypeError} If a surrogate stands alone, with `fatal`.
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
   * Writes a string as UTF-8, and a zero behind it.
   *
   * ```ts
   * import { NativeMemory } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using memory = NativeMemory.alloc(8);
   * assert(memory.setCString(0, "gr\u00fc\u00df") === 7); // 6 bytes of UTF-8, and the zero
   * assert(memory.getCString() === "gr\u00fc\u00df");
   * ```
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param text The string.
   * @returns How many bytes were written, the zero included.
   * @throws {TypeError} If the string contains a NUL character.
   * @throws {RangeError} If the string and its zero aren't within the bounds.
   */
  setCString(byteOffset: number, text: string): number {
    const bytes = zeroTerminated(text);
    this.copyFrom(bytes, byteOffset);
    return bytes.length;
  }

  /**
   * Writes a string as UTF-16 in the machine's byte order, and a zero of two bytes behind it.
   *
   * A surrogate that stands alone stays as it is.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param text The string.
   * @returns How many bytes were written, the zero included.
   * @throws {TypeError} If the string contains a NUL character.
   * @throws {RangeError} If the string and its zero aren't within the bounds.
   */
  setUtf16(byteOffset: number, text: string): number {
    const bytes = zeroTerminatedUtf16(text);
    this.copyFrom(bytes, byteOffset);
    return bytes.length;
  }

  /**
   * Reads a signed 8-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getInt8(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i8(this.#at(byteOffset, 1), byteOffset) as number
      : mapped.getInt8(byteOffset);
  }

  /**
   * Writes a signed 8-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a whole number from -128 to 127.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  setInt8(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setInt8(byteOffset, value);
    stores().i8(this.#at(byteOffset, 1), byteOffset, checked.i8(value) ?? refuse("i8", value));
  }

  /**
   * Reads an unsigned 8-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getUint8(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u8(this.#at(byteOffset, 1), byteOffset) as number
      : mapped.getUint8(byteOffset);
  }

  /**
   * Writes an unsigned 8-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a whole number from 0 to 255.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  setUint8(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setUint8(byteOffset, value);
    stores().u8(this.#at(byteOffset, 1), byteOffset, checked.u8(value) ?? refuse("u8", value));
  }

  /**
   * Reads a signed 16-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getInt16(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i16(this.#at(byteOffset, 2), byteOffset) as number
      : mapped.getInt16(byteOffset);
  }

  /**
   * Writes a signed 16-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a whole number from -32768 to 32767.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  setInt16(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setInt16(byteOffset, value);
    stores().i16(this.#at(byteOffset, 2), byteOffset, checked.i16(value) ?? refuse("i16", value));
  }

  /**
   * Reads an unsigned 16-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getUint16(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u16(this.#at(byteOffset, 2), byteOffset) as number
      : mapped.getUint16(byteOffset);
  }

  /**
   * Writes an unsigned 16-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a whole number from 0 to 65535.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  setUint16(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setUint16(byteOffset, value);
    stores().u16(this.#at(byteOffset, 2), byteOffset, checked.u16(value) ?? refuse("u16", value));
  }

  /**
   * Reads a signed 32-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getInt32(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i32(this.#at(byteOffset, 4), byteOffset) as number
      : mapped.getInt32(byteOffset);
  }

  /**
   * Writes a signed 32-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a whole number from -2^31 to 2^31 - 1.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  setInt32(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setInt32(byteOffset, value);
    stores().i32(this.#at(byteOffset, 4), byteOffset, checked.i32(value) ?? refuse("i32", value));
  }

  /**
   * Reads an unsigned 32-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getUint32(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u32(this.#at(byteOffset, 4), byteOffset) as number
      : mapped.getUint32(byteOffset);
  }

  /**
   * Writes an unsigned 32-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a whole number from 0 to 2^32 - 1.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number.
   */
  setUint32(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setUint32(byteOffset, value);
    stores().u32(this.#at(byteOffset, 4), byteOffset, checked.u32(value) ?? refuse("u32", value));
  }

  /**
   * Reads a signed 64-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer, as a bigint.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getBigInt64(byteOffset: number): bigint {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().i64(this.#at(byteOffset, 8), byteOffset) as bigint
      : mapped.getBigInt64(byteOffset);
  }

  /**
   * Writes a signed 64-bit integer.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a bigint that fits, or a safe integer.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number or bigint.
   */
  setBigInt64(byteOffset: number, value: number | bigint): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setBigInt64(byteOffset, value);
    stores().i64(this.#at(byteOffset, 8), byteOffset, checked.i64(value) ?? refuse("i64", value));
  }

  /**
   * Reads an unsigned 64-bit integer, such as a handle's id.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer, as a bigint.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getBigUint64(byteOffset: number): bigint {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().u64(this.#at(byteOffset, 8), byteOffset) as bigint
      : mapped.getBigUint64(byteOffset);
  }

  /**
   * Writes an unsigned 64-bit integer, such as a handle's id.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a bigint that fits, or a safe integer that isn't negative.
   * @throws {RangeError} If the offset is outside of the bounds, or the value doesn't fit.
   * @throws {TypeError} If the value is no number or bigint.
   */
  setBigUint64(byteOffset: number, value: number | bigint): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setBigUint64(byteOffset, value);
    stores().u64(this.#at(byteOffset, 8), byteOffset, checked.u64(value) ?? refuse("u64", value));
  }

  /**
   * Reads a float (32 bits).
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The number.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getFloat32(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().f32(this.#at(byteOffset, 4), byteOffset) as number
      : mapped.getFloat32(byteOffset);
  }

  /**
   * Writes a float (32 bits).
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a number, which is rounded to a float.
   * @throws {RangeError} If the offset is outside of the bounds.
   * @throws {TypeError} If the value is no number.
   */
  setFloat32(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setFloat32(byteOffset, value);
    stores().f32(this.#at(byteOffset, 4), byteOffset, checked.f32(value) ?? refuse("f32", value));
  }

  /**
   * Reads a double (64 bits).
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The number.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getFloat64(byteOffset: number): number {
    const mapped = this.#mapped;
    return mapped === undefined
      ? loads().f64(this.#at(byteOffset, 8), byteOffset) as number
      : mapped.getFloat64(byteOffset);
  }

  /**
   * Writes a double (64 bits).
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The value: a number.
   * @throws {RangeError} If the offset is outside of the bounds.
   * @throws {TypeError} If the value is no number.
   */
  setFloat64(byteOffset: number, value: number): void {
    const mapped = this.#mapped;
    if (mapped !== undefined) return mapped.setFloat64(byteOffset, value);
    stores().f64(this.#at(byteOffset, 8), byteOffset, checked.f64(value) ?? refuse("f64", value));
  }

  /**
   * Reads a boolean: a byte that is zero or not.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns Whether the byte isn't zero.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getBool(byteOffset: number): boolean {
    return this.getUint8(byteOffset) !== 0;
  }

  /**
   * Writes a boolean as a byte, 1 or 0.
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value The boolean.
   * @throws {RangeError} If the offset is outside of the bounds.
   * @throws {TypeError} If the value is no boolean.
   */
  setBool(byteOffset: number, value: boolean): void {
    if (typeof value !== "boolean") refuse("bool", value);
    this.setUint8(byteOffset, value ? 1 : 0);
  }

  /**
   * Reads a pointer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The pointer, or `null` for NULL.
   * @throws {RangeError} If the offset is outside of the bounds.
   */
  getPointer(byteOffset: number): Pointer | null {
    if (this.#mapped !== undefined) return this.#mapped.getPointer(byteOffset);
    return nullable(loads().address(this.#at(byteOffset, 8), byteOffset) as Address | null);
  }

  /**
   * Writes a pointer.
   *
   * The memory keeps nothing alive: what it points to has to stay for as long as C uses it.
   *
   * ```ts
   * import { NativeMemory, pin } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using samples = pin(new Float32Array(4));
   * using memory = NativeMemory.alloc(8);
   * memory.setPointer(0, samples); // a pin stands for its pointer
   * assert(memory.getPointer(0) === samples.pointer);
   * ```
   *
   * @param byteOffset Where to write: an offset in bytes.
   * @param value A pointer or null, or what has a pointer: memory, a pin, a view, a callback, a channel.
   * @throws {RangeError} If the offset is outside of the bounds.
   * @throws {PointerRuleError} If the value is a buffer, a string or a function, or points into an argument of a call
   * that has returned.
   * @throws {TypeError} If the value is anything else that is no pointer.
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

// Variables of this module: by way of the table of another one, V8 takes a third longer for a setter.
const { i8: isI8, u8: isU8, i16: isI16, u16: isU16, i32: isI32, u32: isU32, f32: isF32, f64: isF64 } = fits;

/**
 * Memory that is mapped all its life. Its accessors leave the bounds, and whether it has been freed, to the array buffer; what
 * throws is looked at by those of the class above, which say why. So there is no call in the getters that isn't made: V8 peels
 * no loop into which a call without type feedback, or a throw, was inlined, and then doubles in it are objects, in five times
 * the time. Setters have one, for wrong values: wrong offsets in their place took ten times as long.
 */
class MappedMemory extends NativeMemory {
  #view: DataView<ArrayBuffer>;
  /** Whether that is a slab's, and so is never detached. */
  #isInSlab: boolean;

  constructor(
    token: typeof inside,
    pointer: Pointer,
    byteLength: number,
    mapping: Mapping,
    start: number,
    isPart: boolean,
    piece?: Piece,
  ) {
    super(token, pointer, byteLength, mapping, start, isPart);
    this.#isInSlab = piece !== undefined;
    this.#view = piece?.slab.view(piece.index, byteLength) ?? new DataView(mapping.map(start), start, byteLength);
  }

  static {
    onLeaveSlab((memory, buffer) => {
      if (!(#view in memory)) return;
      memory.#view = new DataView(buffer);
      memory.#isInSlab = false;
    });
  }

  static inSlab(pointer: Pointer, byteLength: number, mapping: Mapping, piece: Piece): MappedMemory {
    return mapping.inSlab = new MappedMemory(inside, pointer, byteLength, mapping, 0, false, piece);
  }

  /** Has a piece of a slab refuse each access. Answers its view. */
  static endView(memory: NativeMemory): DataView<ArrayBuffer> | undefined {
    if (!(#view in memory) || !memory.#isInSlab) return undefined;
    const view = memory.#view;
    memory.#view = endedView;
    return view;
  }

  /** It hasn't been freed. */
  static restoreView(memory: NativeMemory, view: DataView<ArrayBuffer>): void {
    if (#view in memory) memory.#view = view;
  }

  override getInt8(byteOffset: number): number {
    try {
      return this.#view.getInt8(whole(byteOffset));
    } catch {
      return super.getInt8(byteOffset);
    }
  }

  override setInt8(byteOffset: number, value: number): void {
    if (!isI8(value)) return super.setInt8(byteOffset, value);
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
    if (!isU8(value)) return super.setUint8(byteOffset, value);
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
    if (!isI16(value)) return super.setInt16(byteOffset, value);
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
    if (!isU16(value)) return super.setUint16(byteOffset, value);
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
    if (!isI32(value)) return super.setInt32(byteOffset, value);
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
    if (!isU32(value)) return super.setUint32(byteOffset, value);
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
    if (!isF32(value)) return super.setFloat32(byteOffset, value);
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
    if (!isF64(value)) return super.setFloat64(byteOffset, value);
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

addEntrances(() => ({ MappedMemory }));

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

function checkMap(verb: string, map: unknown): asserts map is boolean {
  if (typeof map === "boolean") return;
  throw new TypeError(`Cannot ${verb} memory: map must be a boolean, got ${shown(map)}`);
}

/** @throws {TypeError | RangeError} That says what a value of a type is. */
function refuse(type: NamedType, value: unknown): never {
  throw blameCaller(mismatch(type, value, `Cannot write to memory: the value (${type})`));
}
