/** Arguments and results of `nonblocking: true` calls. */

import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, Handle, InvalidHandleError, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { caught } from "../support/outcome.ts";
import { limits, type ScalarType, scalarTypes } from "../support/scalars.ts";
import { i32Function, onMany, rejection } from "./nonblocking_calls.ts";

describe("nonblocking calls: values", () => {
  for (const type of scalarTypes) {
    it(`${type} goes there and back, at its limits`, async () => {
      const name = `identity_${type}` as `identity_${ScalarType}`;
      using library = dlopen(testLibrary, { [name]: { parameters: [type], result: type, nonblocking: true } });
      const identity = library.symbols[name] as (value: unknown) => Promise<unknown>;
      for (const value of limits[type]) {
        const promise = identity(value);
        assertInstanceOf(promise, Promise);
        assertEquals(await promise, value);
      }
    });
  }

  it("up to sixteen mixed arguments arrive, in registers and on the stack, ten calls at once", async () => {
    const types = [
      "i8",
      "f32",
      "u16",
      "f64",
      "i32",
      "f32",
      "i64",
      "f64",
      "u8",
      "f32",
      "bool",
      "f64",
      "u32",
      "i16",
      "f32",
      "u64",
    ] as const;
    const values = [-128, 1.5, 65535, -1e9, -(2 ** 31), 0.25, -(2n ** 40n), 1e10, 255, -8.5, true, 3, 2 ** 32 - 1]
      .concat([-32768, 0.125] as never[], [2n ** 41n] as never[]);
    for (let count = 0; count <= types.length; count++) {
      const name = `mixed_${count}`;
      const parameters = types.slice(0, count);
      using library = dlopen(testLibrary, { [name]: { parameters, result: "f64", nonblocking: true } });
      const mixed = library.symbols[name] as (...args: unknown[]) => Promise<number>;
      const wanted = values.slice(0, count).reduce((sum: number, value, i) => sum + (i + 1) * Number(value), 0);
      const got = await Promise.all(Array.from({ length: 10 }, () => mixed(...values.slice(0, count))));
      assertEquals(got, Array(10).fill(count === 0 ? 0.5 : wanted), name);
    }
  });

  it("strings, buffers, handles and functions are arguments as of any call, and results", async () => {
    using library = dlopen(testLibrary, {
      text_length: { parameters: ["cstring"], result: "u32", nonblocking: true },
      greeting: { parameters: [], result: "cstring", nonblocking: true },
      no_text: { parameters: [], result: "cstring", nonblocking: true },
      sum_bytes: { parameters: ["buffer", "usize"], result: "u64", nonblocking: true },
      pass: { parameters: ["handle"], result: "handle", nonblocking: true },
      pass_cell: { name: "pass", parameters: ["handleAddress"], result: "handleAddress", nonblocking: true },
      pass_buffer: { name: "pass", parameters: ["buffer"], result: "pointer", nonblocking: true },
      pass_function: { name: "pass", parameters: ["function"], result: "function", nonblocking: true },
      enter_any: { parameters: [], result: "void", nonblocking: true },
    });
    const { symbols } = library;
    assertEquals(await symbols.text_length("grüß dich"), 11);
    assertEquals(await symbols.text_length(""), 0);
    assertEquals(await symbols.text_length(null), 0xffffffff);
    assertEquals(await symbols.greeting(), "grüß dich");
    assertEquals(await symbols.no_text(), null);
    const bytes = new Uint8Array([1, 2, 3, 4, 5]);
    assertEquals(await symbols.sum_bytes(bytes.subarray(1, 4), 3), 9n);
    assertEquals(await symbols.sum_bytes(bytes.buffer, 5), 15n);
    assertEquals(await symbols.sum_bytes(new DataView(bytes.buffer, 3), 2), 9n);
    assertEquals(await symbols.sum_bytes(new Uint8Array(new SharedArrayBuffer(3)).fill(7), 3), 21n);
    assertEquals(await symbols.pass_buffer(null), null);
    assert(await symbols.pass_buffer(new Uint8Array(0)) !== null);
    using handle = Handle.create({ a: 1 });
    assertStrictEquals(await symbols.pass(handle), handle.value);
    assertStrictEquals(await symbols.pass_cell(handle), handle.value);
    assertInstanceOf(await rejection(symbols.pass(null)), InvalidHandleError);
    using fn = callback(i32Function, (value) => value);
    assertStrictEquals(await symbols.pass_function(fn), fn.pointer);
    assertStrictEquals(await symbols.enter_any(), undefined);
  });

  it("what is refused is thrown at once, and C is not entered", () => {
    using library = dlopen(testLibrary, {
      enter: { parameters: ["i32"], result: "i32", nonblocking: true },
      sum_of_calls: onMany,
      entered: { type: "i32" },
    });
    const { symbols } = library;
    const before = symbols.entered;
    const enter = symbols.enter as (value: unknown) => Promise<number>;
    assertThrows(() => enter(1.5), TypeError, 'Cannot call "enter": argument 1 (i32) must be an integer');
    assertThrows(() => enter(2 ** 31), RangeError, "argument 1 (i32)");
    const live = alive();
    const callMany = symbols.sum_of_calls as (...args: unknown[]) => Promise<number>;
    assertThrows(() => callMany(() => 1, "x"), TypeError, "argument 2 (i32)");
    assertEquals(alive(), live);
    assertEquals(symbols.entered, before);
    assertEquals(stats().live.nonblockingCalls, 0);
  });

  it("definitions are held against what there is", () => {
    const open = (definition: unknown): unknown => caught(() => dlopen(testLibrary, { add_i32: definition as never }));
    const wrong = open({ parameters: [], result: "i32", nonblocking: 1 });
    assertInstanceOf(wrong, TypeError);
    assertEquals(wrong.message, 'Cannot define "add_i32": nonblocking must be a boolean');
    assertInstanceOf(open({ type: "i32", nonblocking: true }), TypeError);
    const tooMany = open({ parameters: Array(140).fill("i64"), result: "i32", nonblocking: true });
    assertInstanceOf(tooMany, RangeError);
    using blocking = dlopen(testLibrary, {
      add_i32: { parameters: ["i32", "i32"], result: "i32", nonblocking: false },
    });
    const sum: number = blocking.symbols.add_i32(1, 2);
    assertEquals(sum, 3);
  });
});
