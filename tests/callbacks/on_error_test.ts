/** `onError`, and errors of callbacks with no native call of belay's around them. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Callback, callback, pointerFrom, pointerValue, stats } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, turn } from "../support/gc.ts";
import { caught, raise } from "../support/outcome.ts";
import { type ScalarType, scalarTypes } from "../support/scalars.ts";
import { inMemory, valuesOf } from "../support/scalar_arrays.ts";
import { callbackUnchecked } from "../support/unchecked.ts";
import { add_i32, i32ToI32, open, raw, relay_i32, relayRaw } from "./callers.ts";

const before = alive();

describe("an error with no native call of belay's around it", () => {
  const callRaw = (made: Callback<typeof i32ToI32>): unknown => raw["relay_i32"](pointerValue(made.pointer), 1);

  it("goes to onError at once; C gets the fallback", async () => {
    for (const thrown of [new Error("thrown"), undefined, null, "text", 0, Object.freeze({})]) {
      const errors: unknown[] = [];
      const onError = (error: unknown): void => void errors.push(error);
      using made = callback(i32ToI32, () => raise(thrown), { fallback: -4, onError });
      assertStrictEquals(callRaw(made), -4);
      assertEquals([errors.length, stats().live.waitingErrors], [1, 0]);
      await turn();
      assertEquals([errors.length, stats().live.waitingErrors], [1, 0]);
      assertStrictEquals(errors[0], thrown);
    }
  });

  it("goes to onError when it is NaN", async () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => raise(NaN), { onError: (error) => void errors.push(error) });
    assertStrictEquals(callRaw(made), 0);
    await turn();
    // Whatever came of it, it must not wait for the tests that follow.
    const { waitingErrors: pendingErrors } = stats().live;
    using library = open();
    if (pendingErrors > 0) caught(() => library.symbols.add_i32(1, 1));
    assertEquals({ errors, pendingErrors }, { errors: [NaN], pendingErrors: 0 });
  });

  it("goes to onError, not to a native call that is made later in the turn", async () => {
    using library = open();
    const thrown = new Error("thrown");
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => raise(thrown), { onError: (error) => void errors.push(error) });
    callRaw(made);
    assertStrictEquals(library.symbols.add_i32(1, 2), 3);
    assertStrictEquals(library.symbols.relay_i32((value) => value + 1, 1), 2);
    await turn();
    assertEquals(errors, [thrown]);
  });

  it("leaves the callback callable", async () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, (value) => errors.length === 0 ? raise("once") : value + 1, {
      fallback: -1,
      onError: (error) => void errors.push(error),
    });
    assertStrictEquals(callRaw(made), -1);
    await turn();
    assertStrictEquals(callRaw(made), 2);
    assertEquals(errors, ["once"]);
  });

  const uncaught: [string, string][] = [
    ["no onError", "thrown by the callback"],
    ["onError throws", "thrown by onError"],
    ["onReport throws", "thrown by onReport"],
  ];
  for (const [name, message] of uncaught) {
    it(`goes to the runtime's uncaught-error path: ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("callback_errors.ts", [name]);
      assertEquals({ code, signal, stdout }, { code: 1, signal: null, stdout: "-1\n" });
      assertStringIncludes(stderr, message);
    });
  }
});

describe("onError", () => {
  /** What C gets past belay from a callback that throws, by type. */
  function answered(type: ScalarType, onError: () => unknown, fallback?: unknown): unknown {
    const spelled = { isize: "i64", usize: "u64", pointer: "u64" }[type as string] ?? type;
    const relay = rawOpen(testLibrary, { [`relay_${type}`]: { parameters: ["u64", spelled], result: spelled } });
    using made = callbackUnchecked({ parameters: [type], result: type }, () => raise("thrown"), { fallback, onError });
    const zero = type === "bool" ? false : /^[iup](64|size|ointer)/.test(type) ? 0n : 0;
    return relay[`relay_${type}`](pointerValue(made.pointer), zero);
  }

  it("answers C with what it returns when no native call of belay's is around, for every type", () => {
    for (const type of scalarTypes) {
      for (const value of valuesOf(type)) {
        const got = answered(type, () => value);
        const inC = type === "pointer" ? inMemory(type, value) : value;
        // Some runtimes give 64-bit integers that are small as numbers.
        const same = typeof inC === "bigint" ? BigInt(got as number | bigint) === inC : Object.is(got, inC);
        assert(same, `${type}: ${String(got)}, expected ${String(inC)}`);
      }
    }
  });

  it("leaves C the fallback when it returns undefined", () => {
    assertStrictEquals(answered("i32", () => undefined, -7), -7);
    assertStrictEquals(answered("f64", () => {}, 0.5), 0.5);
    assertStrictEquals(answered("i32", () => undefined), 0);
  });

  it("may answer null for a pointer, whatever the fallback", () => {
    assertEquals(BigInt(answered("pointer", () => null, pointerFrom(9)) as number | bigint), 0n);
  });

  it("is called for each error", () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, (value) => raise(value), { onError: (error) => errors.push(error) });
    assertEquals([1, 2, 3].map((value) => relayRaw(made, value)), [1, 2, 3]);
    assertEquals(errors, [1, 2, 3]);
  });

  it("is called for a result of the wrong type and for a promise, with that error", () => {
    for (const result of ["text", 2 ** 40, Promise.resolve(1)]) {
      const errors: unknown[] = [];
      using made = callbackUnchecked(i32ToI32, () => result, { onError: (error: unknown) => errors.push(error) + 10 });
      assertStrictEquals(relayRaw(made as unknown as Callback<typeof i32ToI32>, 1), 11);
      assert(errors[0] instanceof Error);
      assertStringIncludes(errors[0].message, "Cannot return from callback");
    }
  });

  it("may call C, which calls back, and then answer", () => {
    using made = callback(i32ToI32, () => raise(5), {
      onError: (error) => relay_i32((value) => add_i32(value, relay_i32((inner) => inner * 10, 2)), error as number),
    });
    assertStrictEquals(relayRaw(made, 1), 25);
  });

  it("may throw what it called C for, and dispose of the callback", async () => {
    const { callbacks } = stats().live;
    const made = callback(i32ToI32, () => raise("first"), {
      fallback: -1,
      onError: () => {
        made.close();
        return caught(() => relay_i32(() => raise("second"), 1)) === "second" ? 6 : 7;
      },
    });
    assertStrictEquals(relayRaw(made, 1), 6);
    await turn();
    assertEquals([stats().live.callbacks, stats().live.waitingErrors], [callbacks, 0]);
  });

  it("answers inside of a native call of belay's, too, which throws nothing", () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => raise("thrown"), { fallback: -1, onError: (error) => errors.push(error) });
    let got: unknown;
    const outer = (value: number): number => {
      got = relayRaw(made, value);
      return 7;
    };
    assertStrictEquals(relay_i32(outer, 1), 7);
    assertEquals([got, errors], [1, ["thrown"]]);
  });

  const uncaught: [name: string, message: string][] = [
    ["a number that doesn't fit", "what onError gave (i32) must be an integer"],
    ["a text", "what onError gave (i32) must be an integer"],
    ["a promise", "the result is a promise"],
    ["an error of its own", "thrown by onError"],
    ["a promise for void", "the result is a promise"],
  ];
  for (const [name, message] of uncaught) {
    it(`gives C the fallback and the process an uncaught error with ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("on_error.ts", [name]);
      const expected = name.endsWith("void") ? "C went on\n" : "-1\n";
      assertEquals({ code, signal, stdout }, { code: 1, signal: null, stdout: expected });
      assertStringIncludes(stderr, message);
    });
  }
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
