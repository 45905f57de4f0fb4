/**
 * Memory that C owns.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { copy, loads, storeU64 } from "./core_memory.ts";
import { addressOf, nullable } from "./helpers.ts";
import type { Pointer } from "./types.ts";

// A byte order mark is text like any other to C.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A piece of C's memory, with bounds. A bare pointer can't be read: its length has to be said first.
 *
 * *Ownership:* borrowed memory is C's; nothing here frees it or keeps it valid. Reading it after C has freed it is an
 * error that can't be seen from here.
 *
 * *Threads:* reads and writes are plain ones.
 *
 * ```ts
 * import { dlopen, NativeMemory } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using zlib = dlopen({ name: "z", versions: ["1"] }, { zlibVersion: { parameters: [], result: "pointer" } });
 * const version = zlib.symbols.zlibVersion();
 * if (version !== null) {
 *   assert(NativeMemory.borrow(version, 2).text() === "1.");
 * }
 * ```
 */
export class NativeMemory {
  /** Where it begins. */
  readonly pointer: Pointer;
  /** Its length in bytes. */
  readonly byteLength: number;

  private constructor(pointer: Pointer, byteLength: number) {
    this.pointer = pointer;
    this.byteLength = byteLength;
  }

  /**
   * Says how much memory a pointer of C's points to.
   *
   * @throws {TypeError} When `pointer` is null.
   * @throws {RangeError} When `byteLength` is no whole number from 0 to 2^53 - 1.
   */
  static borrow(pointer: Pointer, byteLength: number): NativeMemory {
    if (typeof pointer !== "bigint" && typeof pointer !== "number") {
      throw new TypeError("Cannot borrow memory: expected a Pointer that is not null");
    }
    if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
      throw new RangeError(`Cannot borrow memory: its length must be a whole number of bytes, got ${byteLength}`);
    }
    return new NativeMemory(pointer, byteLength);
  }

  /** Reads the pointer at a byte offset. @throws {RangeError} Outside the bounds. */
  getPointer(byteOffset: number): Pointer | null {
    this.#check(byteOffset, 8);
    return nullable(loads().address(addressOf(this.pointer), byteOffset) as Address | null);
  }

  /** Reads a signed 32-bit integer at a byte offset. @throws {RangeError} Outside the bounds. */
  getI32(byteOffset: number): number {
    this.#check(byteOffset, 4);
    return loads().i32(addressOf(this.pointer), byteOffset) as number;
  }

  /** Reads an unsigned 64-bit integer, such as a handle's id, at a byte offset. @throws {RangeError} Outside the bounds. */
  getU64(byteOffset: number): bigint {
    this.#check(byteOffset, 8);
    return loads().u64(addressOf(this.pointer), byteOffset) as bigint;
  }

  /** Writes an unsigned 64-bit integer at a byte offset. @throws {RangeError} Outside the bounds, or when it does not fit. */
  setU64(byteOffset: number, value: bigint): void {
    this.#check(byteOffset, 8);
    if (BigInt.asUintN(64, value) !== value) throw new RangeError(`Cannot write ${value}: it does not fit into a u64`);
    storeU64(addressOf(this.pointer), byteOffset, value);
  }

  /** Reads a double at a byte offset. @throws {RangeError} Outside the bounds. */
  getF64(byteOffset: number): number {
    this.#check(byteOffset, 8);
    return loads().f64(addressOf(this.pointer), byteOffset) as number;
  }

  /** Copies from a byte offset on into `target`, as many bytes as it has. @throws {RangeError} Outside the bounds. */
  copyTo(target: Uint8Array, byteOffset = 0): void {
    this.#check(byteOffset, target.byteLength);
    if (target.byteLength > 0) copy(target, addressOf(this.pointer), byteOffset, target.byteLength);
  }

  /** Copies the memory out and decodes it as UTF-8; what is none becomes U+FFFD. */
  text(): string {
    const bytes = new Uint8Array(this.byteLength);
    this.copyTo(bytes);
    return decoder.decode(bytes);
  }

  #check(byteOffset: number, byteLength: number): void {
    if (Number.isSafeInteger(byteOffset) && byteOffset >= 0 && byteOffset + byteLength <= this.byteLength) return;
    throw new RangeError(
      `Cannot reach ${byteLength} bytes at offset ${byteOffset}: the memory has ${this.byteLength} bytes`,
    );
  }
}
