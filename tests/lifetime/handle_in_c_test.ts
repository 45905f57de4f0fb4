/** Handles that pass through C, by value and by address. */

import { assertEquals, assertMatch, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { configure, dlopen, Handle, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { argumentOf, assertRefused } from "./handle_ids.ts";

const before = alive();
const library = dlopen(testLibrary, {
  pass: { parameters: ["handle"], result: "handle" },
  pass_to_pointer: { name: "pass", parameters: ["handle"], result: "pointer" },
  pass_number: { name: "identity_usize", parameters: ["usize"], result: "handle" },
  each: { parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "handle"], result: "i32" },
  each_by_address: {
    parameters: ["i32", { parameters: ["handleAddress", "i32"], result: "i32" }, "handle"],
    result: "i32",
  },
  read_id: { parameters: ["handleAddress"], result: "usize" },
  pass_address: { name: "identity_pointer", parameters: ["handleAddress"], result: "handleAddress" },
  hold_handle: { parameters: ["handle"], result: "void" },
  each_held: { parameters: [{ parameters: ["handle"], result: "void" }], result: "void" },
});
const { symbols } = library;

describe("Handle in C", () => {
  afterAll(() => library.close());

  it("42 handles pass through C, and come back in order with their values", () => {
    const values = Array.from({ length: 42 }, (_, index) => ({ index }));
    const handles = values.map((value) => Handle.create(value));
    for (const handle of handles) symbols.hold_handle(handle);
    const seen: unknown[] = [];
    symbols.each_held((value) => void seen.push(value));
    assertStrictEquals(seen.length, 42);
    seen.forEach((value, index) => assertStrictEquals(value, values[index]));
    for (const handle of handles) handle.delete();
  });

  it("passes by value: the void* is the id", () => {
    const value = { name: "value" };
    using handle = Handle.create(value);
    assertStrictEquals(symbols.pass(handle), value);
    assertStrictEquals(symbols.pass(handle.id), value);
    assertStrictEquals(symbols.pass_number(handle.id), value);
    const seen: unknown[] = [];
    const sum = symbols.each(3, (user, index) => {
      seen.push(user);
      return index * 10;
    }, handle);
    assertStrictEquals(sum, 30);
    assertStrictEquals(seen.length, 3);
    for (const user of seen) assertStrictEquals(user, value);
  });

  it("passes by address: the void* points to the id", () => {
    const value = { name: "value" };
    using handle = Handle.create(value);
    assertStrictEquals(symbols.read_id(handle), BigInt(handle.id));
    assertStrictEquals(symbols.read_id(handle.id), BigInt(handle.id));
    assertStrictEquals(symbols.pass_address(handle), value);
    const seen: unknown[] = [];
    const sum = symbols.each_by_address(3, (user, index) => {
      seen.push(user);
      return index * 10;
    }, handle);
    assertStrictEquals(sum, 30);
    assertStrictEquals(seen.length, 3);
    for (const user of seen) assertStrictEquals(user, value);
  });

  it("passes null and undefined values both ways, which are no null handles", () => {
    for (const value of [null, undefined, 0]) {
      using handle = Handle.create(value);
      assertStrictEquals(symbols.pass(handle), value);
      assertStrictEquals(symbols.pass_address(handle), value);
      const seen: unknown[] = [];
      symbols.each(1, (user) => seen.push(user), handle);
      symbols.each_by_address(1, (user) => seen.push(user), handle);
      assertEquals(seen, [value, value]);
    }
  });

  it("passes null as NULL, and NULL that comes back is the null handle", () => {
    assertStrictEquals(symbols.pass_to_pointer(null), null);
    assertRefused(() => symbols.pass(null), 'read what "pass" gave,', 0, "null");
    assertRefused(() => symbols.pass_number(0), 'read what "pass_number" gave,', 0, "null");
  });

  it("refuses a deleted handle before C is entered, both ways", () => {
    const handle = Handle.create("value");
    handle.delete();
    for (const argument of [handle, handle.id]) {
      assertRefused(() => symbols.hold_handle(argument), argumentOf("hold_handle", "handle"), handle.id, "stale");
      assertRefused(() => symbols.read_id(argument), argumentOf("read_id", "handleAddress"), handle.id, "stale");
    }
    let held = 0;
    symbols.each_held(() => void (held += 1));
    assertStrictEquals(held, 0);
  });

  it("refuses what is no id before C is entered, both ways", () => {
    using handle = Handle.create("value");
    for (const wrong of [String(handle.id), BigInt(handle.id), undefined, {}, true]) {
      const argument = wrong as unknown as number;
      assertThrows(() => symbols.hold_handle(argument), TypeError, "must be a live Handle, its id or null");
      assertThrows(() => symbols.read_id(argument), TypeError, "must be a live Handle, its id or null");
    }
    for (const id of [handle.id + 0.5, -1, NaN, 2 ** 53]) {
      assertRefused(() => symbols.hold_handle(id), argumentOf("hold_handle", "handle"), id, "malformed");
      assertRefused(() => symbols.read_id(id), argumentOf("read_id", "handleAddress"), id, "malformed");
    }
    let held = 0;
    symbols.each_held(() => void (held += 1));
    assertStrictEquals(held, 0);
  });

  it("says of a bigint where an id belongs that it is a bigint", () => {
    using handle = Handle.create("value");
    const argument = BigInt(handle.id) as unknown as number;
    const error = assertThrows(() => symbols.hold_handle(argument), TypeError);
    assertStringIncludes(error.message, `got ${handle.id}n, and an id is a number`);
  });

  it("throws InvalidHandleError when C gives back an id that is stale or made up", () => {
    const handle = Handle.create("value");
    handle.delete();
    assertRefused(() => symbols.pass_number(handle.id), 'read what "pass_number" gave,', handle.id, "stale");
    assertRefused(() => symbols.pass_number(2n ** 63n), 'read what "pass_number" gave,', 2 ** 63, "malformed");
    assertRefused(() => symbols.pass_number(2n ** 64n - 1n), 'read what "pass_number" gave,', 2 ** 64, "malformed");
  });

  it("a handle that is deleted while C holds it gives the fallback, both ways, and is counted", () => {
    const reports: string[] = [];
    configure({ onReport: ({ kind, message }) => void reports.push(`${kind}: ${message}`) });
    const { invalidHandles } = stats().counts;
    for (const each of [symbols.each, symbols.each_by_address]) {
      const handle = Handle.create("value");
      let calls = 0;
      const sum = each(3, () => {
        calls += 1;
        handle.delete();
        return 5;
      }, handle);
      assertStrictEquals(calls, 1);
      assertStrictEquals(sum, 5);
      assertMatch(reports.pop() ?? "", /^invalid-handle: .*parameter 1.*Cannot use handle \d+: it has been deleted$/);
      assertEquals(reports, []);
    }
    assertStrictEquals(stats().counts.invalidHandles, invalidHandles + 4);
    configure({ onReport: undefined });
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
