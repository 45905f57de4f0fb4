import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflate } from "node:zlib";
import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import {
  configure,
  cstringAt,
  dlopen,
  type Leak,
  LibraryClosedError,
  MemoryFreedError,
  NativeMemory,
  type Pointer,
  pointerFrom,
  PointerRuleError,
  pointerValue,
  type Report,
  stats,
  struct,
  utf16At,
} from "@belay/ffi";
import { rawPointer } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectUntil } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { randomFrom } from "../support/random.ts";

const before = alive();
const isBun = "Bun" in globalThis;
if (!isBun) leftOut("arrays that the runtime uses while their memory is freed, of which Deno doesn't tell");
/** Memory that is never freed. */
let leaked = 0;
const owned = zeroes(7);
const library = dlopen(testLibrary, {
  greeting: { parameters: [], result: "pointer" },
  static_pointer: { type: "pointer" },
  static_value_set: { parameters: ["i32"], result: "void" },
});
const { symbols } = library;

/** Where JavaScript's own memory is, which stays there as long as `bytes` is held. */
function addressOf(bytes: Uint8Array<ArrayBuffer>): Pointer {
  return present(pointerFrom(rawPointer(bytes)));
}

/** What borrowed memory is of. */
const owners = new WeakMap<NativeMemory, Uint8Array>();

/** Memory whose every byte is known. */
function known(bytes: Uint8Array<ArrayBuffer>): NativeMemory {
  const memory = NativeMemory.borrow(addressOf(bytes), bytes.byteLength);
  owners.set(memory, bytes);
  return memory;
}

/** Zeroes with an `ArrayBuffer` of their own, which no engine moves. */
function zeroes(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(byteLength));
}

function present(pointer: Pointer | null): Pointer {
  assert(pointer !== null, "expected a pointer, got null");
  return pointer;
}

const outside: readonly number[] = [-1, -0.5, 0.5, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 53 - 1];

/** Every scalar type: its width, the least and the largest value, what doesn't fit, and its accessors. */
const scalars: readonly {
  readonly type: string;
  readonly width: number;
  readonly values: readonly unknown[];
  readonly refused: readonly unknown[];
  readonly get: (memory: NativeMemory, byteOffset: number) => unknown;
  readonly set: (memory: NativeMemory, byteOffset: number, value: never) => void;
  readonly read: (view: DataView, byteOffset: number) => unknown;
}[] = [
  integer("i8", 1, -128, 127, (m, o) => m.getInt8(o), (m, o, v) => m.setInt8(o, v), (d, o) => d.getInt8(o)),
  integer("u8", 1, 0, 255, (m, o) => m.getUint8(o), (m, o, v) => m.setUint8(o, v), (d, o) => d.getUint8(o)),
  integer(
    "i16",
    2,
    -32768,
    32767,
    (m, o) => m.getInt16(o),
    (m, o, v) => m.setInt16(o, v),
    (d, o) => d.getInt16(o, true),
  ),
  integer("u16", 2, 0, 65535, (m, o) => m.getUint16(o), (m, o, v) => m.setUint16(o, v), (d, o) => d.getUint16(o, true)),
  integer(
    "i32",
    4,
    -(2 ** 31),
    2 ** 31 - 1,
    (m, o) => m.getInt32(o),
    (m, o, v) => m.setInt32(o, v),
    (d, o) => d.getInt32(o, true),
  ),
  integer(
    "u32",
    4,
    0,
    2 ** 32 - 1,
    (m, o) => m.getUint32(o),
    (m, o, v) => m.setUint32(o, v),
    (d, o) => d.getUint32(o, true),
  ),
  {
    type: "i64",
    width: 8,
    values: [-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n],
    refused: [2n ** 63n, -(2n ** 63n) - 1n, 0.5, 2 ** 53, "1", null, undefined],
    get: (memory, byteOffset) => memory.getBigInt64(byteOffset),
    set: (memory, byteOffset, value) => memory.setBigInt64(byteOffset, value),
    read: (view, byteOffset) => view.getBigInt64(byteOffset, true),
  },
  {
    type: "u64",
    width: 8,
    values: [0n, 1n, 2n ** 63n, 2n ** 64n - 1n],
    refused: [-1n, 2n ** 64n, -1, 0.5, "1", null, undefined],
    get: (memory, byteOffset) => memory.getBigUint64(byteOffset),
    set: (memory, byteOffset, value) => memory.setBigUint64(byteOffset, value),
    read: (view, byteOffset) => view.getBigUint64(byteOffset, true),
  },
  {
    type: "f32",
    width: 4,
    values: [0, -0, 1.5, -Infinity, NaN, Math.fround(3.4e38)],
    refused: [1n, "1", null, undefined],
    get: (memory, byteOffset) => memory.getFloat32(byteOffset),
    set: (memory, byteOffset, value) => memory.setFloat32(byteOffset, value),
    read: (view, byteOffset) => view.getFloat32(byteOffset, true),
  },
  {
    type: "f64",
    width: 8,
    values: [0, -0, 0.1, Infinity, NaN, Number.MIN_VALUE, Number.MAX_VALUE],
    refused: [1n, "1", null, undefined],
    get: (memory, byteOffset) => memory.getFloat64(byteOffset),
    set: (memory, byteOffset, value) => memory.setFloat64(byteOffset, value),
    read: (view, byteOffset) => view.getFloat64(byteOffset, true),
  },
  {
    type: "bool",
    width: 1,
    values: [true, false],
    refused: [1, 0, null, undefined, "true"],
    get: (memory, byteOffset) => memory.getBool(byteOffset),
    set: (memory, byteOffset, value) => memory.setBool(byteOffset, value),
    read: (view, byteOffset) => view.getUint8(byteOffset) !== 0,
  },
];

