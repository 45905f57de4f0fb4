/** Arguments that belay refuses before C is entered, and what the error says of them. */

import { assertEquals, assertFalse, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  dlopen,
  Handle,
  InvalidHandleError,
  LibraryClosedError,
  out,
  pin,
  type Pointer,
  stats,
  struct,
} from "@belay/ffi";
import { backend } from "../../ffi/runtime/choose.ts";
import { leftOut } from "../support/left_out.ts";
import { testLibrary } from "../../scripts/build.ts";
import { canResize } from "../support/machine.ts";
import { alive } from "../support/gc.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { openUnchecked, type Unchecked } from "../support/unchecked.ts";

const before = alive();

if (!canResize) leftOut("resizable buffers, which end Bun under QEMU");
const unchecked = (fn: unknown): Unchecked => fn as Unchecked;

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

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
