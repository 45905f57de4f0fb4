/** What is at a pointer, where a length says how much. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  Arena,
  bytesAt,
  cstringsAt,
  dlopen,
  MemoryFreedError,
  NativeMemory,
  pointerFrom,
  PointerRuleError,
  pointersAt,
  textAt,
} from "@belay/ffi";
import { libcPath } from "../../examples/libc.ts";
import { alive } from "../support/gc.ts";

const before = alive();
const spans = { textAt, bytesAt, pointersAt, cstringsAt } as const;
const encoder = new TextEncoder();

describe("textAt and bytesAt", () => {
  it("copy as much as the length says, a number or a bigint, zeroes among it", () => {
    for (const text of ["", "a", "belay\0é\0", "grüß dich ".repeat(5), "x".repeat(256), "é".repeat(300)]) {
      const bytes = encoder.encode(text);
      using memory = NativeMemory.alloc(bytes.length + 1);
      memory.copyFrom(bytes);
      for (const length of [bytes.length, BigInt(bytes.length)]) {
        assertStrictEquals(textAt(memory, length), text);
        assertStrictEquals(textAt(memory.pointer, length, { fatal: true }), text);
        assertEquals(bytesAt(memory, length), bytes);
      }
    }
    using memory = NativeMemory.alloc(4);
    const copied = bytesAt(memory, 4);
    memory.fill(7);
    assertEquals(copied, new Uint8Array(4));
  });

  it("replace invalid UTF-8, or refuse it", () => {
    using memory = NativeMemory.alloc(4);
    memory.copyFrom(Uint8Array.of(0x61, 0xff, 0x62, 0xc3));
    assertStrictEquals(textAt(memory, 3), "a\ufffdb");
    assertStrictEquals(textAt(memory, 4), "a\ufffdb\ufffd");
    assertThrows(() => textAt(memory, 3, { fatal: true }), TypeError, "it is no UTF-8 from byte 1 on");
    assertThrows(() => textAt(memory, 3, { fatl: true } as never), TypeError, "fatl");
  });
});

describe("pointersAt and cstringsAt", () => {
  it("read so many, or those before NULL", () => {
    using arena = new Arena();
    const words = ["one", "", "drüi"].map((word) => arena.cstring(word).pointer);
    const memory = arena.alloc(6 * 8);
    words.forEach((word, index) => memory.setPointer(8 * index, word));
    memory.setPointer(8 * 4, words[0] ?? null);
    assertEquals(pointersAt(memory), words);
    assertEquals(cstringsAt(memory), ["one", "", "drüi"]);
    assertEquals(pointersAt(memory, 5n), [...words, null, words[0]]);
    assertEquals(cstringsAt(memory.pointer, 5), ["one", "", "drüi", null, "one"]);
    assertEquals([pointersAt(memory, 0), cstringsAt(memory, 0)], [[], []]);
    assertEquals([pointersAt(memory.subarray(24)), cstringsAt(memory.subarray(24))], [[], []]);
  });
});

describe("all of them", () => {
  it("give null for NULL", () => {
    for (const read of Object.values(spans)) {
      assertStrictEquals(read(null, 3), null);
      assertStrictEquals(read(pointerFrom(0), 0n), null);
    }
    assertStrictEquals(cstringsAt(null), null);
  });

  it("refuse lengths that are none, or more than there can be", () => {
    using memory = NativeMemory.alloc(8);
    for (const [name, read] of Object.entries(spans)) {
      for (const length of [-1, -1n, 0.5, NaN, Infinity, 2 ** 53, 2n ** 53n, "3", null]) {
        assertThrows(() => read(memory, length as never), RangeError, "expected how many", `${name} ${length}`);
      }
    }
    for (const read of [textAt, bytesAt]) {
      assertThrows(() => read(memory, 2 ** 52), RangeError, "there is no memory for");
      assertThrows(() => read(memory, undefined as never), RangeError, "expected how many bytes");
    }
    for (const read of [pointersAt, cstringsAt]) assertThrows(() => read(memory, 2 ** 32), RangeError, "no array has");
  });

  it("refuse what is no pointer, memory that has been freed, and pointers into arguments", () => {
    const freed = NativeMemory.alloc(8);
    freed.free();
    using libc = dlopen(libcPath, { memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" } });
    const dangling = libc.symbols.memchr(encoder.encode("text"), 0x65, 4);
    for (const read of Object.values(spans)) {
      for (const wrong of [undefined, 0.5, "0x10", {}]) {
        assertThrows(() => read(wrong as never, 1), TypeError, "must be a Pointer or null");
      }
      assertThrows(() => read(freed, 1), MemoryFreedError);
      assertThrows(() => read(dangling, 1), PointerRuleError);
    }
  });
});

it("nothing of these tests is left alive", () => assertEquals(alive(), before));
