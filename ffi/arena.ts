/**
 * Memory, and what else is made with it, that is released together.
 *
 * @module
 */

import { type AllocOptions, NativeMemory } from "./memory/native_memory.ts";
import { type Pin, pin } from "./memory/pin.ts";
import { Scope } from "./scope.ts";
import { zeroTerminated, zeroTerminatedUtf16 } from "./types/c_string.ts";
import type { BufferSource } from "./types/inference.ts";

const pointerByteLength = 8;

/** A type that memory can be allocated for: what {@linkcode struct}, {@linkcode union} and {@linkcode array} give. */
export interface Allocatable<I> {
  /** Allocates memory for one, with zeroes or with a value. */
  alloc(value?: I): NativeMemory;
}

/**
 * A {@linkcode Scope} that also allocates memory, and strings for C; all of it is freed at the end of a `using` block.
 *
 * What was made last is released first, with handles, callbacks and whatever else the scope has.
 *
 * *Ownership:* keep the arena for as long as C uses its memory. Exception at its end: memory that a nonblocking call
 * uses can't be freed. The end then throws, and the memory is freed after a garbage collection, once the call has
 * settled.
 *
 * *Errors:* an arena that has ended throws a `ReferenceError`, and makes nothing.
 *
 * ```ts
 * import { Arena, dlopen, stats } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   strlen: { parameters: ["pointer"], result: "usize" },
 * });
 * {
 *   using arena = new Arena();
 *   const text = arena.cstring("belay");
 *   const pointers = arena.cstrings(["a", "b"]); // char **
 *   assert(libc.symbols.strlen(text) === 5n);
 *   assert(pointers.getPointer(16) === null);
 * }
 * assert(stats().live.memory === 0);
 * ```
 */
export class Arena extends Scope {
  /**
   * Allocates memory, and frees it with the arena; see {@linkcode NativeMemory.alloc}.
   *
   * @param byteLength How many bytes: a whole number from 0 to 2^53 - 1.
   * @param options The alignment, and whether the memory begins as zeroes.
   * @returns The memory, with zeroes unless `zero` is `false`.
   * @throws {ReferenceError} If the arena has ended. Nothing is made then.
   * @throws {RangeError} If the length is out of its range, `align` is no power of two up to 2^20, or there isn't so
   * much memory.
   */
  alloc(byteLength: number, options?: AllocOptions): NativeMemory {
    this.check();
    return this.use(NativeMemory.alloc(byteLength, options));
  }

  /**
   * Allocates memory for a structure, union or array, with zeroes or with a value, and frees it with the arena.
   *
   * ```ts
   * import { Arena, struct } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const User = struct({ name: "cstring", age: "u8" });
   * using arena = new Arena();
   * const user = arena.new(User, { name: arena.cstring("ada"), age: 36 }); // the arena keeps the text
   * assert(User.read(user).name === "ada");
   * ```
   *
   * @typeParam I What can be written to the type.
   * @param type The type: what {@linkcode struct}, {@linkcode union}, {@linkcode array} or {@linkcode charArray} gives.
   * @param value The value to write; without it the memory has zeroes.
   * @returns The memory.
   * @throws {TypeError | RangeError} If the value isn't one of the type. Nothing is made then.
   * @throws {ReferenceError} If the arena has ended. Nothing is made then.
   */
  new<I>(type: Allocatable<I>, value?: I): NativeMemory {
    this.check();
    return this.use(type.alloc(value));
  }

  /**
   * Copies a string into new memory: as UTF-8, with a zero at its end. It is freed with the arena.
   *
   * @param text The string.
   * @returns The memory, which C can take as a `const char *`.
   * @throws {TypeError} If the string contains a NUL character.
   * @throws {ReferenceError} If the arena has ended. Nothing is made then.
   */
  cstring(text: string): NativeMemory {
    return this.#copy(zeroTerminated(text), 1);
  }

  /**
   * Copies a string into new memory: as UTF-16 in the machine's byte order, with a zero of two bytes at its end.
   *
   * Windows and ICU have such strings. A surrogate that stands alone stays as it is. The memory is freed with the
   * arena.
   *
   * @param text The string.
   * @returns The memory.
   * @throws {TypeError} If the string contains a NUL character.
   * @throws {ReferenceError} If the arena has ended. Nothing is made then.
   */
  utf16(text: string): NativeMemory {
    return this.#copy(zeroTerminatedUtf16(text), 2);
  }

  /**
   * Copies strings into new memory, and makes a `char **` of them: a pointer to each, and NULL at the end.
   *
   * The strings are UTF-8, each with a zero at its end. All of it is freed with the arena.
   *
   * @param texts The strings.
   * @returns The memory with the pointers.
   * @throws {TypeError} If a string contains a NUL character.
   * @throws {ReferenceError} If the arena has ended. Nothing is made then.
   */
  cstrings(texts: readonly string[]): NativeMemory {
    const memory = this.alloc(pointerByteLength * (texts.length + 1));
    for (const [index, text] of texts.entries()) {
      memory.setPointer(pointerByteLength * index, this.cstring(text).pointer);
    }
    return memory;
  }

  /**
   * Keeps a buffer of JavaScript's where it is until the arena ends; see {@linkcode pin}.
   *
   * @param buffer An `ArrayBuffer`, a `SharedArrayBuffer`, or a view of one.
   * @returns The pin.
   * @throws {ReferenceError} If the arena has ended. Nothing is made then.
   * @throws {TypeError} If it is no buffer, or one that is resizable or detached.
   */
  pin(buffer: BufferSource): Pin {
    this.check();
    return this.use(pin(buffer));
  }

  #copy(bytes: Uint8Array, align: number): NativeMemory {
    const memory = this.alloc(bytes.length, { align, zero: false });
    memory.copyFrom(bytes);
    return memory;
  }
}
