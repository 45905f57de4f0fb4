/** What callbacks throw, and results that they can't have: how the native call around them throws it. */

import { assert, assertEquals, assertInstanceOf, assertMatch, assertStrictEquals } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, configure, pointerFrom, PointerRuleError, stats } from "@belay/ffi";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { caught, raise } from "../support/outcome.ts";
import { type ScalarType, scalarTypes } from "../support/scalars.ts";
import { scalarArrays } from "../support/scalar_arrays.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";
import { definitions, i32ToI32, open, relay_i32 } from "./callers.ts";

const before = alive();

/** Runs `fn` behind a callback with a result of a type, four times: what C got, and what the native call threw. */
function collectResults(
  type: ScalarType,
  fn: (index: number) => unknown,
  fallback?: unknown,
): { results: unknown[]; error: unknown } {
  using library = openUnchecked({
    collect: { parameters: ["function", "buffer", "i32"], result: "void", name: `collect_${type}` },
  });
  using made = callbackUnchecked({ parameters: ["i32"], result: type }, fn, { fallback, name: "collecting" });
  const results = new scalarArrays[type](4);
  let error: unknown;
  try {
    library.symbols["collect"](made, results, 4);
  } catch (thrown) {
    error = thrown;
  }
  return { results: [...results], error };
}

/** For each type a fallback, what C makes of it, and what it makes of none. */
const fallbacks: [ScalarType, unknown, unknown, unknown][] = [
  ["i8", -128, -128, 0],
  ["u8", 255, 255, 0],
  ["i16", -32768, -32768, 0],
  ["u16", 65535, 65535, 0],
  ["i32", -2147483648, -2147483648, 0],
  ["u32", 4294967295, 4294967295, 0],
  ["i64", -(2n ** 63n), -(2n ** 63n), 0n],
  ["i64", -1, -1n, 0n],
  ["u64", 2n ** 64n - 1n, 2n ** 64n - 1n, 0n],
  ["isize", -2n, -2n, 0n],
  ["usize", 2n ** 63n, 2n ** 63n, 0n],
  ["f32", -1.5, -1.5, 0],
  ["f32", NaN, NaN, 0],
  ["f64", 0.1, 0.1, 0],
  ["f64", -Infinity, -Infinity, 0],
  ["bool", true, 1, 0],
  ["pointer", pointerFrom(2n ** 40n + 1n), 2n ** 40n + 1n, 0n],
];

describe("callbacks of one signature that C calls often", () => {
  it("answer, throw and end as before, each as itself", () => {
    using library = openUnchecked({ repeat: { parameters: ["function", "i32"], result: "i32" } });
    const repeat = library.symbols["repeat"] as (callback: unknown, count: number) => number;
    const count = 10_000;
    let throwsAt = -1;
    const ran = [0, 0, 0];
    const made = ran.map((_, k) =>
      callback({ parameters: ["i32", "i32"], result: "i32" }, (a, b) => {
        ran[k]! += 1;
        if (a === throwsAt) throw new RangeError(`thrown by ${k}`);
        return ((a + b) & 0xff) + k;
      })
    );
    const answers = made.map((each) => repeat(each, count));
    assertEquals(answers.map((answer) => answer - answers[0]!), [0, count, 2 * count]);
    assertEquals(made.map((each) => repeat(each, count)), answers);
    assertEquals(ran, [2 * count, 2 * count, 2 * count]);
    throwsAt = 5;
    for (const [k, each] of made.entries()) {
      assertThrows(() => repeat(each, 10), RangeError, `thrown by ${k}`);
      assertStrictEquals(ran[k], 2 * count + 6);
    }
    throwsAt = -1;
    const { staleCalls } = stats().counts;
    const pointer = made[1]!.pointer;
    made[1]!.close();
    assertStrictEquals(repeat(pointer, 3), 0);
    assertStrictEquals(stats().counts.staleCalls, staleCalls + 3);
    assertEquals([repeat(made[0], count), repeat(made[2], count)], [answers[0], answers[2]]);
    made[0]!.close();
    made[2]!.close();
  });
});

