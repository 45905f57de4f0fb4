import { assert, assertEquals, assertFalse, assertMatch, assertStrictEquals } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import {
  array,
  callback,
  type Definitions,
  dlopen,
  Handle,
  InvalidHandleError,
  LibraryClosedError,
  LibraryLoadError,
  type LibraryPath,
  out,
  pin,
  type Pointer,
  pointerFrom,
  pointerValue,
  stats,
  struct,
  SymbolNotFoundError,
  union,
} from "@belay/ffi";
import type { Platform } from "../../ffi/types/platform.ts";
import { displayName, libraryCandidates } from "../../ffi/calls/library_path.ts";
import { backend } from "../../ffi/runtime/choose.ts";
import { leftOut } from "../support/left_out.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { canResize } from "../support/machine.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { openUnchecked, type Unchecked } from "../support/unchecked.ts";

const aliveBefore = alive();

const itOnLinux = process.platform === "linux" ? it : it.skip;
if (process.platform !== "linux") leftOut("what is mapped after a library was closed, which only Linux tells");
if (!canResize) leftOut("resizable buffers, which end Bun under QEMU");
const unchecked = (fn: unknown): Unchecked => fn as Unchecked;

/** A fresh copy of the test library, which nobody else has opened. */
function copyLibrary(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "belay grüße 100% "));
  const path = join(folder, basename(testLibrary));
  copyFileSync(testLibrary, path);
  return {
    path,
    [Symbol.dispose]() {
      // Windows doesn't delete a library that is mapped.
      if (process.platform !== "win32") rmSync(folder, { recursive: true });
    },
  };
}

const isMapped = (path: string): boolean => readFileSync("/proc/self/maps", "utf8").includes(path);

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

/** What is refused, each with the error's class: RangeError for an integer that doesn't fit, TypeError for the rest. */
function refused(type: string): [unknown, typeof TypeError | typeof RangeError][] {
  const always = [undefined, {}, Object.create(null), [], Symbol("symbol"), new Date(0)];
  const typeErrors = (values: unknown[]): [unknown, typeof TypeError][] => values.map((value) => [value, TypeError]);
  const rangeErrors = (values: unknown[]): [unknown, typeof RangeError][] => values.map((value) => [value, RangeError]);
  const integer = /^([iu])(8|16|32|64|size)$/.exec(type);
  if (integer !== null) {
    const bits = integer[2] === "size" ? 64n : BigInt(integer[2]);
    const least = integer[1] === "i" ? -(2n ** (bits - 1n)) : 0n;
    const most = 2n ** (integer[1] === "i" ? bits - 1n : bits) - 1n;
    const kinds = typeErrors([...always, null, "1", "", true, 0.5, -0.5, NaN, Infinity, -Infinity, () => 1]);
    return bits === 64n
      ? [...kinds, ...rangeErrors([least - 1n, most + 1n, 2 ** 53, -(2 ** 53), 2 ** 64, 1e300, -1e300])]
      : [...kinds, ...typeErrors([1n]), ...rangeErrors([Number(least) - 1, Number(most) + 1, 2 ** 32, 2 ** 40, 1e300])];
  }
  const { addressKind } = backend();
  switch (type) {
    case "f32":
    case "f64":
      return typeErrors([...always, null, "1", true, 1n]);
    case "bool":
      return typeErrors([...always, null, 0, 1, 1n, "true"]);
    case "pointer":
    case "function":
      // The last is a pointer on the other runtime.
      return typeErrors([...always, "1", true, new Uint8Array(1), () => {}, addressKind === "bigint" ? 4096 : 4096n]);
    case "buffer":
      return typeErrors([undefined, {}, [1, 2], "text", 1, 1n, true, Symbol("symbol"), () => {}]);
    case "cstring":
      return typeErrors([...always, 1, true, "a\0b", "\0", new Uint8Array(1)]);
    default:
      return typeErrors([...always, "1", true, 1n, () => {}]);
  }
}

const parameterTypes = [...scalarTypes, "buffer", "cstring", "handle", "handleAddress", "function"];