function integer(
  type: string,
  width: number,
  least: number,
  most: number,
  get: (memory: NativeMemory, byteOffset: number) => unknown,
  set: (memory: NativeMemory, byteOffset: number, value: number) => void,
  read: (view: DataView, byteOffset: number) => unknown,
): (typeof scalars)[number] {
  return {
    type,
    width,
    values: [least, 0, 1, most],
    refused: [least - 1, most + 1, 0.5, NaN, 1n, "1", null, undefined],
    get,
    set: set as (memory: NativeMemory, byteOffset: number, value: never) => void,
    read,
  };
}

/** Memory that has its values behind a byte offset. */
const kinds = [
  { kind: "small memory", at: 0, make: allocated },
  { kind: "memory that is mapped at once", at: 2000, make: allocated },
  { kind: "borrowed memory", at: 2000, make: borrowed },
  { kind: "a part of memory", at: 2000, make: partly },
];

function allocated(byteLength: number): { readonly whole: NativeMemory; readonly memory: NativeMemory } {
  const whole = NativeMemory.alloc(byteLength);
  return { whole, memory: whole };
}

function borrowed(byteLength: number): { readonly whole: NativeMemory; readonly memory: NativeMemory } {
  const memory = known(zeroes(byteLength));
  return { whole: memory, memory };
}