describe("an error that a callback throws", () => {
  for (const [type, fallback, inC, zero] of fallbacks) {
    it(`gives C the fallback ${String(inC)} for a ${type}, and zero when none is declared`, () => {
      const thrown = new Error("thrown");
      let runs = 0;
      const fail = (): never => {
        runs += 1;
        throw thrown;
      };
      assertEquals(collectResults(type, fail, fallback), { results: [inC, inC, inC, inC], error: thrown });
      assertEquals(collectResults(type, fail), { results: [zero, zero, zero, zero], error: thrown });
      assertStrictEquals(runs, 2);
    });
  }

  it("ends the callback's calls for the rest of the native call, which throws the same object", () => {
    const thrown = new Error("thrown");
    const seen: number[] = [];
    const { results, error } = collectResults("i32", (index) => {
      seen.push(index);
      if (index === 1) throw thrown;
      return index + 10;
    }, -1);
    assertStrictEquals(error, thrown);
    assertEquals(results, [10, -1, -1, -1]);
    assertEquals(seen, [0, 1]);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  it("gives other callbacks of the same native call their own fallback", () => {
    using library = open();
    const { relay_i32, keep, call_kept, collect_i32 } = library.symbols;
    let runs = 0;
    using other = callback(i32ToI32, () => ++runs, { fallback: -8 });
    keep(other);
    // The native call inside throws; the one outside goes on with an error that was caught.
    const thrown = new Error("thrown");
    const results = new Int32Array(2);
    collect_i32(
      (index) => {
        assertStrictEquals(caught(() => relay_i32(() => raise(thrown), 1)), thrown);
        return call_kept(index);
      },
      results,
      2,
    );
    assertEquals([...results], [1, 2]);
    keep(null);
  });

  it("doesn't hinder the next call", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    let failing = true;
    using made = callback(i32ToI32, (value) => failing ? raise("thrown") : value, { fallback: -1 });
    assertStrictEquals(caught(() => relay_i32(made, 5)), "thrown");
    failing = false;
    assertStrictEquals(relay_i32(made, 5), 5);
    failing = true;
    assertStrictEquals(caught(() => relay_i32(made, 5)), "thrown");
  });

  const objects: [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["a string", "text"],
    ["an empty string", ""],
    ["zero", 0],
    ["NaN", NaN],
    ["false", false],
    ["a symbol", Symbol("thrown")],
    ["a bigint", 1n],
    ["a frozen object", Object.freeze({ code: 1 })],
    ["a frozen error", Object.freeze(new Error("frozen"))],
    ["a function", () => {}],
    ["an object without a prototype", Object.create(null)],
  ];
  for (const [name, thrown] of objects) {
    it(`comes out of the native call as it is when it is ${name}`, () => {
      using library = open();
      const { relay_i32, call_void } = library.symbols;
      assertStrictEquals(caught(() => call_void(() => raise(thrown))), thrown);
      assertStrictEquals(caught(() => relay_i32(() => raise(thrown), 1)), thrown);
      assertStrictEquals(relay_i32((value) => value, 1), 1);
      assertStrictEquals(stats().live.waitingErrors, 0);
    });
  }

  it("thrown ten levels deep and caught at the fifth leaves the outer levels their results", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    const thrown = new Error("at the bottom");
    const passed: number[] = [];
    const descend = (level: number): number =>
      relay_i32((value) => {
        assertStrictEquals(value, level);
        if (level === 10) throw thrown;
        if (level !== 5) return descend(level + 1) + 1;
        try {
          return descend(level + 1);
        } catch (error) {
          assertStrictEquals(error, thrown);
          assertStrictEquals(stats().live.waitingErrors, 0);
          passed.push(level);
          // The way down is open again.
          return 100 + relay_i32((again) => again, 3);
        }
      }, level);
    assertStrictEquals(descend(1), 103 + 4);
    assertEquals(passed, [5]);
  });

  it("thrown ten levels deep comes out of every level, the same object", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    const thrown = { at: "the bottom" };
    const passed: number[] = [];
    const descend = (level: number): number => {
      try {
        return relay_i32(() => level === 10 ? raise(thrown) : descend(level + 1), level);
      } catch (error) {
        assertStrictEquals(error, thrown);
        passed.push(level);
        throw error;
      }
    };
    assertStrictEquals(caught(() => descend(1)), thrown);
    assertEquals(passed, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assertStrictEquals(relay_i32((value) => value, 8), 8);
  });

  it("replaces one that was thrown and caught inside", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    const [inner, outer] = [new Error("inner"), new Error("outer")];
    const error = caught(() =>
      relay_i32(() => {
        assertStrictEquals(caught(() => relay_i32(() => raise(inner), 1)), inner);
        throw outer;
      }, 1)
    );
    assertStrictEquals(error, outer);
  });

  it("waits for its own native call while the listener of a report makes others", () => {
    using library = open();
    const { relay_i32, collect_i32, add_i32 } = library.symbols;
    const thrown = new Error("thrown");
    const results = new Int32Array(2);
    let listened: unknown;
    const failing = callback(i32ToI32, () => {
      // C calls it again, when it is gone: that is reported while the error waits.
      failing.close();
      throw thrown;
    }, { fallback: -2 });
    configure({ onReport: () => void (listened = relay_i32((value) => add_i32(value, 1), 1)) });
    try {
      assertStrictEquals(caught(() => collect_i32(failing, results, 2)), thrown);
    } finally {
      configure({ onReport: undefined });
    }
    assertEquals([...results], [-2, -2]);
    assertStrictEquals(listened, 2);
  });
});

