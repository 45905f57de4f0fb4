/** The accessors of `NativeMemory`: every scalar type, at every offset, in memory of every kind. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { MemoryFreedError, NativeMemory, PointerRuleError, pointerValue } from "@belay/ffi";
import { alive } from "../support/gc.ts";
import { randomFrom } from "../support/random.ts";
import { kinds, known, outside, present, scalars, symbols, zeroes } from "./kinds.ts";

const before = alive();

/** What a function answers, or the name of what it throws. */
function outcome(fn: () => unknown): unknown {
  try {
    return fn();
  } catch (error) {
    return (error as Error).name;
  }
}

function partOf(bytes: Uint8Array, begin: number, end: number = bytes.length): Uint8Array {
  if (begin < 0 || begin > end || end > bytes.length) throw new RangeError("outside the bounds");
  return bytes.subarray(begin, end);
}

function textIn(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  if (end < 0) throw new RangeError("no zero");
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, end));
}

describe("NativeMemory of its own", () => {
  for (const { type, width, values, refused, get, set, read } of scalars) {
    for (const { kind, at, make } of kinds) {
      it(`has ${type} at every offset, in ${kind}`, () => {
        const { whole, memory } = make(at + width + 16);
        using _freed = whole;
        // The first accesses of small memory go through the core, later ones don't.
        for (let round = 0; round < 4; round++) {
          for (let byteOffset = at; byteOffset <= at + 16; byteOffset++) {
            for (const value of values) {
              memory.fill(0x55);
              set(memory, byteOffset, value as never);
              assertStrictEquals(get(memory, byteOffset), value);
              const bytes = memory.bytes();
              assertStrictEquals(read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), byteOffset), value);
              const others = bytes.filter((_, index) => index < byteOffset || index >= byteOffset + width);
              assert(others.every((byte) => byte === 0x55), "wrote beside the value");
            }
          }
        }
        memory.fill(0x55);
        for (const value of refused) {
          for (let i = 0; i < 20; i++) assertThrows(() => set(memory, at, value as never), Error, `(${type}) must be`);
        }
        assert(memory.bytes().every((byte) => byte === 0x55));
      });

      it(`has no ${type} outside the bounds, or once it is freed, in ${kind}`, () => {
        const { whole, memory } = make(at + width + 1);
        for (let i = 0; i < 40; i++) {
          for (const byteOffset of [...outside, at + 2, at + width + 1]) {
            assertThrows(() => get(memory, byteOffset), RangeError, "Cannot reach");
            assertThrows(() => set(memory, byteOffset, values[0] as never), RangeError, "Cannot reach");
          }
          get(memory, at + 1);
        }
        whole.free();
        assertThrows(() => get(memory, at), MemoryFreedError);
        assertThrows(() => set(memory, at, values[0] as never), MemoryFreedError);
      });

      it(`has no ${type} once a buffer of its bytes was transferred, in ${kind}`, () => {
        const { whole, memory: { pointer, byteLength } } = make(at + width);
        using _freed = whole;
        // Borrowed, since transferred memory would never be freed.
        const memory = NativeMemory.borrow(pointer, byteLength);
        for (let i = 0; i < 20; i++) get(memory, at);
        memory.bytes().buffer.transfer();
        assertThrows(() => get(memory, at), PointerRuleError, "is not transferred");
        assertThrows(() => set(memory, at, values[0] as never), PointerRuleError, "is not transferred");
      });
    }
  }

  it("is as bytes of JavaScript's are, in any order: own or borrowed, parts of parts, mapped or not", () => {
    const random = randomFrom(2026);
    for (let round = 0; round < 500; round++) {
      using own = NativeMemory.alloc([0, 1, 7, 100, 1024, 1025, 5000, 70_000][random(8)]);
      const whole = random(2) === 0 ? own : NativeMemory.borrow(own.pointer, own.byteLength);
      const pieces = [{ memory: whole, bytes: zeroes(own.byteLength) }];
      for (let step = 0; step < 60; step++) {
        const { memory, bytes } = pieces[random(pieces.length)];
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        const at = random(bytes.length + 3) - 1;
        const end = at + random(50);
        const number = random(1000) - 500;
        const pairs: readonly (readonly [actual: () => unknown, expected: () => unknown])[] = [
          [() => memory.getFloat64(at), () => view.getFloat64(at, true)],
          [() => memory.setFloat64(at, number / 4), () => view.setFloat64(at, number / 4, true)],
          [() => memory.getBigInt64(at), () => view.getBigInt64(at, true)],
          [() => memory.setInt16(at, number), () => view.setInt16(at, number, true)],
          [() => memory.getUint8(at), () => view.getUint8(at)],
          [() => memory.setUint8(at, 0), () => view.setUint8(at, 0)],
          [() => [...memory.bytes(at).subarray(0, 8)], () => [...partOf(bytes, at).subarray(0, 8)]],
          [() => memory.getCString(at), () => textIn(partOf(bytes, at))],
          [() => Array.from({ length: 20 }, () => memory.getInt8(0)), () => Array(20).fill(view.getInt8(0))],
          [() => memory.subarray(at, end).byteLength, () => partOf(bytes, at, end).length],
        ];
        const [actual, expected] = pairs[random(pairs.length)];
        assertEquals(outcome(actual), outcome(expected), `round ${round}, step ${step}`);
        if (at >= 0 && end <= bytes.length) {
          pieces.push({ memory: memory.subarray(at, end), bytes: bytes.subarray(at, end) });
        }
      }
      whole.free();
      for (const { memory } of pieces) {
        for (
          const use of [() => memory.getUint8(0), () => memory.getCString(), () => memory.bytes(), () => memory.pointer]
        ) {
          assertThrows(use, MemoryFreedError);
        }
      }
    }
  });

  it("has bounds that nobody sets", () => {
    for (const byteLength of [16, 5000]) {
      using memory = NativeMemory.alloc(byteLength);
      Object.assign(memory, { byteLength: 2 ** 40 });
      for (
        const use of [
          () => memory.getUint8(byteLength),
          () => memory.bytes(0, byteLength + 1),
          () => memory.fill(0, 9000),
        ]
      ) {
        assertThrows(use, RangeError, `the memory has ${byteLength} bytes`);
      }
      assertStrictEquals(memory.bytes().length, byteLength);
    }
  });

  it("takes an integer -0 as 0, however it is written", () => {
    for (const byteLength of [16, 5000]) {
      using memory = NativeMemory.alloc(byteLength);
      for (let i = 0; i < 20; i++) {
        for (const { type, get, set } of scalars.filter(({ type }) => type.startsWith("i") || type.startsWith("u"))) {
          memory.fill(1, 0, 8);
          set(memory, 0, -0 as never);
          assertEquals(get(memory, 0), type.endsWith("64") ? 0n : 0);
        }
      }
    }
  });
});

