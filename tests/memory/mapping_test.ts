/** How memory is mapped into JavaScript: when, once, in windows, and what keeps it from being freed. */

import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflate } from "node:zlib";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { MemoryFreedError, NativeMemory, PointerRuleError, stats } from "@belay/ffi";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { allocated, borrowed, outside, scalars } from "./kinds.ts";

const before = alive();
const isBun = "Bun" in globalThis;
if (!isBun) leftOut("arrays that the runtime uses while their memory is freed, of which Deno doesn't tell");

describe("NativeMemory of its own", () => {
  it("has every type in large memory, at first and once it is mapped, and none outside the bounds or once it is freed", () => {
    const at = 2 ** 20;
    // Borrowed memory is mapped after 16 accesses, and one for each 4 KiB of it.
    const cases = [0, 2, 40, 300].flatMap((accesses) => [{ accesses, make: allocated }, { accesses, make: borrowed }]);
    for (const { accesses, make } of cases) {
      for (const { type, width, values, refused, get, set } of scalars) {
        const { memory } = make(at + width);
        for (let i = 0; i < accesses; i++) assertStrictEquals(memory.getUint8(i), 0);
        for (const value of values) {
          set(memory, at, value as never);
          assertStrictEquals(get(memory, at), value);
        }
        for (const byteOffset of [...outside, at + 1, at + width]) {
          assertThrows(() => get(memory, byteOffset), RangeError, "Cannot reach");
          assertThrows(() => set(memory, byteOffset, values[0] as never), RangeError, "Cannot reach");
        }
        assertThrows(() => set(memory, at, refused[0] as never), Error, `(${type}) must be`);
        assertStrictEquals(get(memory, at), values.at(-1));
        memory.free();
        for (let i = 0; i < 8; i++) {
          assertThrows(() => get(memory, at), MemoryFreedError);
          assertThrows(() => set(memory, at, values[0] as never), MemoryFreedError);
        }
      }
    }
  });

  it("is mapped once 16 accesses were made, and one more for each 4 KiB of all that is mapped; its own at once", () => {
    const { code, signal, stdout, stderr } = runChild("memory_mapped.ts");
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
    // Engines count what is mapped as theirs, and collect garbage for it.
    assertEquals(JSON.parse(stdout), {
      "borrowed, little of it read": 0,
      "a few bytes of it, 16 times": 0,
      "all bytes of it": 1,
      "all bytes of a GiB": 16,
      "accesses, one too few": 0,
      "the next": 1,
      "more": 0,
      "accesses to a part, one too few": 0,
      "the next to it": 1,
      "own": 1,
      "accesses to a part of own": 0,
    });
  });

  it("maps the same bytes once, across the end of a window, too", () => {
    using memory = NativeMemory.alloc(2 ** 30 + 4096);
    const { buffer } = memory.bytes(2 ** 30 - 8, 16);
    assertEquals([buffer.byteLength, memory.bytes(2 ** 30 - 8, 16).buffer === buffer], [16, true]);
    const shorter = memory.bytes(2 ** 30 - 8, 9);
    assertEquals([shorter.length, shorter.buffer === buffer], [9, true]);
    assertStrictEquals(memory.bytes(2 ** 30 - 8, 17).length, 17);
  });

  it("isn't mapped in a buffer that was transferred before, if it is large", () => {
    using whole = NativeMemory.alloc(2 ** 20 + 8);
    const memory = NativeMemory.borrow(whole.pointer, whole.byteLength);
    memory.bytes().buffer.transfer();
    for (let i = 0; i < 8; i++) assertThrows(() => memory.getFloat64(0), PointerRuleError, "is not transferred");
  });

  const operations: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Promise<unknown>> = {
    "is written to a file": async (bytes) => {
      const file = join(tmpdir(), `belay-${randomUUID()}`);
      try {
        await writeFile(file, bytes);
      } finally {
        await rm(file);
      }
    },
    "is compressed": (bytes) => new Promise((resolve) => deflate(bytes, resolve)),
  };
  for (const [what, operation] of Object.entries(operations)) {
    it(`isn't freed under the runtime, on Bun, while an array of its bytes ${what}; afterwards it can be`, async () => {
      const { memory: memories } = stats().live;
      const memory = NativeMemory.alloc(1 << 20);
      const bytes = memory.bytes().fill(1);
      const running = operation(bytes);
      if (isBun) {
        assertThrows(() => memory.free(), PointerRuleError, "while the runtime itself uses an array of its bytes()");
        assert(!memory.disposed);
        memory.setUint8(1, 2);
        assertEquals([memory.getUint8(0), memory.getUint8(1), memory.bytes()[1]], [1, 2, 2]);
      }
      // Deno doesn't tell, and would read freed memory.
      await running;
      memory.free();
      assertEquals([memory.disposed, bytes.length, stats().live.memory], [true, 0, memories]);
    });
  }

  (isBun ? it : it.skip)("that could not be freed is mapped again, where it was mapped in several places", async () => {
    const memory = NativeMemory.alloc(2 ** 30 + 4096);
    const first = memory.bytes(0, 16).fill(1);
    const second = memory.bytes(2 ** 30 - 8, 16).fill(2);
    const running = operations["is compressed"](first);
    assertThrows(() => memory.free(), PointerRuleError, "wait for the operation");
    assertEquals([first.length, second.length], [16, 0]);
    const again = memory.bytes(2 ** 30 - 8, 16);
    assertEquals([again[0], again[15], memory.getUint8(2 ** 30 + 7), memory.bytes(0, 16)[0]], [2, 2, 2, 1]);
    await running;
    memory.free();
    assertEquals([first.length, again.length], [0, 0]);
    assertThrows(() => memory.getUint8(0), MemoryFreedError);
  });

  it("may be larger than 4 GiB: its last byte, and numbers across its windows", () => {
    const byteLength = 2 ** 32 + 1;
    using memory = NativeMemory.alloc(byteLength);
    memory.setUint8(byteLength - 1, 42);
    assertStrictEquals(memory.getUint8(byteLength - 1), 42);
    assertStrictEquals(memory.setCString(5, "belay"), 6);
    assertEquals([memory.getCString(5), NativeMemory.borrow(memory.pointer, byteLength).getCString(5)], [
      "belay",
      "belay",
    ]);
    for (const byteOffset of [2 ** 30 - 4, 2 ** 31 - 1, 2 ** 32 - 8]) {
      for (let i = 0; i < 20; i++) {
        memory.setFloat64(byteOffset, 0.1);
        assertStrictEquals(memory.getFloat64(byteOffset), 0.1);
      }
      const source = Uint8Array.from({ length: 20 }, (_, index) => index);
      memory.copyFrom(source.subarray(0, 15), byteOffset - 8);
      const target = new Uint8Array(15);
      memory.copyTo(target, byteOffset - 8);
      assertEquals(target, source.subarray(0, 15));
      assertEquals([...memory.bytes(byteOffset - 8, 15)], [...target]);
    }
    const last = memory.subarray(byteLength - 1);
    assertEquals([last.byteLength, last.getUint8(0), last.bytes()[0]], [1, 42, 42]);
    assertThrows(() => memory.getUint8(byteLength), RangeError);
    memory.free();
    assertThrows(() => memory.text(), MemoryFreedError);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