describe("a result that a callback can't have", () => {
  const always = [undefined, {}, Object.create(null), Symbol("symbol"), "1", () => {}];
  const numbers: [ScalarType, unknown[], unknown, unknown][] = [
    ["i8", [...always, null, true, 1n, 128, -129, 0.5, NaN, Infinity], -1, -1],
    ["u8", [...always, null, true, 1n, 256, -1, 0.5, NaN, Infinity], 255, 255],
    ["i16", [...always, null, true, 1n, 2 ** 15, -(2 ** 15) - 1, 0.5, NaN], -1, -1],
    ["u16", [...always, null, true, 1n, 2 ** 16, -1, 0.5, NaN], 65535, 65535],
    ["i32", [...always, null, true, 1n, 2 ** 31, 2 ** 40, 0.5, NaN, Infinity], -1, -1],
    ["u32", [...always, null, true, 1n, 2 ** 32, -1, 0.5, NaN, Infinity], 2 ** 32 - 1, 2 ** 32 - 1],
    ["i64", [...always, null, true, 2n ** 63n, 2 ** 53, 0.5, NaN, Infinity], -1n, -1n],
    ["u64", [...always, null, true, 2n ** 64n, -1n, -1, 2 ** 53, 0.5, NaN], 1, 1n],
    ["isize", [...always, null, true, 2n ** 63n, 2 ** 53, 0.5], -1, -1n],
    ["usize", [...always, null, true, 2n ** 64n, -1n, -1, 0.5], 1, 1n],
    ["f32", [...always, null, true, 1n], 0.5, 0.5],
    ["f64", [...always, null, true, 1n], 0.1, 0.1],
    ["bool", [...always, null, 0, 1, 1n], true, 1],
    ["pointer", [...always, true], pointerFrom(1), 1n],
  ];
  for (const [type, wrong, right, inC] of numbers) {
    it(`for a ${type} is an error and the fallback, and the next good call works`, () => {
      for (const value of wrong) {
        const note = `${type} given ${typeof value} ${typeof value === "object" ? "" : String(value)}`;
        const { results, error } = collectResults(type, () => value, right);
        assert(error instanceof TypeError || error instanceof RangeError, note);
        assertMatch(
          error.message,
          new RegExp(`^Cannot return from callback "collecting": the result \\(${type}\\) `),
          note,
        );
        assertEquals(results, [inC, inC, inC, inC], note);
        assertEquals(collectResults(type, () => right), { results: [inC, inC, inC, inC], error: undefined }, note);
      }
    });
  }

  it("for a pointer is a buffer: a PointerRuleError and the fallback", () => {
    const { results, error } = collectResults("pointer", () => new Uint8Array(1), pointerFrom(1));
    assert(error instanceof PointerRuleError);
    assertEquals(results, [1n, 1n, 1n, 1n]);
  });

  it("is named after the argument when it is a plain function's", () => {
    using library = openUnchecked({ relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" } });
    assertEquals(
      assertThrows(() => library.symbols["relay_i32"](() => 2 ** 40, 1), RangeError).message,
      'Cannot return from callback "argument 1 of relay_i32": the result (i32) must be an integer from -2147483648 ' +
        "to 2147483647, got 1099511627776",
    );
  });

  it("is nothing that a void callback knows: it may return anything but a promise", () => {
    using library = openUnchecked({ call_void: definitions.call_void });
    for (const value of [1, "text", null, {}, { then: 1 }, () => {}]) {
      assertStrictEquals(library.symbols["call_void"](() => value), undefined);
    }
  });

  it("is a promise, for every type", () => {
    for (const type of scalarTypes) {
      const { results, error } = collectResults(type, () => Promise.resolve(0));
      assertInstanceOf(error, TypeError, type);
      assertStringIncludes(error.message, "the result is a promise", type);
      assertStrictEquals(results.filter((result) => Number(result) !== 0).length, 0);
    }
  });

  it("is a promise or another thenable of a void callback", () => {
    using library = openUnchecked({ call_void: definitions.call_void });
    const then = (): void => {};
    for (const value of [Promise.resolve(), { then }, Object.assign(() => {}, { then })]) {
      const error = assertThrows(() => library.symbols["call_void"](() => value), TypeError);
      assertStringIncludes(error.message, "the result is a promise");
    }
    assertThrows(() => library.symbols["call_void"](async () => {}), TypeError, "the result is a promise");
  });

  for (const name of ["rejected promise", "async function that throws"]) {
    it(`is a ${name}, whose rejection is handled (in a child process)`, () => {
      const { code, stdout, stderr } = runChild("callback_errors.ts", [name]);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertMatch(stdout, /^TypeError: .*the result is a promise.*\nend\n$/);
    });
  }
});

describe("an error", () => {
  /** Microseconds that a native call takes whose callback throws. */
  function throwingUs(): number {
    using made = callback(i32ToI32, () => raise("thrown"));
    let least = Infinity;
    for (let i = 0; i < 200; i++) {
      const startMs = performance.now();
      caught(() => relay_i32(made, 1));
      least = Math.min(least, performance.now() - startMs);
    }
    return least * 1000;
  }

  it("costs about the same with 20,000 callbacks alive as with one", () => {
    const before = throwingUs();
    const made = Array.from({ length: 20_000 }, () => callback(i32ToI32, (value) => value));
    const many = throwingUs();
    for (const each of made) each.close();
    // The machine may have become slower meanwhile.
    const few = Math.max(before, throwingUs());
    assert(many < 4 * few + 20, `${many.toFixed(0)} µs, with one it is ${few.toFixed(0)} µs`);
  });
});

describe("an error of a program that has its own way with errors", () => {
  const formats: Readonly<Record<string, (() => unknown) | undefined>> = {
    "formats stacks as text": () => "no stack",
    "formats stacks as objects": () => ({ frames: 0 }),
    "fails to format stacks": () => raise("the formatter"),
  };
  for (const [what, format] of Object.entries(formats)) {
    it(`comes out of its native call, the same object, when the program ${what}`, () => {
      const before = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
      const thrown = { name: "thrown" };
      try {
        Reflect.set(Error, "prepareStackTrace", format);
        assertStrictEquals(caught(() => relay_i32(() => raise(thrown), 1)), thrown);
        assertStrictEquals(Reflect.get(Error, "prepareStackTrace"), format);
      } finally {
        // Bun sees no other change than an assignment, and none after it was deleted.
        Reflect.set(Error, "prepareStackTrace", before?.value);
      }
      assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
    });
  }
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