describe("refused arguments", () => {
  for (const type of parameterTypes) {
    it(`a wrong ${type} is refused by function, position and type before C is entered`, () => {
      using library = openUnchecked({
        entered: { type: "i32" },
        first: { parameters: [type], result: "void", name: "enter_any" },
        third: { parameters: ["i32", "f64", type], result: "void", name: "enter_any" },
      });
      const { symbols } = library;
      const entered = (): unknown => symbols["entered"];
      const before = entered();
      for (const [value, errorClass] of refused(type)) {
        const note = `${type} given ${typeof value} ${typeof value === "object" ? "" : String(value)}`;
        const error = assertThrows(() => symbols["first"](value), errorClass, `Cannot call "first": argument 1`, note);
        assertStringIncludes(error.message, `argument 1 (${type}) must be `, note);
        const third = assertThrows(() => symbols["third"](1, 0.5, value), errorClass, undefined, note);
        assertStringIncludes(third.message, `Cannot call "third": argument 3 (${type}) must be `, note);
        assertStrictEquals(entered(), before, note);
      }
      // The control: what is right does enter.
      const right = limits[type as keyof typeof limits]?.at(0) ?? null;
      symbols["first"](right);
      symbols["third"](1, 0.5, right);
      assertStrictEquals(entered(), before as number + 2);
    });
  }

  for (const type of ["pointer", "function"]) {
    it(`a number that is no address is refused as a ${type} before C is entered`, () => {
      using library = openUnchecked({
        entered: { type: "i32" },
        enter_any: { parameters: [type], result: "void" },
      });
      const { symbols } = library;
      const before = symbols["entered"];
      const forged = backend().addressKind === "bigint" ? [-1n, 2n ** 64n] : [-1, 0.5, NaN, Infinity, 2 ** 64];
      for (const value of forged) {
        assertThrows(() => symbols["enter_any"](value), Error, `argument 1 (${type})`, `given ${value}`);
      }
      assertStrictEquals(symbols["entered"], before);
    });
  }

  it("a 32-bit and a 64-bit integer are refused by the value that was given", () => {
    using library = dlopen(testLibrary, {
      enter: { parameters: ["i32"], result: "i32" },
      enter_u64: { parameters: ["u64"], result: "i32" },
      entered: { type: "i32" },
    });
    const { symbols } = library;
    const before = symbols.entered;
    const message = (fn: () => unknown): string => assertThrows(fn, Error).message;
    assertEquals(
      message(() => symbols.enter(2 ** 31)),
      'Cannot call "enter": argument 1 (i32) must be an integer from -2147483648 to 2147483647, got 2147483648',
    );
    assertEquals(
      message(() => symbols.enter_u64(-1n)),
      'Cannot call "enter_u64": argument 1 (u64) must be a bigint or safe integer from 0 to 18446744073709551615, ' +
        "got -1n",
    );
    assertStrictEquals(symbols.entered, before);
    assertStrictEquals(symbols.enter(3), 3);
    assertStrictEquals(symbols.enter_u64(4), 4);
    assertStrictEquals(symbols.entered, before + 2);
  });

  it("an ArrayBuffer that was transferred is refused by its position before C is entered", () => {
    using library = dlopen(testLibrary, {
      entered: { type: "i32" },
      enter_any: { parameters: ["buffer"], result: "void" },
    });
    const { symbols } = library;
    const before = symbols.entered;
    const buffer = new ArrayBuffer(8);
    buffer.transfer();
    assertThrows(() => symbols.enter_any(buffer), TypeError, 'Cannot call "enter_any": argument 1 (buffer)');
    assertStrictEquals(symbols.entered, before);
  });

  it("more arguments than parameters are refused in every kind of call, before C is entered", () => {
    const enter = { name: "enter", parameters: ["i32"], result: "i32" };
    const any = { name: "enter_any", result: "void" };
    const add = { name: "add_i32", parameters: ["i32", "i32"], result: "i32" };
    using library = openUnchecked({
      entered: { type: "i32" },
      plain: enter,
      nonblocking: { ...enter, nonblocking: true },
      captureErrno: { ...enter, captureErrno: true },
      variadic: { ...enter, variadic: 1 },
      none: { ...any, parameters: [] },
      lends: { ...any, parameters: [{ parameters: [], result: "void" }] },
      passes: { ...any, parameters: ["cstring", struct({ a: "i32" })] },
      gives: { ...any, parameters: [out("i32"), "i32", out("i32")] },
      many: { ...any, parameters: Array(40).fill("i32") },
      add,
    });
    const { symbols } = library;
    const before = symbols["entered"];
    const refused = (key: string, args: unknown[], message: string): void => {
      const error = assertThrows(() => symbols[key](...args), TypeError);
      assertEquals(error.message, `Cannot call "${key}": expected ${message}`);
    };
    for (const key of ["plain", "nonblocking", "captureErrno", "variadic"]) {
      refused(key, [1, 2], "1 argument, got 2");
      refused(key, [1, undefined, undefined], "1 argument, got 3");
    }
    refused("none", [undefined], "0 arguments, got 1");
    refused("lends", [() => {}, 1], "1 argument, got 2");
    refused("passes", ["text", { a: 1 }, "more"], "2 arguments, got 3");
    refused("gives", [1, 2], "1 argument, got 2");
    refused("many", Array(41).fill(0), "40 arguments, got 41");
    refused("add", [1, 2, 3], "2 arguments, got 3");
    assertThrows(() => [1].map(symbols["plain"]), TypeError, 'Cannot call "plain": expected 1 argument, got 3');
    assertStrictEquals(symbols["entered"], before);
    library[Symbol.dispose]();
    assertThrows(() => symbols["plain"](1, 2), LibraryClosedError);
  });

  it("a missing argument is refused by its position", () => {
    using library = dlopen(testLibrary, { add_i32: { parameters: ["i32", "i32"], result: "i32" } });
    assertThrows(() => unchecked(library.symbols.add_i32)(1), TypeError, 'Cannot call "add_i32": argument 2 (i32)');
  });

  it("a callback's parameter refuses what is no function, by its position", () => {
    using library = dlopen(testLibrary, {
      call_void: { parameters: [{ parameters: [], result: "void" }], result: "void" },
    });
    const call = unchecked(library.symbols.call_void);
    for (const value of [undefined, {}, "text", true, Symbol("symbol"), [], Object.create(null)]) {
      assertThrows(() => call(value), TypeError, 'Cannot call "call_void": argument 1 (function) must be a function');
    }
  });

  it("a handle that was deleted is refused with InvalidHandleError before C is entered", () => {
    using library = dlopen(testLibrary, {
      by_value: { parameters: ["handle"], result: "void", name: "enter_any" },
      by_address: { parameters: ["handleAddress"], result: "void", name: "enter_any" },
      entered: { type: "i32" },
    });
    const { symbols } = library;
    const before = symbols.entered;
    const stale = Handle.create("stale");
    stale.delete();
    for (const call of [symbols.by_value, symbols.by_address]) {
      assertStrictEquals(assertThrows(() => call(stale), InvalidHandleError).reason, "stale");
      assertStrictEquals(assertThrows(() => call(stale.id), InvalidHandleError).reason, "stale");
      assertStrictEquals(assertThrows(() => call(0.5), InvalidHandleError).reason, "malformed");
    }
    assertStrictEquals(symbols.entered, before);
    symbols.by_value(null);
    symbols.by_address(null);
    assertStrictEquals(symbols.entered, before + 2);
  });

  it("what merely has a pointer, or is a buffer, where a pointer is expected is told of it", () => {
    using library = openUnchecked({ identity_pointer: { parameters: ["pointer"], result: "pointer" } });
    const { identity_pointer } = library.symbols;
    const Pair = struct({ a: "i32", b: "i32" });
    using memory = Pair.alloc();
    const message = (value: unknown): string => assertThrows(() => identity_pointer(value), TypeError).message;
    assertStringIncludes(message({ pointer: memory.pointer }), "got an object of Object: pass its property .pointer");
    assertStringIncludes(
      message(new Float64Array(2)),
      "got an object of Float64Array: pin() it and pass the pin",
    );
    assertStringIncludes(message(new ArrayBuffer(2)), 'or declare the parameter as "buffer"');
    assertFalse(message({}).includes("pass"), message({}));
    assertThrows(() => Pair.borrow(memory as unknown as Pointer), TypeError, "pass its property .pointer");
  });

  it("a buffer that is detached is told from one that is resizable", () => {
    using library = openUnchecked({ identity_pointer: { parameters: ["buffer"], result: "pointer" } });
    const { identity_pointer } = library.symbols;
    const detached = new Uint8Array(8);
    structuredClone(detached, { transfer: [detached.buffer] });
    const refused = (value: ArrayBufferLike | ArrayBufferView, got: string): void => {
      assertThrows(() => identity_pointer(value), TypeError, got);
      assertThrows(() => pin(value), TypeError, got);
    };
    refused(detached, "got an object of Uint8Array, whose ArrayBuffer is detached");
    refused(detached.buffer, "got an object of ArrayBuffer that is detached");
    if (!canResize) return;
    const resizable = new ArrayBuffer(8, { maxByteLength: 16 });
    refused(resizable, "got an object of ArrayBuffer that is resizable");
    refused(new DataView(resizable), "got an object of DataView, whose ArrayBuffer is resizable");
  });

  it("a function that was lent is taken back when a later argument is refused", () => {
    using library = dlopen(testLibrary, {
      relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" },
    });
    const before = stats().live.callbacks;
    assertThrows(() => library.symbols.relay_i32((value) => value, 0.5), TypeError, "argument 2 (i32)");
    assertStrictEquals(stats().live.callbacks, before);
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

const fillDefinitions = {
  sum_bytes: { parameters: ["buffer", "usize"], result: "u64" },
  fill_around: { parameters: ["buffer", "usize", { parameters: [], result: "void" }], result: "i32" },
} as const;

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

describe("static variables", () => {
  it("are read with the values that C gave them", () => {
    using library = dlopen(testLibrary, {
      static_i64: { type: "i64" },
      static_u8: { type: "u8" },
      static_f64: { type: "f64" },
      static_bool: { type: "bool" },
      static_text: { type: "cstring" },
    });
    const { symbols } = library;
    assertStrictEquals(symbols.static_i64, -1234567890123456789n);
    assertStrictEquals(symbols.static_u8, 200);
    assertStrictEquals(symbols.static_f64, 0.5);
    assertStrictEquals(symbols.static_bool, true);
    assertStrictEquals(symbols.static_text, "a static string");
  });

  for (const type of scalarTypes) {
    it(`of type ${type} are read anew on each access, at their limits`, () => {
      using library = openUnchecked({
        variable: { type, name: `variable_${type}` },
        set: { parameters: [type], result: "void", name: `variable_${type}_set` },
      });
      for (const value of limits[type]) {
        library.symbols["set"](value);
        assertStrictEquals(library.symbols["variable"], value);
      }
    });
  }

  itOnLinux("of C's library are those that a linked library uses, also where the runtime has copies of them", () => {
    const seen = dlopen(testLibrary, {
      seen_variable: { parameters: ["cstring"], result: "pointer" },
      change_environment: { parameters: ["cstring", "cstring"], result: "void" },
      parse_option: { parameters: ["cstring"], result: "i32" },
    }).symbols;
    const variable = { type: "pointer" } as const;
    const { symbols } = dlopen({ name: "c", versions: ["6"] }, {
      environ: variable,
      stdin: variable,
      stdout: variable,
      stderr: variable,
      optarg: variable,
    });
    assertStrictEquals(seen.parse_option("of an option"), "x".charCodeAt(0));
    for (let round = 0; round < 2; round++) {
      for (const name of ["environ", "stdin", "stdout", "stderr", "optarg"] as const) {
        assert(symbols[name] !== null, name);
        assertStrictEquals(pointerValue(symbols[name]), pointerValue(seen.seen_variable(name)), name);
      }
      seen.change_environment("BELAY_TEST_ENVIRON", "changed");
    }
  });

  itOnLinux(
    "are those that the library's own code uses, where another library has their names (in a child process)",
    () => {
      // The loader splits what it loads first at spaces.
      const folder = mkdtempSync(join(tmpdir(), "belay-"));
      try {
        const copy = join(folder, "libcopy.so");
        copyFileSync(testLibrary, copy);
        const { code, stdout, stderr } = runChild("interposed.ts", [copy], { env: { LD_PRELOAD: copy } });
        assertEquals([stdout.trim(), code, stderr], ["5,6,5,1", 0, ""]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  it("of type cstring follow the pointer, and are null for NULL", () => {
    using library = dlopen(testLibrary, {
      greeting: { parameters: [], result: "pointer" },
      variable_pointer: { type: "cstring" },
      variable_pointer_set: { parameters: ["pointer"], result: "void" },
    });
    const { symbols } = library;
    symbols.variable_pointer_set(symbols.greeting());
    assertStrictEquals(symbols.variable_pointer, "grüß dich");
    symbols.variable_pointer_set(null);
    assertStrictEquals(symbols.variable_pointer, null);
  });

  it("of type handle are the handle's value, and throw InvalidHandleError when it was deleted", () => {
    using library = dlopen(testLibrary, {
      variable_pointer: { type: "handle" },
      variable_pointer_set: { parameters: ["handle"], result: "void" },
    });
    const { symbols } = library;
    const handle = Handle.create(["value"]);
    symbols.variable_pointer_set(handle);
    assertStrictEquals(symbols.variable_pointer, handle.value);
    handle.delete();
    assertStrictEquals(assertThrows(() => symbols.variable_pointer, InvalidHandleError).reason, "stale");
    symbols.variable_pointer_set(null);
    assertStrictEquals(assertThrows(() => symbols.variable_pointer, InvalidHandleError).reason, "null");
  });

  it("of type pointer give what is stored in them", () => {
    using library = dlopen(testLibrary, {
      static_pointer: { type: "pointer" },
      static_value: { type: "i32" },
      static_value_set: { parameters: ["i32"], result: "void" },
      read_id: { parameters: ["pointer"], result: "usize" },
    });
    const { symbols } = library;
    symbols.static_value_set(7);
    assertStrictEquals(symbols.static_value, 7);
    assertStrictEquals(BigInt.asUintN(32, symbols.read_id(symbols.static_pointer)), 7n);
    symbols.static_value_set(-8);
    assertStrictEquals(symbols.static_value, -8);
    symbols.static_value_set(7);
  });

  it("can't be assigned", () => {
    using library = dlopen(testLibrary, { static_u8: { type: "u8" } });
    const assign = () => Object.assign(library.symbols, { static_u8: 1 });
    assertThrows(assign, TypeError, 'Cannot write "static_u8": a variable is read only here');
    assertStrictEquals(library.symbols.static_u8, 200);
    library.close();
    assertThrows(assign, LibraryClosedError, 'Cannot write "static_u8"');
  });
});

describe("definitions", () => {
  it("bind one symbol by two names with two types", () => {
    using library = dlopen(testLibrary, {
      as_signed: { parameters: ["i64"], result: "i64", name: "identity_i64" },
      as_unsigned: { parameters: ["i64"], result: "u64", name: "identity_i64" },
      identity_i64: { parameters: ["i64"], result: "i64" },
      signed: { type: "i64", name: "static_i64" },
      unsigned: { type: "u64", name: "static_i64" },
    });
    const { symbols } = library;
    assertStrictEquals(symbols.as_signed(-1n), -1n);
    assertStrictEquals(symbols.as_unsigned(-1n), 2n ** 64n - 1n);
    assertStrictEquals(symbols.identity_i64(-1n), -1n);
    assertStrictEquals(symbols.unsigned, BigInt.asUintN(64, symbols.signed));
    assertStrictEquals(symbols.as_signed.name, "as_signed");
  });

  it("that are optional give null for what the library lacks, and the rest as usual", () => {
    using library = dlopen(testLibrary, {
      add_i32: { parameters: ["i32", "i32"], result: "i32", optional: true },
      no_function: { parameters: [], result: "void", optional: true },
      no_alias: { parameters: [], result: "void", name: "no_symbol", optional: true },
      static_u8: { type: "u8", optional: true },
      no_variable: { type: "u8", optional: true },
    });
    const { symbols } = library;
    assertStrictEquals(symbols.add_i32?.(1, 2), 3);
    assertStrictEquals(symbols.no_function, null);
    assertStrictEquals(symbols.no_alias, null);
    assertStrictEquals(symbols.static_u8, 200);
    assertStrictEquals(symbols.no_variable, null);
  });

  it("that name missing symbols throw SymbolNotFoundError with all of them and the library", () => {
    const before = stats().live.libraries;
    const one = assertThrows(
      () => dlopen(testLibrary, { no_such: { parameters: [], result: "void" } }),
      SymbolNotFoundError,
    );
    assertEquals([one.symbols, one.library], [["no_such"], testLibrary]);
    assertEquals(one.message, `Cannot open "${testLibrary}": it has no symbol "no_such"`);
    const several = assertThrows(
      () =>
        dlopen(pathToFileURL(testLibrary), {
          no_such: { parameters: [], result: "void" },
          add_i32: { parameters: ["i32", "i32"], result: "i32" },
          alias: { parameters: [], result: "void", name: "no_such_either" },
          no_optional: { parameters: [], result: "void", optional: true },
          no_variable: { type: "i32", optional: false },
        }),
      SymbolNotFoundError,
    );
    assertEquals(several.symbols, ["no_such", "no_such_either", "no_variable"]);
    assertEquals(several.library, pathToFileURL(testLibrary).href);
    assertMatch(several.message, /it has no symbols "no_such", "no_such_either", "no_variable"$/);
    assertStrictEquals(stats().live.libraries, before);
  });

  const good = { parameters: [], result: "void" };
  const malformed: [string, unknown, string][] = [
    ["a misspelled key", { paramaters: ["i32"], result: "i32" }, '"paramaters" is not a property'],
    ["nonblocking that is not a boolean", { ...good, nonblocking: 1 }, "nonblocking must be a boolean"],
    ["a misspelled key of a variable", { type: "i32", option: true }, '"option" is not a property'],
    ["null", null, "the definition must be an object"],
    ["a string", "i32", "the definition must be an object"],
    ["no parameters", { result: "void" }, "parameters must be an array"],
    ["parameters that are no array", { parameters: "i32", result: "void" }, "parameters must be an array"],
    ["no result", { parameters: [] }, 'it has no result; without one it is "void"'],
    [
      "an unknown parameter type",
      { parameters: ["i32", "int"], result: "void" },
      "parameter 2 has the unknown type int",
    ],
    ["a parameter type of Object", { parameters: ["toString"], result: "void" }, "parameter 1 has the unknown type"],
    ["a parameter of type void", { parameters: ["void"], result: "void" }, "parameter 1 has the unknown type void"],
    ["an undefined parameter type", { parameters: [undefined], result: "void" }, "parameter 1 has the unknown type"],
    ["a parameter of type null", { parameters: [null], result: "void" }, "parameter 1 has the unknown type null"],
    [
      "a struct",
      { parameters: [{ struct: ["i32"] }], result: "void" },
      "parameter 1: a structure's type is what struct() gives",
    ],
    [
      "a struct as the result",
      { parameters: [], result: { struct: ["i32"] } },
      "a structure's type is what struct() gives",
    ],
    ["an unknown result type", { parameters: [], result: "int" }, "unknown result type int"],
    ["a callback as the result", { parameters: [], result: good }, "unknown result type"],
    ["a name that is no string", { ...good, name: 1 }, "name must be a string"],
    ["an optional that is no boolean", { ...good, optional: "yes" }, "optional must be a boolean"],
    ["a variable with parameters", { type: "i32", parameters: [] }, "a variable has no parameters"],
    ["a variable with a result", { type: "i32", result: "void" }, "a variable has no parameters"],
    ["a variable of type void", { type: "void" }, "unknown type void of a variable"],
    ["a variable of type buffer", { type: "buffer" }, "unknown type buffer of a variable"],
    ["a variable of type function", { type: "function" }, "unknown type function of a variable"],
    ["a variable of an unknown type", { type: "i33" }, "unknown type i33 of a variable"],
    ["a callback without parameters", { parameters: [{ result: "void" }], result: "void" }, ""],
    ["a callback of no properties", { parameters: [{}], result: "void" }, ""],
    ["a callback with parameters that are no array", {
      parameters: [{ parameters: "i32", result: "void" }],
      result: "void",
    }, ""],
    ["a callback of an unknown type", { parameters: [{ parameters: ["int"], result: "void" }], result: "void" }, ""],
    ["a callback with a cstring result", { parameters: [{ parameters: [], result: "cstring" }], result: "void" }, ""],
    ["a callback with nonblocking", { parameters: [{ ...good, nonblocking: true }], result: "void" }, ""],
  ];
  for (const [name, definition, message] of malformed) {
    it(`with ${name} throw TypeError by the definition's name, and open nothing`, () => {
      // What was defined well before must not make up for it.
      using _good = openUnchecked({ call_void: { parameters: [good], result: "void" } });
      const before = stats().live.libraries;
      const error = assertThrows(() => openUnchecked({ call_void: definition }), TypeError);
      assertStringIncludes(error.message, `Cannot define "call_void": ${message}`);
      assertStrictEquals(stats().live.libraries, before);
    });
  }

  const spellings: [string, unknown, string][] = [
    ["C's int", "int", '"i32"'],
    ["C's unsigned int", "unsigned int", '"u32"'],
    ["C's unsigned", "unsigned", '"u32"'],
    ["an uint", "uint", '"u32"'],
    ["C's char", "char", '"i8" or "u8"'],
    ["C's unsigned char", "unsigned char", '"u8"'],
    ["C's short int", "short int", '"i16"'],
    ["C's long", "long", '"i64", on Windows "i32"'],
    ["C's unsigned long", "unsigned long", '"u64", on Windows "u32"'],
    ["C's long long", "long long", '"i64"'],
    ["C's float", "float", '"f32"'],
    ["C's double", "double", '"f64"'],
    ["C's size_t", "size_t", '"usize"'],
    ["C's ssize_t", "ssize_t", '"isize"'],
    ["C's uint8_t", "uint8_t", '"u8"'],
    ["C's int64_t", "int64_t", '"i64"'],
    ["C's _Bool", "_Bool", '"bool"'],
    ["void *", "void *", '"pointer"'],
    ["a pointer to a pointer", "char **", '"pointer"'],
    ["a pointer to a structure", "struct stat*", '"pointer"'],
    ["const char *", "const char *", '"cstring"'],
    ["Bun's ptr", "ptr", '"pointer"'],
    ["Bun's u64_fast", "u64_fast", '"u64"'],
    ["Node's string", "string", '"cstring"'],
    ["koffi's str", "str", '"cstring"'],
    ["Node's uint32", "uint32", '"u32"'],
    ["Node's float64", "float64", '"f64"'],
    ["another case", "I32", '"i32"'],
  ];
  const refusals: [string, (type: unknown) => unknown][] = [
    ["a parameter", (type) => openUnchecked({ call_void: { parameters: [type], result: "void" } })],
    ["a result", (type) => openUnchecked({ call_void: { parameters: [], result: type } })],
    ["a variable", (type) => openUnchecked({ static_u8: { type } })],
    ["a callback's parameter", (type) => callback({ parameters: [type as "i32"], result: "void" }, () => {})],
    ["a callback's result", (type) => callback({ parameters: [], result: type as "i32" }, () => 1)],
    ["a field", (type) => struct({ x: type as "i32" })],
    ["a member", (type) => union({ x: type as "i32" })],
    ["an element", (type) => array(type as "i32", 2)],
    ["an out-parameter", (type) => out(type as "i32")],
  ];
  for (const [where, refuse] of refusals) {
    it(`say for ${where} what belay calls a type that C, Bun or Node have another name for`, () => {
      for (const [name, type, meant] of spellings) {
        const { message } = assertThrows(() => refuse(type), TypeError);
        assertStringIncludes(message, `belay calls that ${meant}`, `${name}: ${message}`);
      }
      // Nothing is made up for what can't be told, and what isn't a name is shown.
      for (const type of ["i33", "toString", "constructor", 5, { a: 1, b: 2 }, {}, [1]]) {
        const { message } = assertThrows(() => refuse(type), TypeError);
        assertFalse(/belay calls|\[object|undefined/.test(message), message);
      }
    });
  }

  it("say what belay calls a property that Bun or Node have another name for", () => {
    const meant = { args: "parameters", arguments: "parameters", returns: "result", return: "result" };
    for (const [key, name] of Object.entries({ ...meant, returnType: "result", nonBlocking: "nonblocking" })) {
      const { message } = assertThrows(() => openUnchecked({ call_void: { [key]: [] } }), TypeError);
      assertStringIncludes(message, `Cannot define "call_void": "${key}" is not a property`);
      assertStringIncludes(message, `; that is "${name}"`);
    }
    const define = callback as unknown as (definition: unknown, fn: () => void) => unknown;
    for (const [key, name] of Object.entries(meant)) {
      const { message } = assertThrows(() => define({ [key]: [] }, () => {}), TypeError);
      assertStringIncludes(message, `; that is "${name}"`);
    }
    assertFalse(
      assertThrows(() => openUnchecked({ call_void: { toString: 1 } }), TypeError).message.includes("that is"),
    );
  });

  it("that are left out are what the error asks for", () => {
    const open = dlopen as unknown as (path: string, definitions?: unknown) => unknown;
    for (const wrong of [undefined, null, "i32"]) {
      const { message } = assertThrows(() => open(testLibrary, wrong), TypeError);
      assertStringIncludes(message, "expected definitions of its symbols, got ");
    }
  });

  itOnLinux("that can't be opened leave the library unmapped (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    const attempt = (definitions: unknown): void => {
      assertThrows(() => dlopen(path, definitions as Definitions, { unload: true }), Error);
      assertFalse(isMapped(path), JSON.stringify(definitions));
    };
    attempt({ enter: { parameters: ["int"], result: "i32" } });
    attempt({ no_such_symbol: { parameters: [], result: "void" } });
    attempt({ call_void: { parameters: [{ parameters: [], result: "cstring" }], result: "void" } });
  });
});

describe("paths", () => {
  const definitions = { add_i32: { parameters: ["i32", "i32"], result: "i32" } } as const;

  it("a library opens by path, URL and file:// string, whatever characters are in its path", () => {
    using copy = copyLibrary();
    for (const path of [testLibrary, copy.path]) {
      for (const spelling of [path, pathToFileURL(path), pathToFileURL(path).href]) {
        using library = dlopen(spelling, definitions);
        assertStrictEquals(library.symbols.add_i32(40, 2), 42, String(spelling));
      }
    }
  });

  itOnLinux("a library opens by name and version (Linux only)", () => {
    using libc = dlopen({ name: "c", versions: ["6"] }, { abs: { parameters: ["i32"], result: "i32" } });
    assertStrictEquals(libc.symbols.abs(-7), 7);
  });

  itOnLinux("the next candidate is tried when one doesn't load (Linux only)", () => {
    using libc = dlopen({ name: "c", versions: ["no-such-version", "6"] }, {
      abs: { parameters: ["i32"], result: "i32" },
    });
    assertStrictEquals(libc.symbols.abs(-8), 8);
  });

  it("LibraryLoadError lists every candidate with its own reason", () => {
    const before = stats().live.libraries;
    const name = { name: "belay-no-such", versions: ["2", "1"] };
    const error = assertThrows(() => dlopen(name, definitions), LibraryLoadError);
    assertEquals(error.candidates.map(({ path }) => path), libraryCandidates(name, backend().platform));
    assert(error.candidates.length >= 3);
    assertStringIncludes(error.message, 'Cannot open "belay-no-such": no candidate could be loaded');
    for (const { path, reason } of error.candidates) {
      assert(reason.length > 0);
      assertStringIncludes(error.message, `\n  ${path}: ${reason}`);
      // The loader's words on Windows don't name the file.
      if (process.platform !== "win32") assertStringIncludes(reason, path);
    }
    assertStrictEquals(stats().live.libraries, before);
  });

  const hints: [string, LibraryPath, string][] = [
    ["a file's name as a name", { name: "libno-such.so.6" }, '{ name: "no-such", versions: ["6"] }'],
    ["a name with its prefix", { name: "libno-such" }, '{ name: "no-such" }'],
    ["a file's name of macOS", { name: "libno-such.2.dylib" }, '{ name: "no-such", versions: ["2"] }'],
    ["a file's name of Windows", { name: "no-such.dll" }, '{ name: "no-such" }'],
    ["a relative path", "./no-such.so", 'new URL("./no-such.so", import.meta.url)'],
    ["a relative path with a folder", "lib/no-such.so", "relative to the current directory"],
  ];
  for (const [name, path, hint] of hints) {
    it(`that can't be loaded say what may be meant: ${name}`, () => {
      assertStringIncludes(assertThrows(() => dlopen(path, {}), LibraryLoadError).message, hint);
    });
  }

  itOnLinux("a bare file name of the current directory is not looked for there, as the error says (Linux only)", () => {
    const said = "The loader doesn't look for a bare file name in the current directory";
    const message = (path: string): string => assertThrows(() => dlopen(path, {}), LibraryLoadError).message;
    assertStringIncludes(message("deno.json"), said);
    assertStringIncludes(message("deno.json"), 'pass "./deno.json" or a file: URL');
    // What isn't there either is no such mistake.
    for (const path of ["libno-such.so", "/no-such.so"]) assertFalse(message(path).includes(said), path);
  });

  it("a file that is no library is refused with the loader's reason", () => {
    const path = new URL(import.meta.url);
    const error = assertThrows(() => dlopen(path, definitions), LibraryLoadError);
    assertStrictEquals(error.candidates.length, 1);
    assertStringIncludes(error.message, path.href);
  });

  const platform = (os: Platform["os"]): Platform => ({ os, arch: "x86_64" });
  const sqlite = { name: "sqlite3", versions: ["0", "1"] };
  const candidates: [string, LibraryPath, Platform["os"], string[]][] = [
    ["a name", { name: "z" }, "linux", ["libz.so"]],
    ["versions", sqlite, "linux", ["libsqlite3.so.0", "libsqlite3.so.1", "libsqlite3.so"]],
    ["a name", { name: "z" }, "darwin", ["libz.dylib", "/opt/homebrew/lib/libz.dylib"]],
    ["versions", sqlite, "darwin", [
      "libsqlite3.0.dylib",
      "libsqlite3.1.dylib",
      "libsqlite3.dylib",
      "/opt/homebrew/lib/libsqlite3.0.dylib",
      "/opt/homebrew/lib/libsqlite3.1.dylib",
      "/opt/homebrew/lib/libsqlite3.dylib",
    ]],
    ["a name", { name: "z" }, "windows", ["z.dll", "libz.dll"]],
    ["versions", sqlite, "windows", [
      "sqlite3.dll",
      "sqlite3-0.dll",
      "libsqlite3-0.dll",
      "sqlite3-1.dll",
      "libsqlite3-1.dll",
      "libsqlite3.dll",
    ]],
    ["a path", "./dir/lib.so", "linux", ["./dir/lib.so"]],
    ["a file name", "libz.so.1", "linux", ["libz.so.1"]],
    ["a URL", new URL("file:///dir/a%20b.so"), "linux", ["/dir/a b.so"]],
    ["a file:// string", "file:///dir/a%20b.so", "darwin", ["/dir/a b.so"]],
    ["a URL", new URL("file:///C:/dir/a%20b.dll"), "windows", ["C:\\dir\\a b.dll"]],
    ["a file:// string", "file:///C:/dir/b.dll", "windows", ["C:\\dir\\b.dll"]],
    ["a path", "C:\\dir\\b.dll", "windows", ["C:\\dir\\b.dll"]],
  ];
  for (const [name, path, os, expected] of candidates) {
    it(`libraryCandidates on ${os} from ${name}: ${JSON.stringify(path)}`, () => {
      assertEquals(libraryCandidates(path, platform(os)), expected);
    });
  }

  const wrong: [string, unknown, string][] = [
    ["a name with a slash", { name: "dir/z" }, "without slashes"],
    ["a name with a backslash", { name: "dir\\z" }, "without slashes"],
    ["a name with a NUL", { name: "z\0" }, "without slashes"],
    ["an empty name", { name: "" }, "without slashes"],
    ["a name that is no string", { name: 1 }, "without slashes"],
    ["an unknown key", { name: "z", version: "1" }, '"version" is not a property'],
    ["an empty path", "", "without NUL characters"],
    ["a path with a NUL", "lib\0.so", "without NUL characters"],
    ["a number", 1, "must be a string"],
    ["null", null, "must be a string"],
    ["undefined", undefined, "must be a string"],
    ["an https: URL", new URL("https://example.com/lib.so"), "expected a file: URL"],
  ];
  for (const [name, path, message] of wrong) {
    it(`${name} is refused with TypeError as a library's path`, () => {
      for (const os of ["linux", "darwin", "windows"] as const) {
        assertThrows(() => libraryCandidates(path as LibraryPath, platform(os)), TypeError, message);
      }
      const error = assertThrows(() => dlopen(path as LibraryPath, definitions), TypeError);
      assertStringIncludes(error.message, message);
    });
  }

  it("displayName is the path, the URL or the name", () => {
    assertEquals(displayName("./lib.so"), "./lib.so");
    assertEquals(displayName(new URL("file:///lib.so")), "file:///lib.so");
    assertEquals(displayName({ name: "z", versions: ["1"] }), "z");
  });
});

const lifeDefinitions = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  static_u8: { type: "u8" },
  enter_pointer: { parameters: [], result: "pointer" },
  keep: { parameters: ["function"], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" },
} as const;

describe("Library.close", () => {
  it("ends functions, also those that were taken out, and variables, with LibraryClosedError", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const { add_i32 } = library.symbols;
    assertStrictEquals(add_i32(1, 2), 3);
    assertFalse(library.disposed);
    library.close();
    assert(library.disposed);
    const called = `Cannot call "add_i32": library "${testLibrary}" is closed`;
    for (const fn of [() => add_i32(1, 2), () => library.symbols.add_i32(1, 2)]) {
      assertStrictEquals(assertThrows(fn, LibraryClosedError).message, called);
    }
    const read = `Cannot read "static_u8": library "${testLibrary}" is closed`;
    assertStrictEquals(assertThrows(() => library.symbols.static_u8, LibraryClosedError).message, read);
  });

  it("does nothing the second time", () => {
    const before = stats().live.libraries;
    const library = dlopen(testLibrary, lifeDefinitions);
    assertStrictEquals(stats().live.libraries, before + 1);
    library.close();
    library.close();
    library[Symbol.dispose]();
    assertStrictEquals(stats().live.libraries, before);
  });

  it("is done by a close that was taken out of the library, too", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const { symbols, close } = library;
    assertStrictEquals(symbols.add_i32(1, 2), 3);
    close();
    assert(library.disposed);
    assertThrows(() => symbols.add_i32(1, 2), LibraryClosedError);
    assertFalse(Object.keys(library).includes("close"));
  });

  it("is what using does, also when the scope throws", () => {
    const before = stats().live.libraries;
    const opened = assertThrows(
      () => {
        using library = dlopen(testLibrary, lifeDefinitions);
        assertStrictEquals(stats().live.libraries, before + 1);
        throw Object.assign(new Error("out of the scope"), { library });
      },
      Error,
      "out of the scope",
    );
    assertStrictEquals(stats().live.libraries, before);
    assert("library" in opened && opened.library instanceof Object && "disposed" in opened.library);
    assertStrictEquals(opened.library.disposed, true);
  });

  it("doesn't close the same library that was opened a second time", () => {
    using second = dlopen(testLibrary, lifeDefinitions);
    const first = dlopen(testLibrary, lifeDefinitions);
    first.close();
    assertThrows(() => first.symbols.add_i32(1, 2), LibraryClosedError);
    assertStrictEquals(second.symbols.add_i32(1, 2), 3);
    assertStrictEquals(second.symbols.static_u8, 200);
    assertFalse(second.disposed);
  });

  it("doesn't close another library", () => {
    using copy = copyLibrary();
    const { path } = copy;
    using other = dlopen(path, lifeDefinitions);
    const library = dlopen(testLibrary, lifeDefinitions);
    // Two files are two libraries, with a place each for the kept pointer.
    library.symbols.keep(library.symbols.enter_pointer());
    other.symbols.keep(null);
    assertStrictEquals(library.symbols.call_kept(5), 5);
    library.close();
    assertStrictEquals(other.symbols.add_i32(1, 2), 3);
  });

  it("inside a callback lets the running call of that library finish", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const { relay_i32 } = library.symbols;
    const result = relay_i32((value) => {
      library.close();
      assertThrows(() => relay_i32((inner) => inner, 1), LibraryClosedError);
      return value + 1;
    }, 41);
    assertStrictEquals(result, 42);
    assertThrows(() => relay_i32((value) => value, 1), LibraryClosedError);
  });

  it("inside a callback that throws lets the running call throw the callback's error", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const thrown = new Error("after close");
    const error = assertThrows(() =>
      library.symbols.relay_i32(() => {
        library.close();
        throw thrown;
      }, 1)
    );
    assertStrictEquals(error, thrown);
  });

  it("leaves a function pointer that C kept callable", async () => {
    using copy = copyLibrary();
    const { path } = copy;
    using keeper = dlopen(testLibrary, lifeDefinitions);
    const library = dlopen(path, lifeDefinitions);
    keeper.symbols.keep(library.symbols.enter_pointer());
    library.close();
    await collectFully();
    assertStrictEquals(keeper.symbols.call_kept(6), 6);
  });

  itOnLinux("leaves the library mapped (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    assertFalse(isMapped(path));
    const library = dlopen(path, lifeDefinitions);
    assert(isMapped(path));
    library.close();
    assert(isMapped(path));
  });

  itOnLinux("with unload unmaps the library (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    const library = dlopen(path, lifeDefinitions, { unload: true });
    const { add_i32 } = library.symbols;
    assertStrictEquals(add_i32(1, 2), 3);
    assert(isMapped(path));
    library.close();
    assertFalse(isMapped(path));
    assertThrows(() => add_i32(1, 2), LibraryClosedError);
    assertThrows(() => library.symbols.static_u8, LibraryClosedError);
  });

  it("with unload inside a callback lets the running call of that library finish (in a child process)", () => {
    using copy = copyLibrary();
    const { code, signal, stdout } = runChild("unload_in_callback.ts", [copy.path]);
    assertEquals({ code, signal, stdout }, { code: 0, signal: null, stdout: "45 true\n" });
  });

  itOnLinux("with unload leaves the library mapped while it is open a second time (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    const first = dlopen(path, lifeDefinitions, { unload: true });
    const second = dlopen(path, lifeDefinitions, { unload: true });
    first.close();
    assert(isMapped(path));
    assertStrictEquals(second.symbols.add_i32(1, 2), 3);
    second.close();
    assertFalse(isMapped(path));
  });
});

