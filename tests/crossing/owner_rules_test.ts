/** The rules for pointers hold for what has a pointer as they do for the pointer itself. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, NativeMemory, PointerRuleError, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const definition = { parameters: ["pointer"], result: "pointer" } as const;
const { symbols } = dlopen(testLibrary, {
  pass: { name: "identity_pointer", parameters: ["pointer"], result: "pointer" },
  passLater: { name: "identity_pointer", parameters: ["pointer"], result: "pointer", nonblocking: true },
  passBuffer: { name: "identity_pointer", parameters: ["buffer"], result: "pointer" },
  ask: { name: "relay_pointer", parameters: [definition, "pointer"], result: "pointer" },
  askWithBuffer: { name: "relay_pointer", parameters: [definition, "buffer"], result: "pointer" },
});

const Point = struct({ x: "f64", y: "f64" });
const Link = struct({ next: "pointer" });

describe("what has a pointer into an argument of a call that has returned", () => {
  const buffer = new Uint8Array(16);
  /** Memory that was borrowed while it was the call's. */
  function outlived(): NativeMemory {
    let memory: NativeMemory | undefined;
    symbols.askWithBuffer(() => {
      const pointer = symbols.passBuffer(buffer);
      assert(pointer !== null);
      memory = NativeMemory.borrow(pointer, 16);
      assertStrictEquals(symbols.pass(memory), pointer, "it is the outer call's still");
      return null;
    }, buffer);
    assert(memory !== undefined);
    return memory;
  }

  it("is refused wherever its pointer is, and nothing is passed, written or answered", async () => {
    const memory = outlived();
    using target = Link.alloc();
    const link = Link.view(target) as { next: unknown };
    const ways: Record<string, (value: never) => unknown> = {
      "passed": (value) => symbols.pass(value),
      "passed to a nonblocking call": (value) => symbols.passLater(value),
      "stored": (value) => target.setPointer(0, value),
      "written": (value) => Link.write(target, { next: value }),
      "assigned": (value) => link.next = value,
      "returned": (value) => symbols.ask(() => value, null),
      "a fallback": (value) => callback(definition, () => null, { fallback: value }),
    };
    for (const [what, use] of Object.entries(ways)) {
      for (const value of [memory.pointer, memory, Point.view(memory), Point.viewMany(memory).at(0)]) {
        const error = assertThrows(() => use(value as never), PointerRuleError, undefined, what);
        assertStrictEquals(error.rule, "temporary", what);
      }
    }
    assertStrictEquals(target.getPointer(0), null);
    using other = NativeMemory.alloc(8);
    assertStrictEquals(symbols.pass(other), other.pointer);
    assertStrictEquals(await symbols.passLater(other), other.pointer);
  });
});

describe("a callback that was closed", () => {
  it("is said to be that, wherever its pointer would be taken", () => {
    const closed = callback(definition, () => null);
    closed.close();
    using target = Link.alloc();
    const ways = [
      () => symbols.pass(closed),
      () => target.setPointer(0, closed),
      () => Link.write(target, { next: closed }),
      () => (Link.view(target) as { next: unknown }).next = closed,
      () => symbols.ask(() => closed, null),
    ];
    for (const way of ways) assertThrows(way, TypeError, "got a Callback that was closed");
    assertStrictEquals(target.getPointer(0), null);
  });
});

describe("NativeMemory.borrow", () => {
  it("asks for the pointer of a callback that is live", () => {
    using made = callback(definition, () => null);
    assertThrows(() => NativeMemory.borrow(made as never, 8), TypeError, "pass its property .pointer");
  });
});

describe("a view of no elements", () => {
  it("is passed as an address, as a buffer of no bytes is", async () => {
    using memory = Point.allocMany(2);
    for (const byteOffset of [0, memory.byteLength]) {
      const none = Point.viewMany(memory, byteOffset, 0);
      assertEquals(none.toArray(), []);
      // Where C gives the same address back for a buffer of no bytes, that is no pointer into an argument.
      assert(symbols.passBuffer(new Uint8Array(0)) !== null);
      assert(symbols.pass(none) !== null);
      assert(await symbols.passLater(none) !== null);
    }
  });
});

describe("a view that a program makes itself, of the class of belay's views", () => {
  it("is no pointer, whatever it is a view of", () => {
    using memory = Point.allocMany(2);
    const views = [Point.view(memory), Point.viewMany(memory), Point.viewMany(memory).at(1)];
    const lies = [new DataView(new ArrayBuffer(16)), { buffer: 16, byteOffset: 0 }, { buffer: [1, 2] }, {}, undefined];
    for (const View of views.map((view) => view.constructor as new (view: unknown, at: number) => never)) {
      for (const lie of lies) {
        assertThrows(() => symbols.pass(new View(lie, 0)), TypeError);
        assertThrows(() => memory.setPointer(0, new View(lie, 0)), TypeError);
      }
      const beyond = { buffer: memory.bytes().buffer, byteOffset: 2 ** 30, byteLength: 8 };
      assertThrows(() => symbols.pass(new View(beyond, 0)), RangeError);
    }
    assertStrictEquals(memory.getPointer(0), null);
  });
});

describe("a view of memory whose bytes were transferred", () => {
  it("says so at its next use, and the memory is never freed", () => {
    // Borrowed, since transferred memory would never be freed.
    using owner = NativeMemory.alloc(4096);
    const memory = NativeMemory.borrow(owner.pointer, 4096);
    const view = Point.view(memory);
    const many = Point.viewMany(memory);
    memory.bytes().buffer.transfer();
    const ways = [
      () => view.x,
      () => view.x = 1,
      () => JSON.stringify(view),
      () => many.at(0).y,
      () => many.toArray(),
      () => symbols.pass(view),
      () => symbols.pass(many),
    ];
    for (const way of ways) assertStrictEquals(assertThrows(way, PointerRuleError).rule, "transferred");
  });
});
