/** What crosses to C and back: scalars, strings, buffers and handles, as arguments and as results. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, Handle, InvalidHandleError, pointerFrom, pointerValue, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { openUnchecked } from "../support/unchecked.ts";

const before = alive();

const fillDefinitions = {
  sum_bytes: { parameters: ["buffer", "usize"], result: "u64" },
  fill_around: { parameters: ["buffer", "usize", { parameters: [], result: "void" }], result: "i32" },
} as const;

describe("scalar arguments and results", () => {
  for (const type of scalarTypes) {
    it(`a ${type} comes back from C as it went in, at its limits`, () => {
      using library = openUnchecked({ [`identity_${type}`]: { parameters: [type], result: type } });
      const identity = library.symbols[`identity_${type}`];
      for (const value of limits[type]) assertStrictEquals(identity(value), value);
    });
  }

  for (const type of ["i64", "u64", "isize", "usize"]) {
    it(`a ${type} takes a safe integer, and gives a bigint`, () => {
      using library = openUnchecked({ [`identity_${type}`]: { parameters: [type], result: type } });
      const identity = library.symbols[`identity_${type}`];
      const negative = type === "i64" || type === "isize" ? [-1, Number.MIN_SAFE_INTEGER] : [];
      for (const value of [0, 1, Number.MAX_SAFE_INTEGER, ...negative]) {
        assertStrictEquals(identity(value), BigInt(value));
      }
    });
  }

  it("an f32 is rounded as C rounds a double", () => {
    using library = dlopen(testLibrary, { identity_f32: { parameters: ["f32"], result: "f32" } });
    for (const value of [0.1, 1e300, -1e300, 16777217]) {
      assertStrictEquals(library.symbols.identity_f32(value), Math.fround(value));
    }
  });

  it("an integer takes -0 as 0", () => {
    using library = openUnchecked(Object.fromEntries(
      scalarTypes.filter((type) => /^[iu]/.test(type)).map((type) => [
        `identity_${type}`,
        { parameters: [type], result: type },
      ]),
    ));
    for (const [name, identity] of Object.entries(library.symbols)) {
      assertStrictEquals(Number(identity(-0)), 0, name);
    }
  });

  it("equal pointers are ===, and the null pointer is null", () => {
    using library = dlopen(testLibrary, {
      enter_pointer: { parameters: [], result: "pointer" },
      identity_pointer: { parameters: ["pointer"], result: "pointer" },
    });
    const { enter_pointer, identity_pointer } = library.symbols;
    const pointer = enter_pointer();
    assert(pointer !== null);
    assertStrictEquals(enter_pointer(), pointer);
    assertStrictEquals(identity_pointer(pointer), pointer);
    assertStrictEquals(pointerFrom(pointerValue(pointer)), pointer);
    assertStrictEquals(identity_pointer(null), null);
  });

  it("a function of no result gives undefined", () => {
    using library = dlopen(testLibrary, { enter_any: { parameters: [], result: "void" } });
    assertStrictEquals(library.symbols.enter_any(), undefined);
  });
});

describe("cstring", () => {
  const definitions = {
    text_length: { parameters: ["cstring"], result: "u32" },
    echo: { parameters: ["cstring"], result: "cstring", name: "pass" },
    greeting: { parameters: [], result: "cstring" },
    no_text: { parameters: [], result: "cstring" },
    not_utf8: { parameters: [], result: "cstring" },
  } as const;

  it("goes to C as UTF-8 that ends with a zero", () => {
    using library = dlopen(testLibrary, definitions);
    const { text_length, echo } = library.symbols;
    for (const text of ["", "a", "grüß dich", "日本語", "😀", "x".repeat(100_000)]) {
      assertStrictEquals(text_length(text), new TextEncoder().encode(text).length);
      assertStrictEquals(echo(text), text);
    }
  });

  it("that is null is C's NULL", () => {
    using library = dlopen(testLibrary, definitions);
    assertStrictEquals(library.symbols.text_length(null), 0xffffffff);
    assertStrictEquals(library.symbols.echo(null), null);
  });

  it("with a lone surrogate goes to C with U+FFFD in its place", () => {
    using library = dlopen(testLibrary, definitions);
    const { text_length, echo } = library.symbols;
    for (const text of ["a\ud800b", "a\udc00b"]) {
      assertStrictEquals(echo(text), "a\ufffdb");
      assertStrictEquals(text_length(text), 5);
    }
  });

  it("comes from C decoded, and null for NULL", () => {
    using library = dlopen(testLibrary, definitions);
    assertStrictEquals(library.symbols.greeting(), "grüß dich");
    assertStrictEquals(library.symbols.no_text(), null);
  });

  it("that is not UTF-8 comes with U+FFFD for what is none", () => {
    using library = dlopen(testLibrary, definitions);
    assertStrictEquals(library.symbols.not_utf8(), "gr\ufffd\ufffd");
  });
});

describe("buffer", () => {
  /** 0, 1, … 15, of which each case is a part. */
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
  const shared = new SharedArrayBuffer(16);
  new Uint8Array(shared).set(bytes);
  const cases: [string, ArrayBufferView | ArrayBufferLike | null, number, bigint][] = [
    ["a Uint8Array", bytes, 16, 120n],
    ["a subarray, from its offset", bytes.subarray(10, 12), 2, 21n],
    ["a DataView, from its offset", new DataView(bytes.buffer, 4, 3), 3, 15n],
    ["an ArrayBuffer", bytes.buffer, 16, 120n],
    ["a SharedArrayBuffer", shared, 16, 120n],
    ["a view of a SharedArrayBuffer, from its offset", new Uint8Array(shared, 14), 2, 29n],
    ["a Float64Array", new Float64Array([1]), 8, 0x3fn + 0xf0n],
    ["a Float64Array, from its offset", new Float64Array(new Float64Array([1, -2]).buffer, 8), 8, 0xc0n],
    ["a BigUint64Array", new BigUint64Array([0x0102030405060708n]), 8, 36n],
    ["an empty view", new Uint8Array(0), 0, 0n],
    ["an empty ArrayBuffer", new ArrayBuffer(0), 0, 0n],
    ["null", null, 0, 0n],
  ];
  for (const [name, value, byteLength, sum] of cases) {
    it(`is passed as ${name}`, () => {
      using library = dlopen(testLibrary, fillDefinitions);
      assertStrictEquals(library.symbols.sum_bytes(value, byteLength), sum);
    });
  }

  it("that is null is C's NULL", () => {
    using library = dlopen(testLibrary, { pass: { parameters: ["buffer"], result: "pointer" } });
    assertStrictEquals(library.symbols.pass(null), null);
    assert(library.symbols.pass(new Uint8Array(1)) !== null);
  });

  it("of every kind is the caller's own memory: C's writes arrive", () => {
    using library = dlopen(testLibrary, fillDefinitions);
    const kinds: [string, (buffer: ArrayBufferLike) => ArrayBufferView | ArrayBufferLike][] = [
      ["Uint8Array", (buffer) => new Uint8Array(buffer)],
      ["Uint8ClampedArray", (buffer) => new Uint8ClampedArray(buffer)],
      ["Int16Array", (buffer) => new Int16Array(buffer)],
      ["Float32Array", (buffer) => new Float32Array(buffer)],
      ["Float64Array", (buffer) => new Float64Array(buffer)],
      ["BigInt64Array", (buffer) => new BigInt64Array(buffer)],
      ["DataView", (buffer) => new DataView(buffer)],
      ["the buffer itself", (buffer) => buffer],
    ];
    for (const [kind, make] of kinds) {
      for (const buffer of [new ArrayBuffer(8), new SharedArrayBuffer(8)]) {
        assertStrictEquals(library.symbols.fill_around(make(buffer), 8, () => {}), -1, kind);
        assertEquals([...new Uint8Array(buffer)], [1, 2, 3, 4, 5, 6, 7, 8], kind);
      }
    }
  });

  it("that is a small typed array stays where it is while a callback touches its .buffer, in hot code", () => {
    using library = dlopen(testLibrary, fillDefinitions);
    const { fill_around } = library.symbols;
    const once = (length: number): void => {
      const array = new Uint8Array(length);
      let buffer: ArrayBuffer | undefined;
      assertStrictEquals(fill_around(array, length, () => void (buffer = array.buffer)), -1);
      assertStrictEquals(buffer, array.buffer);
      for (let i = 0; i < length; i++) if (array[i] !== i + 1) throw new Error(`byte ${i} is ${array[i]}`);
    };
    for (let i = 0; i < 20_000; i++) once(1 + i % 16);
  });

  const transfers: [string, (buffer: ArrayBuffer) => ArrayBuffer][] = [
    ["structuredClone", (buffer) => structuredClone(buffer, { transfer: [buffer] })],
    ["ArrayBuffer.transfer", (buffer) => buffer.transfer()],
  ];
  for (const [name, transfer] of transfers) {
    it(`that a callback transfers by ${name} gets C's writes in the transferred buffer, in hot code`, () => {
      using library = dlopen(testLibrary, fillDefinitions);
      const { fill_around } = library.symbols;
      const once = (length: number): void => {
        const array = new Uint8Array(length);
        let transferred: ArrayBuffer | undefined;
        assertStrictEquals(fill_around(array, length, () => void (transferred ??= transfer(array.buffer))), -1);
        assert(transferred !== undefined);
        const after = new Uint8Array(transferred);
        assertStrictEquals(after.length, length);
        for (let i = 0; i < length; i++) if (after[i] !== i + 1) throw new Error(`byte ${i} is ${after[i]}`);
      };
      for (let i = 0; i < 5_000; i++) once(1 + i % 16);
    });
  }
});

