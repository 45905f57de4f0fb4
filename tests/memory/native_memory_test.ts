/** `NativeMemory`: allocated, borrowed, adopted, freed, collected, and its bytes and strings. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  configure,
  dlopen,
  type Leak,
  LibraryClosedError,
  MemoryFreedError,
  NativeMemory,
  type Pointer,
  PointerRuleError,
  pointerValue,
  type Report,
  stats,
  struct,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive, collectUntil } from "../support/gc.ts";
import { addressOf, known, outside, present, symbols, zeroes } from "./kinds.ts";

const before = alive();

/** Memory that is never freed. */
let leaked = 0;
const owned = zeroes(7);

describe("NativeMemory of its own", () => {
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
    assertThrows(() => NativeMemory.alloc(8, { map: 1 } as never), TypeError, "map must be a boolean, got 1");
    using owner = NativeMemory.alloc(8);
    const { pointer } = owner;
    assertThrows(() => NativeMemory.borrow(pointer, 8, { map: "" } as never), TypeError, "map must be a boolean");
    assertThrows(
      () => NativeMemory.borrow(pointer, 8, { mapped: true } as never),
      TypeError,
      '"mapped" is not an option',
    );
    assertStrictEquals(NativeMemory.borrow(pointer, 0, { map: true }).byteLength, 0);
    assertThrows(() => NativeMemory.alloc(8, 64 as never), TypeError, "the options must be an object, got 64");
    assertThrows(() => NativeMemory.alloc(8n as never), RangeError, "got 8n");
    assertThrows(() => memory.getInt32("0" as never), RangeError, 'Cannot reach 4 bytes at offset "0"');
    assertThrows(() => memory.setCString(0, 5 as never), TypeError, "Cannot pass 5 to C as a string");
    assertThrows(() => memory.setCString(0, `${"x".repeat(2000)}\0`), TypeError, "1961 characters more");
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
});

describe("NativeMemory", () => {
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

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), { ...before, memories: before.memories + leaked });
});
