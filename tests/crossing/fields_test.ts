/** Fields of structures: strings, handles, functions, character arrays, and names that are peculiar. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  callback,
  charArray,
  dlopen,
  functionAt,
  Handle,
  handle,
  InvalidHandleError,
  NativeMemory,
  PointerRuleError,
  struct,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { raise } from "../support/outcome.ts";
import { Bearer, i32ToI32, set, symbols } from "../memory/shapes.ts";

const before = alive();

describe("charArray", () => {
  const Text = charArray(8);

  it("holds up to one byte less than its length, as UTF-8", () => {
    using memory = NativeMemory.alloc(Text.byteLength + 1);
    for (const text of ["", "a", "1234567", "€€a", "é é é".slice(0, 4)]) {
      memory.fill(0x41);
      Text.write(memory, text);
      assertStrictEquals(Text.read(memory), text);
      assertStrictEquals(memory.getUint8(7), 0);
      assertStrictEquals(memory.getUint8(8), 0x41);
    }
    for (const text of ["12345678", "€€€", "a\0", "\0"]) {
      assertThrows(() => Text.write(memory, text), TypeError, "of at most 7 bytes as UTF-8");
    }
  });

  it("is read up to its end where C wrote no zero, and what is no UTF-8 becomes U+FFFD", () => {
    using memory = NativeMemory.alloc(Text.byteLength + 1);
    memory.fill(0x41);
    assertStrictEquals(Text.read(memory), "AAAAAAAA");
    memory.setUint8(2, 0xff);
    memory.setUint8(4, 0);
    assertStrictEquals(Text.read(memory), "AA\ufffdA");
    // A character that the array's end has cut.
    memory.fill(0xe2);
    assert(Text.read(memory).includes("\ufffd"));
    Text.write(memory, "\ufeffa");
    assertStrictEquals(Text.read(memory), "\ufeffa");
    using least = charArray(1).alloc("");
    assertStrictEquals(least.byteLength, 1);
  });
});

describe("a structure with a handle", () => {
  it("has null where there is none", () => {
    const Owned = struct({ owner: handle<Date>() });
    using memory = Owned.alloc();
    assertEquals(Owned.read(memory), { owner: null });
    assertStrictEquals(Owned.view(memory).owner, null);
  });
});

describe("a structure with names that are peculiar", () => {
  it("has them as its own, in values and in views", () => {
    const names = [
      "constructor",
      "__proto__",
      "length",
      "at",
      "toString",
      "value",
      "view",
      "set",
      "a b",
      "1a",
      "",
      "é\u2028'\"`${}\\",
    ];
    const fields = Object.fromEntries(names.map((name) => [name, "u8" as const]));
    const Peculiar = struct(fields);
    const value = Object.fromEntries(names.map((name, index) => [name, index + 1]));
    using memory = Peculiar.alloc(value);
    const view = Peculiar.view(memory);
    const read = Peculiar.read(memory);
    for (const [index, name] of names.entries()) {
      assertStrictEquals(Object.getOwnPropertyDescriptor(read, name)?.value, index + 1);
      assertStrictEquals(Peculiar.offsets[name], index);
      assertStrictEquals(view[name], index + 1);
      view[name] = 100 + index;
      assertStrictEquals(memory.getUint8(index), 100 + index);
      assertThrows(() => set(view, name, "x"), TypeError, "must be an integer");
    }
    assertStrictEquals(Object.getPrototypeOf(read), Object.prototype);
  });
});

describe("a structure's handle", () => {
  const none = { name: null, call: null, value: 1 };

  it("comes back as its value: from memory, from C and in a callback", () => {
    using held = Handle.create("held");
    using memory = Bearer.alloc({ ...none, handle: held });
    assertStrictEquals(Bearer.read(memory).handle, "held");
    assertStrictEquals(Bearer.view(memory).handle, "held");
    memory.setBigUint64(Bearer.offsets.handle, 0n);
    assertStrictEquals(Bearer.view(memory).handle, null);
    memory.setBigUint64(Bearer.offsets.handle, held.id);
    assertStrictEquals(Bearer.view(memory).handle, "held");
    assertEquals(symbols.makeBearer(held, 5), { handle: "held", name: "a bearer", call: null, value: 5 });
    const seen: unknown[] = [];
    assertStrictEquals(symbols.relayBearer((bearer) => seen.push(bearer.handle), { ...none, handle: held }), 1);
    assertEquals(seen, ["held"]);
  });

  it("that is stale throws InvalidHandleError, also through the call that a callback is called in", async () => {
    const held = Handle.create("held");
    const { id } = held;
    using memory = Bearer.alloc({ ...none, handle: held });
    const address = memory.getBigUint64(0);
    held.delete();
    assertThrows(() => Bearer.read(memory), InvalidHandleError);
    assertThrows(() => Bearer.view(memory).handle, InvalidHandleError);
    assertThrows(() => symbols.useBearer({ ...none, handle: id }), InvalidHandleError);
    assertThrows(() => symbols.makeOfNumber(address, 5), InvalidHandleError);
    const rejected = await symbols.makeLater(address, 5).then(() => undefined, (error: unknown) => error);
    assert(rejected instanceof InvalidHandleError, String(rejected));
    const Raw = struct({ handle: "u64", name: "pointer", call: "pointer", value: "i32" });
    using opened = dlopen(testLibrary, {
      relay: { parameters: [{ parameters: [Bearer], result: "i32" }, Raw], result: "i32", name: "relay_bearer" },
    });
    let called = 0;
    for (let i = 0; i < 3; i++) {
      assertThrows(
        () => opened.symbols.relay(() => ++called, { handle: address, name: null, call: null, value: 1 }),
        InvalidHandleError,
      );
    }
    assertStrictEquals(called, 0);
  });
});

describe("a structure's function", () => {
  it("takes a Callback, a function of C's, a pointer or null, and gives a function", () => {
    using made = callback(i32ToI32, (value) => value * 2);
    const bearer = { handle: null, name: null, value: 21 };
    assertStrictEquals(symbols.useBearer({ ...bearer, call: made }), 42);
    assertStrictEquals(symbols.useBearer({ ...bearer, call: made.pointer }), 42);
    assertStrictEquals(symbols.useBearer({ ...bearer, call: null }), -1);
    using memory = Bearer.alloc({ ...bearer, call: made });
    const view = Bearer.view(memory);
    const { call } = view;
    assertStrictEquals(call, functionAt(made, i32ToI32));
    assertStrictEquals(call?.(4), 8);
    set(view, "call", null);
    assertStrictEquals(view.call, null);
    set(view, "call", call);
    assertStrictEquals(Bearer.read(memory).call, call);
    assertThrows(() => set(view, "call", functionAt(made, { parameters: [], result: "i64" })), TypeError, '"call"');
    const disposed = callback(i32ToI32, (value) => value);
    disposed.close();
    for (const value of [disposed, 1.5]) assertThrows(() => set(view, "call", value), TypeError, '"call"');
    for (const value of [() => 1, "text"]) {
      assertThrows(() => set(view, "call", value), PointerRuleError, '"call"');
    }
    using failing = callback(i32ToI32, () => raise(new RangeError("mine")));
    assertThrows(() => symbols.useBearer({ ...bearer, call: failing }), RangeError, "mine");
  });
});

describe("a structure's string", () => {
  it("takes a pointer, whose text it gives", () => {
    const greeting = symbols.greeting();
    using held = Handle.create("held");
    using memory = Bearer.alloc({ handle: held, name: greeting, call: null, value: 1 });
    assert(typeof Bearer.read(memory).name === "string");
    assertStrictEquals(Bearer.view(memory).name, Bearer.read(memory).name);
    const { name, ...rest } = { handle: held, name: "text", call: null, value: 1 };
    assertThrows(() => Bearer.write(memory, { ...rest, name: name as never }), PointerRuleError, "C's strings");
    memory.setPointer(Bearer.offsets.name, null);
    assertStrictEquals(Bearer.read(memory).name, null);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