function partly(byteLength: number): { readonly whole: NativeMemory; readonly memory: NativeMemory } {
  const whole = NativeMemory.alloc(byteLength + 80);
  return { whole, memory: whole.subarray(40, 40 + byteLength) };
}

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

  it("has pointers, and null for NULL", () => {
    using memory = NativeMemory.alloc(16);
    for (let i = 0; i < 40; i++) {
      memory.setPointer(0, memory.pointer);
      assertStrictEquals(memory.getPointer(0), memory.pointer);
      assertStrictEquals(memory.getPointer(8), null);
      memory.setPointer(0, null);
      assertStrictEquals(memory.getPointer(0), null);
    }
  });

  it("is aligned as asked, and zeroes unless asked otherwise", () => {
    for (const align of [1, 2, 16, 64, 4096, 2 ** 20]) {
      for (const byteLength of [0, 1, 17, 5000]) {
        using memory = NativeMemory.alloc(byteLength, { align });
        assertStrictEquals(pointerValue(memory.pointer) % BigInt(align), 0n);
        assertStrictEquals(memory.byteLength, byteLength);
        assert(memory.bytes().every((byte) => byte === 0));
        memory.fill(0xff);
      }
    }
    using memory = NativeMemory.alloc(100, { zero: false });
    memory.fill(1);
    for (const align of [0, 3, -1, 0.5, 2 ** 21, NaN]) {
      assertThrows(() => NativeMemory.alloc(1, { align }), RangeError, "align");
    }
    for (const byteLength of outside.slice(0, 8)) {
      assertThrows(() => NativeMemory.alloc(byteLength), RangeError, "whole number");
    }
    assertThrows(() => NativeMemory.alloc(2 ** 52), RangeError, `there are no ${2 ** 52} bytes`);
  });

  it("is seen by C, and sees what C writes", () => {
    using libc = dlopen(testLibrary, {
      sum_bytes: { parameters: ["pointer", "usize"], result: "u64" },
    });
    using memory = NativeMemory.alloc(10);
    memory.copyFrom(Uint8Array.of(1, 2, 3), 7);
    assertStrictEquals(libc.symbols.sum_bytes(memory.pointer, 10), 6n);
    memory.bytes()[0] = 100;
    assertStrictEquals(libc.symbols.sum_bytes(memory.pointer, 10), 106n);
  });

  it("can be freed, once: nothing reaches it any more, and what bytes() gave has no length", () => {
    const { memory: memories } = stats().live;
    const memory = NativeMemory.alloc(64);
    assertStrictEquals(stats().live.memory, memories + 1);
    const part = memory.subarray(8, 24);
    const partOfPart = part.subarray(4, 8);
    partOfPart.setUint32(0, 0x01020304);
    assertStrictEquals(memory.getUint32(12), 0x01020304);
    const arrays = [memory.bytes(), part.bytes(), partOfPart.bytes(1, 2)];
    assertEquals(arrays.map(({ length }) => length), [64, 16, 2]);
    assertEquals([...arrays[2]], [3, 2]);
    assertThrows(() => part.free(), TypeError, "free the whole");
    assert(!part.disposed);
    memory.free();
    memory.free();
    assertStrictEquals(stats().live.memory, memories);
    assertEquals(arrays.map(({ length }) => length), [0, 0, 0]);
    for (const each of [memory, part, partOfPart]) {
      assert(each.disposed);
      assertThrows(() => each.bytes(), MemoryFreedError);
      assertThrows(() => each.subarray(0), MemoryFreedError);
      assertThrows(() => each.copyTo(new Uint8Array(1)), MemoryFreedError);
      assertThrows(() => each.copyFrom(new Uint8Array(1)), MemoryFreedError);
      assertThrows(() => each.fill(0), MemoryFreedError);
      assertThrows(() => each.text(), MemoryFreedError);
      assertThrows(() => each.getCString(), MemoryFreedError);
    }
  });

  it("has no pointer for C once it is freed, nor has a part of it", () => {
    const memory = NativeMemory.alloc(16);
    const part = memory.subarray(8);
    assertStrictEquals(pointerValue(part.pointer), pointerValue(memory.pointer) + 8n);
    memory.free();
    for (const freed of [memory, part]) assertThrows(() => freed.pointer, MemoryFreedError);
  });

  it("says which memory has been freed, and where, while leaks are tracked", () => {
    const messageOf = (use: () => unknown): string => assertThrows(use, MemoryFreedError).message;
    const Pair = struct({ a: "i32", b: "i32" });
    configure({ trackLeaks: true });
    try {
      for (const byteLength of [40, 4000]) {
        const memory = NativeMemory.alloc(byteLength);
        const place = `${byteLength} bytes at 0x${pointerValue(memory.pointer).toString(16)}`;
        const part = memory.subarray(8, 16);
        const view = Pair.view(memory);
        memory.free();
        for (const use of [() => memory.getInt8(0), () => part.getInt8(0), () => memory.pointer, () => view.a]) {
          assertStringIncludes(messageOf(use), place);
          const { cause } = assertThrows(use, MemoryFreedError);
          assert(cause instanceof Error);
          assertStringIncludes(cause.message, `${byteLength} bytes were freed`);
          assertStringIncludes(cause.stack ?? "", "memory_test.ts");
          assertStringIncludes((cause.cause as Leak).stack, "memory_test.ts");
        }
      }
    } finally {
      configure({ trackLeaks: false });
    }
    const untracked = NativeMemory.alloc(8);
    untracked.free();
    assertStrictEquals(assertThrows(() => untracked.getInt8(0), MemoryFreedError).cause, undefined);
  });

  it("is not used any more when what bytes() gave was transferred, and never freed", () => {
    const memory = NativeMemory.alloc(16);
    const moved = memory.bytes().buffer.transfer();
    const ways: (() => unknown)[] = [
      () => memory.getUint8(0),
      () => memory.setUint8(0, 1),
      () => memory.fill(0),
      () => memory.copyTo(new Uint8Array(1)),
      () => memory.copyFrom(new Uint8Array(1)),
      () => memory.bytes(),
      () => memory.free(),
    ];
    for (const way of ways) assertThrows(way, PointerRuleError, "is not transferred");
    assertStrictEquals(moved.byteLength, 16);
    leaked += 1;
  });

  it("is copied to and from bytes, and made with the options that there are", () => {
    using memory = NativeMemory.alloc(8);
    assertThrows(() => memory.copyFrom(new ArrayBuffer(8) as never), TypeError, "no Uint8Array");
    assertThrows(() => memory.copyTo([1] as never), TypeError, "no Uint8Array: an array of 1");
    assertThrows(() => NativeMemory.alloc(8, { aling: 64 } as never), TypeError, '"aling" is not an option');
    assertThrows(() => NativeMemory.alloc(8, { zero: 1 } as never), TypeError, "zero must be a boolean, got 1");
    assertThrows(() => NativeMemory.alloc(8, 64 as never), TypeError, "the options must be an object, got 64");
    assertThrows(() => NativeMemory.alloc(8n as never), RangeError, "got 8n");
    assertThrows(() => memory.getInt32("0" as never), RangeError, 'Cannot reach 4 bytes at offset "0"');
    assertThrows(() => memory.setCString(0, 5 as never), TypeError, "Cannot pass 5 to C as a string");
    assertThrows(() => memory.setCString(0, `${"x".repeat(2000)}\0`), TypeError, "1961 characters more");
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

  it("is printed as what programs know, whatever its class, and once it is freed", () => {
    const inspect = Symbol.for("nodejs.util.inspect.custom");
    for (const byteLength of [16, 5000]) {
      const memory = NativeMemory.alloc(byteLength) as NativeMemory & { [inspect](): string };
      const address = pointerValue(memory.pointer).toString(16);
      assertStrictEquals(memory[inspect](), `NativeMemory { 0x${address}, ${byteLength} bytes }`);
      memory.free();
      assertStrictEquals(memory[inspect](), `NativeMemory { freed, ${byteLength} bytes }`);
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

  it("that is borrowed is left to C when it is freed here", () => {
    const bytes = zeroes(4).fill(7);
    const memory = known(bytes);
    const array = memory.bytes();
    assertStrictEquals(array[0], 7);
    memory.free();
    assertStrictEquals(array.length, 0);
    assertThrows(() => memory.getUint8(0), MemoryFreedError);
    assertEquals([...bytes], [7, 7, 7, 7]);
  });

  it("that is adopted is freed by what was given for that, once", () => {
    const freed: Pointer[] = [];
    const bytes = zeroes(4);
    const pointer = addressOf(bytes);
    {
      using memory = NativeMemory.adopt(pointer, 4, (which) => freed.push(which));
      memory.setUint8(0, 9);
      memory.free();
    }
    assertEquals(freed, [pointer]);
    assertStrictEquals(bytes[0], 9);
    assertThrows(() => NativeMemory.adopt(pointer, 4, null as never), TypeError, "free must be a function");
    assertThrows(() => NativeMemory.adopt(null as never, 4, () => {}), TypeError, "not null");
  });

  it("whose library is closed when it is collected is reported, and ends nothing", async () => {
    const reports: Report[] = [];
    configure({ onReport: (report) => void reports.push(report) });
    try {
      const { memory: memories } = stats().live;
      (() => {
        const closed = dlopen(testLibrary, { greeting: { parameters: [], result: "pointer" } });
        NativeMemory.adopt(addressOf(owned), 7, () => closed.symbols.greeting());
        closed.close();
      })();
      assert(await collectUntil(() => reports.length > 0), "was not reported");
      const [{ kind, message, cause }] = reports;
      assertEquals([kind, cause instanceof LibraryClosedError, stats().live.memory], ["leak", true, memories]);
      assert(message.startsWith("7 bytes were garbage-collected and can't be freed: "), message);
    } finally {
      configure({ onReport: undefined });
    }
  });

  it("is freed when it can't be reached any more, and a leak then", async () => {
    const reports: Report[] = [];
    configure({ trackLeaks: true, onReport: (report) => void reports.push(report) });
    try {
      const { memory: memories } = stats().live;
      (() => NativeMemory.alloc(123).setUint8(0, 1))();
      assert(await collectUntil(() => stats().live.memory === memories), "was not freed");
      assert(reports.some(({ kind, message }) => kind === "leak" && message.includes('memory "123 bytes"')));
    } finally {
      configure({ trackLeaks: false, onReport: undefined });
    }
  });

  it("stays while a part of it, or what bytes() gave, can be reached", async () => {
    let frees = 0;
    const backing = zeroes(64);
    const pointer = addressOf(backing);
    const adopt = (): NativeMemory => NativeMemory.adopt(pointer, 64, () => void (frees += 1));
    const kept: { part: NativeMemory | undefined; bytes: Uint8Array | undefined } = {
      part: adopt().subarray(8, 16),
      bytes: adopt().bytes(8, 8),
    };
    (() => adopt().bytes())();
    assert(await collectUntil(() => frees > 0), "what nobody holds was not freed");
    assert(!await collectUntil(() => frees > 1, 10), "was freed too soon");
    kept.bytes?.fill(1);
    kept.part?.setUint8(0, 2);
    assertEquals([...backing.subarray(7, 18)], [0, 2, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
    kept.part = undefined;
    kept.bytes = undefined;
    assert(await collectUntil(() => frees === 3), "was not freed");
  });

  it("copies, fills and reads strings in its bounds", () => {
    using memory = NativeMemory.alloc(32);
    assertStrictEquals(memory.setCString(4, "grüß"), 7);
    assertStrictEquals(memory.getCString(4), "grüß");
    assertStrictEquals(memory.subarray(4, 10).text(), "grüß");
    assertThrows(() => memory.subarray(4, 10).getCString(), RangeError, "no zero ends it");
    assertThrows(() => memory.setCString(26, "grüß"), RangeError, "Cannot reach 7 bytes at offset 26");
    memory.fill(0x41, 0, 3);
    assertStrictEquals(memory.getCString(), "AAA");
    memory.fill(0x42, 30);
    assertEquals([...memory.bytes(28)], [0, 0, 0x42, 0x42]);
    for (const value of [-1, 256, 0.5, "1"]) assertThrows(() => memory.fill(value as number), Error, "from 0 to 255");
    assertStrictEquals(memory.subarray(32).byteLength, 0);
    assertThrows(() => memory.subarray(2, 1), RangeError);
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

describe("NativeMemory", () => {
  afterAll(() => library.close());

  it("NativeMemory.borrow keeps the pointer and the length", () => {
    const pointer = present(symbols.greeting());
    const memory = NativeMemory.borrow(pointer, 12);
    assertStrictEquals(memory.pointer, pointer);
    assertStrictEquals(memory.byteLength, 12);
  });

  it("NativeMemory.borrow throws a RangeError unless the length is a whole number from 0 to 2^53 - 1", () => {
    const pointer = present(symbols.greeting());
    for (const byteLength of [-1, -0.5, 0.5, NaN, Infinity, -Infinity, 2 ** 53]) {
      assertThrows(
        () => NativeMemory.borrow(pointer, byteLength),
        RangeError,
        `Cannot borrow memory: its length must be a whole number of bytes, got ${byteLength}`,
      );
    }
    for (const wrong of ["12", 12n, null, undefined]) {
      assertThrows(() => NativeMemory.borrow(pointer, wrong as unknown as number), RangeError, "whole number");
    }
    assertStrictEquals(NativeMemory.borrow(pointer, 2 ** 53 - 1).byteLength, 2 ** 53 - 1);
  });

  it("NativeMemory.borrow throws a TypeError for what is no pointer, rather than crash at the first read", () => {
    for (const wrong of [null, undefined, "0", {}, Symbol("symbol"), new Uint8Array(8)]) {
      assertThrows(() => NativeMemory.borrow(wrong as unknown as Pointer, 8), TypeError, "Cannot borrow memory");
    }
  });

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

  it("NativeMemory of no bytes can be copied and decoded, and nothing else", () => {
    const memory = NativeMemory.borrow(present(symbols.greeting()), 0);
    assertStrictEquals(memory.text(), "");
    const target = new Uint8Array(0);
    memory.copyTo(target);
    memory.copyTo(target, 0);
    assertThrows(() => memory.copyTo(target, 1), RangeError, "Cannot reach 0 bytes at offset 1");
    assertThrows(() => memory.copyTo(new Uint8Array(1)), RangeError, "Cannot reach 1 bytes at offset 0");
    assertThrows(() => memory.getInt32(0), RangeError, "the memory has 0 bytes");
  });

  it("NativeMemory.copyTo fills the target, from the beginning or an offset", () => {
    const memory = NativeMemory.borrow(present(symbols.greeting()), 12);
    const whole = new Uint8Array(12);
    memory.copyTo(whole);
    assertEquals(whole, new TextEncoder().encode("grüß dich\0"));
    const part = new Uint8Array(4);
    memory.copyTo(part, 7);
    assertEquals(part, new TextEncoder().encode("dich"));
    memory.copyTo(new Uint8Array(0), 12);
  });

  it("NativeMemory.copyTo writes into a view's own bytes and no others", () => {
    const bytes = zeroes(64).map((_, index) => index);
    const target = zeroes(64);
    known(bytes).copyTo(target.subarray(10, 20), 30);
    const expected = zeroes(64);
    expected.set(bytes.subarray(30, 40), 10);
    assertEquals(target, expected);
  });

  it("NativeMemory.copyTo copies a megabyte", () => {
    const bytes = zeroes(2 ** 20).map((_, index) => index * 7);
    const target = new Uint8Array(2 ** 20);
    known(bytes).copyTo(target);
    assertEquals(target, bytes);
  });

  it("NativeMemory.text decodes UTF-8", () => {
    const pointer = present(symbols.greeting());
    assertStrictEquals(NativeMemory.borrow(pointer, 11).text(), "grüß dich");
    assertStrictEquals(NativeMemory.borrow(pointer, 12).text(), "grüß dich\0");
    const text = "𝔘 ￿ \u{10ffff} ab";
    assertStrictEquals(known(new TextEncoder().encode(text)).text(), text);
  });

  it("NativeMemory.text gives U+FFFD for what is not UTF-8", () => {
    const cases: [number[], string][] = [
      [[0x61, 0xff, 0x62], "a\ufffdb"],
      // A character that is cut off at the end of the memory.
      [[0x61, 0xc3], "a\ufffd"],
      [[0xe2, 0x82], "\ufffd"],
      // A continuation byte on its own, and an overlong slash.
      [[0x80, 0x61], "\ufffda"],
      [[0xc0, 0xaf], "\ufffd\ufffd"],
      // Half a surrogate pair.
      [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"],
    ];
    for (const [bytes, text] of cases) {
      const held = zeroes(bytes.length);
      held.set(bytes);
      assertStrictEquals(known(held).text(), text);
    }
  });

  it("NativeMemory.text keeps a byte order mark, which is text of the memory", () => {
    assertStrictEquals(known(new TextEncoder().encode("\ufeffab")).text(), "\ufeffab");
  });
});

describe("pointerFrom and pointerValue", () => {
  it("pointerFrom gives the pointer of an address, bigint or number, and pointerValue gives the address back", () => {
    for (const address of [1n, 0x1000n, 2n ** 32n, 2n ** 47n - 1n, 2n ** 53n - 1n]) {
      assertStrictEquals(pointerValue(pointerFrom(address)), address);
      assertStrictEquals(pointerValue(pointerFrom(Number(address))), address);
    }
  });

  it("pointerFrom gives null for 0, and pointerValue gives 0 for null", () => {
    for (const zero of [0, -0, 0n]) assertStrictEquals(pointerFrom(zero), null);
    assertStrictEquals(pointerValue(null), 0n);
  });

  it("pointerFrom gives the very pointer that C gives for the same address", () => {
    using other = dlopen(testLibrary, {
      greeting: { parameters: [], result: "pointer" },
      identity: { name: "identity_pointer", parameters: ["pointer"], result: "pointer" },
    });
    const pointer = present(other.symbols.greeting());
    assertStrictEquals(pointerFrom(pointerValue(pointer)), pointer);
    assertStrictEquals(other.symbols.identity(pointerFrom(0x1234n)), pointerFrom(0x1234));
    assertStrictEquals(other.symbols.identity(pointerFrom(0)), null);
  });

  it("pointerFrom throws a RangeError for what is no address", () => {
    for (const address of [-1, -1n, 0.5, -0.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 64, 2n ** 64n]) {
      assertThrows(() => pointerFrom(address), RangeError, `Cannot make a pointer of ${address}: expected an address`);
    }
    for (const wrong of ["4096", null, undefined, true, {}]) {
      assertThrows(() => pointerFrom(wrong as unknown as number), RangeError, "Cannot make a pointer of");
    }
  });

  it("cstringAt, utf16At and pointerValue throw a TypeError for what is no pointer, rather than crash", () => {
    for (const wrong of [undefined, NaN, -1, 0.5, true, "0x10", {}, 2n ** 64n]) {
      for (const use of [cstringAt, utf16At, pointerValue, (pointer: Pointer) => cstringAt(pointer, { fatal: true })]) {
        assertThrows(() => use(wrong as never), TypeError, "must be a Pointer or null, got");
      }
    }
  });

  it("cstringAt reads a string of C's, and null for null", () => {
    using other = dlopen(testLibrary, { greeting: { parameters: [], result: "pointer" } });
    assertStrictEquals(cstringAt(other.symbols.greeting()), "grüß dich");
    assertStrictEquals(cstringAt(null), null);
  });

  it("pointerFrom takes an address of 2^53 and more exactly, and C gives it back", () => {
    using library = dlopen(testLibrary, {
      identity_pointer: { parameters: ["pointer"], result: "pointer" },
      relay_pointer: { parameters: [{ parameters: ["pointer"], result: "pointer" }, "pointer"], result: "pointer" },
    });
    const { identity_pointer, relay_pointer } = library.symbols;
    for (const address of [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 0xb400000012345671n, 2n ** 64n - 1n]) {
      const pointer = pointerFrom(address);
      assertStrictEquals(pointerValue(pointer), address);
      assertStrictEquals(identity_pointer(pointer), pointer);
      assertStrictEquals(relay_pointer((value) => value, pointer), pointer);
    }
  });

  it("leaves nothing alive", () => {
    assertEquals(alive(), { ...before, memories: before.memories + leaked });
  });
});
