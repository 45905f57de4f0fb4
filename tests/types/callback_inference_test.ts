/** The types that TypeScript infers for callbacks, and for functions as arguments. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  type CallbackFunction,
  type CallbackOptions,
  dlopen,
  type Pointer,
  type PointerOwner,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { compiles, type Equals, holds, i32ToI32 } from "./holds.ts";

const before = alive();

describe("callback", () => {
  it("types parameters and result by its definition", () => {
    using made = callback(
      { parameters: ["i8", "u64", "f32", "bool", "pointer", "buffer", "function", "cstring"], result: "i64" },
      (...parameters) => {
        holds<
          Equals<
            typeof parameters,
            [number, bigint, number, boolean, Pointer | null, Pointer | null, Pointer | null, string | null]
          >
        >();
        return 1;
      },
    );
    type Made = {
      readonly parameters: readonly ["i8", "u64", "f32", "bool", "pointer", "buffer", "function", "cstring"];
      readonly result: "i64";
    };
    holds<Equals<typeof made, Callback<Made>>>();
    holds<Equals<ReturnType<CallbackFunction<Made>>, number | bigint>>();
    assertStrictEquals(made.definition.result, "i64");
    compiles(
      // @ts-expect-error: an i64 is no string
      () => callback({ parameters: [], result: "i64" }, () => "1"),
      // @ts-expect-error: a bool is no number
      () => callback({ parameters: [], result: "bool" }, () => 1),
      // @ts-expect-error: an i32 must be returned
      () => callback({ parameters: [], result: "i32" }, () => {}),
      // @ts-expect-error: an i32 is no bigint
      () => callback(i32ToI32, (value: bigint) => Number(value)),
      // @ts-expect-error: C gives one argument only
      () => callback(i32ToI32, (value: number, other: number) => value + other),
      // @ts-expect-error: a misspelled key
      () => callback({ paramaters: [], result: "void" }, () => {}),
      // @ts-expect-error: a function that C gives may be null
      () => callback({ parameters: [i32ToI32], result: "i32" }, (fn) => fn(1)),
      // @ts-expect-error: it takes what its definition says
      () => callback({ parameters: [i32ToI32], result: "i32" }, (fn) => fn?.("1") ?? 0),
    );
  });

  it("with a thread: post is for functions without a result, which may be async; wait is for those that answer", () => {
    const nothing = { parameters: ["cstring"], result: "void" } as const;
    holds<Equals<CallbackOptions<typeof i32ToI32>["thread"], "same" | "wait" | undefined>>();
    holds<Equals<CallbackOptions<typeof nothing>["thread"], "same" | "wait" | "post" | undefined>>();
    compiles(
      () => callback(nothing, async (text) => void (await text?.length), { thread: "post" }),
      () => callback(nothing, (text) => text?.length, { thread: "post", once: true, queue: { capacity: 1 } }),
      () => callback(i32ToI32, (value) => value, { thread: "wait", timeoutMs: 1, fallback: -1 }),
      () => callback(nothing, () => {}, { thread: "wait", queue: { capacity: 1, onFull: "dropOldest" } }),
      // @ts-expect-error: C goes on without a result
      () => callback(i32ToI32, (value) => value, { thread: "post" }),
      // @ts-expect-error: C waits for the result, but not for a promise
      () => callback(i32ToI32, async (value) => await value, { thread: "wait" }),
      // @ts-expect-error: nor for one of nothing
      () => callback(nothing, async () => {}, { thread: "wait" }),
      // @ts-expect-error: a string is no number
      () => callback(nothing, (value: number) => value, { thread: "post" }),
      // @ts-expect-error: no such thread
      () => callback(nothing, () => {}, { thread: "other" }),
      // @ts-expect-error: a queue has a capacity
      () => callback(nothing, () => {}, { thread: "post", queue: { onFull: "block" } }),
      // @ts-expect-error: no such way
      () => callback(nothing, () => {}, { thread: "post", queue: { capacity: 1, onFull: "drop" } }),
    );
  });

  it("refuses a function that returns a promise, for every result", () => {
    // In plain TypeScript, such a function is one that returns nothing.
    const plain: () => void = async () => {};
    assertStrictEquals(typeof plain, "function");
    const nothing = { parameters: [], result: "void" } as const;
    compiles(
      // @ts-expect-error: a promise for void
      () => callback(nothing, async () => {}),
      // @ts-expect-error: a promise for void
      () => callback(nothing, () => Promise.resolve()),
      // @ts-expect-error: a promise of a value for void
      () => callback(nothing, () => Promise.resolve(1)),
      // @ts-expect-error: perhaps a promise for void
      () => callback(nothing, (): Promise<void> | undefined => undefined),
      // @ts-expect-error: a thenable for void
      () => callback(nothing, () => ({ then() {} })),
      // @ts-expect-error: a promise for i32
      () => callback(i32ToI32, (value) => Promise.resolve(value)),
      // @ts-expect-error: a promise for a pointer
      () => callback({ parameters: [], result: "pointer" }, () => Promise.resolve(null)),
      // @ts-expect-error: a promise for a handle
      () => callback({ parameters: [], result: "handle" }, () => Promise.resolve(null)),
    );
    // What is none is accepted for void, whatever it is.
    callback(nothing, () => 1).close();
    callback(nothing, () => "text").close();
    callback(nothing, () => undefined).close();
    callback(nothing, () => {}).close();
    callback(nothing, () => [1].push(2)).close();
  });

  it("takes a function that returns any object but a promise for void, as TypeScript does", () => {
    const nothing = { parameters: [], result: "void" } as const;
    const seen = new Map<string, number>();
    callback(nothing, () => seen.set("called", 1)).close();
    callback(nothing, () => ({ text: "no promise" })).close();
    callback(nothing, () => [1, 2]).close();
    callback(nothing, () => () => {}).close();
    assertEquals(seen.size, 0);
  });

  it("checks the fallback against the result", () => {
    holds<Equals<CallbackOptions<typeof i32ToI32>["fallback"], number | undefined>>();
    holds<Equals<CallbackOptions<{ parameters: []; result: "void" }>["fallback"], undefined>>();
    holds<
      Equals<
        CallbackOptions<{ parameters: []; result: "pointer" }>["fallback"],
        Pointer | PointerOwner | null | undefined
      >
    >();
    using made = callback(i32ToI32, (value) => value, { fallback: -1 });
    assertStrictEquals(made.disposed, false);
    compiles(
      // @ts-expect-error: an i32 is no string
      () => callback(i32ToI32, (value) => value, { fallback: "-1" }),
      // @ts-expect-error: an i32 is no bigint
      () => callback(i32ToI32, (value) => value, { fallback: 1n }),
      // @ts-expect-error: void has none
      () => callback({ parameters: [], result: "void" }, () => {}, { fallback: 1 }),
      // @ts-expect-error: an i32 is no boolean
      () => callback(i32ToI32, (value) => value, { fallback: false }),
      // @ts-expect-error: an unknown option
      () => callback(i32ToI32, (value) => value, { fallbak: 1 }),
    );
    assertThrows(() => callback(i32ToI32, (value) => value, { fallback: "-1" as unknown as number }), TypeError);
  });
});

describe("a function as an argument", () => {
  it("is refused when it returns a promise, has other types, or is a Callback of another definition", () => {
    using library = dlopen(testLibrary, {
      call_void: { parameters: [{ parameters: [], result: "void" }], result: "void" },
      relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
      relay_i64: { parameters: [{ parameters: ["i64"], result: "i64" }, "i64"], result: "i64" },
    });
    const { symbols } = library;
    using right = callback(i32ToI32, (value) => value + 1);
    using other = callback({ parameters: ["i64"], result: "i64" }, (value) => value);
    using longer = callback({ parameters: ["i32", "i32"], result: "i32" }, (a, b) => a + b);
    using unsigned = callback({ parameters: ["u32"], result: "u32" }, (value) => value);
    assertStrictEquals(symbols.relay_i32(right, 1), 2);
    assertStrictEquals(symbols.relay_i32(right.pointer, 1), 2);
    assertStrictEquals(symbols.relay_i32(() => 3, 1), 3);
    assertStrictEquals(symbols.relay_i64(other, 1), 1n);
    compiles(
      // @ts-expect-error: a Callback of other types
      () => symbols.relay_i32(other, 1),
      // @ts-expect-error: a Callback of more parameters
      () => symbols.relay_i32(longer, 1),
      // @ts-expect-error: a Callback of other types, which in TypeScript are the same
      () => symbols.relay_i32(unsigned, 1),
      // @ts-expect-error: a promise for void
      () => symbols.call_void(async () => {}),
      // @ts-expect-error: a promise for void
      () => symbols.call_void(() => Promise.resolve(1)),
      // @ts-expect-error: a promise for i32
      () => symbols.relay_i32((value) => Promise.resolve(value), 1),
      // @ts-expect-error: a result of another type
      () => symbols.relay_i32(() => 1n, 1),
      // @ts-expect-error: no result
      () => symbols.relay_i32(() => {}, 1),
      // @ts-expect-error: a parameter of another type
      () => symbols.relay_i32((value: string) => value.length, 1),
      // @ts-expect-error: a parameter that C doesn't give
      () => symbols.relay_i32((value: number, more: number) => value + more, 1),
    );
    assertThrows(
      () => symbols.call_void((async () => {}) as unknown as () => void),
      TypeError,
      "the result is a promise",
    );
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
