/** Small memory: pieces of slabs, which end and come again while their neighbours stay. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { dlopen, MemoryFreedError, NativeMemory, PointerRuleError, pointerValue, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

/** C keeps the pointer for so long: it takes no second argument. */
const library = dlopen(testLibrary, {
  rest: { parameters: ["i32", "pointer"], result: "void", nonblocking: true },
});
const { rest } = library.symbols;
afterAll(() => library.close());

describe("small memory", () => {
  // Other files' memory waits for a collection, perhaps.
  const before = stats().live.memory;

  it("has addresses as aligned as they were asked for, and no two share a byte", () => {
    const ranges: [number, number][] = [];
    const all: NativeMemory[] = [];
    for (const byteLength of [1, 8, 15, 16, 17, 100, 512, 1000, 1024]) {
      for (const align of [1, 16, 64, 1024]) {
        for (let i = 0; i < 100; i++) {
          const memory = NativeMemory.alloc(byteLength, { align });
          const address = Number(pointerValue(memory));
          assertEquals(address % align, 0);
          ranges.push([address, address + byteLength]);
          all.push(memory);
        }
      }
    }
    ranges.sort(([a], [b]) => a - b);
    for (let i = 1; i < ranges.length; i++) assert(ranges[i - 1]![1] <= ranges[i]![0]);
    // Each has what was written to it.
    all.forEach((memory, index) => memory.setUint8(memory.byteLength - 1, index & 255));
    all.forEach((memory, index) => assertEquals(memory.getUint8(memory.byteLength - 1), index & 255));
    for (const memory of all) memory.free();
    assert(stats().live.memory <= before);
  });

  it("begins with zeroes, where another piece was before", () => {
    const addresses = new Set<bigint>();
    for (let i = 0; i < 100; i++) {
      for (const byteLength of [16, 12, 3]) {
        using memory = NativeMemory.alloc(byteLength);
        addresses.add(pointerValue(memory));
        for (let byte = 0; byte < byteLength; byte++) {
          assertEquals(memory.getUint8(byte), 0);
          memory.setUint8(byte, 255);
        }
      }
    }
    // They did come again.
    assert(addresses.size < 300);
  });

  it("refuses each access once it has been freed, also by another way, while the next one works", () => {
    for (
      const free of [
        (memory: NativeMemory) => memory.free(),
        NativeMemory.prototype.free.call.bind(NativeMemory.prototype.free),
      ]
    ) {
      const memory = NativeMemory.alloc(16);
      const part = memory.subarray(8);
      const bytes = memory.bytes();
      for (let i = 0; i < 20; i++) part.setUint8(0, i);
      free(memory);
      using next = NativeMemory.alloc(16);
      next.setInt32(0, 7);
      for (
        const access of [
          () => memory.getInt32(0),
          () => memory.setInt32(0, 8),
          () => part.getUint8(0),
          () => part.setUint8(0, 1),
        ]
      ) {
        assertThrows(access, MemoryFreedError);
      }
      assertThrows(() => memory.pointer, MemoryFreedError);
      assertEquals([bytes.length, memory.disposed, next.getInt32(0), next.getUint8(8)], [0, true, 7, 0]);
      memory.free();
      assertEquals(next.getInt32(0), 7);
    }
  });

  it("is as before when it can't be freed yet", async () => {
    const memory = NativeMemory.alloc(16);
    memory.setInt32(0, 42);
    const done = rest(50, memory);
    assertThrows(() => memory.free(), PointerRuleError);
    assertEquals(memory.getInt32(0), 42);
    await done;
    memory.free();
    assertThrows(() => memory.getInt32(0), MemoryFreedError);
  });

  it("keeps its bounds: what is behind it is another's", () => {
    using first = NativeMemory.alloc(16);
    using second = NativeMemory.alloc(16);
    second.setFloat64(0, 1.5);
    for (const byteOffset of [16, 12, -1, 2 ** 40]) {
      assertThrows(() => first.setFloat64(byteOffset, 2.5), RangeError);
      assertThrows(() => first.getFloat64(byteOffset), RangeError);
    }
    assertEquals(second.getFloat64(0), 1.5);
  });

  it("is shared by nobody if it isn't to be mapped", () => {
    const all = Array.from({ length: 64 }, () => NativeMemory.alloc(16, { map: false }));
    all.forEach((memory, index) => memory.setInt32(12, index));
    all.forEach((memory, index) => assertEquals(memory.getInt32(12), index));
    for (const memory of all) memory.free();
    assertThrows(() => all[0]!.getInt32(12), MemoryFreedError);
  });

  it("comes and goes in any order, thousands of pieces, and nothing is left", () => {
    const live: { memory: NativeMemory; value: number }[] = [];
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed % below;
    };
    for (let step = 0; step < 20_000; step++) {
      if (live.length < 6000 && random(3) > 0) {
        const memory = NativeMemory.alloc(1 + random(64));
        assertEquals(memory.getUint8(0), 0);
        memory.setUint8(0, step & 255);
        live.push({ memory, value: step & 255 });
      } else if (live.length > 0) {
        const index = random(live.length);
        const { memory, value } = live[index]!;
        live[index] = live[live.length - 1]!;
        live.pop();
        assertEquals(memory.getUint8(0), value);
        memory.free();
      }
    }
    for (const { memory, value } of live) {
      assertEquals(memory.getUint8(0), value);
      memory.free();
    }
    assert(stats().live.memory <= before);
  });
});