describe("a library that was dropped", () => {
  it("goes on working through a function that was taken out of it, after a garbage collection", async () => {
    const before = stats().live.libraries;
    const taken: { add?: (a: number, b: number) => number } = {};
    // Functions of their own: an async function's frame would keep what it touched.
    const take = (): void => void (taken.add = dlopen(testLibrary, lifeDefinitions).symbols.add_i32);
    const use = (): void => assertStrictEquals(taken.add?.(20, 22), 42);
    take();
    await collectFully();
    assertStrictEquals(stats().live.libraries, before + 1);
    use();
    delete taken.add;
    assert(await collectUntil(() => stats().live.libraries === before));
  });

  it("goes on working through its symbols, variables among them, after a garbage collection", async () => {
    const before = stats().live.libraries;
    const taken: { symbols?: { readonly static_u8: number } } = {};
    const take = (): void => void (taken.symbols = dlopen(testLibrary, { static_u8: { type: "u8" } }).symbols);
    const use = (): void => assertStrictEquals(taken.symbols?.static_u8, 200);
    take();
    await collectFully();
    assertStrictEquals(stats().live.libraries, before + 1);
    use();
    delete taken.symbols;
    assert(await collectUntil(() => stats().live.libraries === before));
  });

  it("is released after a garbage collection when its functions are gone, too", async () => {
    const before = stats().live.libraries;
    const drop = (): void => assertStrictEquals(dlopen(testLibrary, lifeDefinitions).symbols.add_i32(1, 2), 3);
    drop();
    assertStrictEquals(stats().live.libraries, before + 1);
    assert(await collectUntil(() => stats().live.libraries === before));
  });

  itOnLinux("with unload is unmapped after a garbage collection (Linux only)", async () => {
    using copy = copyLibrary();
    const { path } = copy;
    const drop = (): void => {
      assertStrictEquals(dlopen(path, lifeDefinitions, { unload: true }).symbols.add_i32(1, 2), 3);
    };
    drop();
    assert(isMapped(path));
    assert(await collectUntil(() => !isMapped(path)));
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), aliveBefore);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
