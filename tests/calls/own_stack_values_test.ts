/**
 * What functions on stacks of their own take and give: as it is where C hasn't called back, from the call's block where it has. Often
 * enough that engines have made code of both.
 */

import { assertEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { afterAll, describe, it } from "@std/testing/bdd";
import { callback, configure, dlopen, Handle, handle, LibraryClosedError, out, stats } from "@belay/ffi";
import type { FunctionDefinition } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { limits, scalarTypes } from "../support/scalars.ts";

const before = alive();
const often = 500;
const own = { stack: "own" } as const;

describe("a call with a stack of its own, with C's callback and without", () => {
  for (const type of scalarTypes) {
    it(`gives ${type}`, () => {
      const relayed = { parameters: [type], result: type } as const;
      using library = dlopen(testLibrary, {
        [`identity_${type}`]: { ...relayed, ...own },
        [`relay_${type}`]: { parameters: [relayed, type], result: type, ...own },
      } as Readonly<Record<string, FunctionDefinition>>);
      const identity = library.symbols[`identity_${type}`] as (value: unknown) => unknown;
      const relay = library.symbols[`relay_${type}`] as (fn: unknown, value: unknown) => unknown;
      using kept = callback(relayed, ((value: unknown) => value) as never);
      for (let i = 0; i < often; i++) {
        for (const value of limits[type]) {
          assertEquals(identity(value), value);
          assertEquals(relay(kept, value), value);
          assertEquals(relay((inner: unknown) => relay(kept, identity(inner)), value), value);
        }
      }
    });
  }

  it("takes as many arguments as there are, of both kinds", () => {
    const integers = ["i8", "u8", "i16", "u16", "i32", "u32", "i64"] as const;
    const many = { name: "identity_i64", result: "i64", ...own } as const;
    using library = dlopen(testLibrary, {
      // C looks at the first one of each kind alone.
      ...Object.fromEntries(integers.map((_, count) => [
        `i${count}`,
        { ...many, parameters: ["i64", ...integers.slice(0, count)] },
      ])),
      ...Object.fromEntries(Array.from({ length: 12 }, (_, count) => [
        `f${count}`,
        { ...many, name: "identity_f64", parameters: ["f64", "i32", ...Array(count).fill("f64")], result: "f64" },
      ])),
      add_f64: { parameters: ["f64", "f64"], result: "f64", ...own },
      sum_of_four: { parameters: ["i32", "f64", "i8", "f32"], result: "f64", ...own },
    } as Readonly<Record<string, FunctionDefinition>>);
    const symbols = library.symbols as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;
    for (let i = 0; i < often; i++) {
      for (const [count] of integers.entries()) {
        assertEquals(symbols[`i${count}`]?.(-7n, ...Array(count).fill(1)), -7n);
        assertEquals(symbols[`f${count}`]?.(-0.5, 1, ...Array(count).fill(1)), -0.5);
      }
      assertEquals(symbols["add_f64"]?.(0.25, 4), 4.25);
      assertEquals(symbols["sum_of_four"]?.(1, 2, 3, 4), 4321);
    }
  });

  it("gives handles, strings and what out parameters have", () => {
    using library = dlopen(testLibrary, {
      pass: { parameters: ["handle"], result: handle<{ name: string }>(), ...own },
      call_with_text: { parameters: ["cstring", { parameters: [], result: "void" }], result: "cstring", ...own },
      text_64: { parameters: [], result: "cstring", ...own },
      no_text: { parameters: [], result: "cstring", ...own },
      fill_around: { parameters: ["buffer", "usize", { parameters: [], result: "void" }], result: "i32", ...own },
      collect_i32: {
        parameters: [{ parameters: ["i32"], result: "i32" }, out("i32"), "i32"],
        result: "void",
        ...own,
      },
    });
    const { pass, call_with_text, text_64, no_text, fill_around, collect_i32 } = library.symbols;
    using passed = Handle.create({ name: "passed" });
    let called = 0;
    const count = (): void => void called++;
    for (let i = 0; i < often; i++) {
      assertEquals(pass(passed), { name: "passed" });
      assertEquals(call_with_text("grüß dich", count), "grüß dich");
      assertEquals(text_64()?.length, 64);
      assertEquals(no_text(), null);
      const bytes = new Uint8Array(8);
      fill_around(bytes, 8, count);
      assertEquals(bytes[0] !== 0, true);
      assertEquals(collect_i32((index) => index + i, 1), [undefined, i]);
    }
    // `fill_around` calls once for each byte.
    assertEquals(called, 9 * often);
  });

  it("goes on when a callback changes how large stacks are, or closes the library", () => {
    const library = dlopen(testLibrary, {
      relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32", ...own },
    });
    const { relay_i32 } = library.symbols;
    const twice = (value: number): number => relay_i32((inner) => 2 * inner, value);
    try {
      for (const size of [1 << 20, 4 << 20, 1 << 20]) {
        const answer = relay_i32((value) => {
          configure({ callStackSize: size });
          return twice(value);
        }, 21);
        assertEquals(answer, 42);
        assertEquals(twice(4), 8);
      }
    } finally {
      configure({ callStackSize: process.platform === "win32" ? 1 << 20 : 8 << 20 });
    }
    const last = relay_i32((value) => {
      library.close();
      return value + 1;
    }, 1);
    assertEquals(last, 2);
    assertThrows(() => twice(1), LibraryClosedError);
  });

  it("throws what its callback threw, and works as before", () => {
    using library = dlopen(testLibrary, {
      relay_f64: { parameters: [{ parameters: ["f64"], result: "f64" }, "f64"], result: "f64", ...own },
    });
    const { relay_f64 } = library.symbols;
    for (let i = 0; i < often; i++) {
      const thrown = new RangeError(String(i));
      const error = assertThrows(() =>
        relay_f64(() => {
          throw thrown;
        }, 1)
      );
      assertEquals(error, thrown);
      assertEquals(relay_f64((value) => value / 2, i), i / 2);
    }
  });
});

describe("a call when the isolate has ended", () => {
  it("is an error where it takes a block, also if one was made before (in a child process)", () => {
    const { code, stdout, stderr } = runChild("ended_isolate.ts");
    assertEquals([code, stderr], [0, ""]);
    const [before, after] = JSON.parse(stdout) as string[][];
    assertEquals(before, ["3", "3", "3", "3,0"]);
    const ended = (key: string): string => `Error: Cannot call "${key}": the isolate has ended`;
    assertEquals(after, ["3", ended("own"), ended("byBlock"), ended("captured")]);
  });
});

describe("nothing of these tests", () => {
  afterAll(() => assertEquals(stats().live.ownStacks, 0));
  it("is left alive", () => assertEquals(alive(), before));
});
