import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { cstringAt, dlopen, NativeMemory, type Pointer, pointerFrom, pointerValue } from "@belay/ffi";
import { testLibrary } from "../scripts/build.ts";
import { alive } from "./gc.ts";

const before = alive();
const library = dlopen(testLibrary, {
  greeting: { parameters: [], result: "pointer" },
  addressOf: { name: "identity_pointer", parameters: ["buffer"], result: "pointer" },
  static_pointer: { type: "pointer" },
  static_value_set: { parameters: ["i32"], result: "void" },
});
const { symbols } = library;

/** Memory whose every byte is known: JavaScript's own, which stays where it is as long as `bytes` is held. */
function known(bytes: Uint8Array<ArrayBuffer>): NativeMemory {
  return NativeMemory.borrow(present(symbols.addressOf(bytes)), bytes.byteLength);
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
    assertStrictEquals(memory.getI32(0), 7);
    symbols.static_value_set(-123456789);
    assertStrictEquals(memory.getI32(0), -123456789);
    symbols.static_value_set(7);
    assertStrictEquals(memory.getI32(0), 7);
  });

  it("NativeMemory.getI32 reads both ends of the range, aligned or not", () => {
    const bytes = zeroes(13);
    const view = new DataView(bytes.buffer);
    const memory = known(bytes);
    for (const byteOffset of [0, 1, 3, 8, 9]) {
      for (const value of [-(2 ** 31), 2 ** 31 - 1, -1, 0, 0x01020304]) {
        view.setInt32(byteOffset, value, true);
        assertStrictEquals(memory.getI32(byteOffset), value);
      }
    }
  });

  it("NativeMemory.getU64 reads both ends of the range, aligned or not", () => {
    const bytes = zeroes(17);
    const view = new DataView(bytes.buffer);
    const memory = known(bytes);
    for (const byteOffset of [0, 1, 8, 9]) {
      for (const value of [0n, 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
        view.setBigUint64(byteOffset, value, true);
        assertStrictEquals(memory.getU64(byteOffset), value);
      }
    }
  });

  it("NativeMemory.setU64 writes eight bytes and no others", () => {
    const bytes = zeroes(24).fill(0xaa);
    const memory = known(bytes);
    memory.setU64(7, 0x0102030405060708n);
    const expected = zeroes(24).fill(0xaa);
    expected.set([8, 7, 6, 5, 4, 3, 2, 1], 7);
    assertEquals(bytes, expected);
    for (const value of [0n, 2n ** 63n, 2n ** 64n - 1n]) {
      memory.setU64(16, value);
      assertStrictEquals(new DataView(bytes.buffer).getBigUint64(16, true), value);
      assertStrictEquals(memory.getU64(16), value);
    }
  });

  it("NativeMemory.setU64 refuses what does not fit, and changes nothing", () => {
    const bytes = zeroes(8).fill(0xaa);
    const memory = known(bytes);
    for (const value of [-1n, 2n ** 64n, -(2n ** 64n)]) {
      assertThrows(() => memory.setU64(0, value), RangeError, `Cannot write ${value}: it does not fit into a u64`);
    }
    assertThrows(() => memory.setU64(0, 1 as unknown as bigint), TypeError);
    assertEquals(bytes, zeroes(8).fill(0xaa));
  });

  it("NativeMemory.getF64 reads every kind of double", () => {
    const bytes = zeroes(9);
    const memory = known(bytes);
    for (const byteOffset of [0, 1]) {
      for (const value of [0, -0, 0.1, -1.5, Number.MIN_VALUE, Number.MAX_VALUE, Infinity, -Infinity, NaN]) {
        new DataView(bytes.buffer).setFloat64(byteOffset, value, true);
        assertStrictEquals(memory.getF64(byteOffset), value);
      }
    }
  });

  it("NativeMemory.getPointer reads a pointer, and NULL as null", () => {
    const bytes = zeroes(16);
    const memory = known(bytes);
    const pointer = present(symbols.greeting());
    memory.setU64(8, pointerValue(pointer));
    assertStrictEquals(memory.getPointer(8), pointer);
    assertStrictEquals(memory.getPointer(0), null);
  });

  it("NativeMemory's accessors throw a RangeError outside the bounds", () => {
    const bytes = zeroes(32).fill(0xaa);
    // The memory goes on behind the bounds, so that a read that got through would be seen.
    const memory = NativeMemory.borrow(known(bytes).pointer, 16);
    const accessors: [number, (byteOffset: number) => unknown][] = [
      [4, (byteOffset) => memory.getI32(byteOffset)],
      [8, (byteOffset) => memory.getU64(byteOffset)],
      [8, (byteOffset) => memory.setU64(byteOffset, 0n)],
      [8, (byteOffset) => memory.getF64(byteOffset)],
      [8, (byteOffset) => memory.getPointer(byteOffset)],
      [3, (byteOffset) => memory.copyTo(new Uint8Array(3), byteOffset)],
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
        if (byteLength === 3 && wrong === undefined) continue;
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
    assertThrows(() => memory.getI32(0), RangeError, "the memory has 0 bytes");
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
    assertEquals(alive(), before);
  });
});
