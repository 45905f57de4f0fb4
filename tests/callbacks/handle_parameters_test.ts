/** Handles as parameters of callbacks, good ones and those that are none. */

import { assertEquals, assertInstanceOf, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, Handle, handle, handleAddress, InvalidHandleError, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { reportsOf } from "../support/outcome.ts";

const before = alive();

describe("handle parameters", () => {
  const log = (list: number[], index: number): number => list.push(index);

  it("give the handle's value, first or last, by value or by address", () => {
    using library = dlopen(testLibrary, {
      each: {
        parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "handle"],
        result: "i32",
      },
      each_reversed: {
        parameters: ["i32", { parameters: ["i32", "handle"], result: "i32" }, "handle"],
        result: "i32",
      },
      each_by_address: {
        parameters: ["i32", { parameters: ["handleAddress", "i32"], result: "i32" }, "usize"],
        result: "i32",
      },
    });
    const { each, each_reversed, each_by_address } = library.symbols;
    const list: number[] = [];
    using held = Handle.create(list);
    assertStrictEquals(each(3, (value, index) => log(value as number[], index), held), 1 + 2 + 3);
    assertStrictEquals(each_reversed(3, (index, value) => log(value as number[], index), held), 4 + 5 + 6);
    assertStrictEquals(each_by_address(3, (value, index) => log(value as number[], index), held.id), 7 + 8 + 9);
    assertEquals(list, [0, 1, 2, 2, 1, 0, 0, 1, 2]);
  });

  it("have their value's type with handle<T>() and handleAddress<T>()", () => {
    using library = dlopen(testLibrary, {
      each: {
        parameters: ["i32", { parameters: [handle<number[]>(), "i32"], result: "i32" }, handle<number[]>()],
        result: "i32",
      },
      each_by_address: {
        parameters: ["i32", { parameters: [handleAddress<number[]>(), "i32"], result: "i32" }, "usize"],
        result: "i32",
      },
    });
    using held = Handle.create([10]);
    assertStrictEquals(library.symbols.each(2, log, held), 2 + 3);
    assertStrictEquals(library.symbols.each_by_address(2, log, held.id), 4 + 5);
    assertEquals(held.value, [10, 0, 1, 0, 1]);
  });

  it("give undefined and null when these are the values", () => {
    using library = dlopen(testLibrary, {
      each: { parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "handle"], result: "i32" },
    });
    for (const value of [undefined, null]) {
      using held = Handle.create(value);
      const seen: unknown[] = [];
      assertStrictEquals(library.symbols.each(1, (got) => seen.push(got), held), 1);
      assertEquals(seen, [value]);
    }
  });

  const eachDefinitions = {
    each: { parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "usize"], result: "i32" },
    each_reversed: { parameters: ["i32", { parameters: ["i32", "handle"], result: "i32" }, "usize"], result: "i32" },
    each_by_address: {
      parameters: ["i32", { parameters: ["handleAddress", "i32"], result: "i32" }, "usize"],
      result: "i32",
    },
    at_null: {
      parameters: ["i32", { parameters: ["handleAddress", "i32"], result: "i32" }, "pointer"],
      result: "i32",
      name: "each",
    },
  } as const;
  const deleted = Handle.create("deleted");
  deleted.delete();
  const invalid: [string, InvalidHandleError["reason"], number][] = [
    ["the null handle", "null", 0],
    ["a deleted handle", "stale", deleted.id],
    ["a number that is no handle", "malformed", deleted.id % 2 === 0 ? deleted.id + 1 : deleted.id - 1],
  ];
  for (const [name, reason, id] of invalid) {
    it(`that get ${name}: C gets the fallback, the function doesn't run, it is counted and reported once`, () => {
      using library = dlopen(testLibrary, eachDefinitions);
      let runs = 0;
      const run = (): number => ++runs;
      using first = callback({ parameters: ["handle", "i32"], result: "i32" }, run, { fallback: -5, name: "first" });
      using last = callback({ parameters: ["i32", "handle"], result: "i32" }, run, { fallback: -6, name: "last" });
      using at = callback({ parameters: ["handleAddress", "i32"], result: "i32" }, run, { fallback: -7, name: "at" });
      const calls: [string, number, number, () => number][] = [
        ["first", 1, -15, () => library.symbols.each(3, first, id)],
        ["last", 2, -18, () => library.symbols.each_reversed(3, last, id)],
        ["at", 1, -21, () => library.symbols.each_by_address(3, at, id)],
      ];
      for (const [callbackName, position, sum, call] of calls) {
        const before = stats().counts.invalidHandles;
        const reports = reportsOf(() => {
          assertStrictEquals(call(), sum);
          assertStrictEquals(call(), sum);
        });
        assertStrictEquals(stats().counts.invalidHandles, before + 6);
        assertEquals(reports.map(({ kind }) => kind), ["invalid-handle"]);
        assertStringIncludes(reports[0].message, `callback "${callbackName}"`);
        assertStringIncludes(reports[0].message, `parameter ${position}`);
        const { cause } = reports[0];
        assertInstanceOf(cause, InvalidHandleError);
        assertEquals([cause.reason, cause.id], [reason, id]);
      }
      assertStrictEquals(runs, 0);
      // The next good call works.
      using good = Handle.create("good");
      assertStrictEquals(library.symbols.each(1, first, good.id), 1);
    });
  }

  it("that get NULL in the place of an address have the null handle", () => {
    using library = dlopen(testLibrary, eachDefinitions);
    let runs = 0;
    using at = callback({ parameters: ["handleAddress", "i32"], result: "i32" }, () => ++runs, { fallback: 9 });
    const reports = reportsOf(() => assertStrictEquals(library.symbols.at_null(1, at, null), 9));
    assertStrictEquals(reports.length, 1);
    assertInstanceOf(reports[0].cause, InvalidHandleError);
    assertStrictEquals(reports[0].cause.reason, "null");
    assertStrictEquals(runs, 0);
  });

  it("have the fallback from the call on in which the function deleted the handle", () => {
    using library = dlopen(testLibrary, {
      each: { parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "handle"], result: "i32" },
    });
    const held = Handle.create("held");
    let runs = 0;
    using deleting = callback({ parameters: ["handle", "i32"], result: "i32" }, () => {
      runs += 1;
      held.delete();
      return 100;
    }, { fallback: 1 });
    const reports = reportsOf(() => assertStrictEquals(library.symbols.each(4, deleting, held), 103));
    assertStrictEquals(runs, 1);
    assertStrictEquals(reports.length, 1);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