describe("NativeMemory", () => {
  it("NativeMemory reads what C wrote, and what it writes later", () => {
    const memory = NativeMemory.borrow(present(symbols.static_pointer), 4);
    assertStrictEquals(memory.getInt32(0), 7);
    symbols.static_value_set(-123456789);
    assertStrictEquals(memory.getInt32(0), -123456789);
    symbols.static_value_set(7);
    assertStrictEquals(memory.getInt32(0), 7);
  });

  it("NativeMemory.getInt32 reads both ends of the range, aligned or not", () => {
    const bytes = zeroes(13);
    const view = new DataView(bytes.buffer);
    const memory = known(bytes);
    for (const byteOffset of [0, 1, 3, 8, 9]) {
      for (const value of [-(2 ** 31), 2 ** 31 - 1, -1, 0, 0x01020304]) {
        view.setInt32(byteOffset, value, true);
        assertStrictEquals(memory.getInt32(byteOffset), value);
      }
    }
  });

  it("NativeMemory.getBigUint64 reads both ends of the range, aligned or not", () => {
    const bytes = zeroes(17);
    const view = new DataView(bytes.buffer);
    const memory = known(bytes);
    for (const byteOffset of [0, 1, 8, 9]) {
      for (const value of [0n, 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
        view.setBigUint64(byteOffset, value, true);
        assertStrictEquals(memory.getBigUint64(byteOffset), value);
      }
    }
  });

  it("NativeMemory.setBigUint64 writes eight bytes and no others", () => {
    const bytes = zeroes(24).fill(0xaa);
    const memory = known(bytes);
    memory.setBigUint64(7, 0x0102030405060708n);
    const expected = zeroes(24).fill(0xaa);
    expected.set([8, 7, 6, 5, 4, 3, 2, 1], 7);
    assertEquals(bytes, expected);
    for (const value of [0n, 2n ** 63n, 2n ** 64n - 1n]) {
      memory.setBigUint64(16, value);
      assertStrictEquals(new DataView(bytes.buffer).getBigUint64(16, true), value);
      assertStrictEquals(memory.getBigUint64(16), value);
    }
  });

  it("NativeMemory.setBigUint64 refuses what does not fit, and changes nothing", () => {
    const bytes = zeroes(8).fill(0xaa);
    const memory = known(bytes);
    for (const value of [-1n, 2n ** 64n, -(2n ** 64n)]) {
      assertThrows(() => memory.setBigUint64(0, value), RangeError, "the value (u64) must be a bigint");
    }
    for (const value of ["1", 1.5, null, undefined]) {
      assertThrows(
        () => memory.setBigUint64(0, value as unknown as bigint),
        TypeError,
        "the value (u64) must be a bigint",
      );
    }
    assertEquals(bytes, zeroes(8).fill(0xaa));
  });

  it("NativeMemory.getFloat64 reads every kind of double", () => {
    const bytes = zeroes(9);
    const memory = known(bytes);
    for (const byteOffset of [0, 1]) {
      for (const value of [0, -0, 0.1, -1.5, Number.MIN_VALUE, Number.MAX_VALUE, Infinity, -Infinity, NaN]) {
        new DataView(bytes.buffer).setFloat64(byteOffset, value, true);
        assertStrictEquals(memory.getFloat64(byteOffset), value);
      }
    }
  });

  it("NativeMemory.getPointer reads a pointer, and NULL as null", () => {
    const bytes = zeroes(16);
    const memory = known(bytes);
    const pointer = present(symbols.greeting());
    memory.setBigUint64(8, pointerValue(pointer));
    assertStrictEquals(memory.getPointer(8), pointer);
    assertStrictEquals(memory.getPointer(0), null);
  });

  it("NativeMemory's accessors throw a RangeError outside the bounds", () => {
    const bytes = zeroes(32).fill(0xaa);
    // The memory goes on behind the bounds, so that a read that got through would be seen.
    const memory = NativeMemory.borrow(known(bytes).pointer, 16);
    const accessors: [number, (byteOffset: number) => unknown][] = [
      [4, (byteOffset) => memory.getInt32(byteOffset)],
      [8, (byteOffset) => memory.getBigUint64(byteOffset)],
      [8, (byteOffset) => memory.setBigUint64(byteOffset, 0n)],
      [8, (byteOffset) => memory.getFloat64(byteOffset)],
      [8, (byteOffset) => memory.getPointer(byteOffset)],
      [3, (byteOffset) => memory.copyTo(new Uint8Array(3), byteOffset)],
      [3, (byteOffset) => memory.copyFrom(new Uint8Array(3).fill(0xaa), byteOffset)],
      [3, (byteOffset) => memory.fill(0xaa, byteOffset, 3)],
      [3, (byteOffset) => memory.bytes(byteOffset, 3)],
    ];
    for (const [byteLength, access] of accessors) {
      for (const byteOffset of [...outside, 16, 16 - byteLength + 1]) {
        assertThrows(
          () => access(byteOffset),
          RangeError,
          `Cannot reach ${byteLength} bytes at offset ${byteOffset}: the memory has 16 bytes`,
        );
      }
      for (const wrong of ["0", 0n, null, undefined, {}]) {
        if (byteLength === 3 && (wrong === undefined || wrong === "0" || wrong === 0n)) continue;
        assertThrows(() => access(wrong as unknown as number), RangeError, "Cannot reach");
      }
    }
    assertEquals(bytes, zeroes(32).fill(0xaa));
    for (const [byteLength, access] of accessors) {
      access(0);
      access(16 - byteLength);
    }
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
