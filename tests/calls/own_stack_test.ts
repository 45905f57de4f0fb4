/** Calls of C on stacks of their own, and callbacks that end with a call of C's. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { callback, dlopen, stats, struct, tailCall } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { binary, eachCalls, sleep } from "./each_calls.ts";

const library = dlopen(testLibrary, eachCalls);
const { each, eachAtOnce, plainEach } = library.symbols;
const before = alive();

describe("a call with a stack of its own", () => {
  it("calls back as any other, errors and nested calls included", () => {
    assertEquals(eachAtOnce(100, (a, b) => a + b, 1), plainEach(100, (a, b) => a + b, 1));
    assertThrows(
      () =>
        eachAtOnce(3, () => {
          throw new RangeError("thrown");
        }, 0),
      RangeError,
      "thrown",
    );
    const nested = (depth: number): number => depth === 0 ? 1 : eachAtOnce(1, (a, b) => a + b + nested(depth - 1), 0);
    const plainNested = (depth: number): number =>
      depth === 0 ? 1 : plainEach(1, (a, b) => a + b + plainNested(depth - 1), 0);
    assertEquals(nested(50), plainNested(50));
  });

  it("ends endless recursion by a RangeError", () => {
    const endless = (): number => eachAtOnce(1, endless, 0);
    for (let i = 0; i < 20; i++) assertThrows(endless, RangeError);
    // Where an engine's stack ends, C may be left for good: seldom, and then it is counted.
    assert(stats().live.ownStacks <= 20);
    assertEquals(eachAtOnce(1, () => 5, 0), plainEach(1, () => 5, 0));
  });

  it("uses a stack again", async () => {
    await Promise.all(Array.from({ length: 100 }, () => each(1, () => sleep(1).then(() => 1), 0)));
    assertEquals(stats().live.ownStacks, 0);
    assertEquals(await each(1, () => 1, 0), plainEach(1, () => 1, 0));
  });
});

describe("a tail call", () => {
  const tails = dlopen(testLibrary, {
    add_i32: { parameters: ["i32", "i32"], result: "i32" },
    add_f64: { parameters: ["f64", "f64"], result: "f64" },
    nothing: { name: "add_i32", parameters: ["i32", "i32"], result: "void" },
    eachAgain: { name: "each", parameters: ["i32", "pointer", "i32"], result: "i32" },
    each: { parameters: ["i32", binary, "i32"], result: "i32", stack: "own" },
    eachLater: { name: "each", parameters: ["i32", binary, "i32"], result: "i32", suspends: true },
    call_with_point: {
      parameters: [
        { parameters: [struct({ x: "f64", y: "f64" })], result: struct({ x: "f64", y: "f64" }) },
        struct({
          x: "f64",
          y: "f64",
        }),
      ],
      result: struct({ x: "f64", y: "f64" }),
      stack: "own",
    },
  });
  const { add_i32, add_f64, nothing, eachAgain, each: eachOwn, eachLater, call_with_point } = tails.symbols;
  afterAll(() => tails.close());

  it("answers C, in blocks that other calls have had, as often as it is returned", async () => {
    await Promise.all(Array.from({ length: 5 }, () => eachLater(1, () => sleep(1).then(() => 1), 0)));
    const once = tailCall(add_i32, 3, 4);
    assertEquals(eachOwn(3, () => once, 0), plainEach(3, () => 7, 0));
    assertEquals(
      await eachLater(2, async () => {
        await null;
        return once;
      }, 0),
      plainEach(2, () => 7, 0),
    );
    assertEquals(eachOwn(1, (a, b) => tailCall(add_i32, a, b), 5), plainEach(1, (a, b) => a + b, 5));
  });

  it("may call back, and be an answer of onError", () => {
    using inner = callback(binary, () => 3);
    assertEquals(
      eachOwn(2, () => tailCall(eachAgain, 2, inner.pointer, 0), 0),
      plainEach(2, () => plainEach(2, () => 3, 0), 0),
    );
    using failing = callback(binary, () => {
      throw new Error("answered");
    }, { onError: (_, a, b) => tailCall(add_i32, a, b) });
    assertEquals(eachOwn(2, failing, 1), plainEach(2, (a, b) => a + b, 1));
  });

  it("has the callback's type, or none, and takes what it is defined with", () => {
    assertThrows(() => eachOwn(1, () => tailCall(add_f64, 1, 2), 0), TypeError, "gives C f64 in place of i32");
    assertThrows(() => eachOwn(1, () => tailCall(add_i32, "x" as never, 2), 0), TypeError, "argument 1 (i32)");
    assertThrows(
      () => eachOwn(1, () => tailCall(add_i32, ...[1, 2, 3] as unknown as [number, number]), 0),
      TypeError,
      "expected 2",
    );
    using falling = callback(binary, () => tailCall(nothing, 1, 2), { fallback: 9 });
    assertEquals(eachOwn(1, falling, 0), plainEach(1, () => 9, 0));
    assertThrows(
      () => call_with_point(() => tailCall(add_f64, 1, 2), { x: 1, y: 2 }),
      TypeError,
      "in place of",
    );
    const { x, y } = call_with_point(() => tailCall(nothing, 1, 2), { x: 1, y: 2 });
    assertEquals([x, y], [0, 0]);
    using unloaded = dlopen(testLibrary, { add_i32: { parameters: ["i32", "i32"], result: "i32" } }, { unload: true });
    assertThrows(() => eachOwn(1, () => tailCall(unloaded.symbols.add_i32, 1, 2), 0), TypeError, "unload");
    // One that is never returned takes nothing.
    for (let i = 0; i < 70_000; i++) tailCall(add_i32, i, 1);
    assertEquals(eachOwn(1, () => 1, 0), plainEach(1, () => 1, 0));
  });
});

describe("nothing of these tests", () => {
  afterAll(() => library.close());
  it("is left alive", () => assertEquals({ ...alive(), libraries: 0 }, { ...before, libraries: 0 }));
});
