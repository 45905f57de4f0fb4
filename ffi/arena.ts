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
  /** Allocates memory, with zeroes or a value. */
  alloc(value?: I): NativeMemory;
}

/**
 * A {@linkcode Scope} that allocates, too: memory and strings for C, which are freed in their turn with the handles,
 * callbacks and whatever else it made, last made first.
 *
 * ```ts
 * import { Arena, dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   strlen: { parameters: ["pointer"], result: "usize" },
 * });
 * using arena = new Arena();
 * const text = arena.cstring("belay");
 * const pointers = arena.cstrings(["a", "b"]); // char **
 * assert(libc.symbols.strlen(text.pointer) === 5n);
 * assert(pointers.getPointer(16) === null);
 * ```
 */
export class Arena extends Scope {
  /** As {@linkcode NativeMemory.alloc}. @throws {ReferenceError} When the arena was disposed of; nothing is made then. */
  alloc(byteLength: number, options?: AllocOptions): NativeMemory {
    this.check();
    return this.use(NativeMemory.alloc(byteLength, options));
  }

  /**
   * Memory for a structure, union or array, with zeroes or a value.
   *
   * @throws {TypeError | RangeError} When the value is none of the type's; nothing is made then.
   * @throws {ReferenceError} When the arena was disposed of.
   */
  new<I>(type: Allocatable<I>, value?: I): NativeMemory {
    this.check();
    return this.use(type.alloc(value));
  }

  /**
   * A string as UTF-8 with a zero at its end.
   *
   * @throws {TypeError} When it contains a NUL character.
   * @throws {ReferenceError} When the arena was disposed of.
   */
  cstring(text: string): NativeMemory {
    return this.#copy(zeroTerminated(text), 1);
  }

  /**
   * A string as UTF-16 in the machine's byte order, with a zero of two bytes at its end, as Windows and ICU have them.
   * Surrogates that stand alone stay as they are.
   *
   * @throws {TypeError} When it contains a NUL character.
   * @throws {ReferenceError} When the arena was disposed of.
   */
  utf16(text: string): NativeMemory {
    return this.#copy(zeroTerminatedUtf16(text), 2);
  }

  /**
   * A `char **`: pointers to strings as {@linkcode Arena.cstring} makes them, and NULL at the end.
   *
   * @throws {TypeError} When one contains a NUL character.
   * @throws {ReferenceError} When the arena was disposed of.
   */
  cstrings(texts: readonly string[]): NativeMemory {
    const memory = this.alloc(pointerByteLength * (texts.length + 1));
    for (const [index, text] of texts.entries()) {
      memory.setPointer(pointerByteLength * index, this.cstring(text).pointer);
    }
    return memory;
  }

  /** As {@linkcode pin}. @throws {ReferenceError} When the arena was disposed of. */
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