describe("handle arguments and results", () => {
  const definitions = {
    pass: { parameters: ["handle"], result: "handle" },
    pass_address: { parameters: ["handleAddress"], result: "handleAddress", name: "pass" },
    pass_pointer: { parameters: ["handle"], result: "pointer", name: "pass" },
    read_id: { parameters: ["handleAddress"], result: "usize" },
  } as const;

  it("a handle goes to C as its id, and comes back as its value", () => {
    using library = dlopen(testLibrary, definitions);
    using handle = Handle.create({ text: "value" });
    const { pass, pass_address, pass_pointer, read_id } = library.symbols;
    assertStrictEquals(pass(handle), handle.value);
    assertStrictEquals(pass(handle.id), handle.value);
    assertStrictEquals(pass_address(handle), handle.value);
    assertStrictEquals(pointerValue(pass_pointer(handle)), BigInt(handle.id));
    assertStrictEquals(read_id(handle), BigInt(handle.id));
    assertStrictEquals(read_id(handle.id), BigInt(handle.id));
  });

  it("a null handle goes to C as NULL by value, and as the address of 0 by address", () => {
    using library = dlopen(testLibrary, definitions);
    assertStrictEquals(library.symbols.pass_pointer(null), null);
    assertStrictEquals(library.symbols.read_id(null), 0n);
  });

  it("a handle that C answers is refused with InvalidHandleError when it is null", () => {
    using library = dlopen(testLibrary, definitions);
    assertStrictEquals(assertThrows(() => library.symbols.pass(null), InvalidHandleError).reason, "null");
    assertStrictEquals(assertThrows(() => library.symbols.pass_address(null), InvalidHandleError).reason, "null");
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
