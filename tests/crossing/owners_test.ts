/** What has a pointer stands for it, wherever a pointer is wanted. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  Arena,
  array,
  callback,
  Channel,
  dlopen,
  MemoryFreedError,
  NativeMemory,
  pin,
  type Pointer,
  pointer,
  type PointerOwner,
  PointerRuleError,
  pointerValue,
  struct,
  union,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const definition = { parameters: ["pointer"], result: "pointer" } as const;
const { symbols } = dlopen(testLibrary, {
  pass: { name: "identity_pointer", parameters: ["pointer"], result: "pointer" },
  passTagged: { name: "identity_pointer", parameters: [pointer<"thing">()], result: pointer<"thing">() },
  passLater: { name: "identity_pointer", parameters: ["pointer"], result: "pointer", nonblocking: true },
  passAndErrno: { name: "identity_pointer", parameters: ["pointer"], result: "pointer", captureErrno: true },
  ask: { name: "relay_pointer", parameters: [definition, "pointer"], result: "pointer" },
});

const Point = struct({ x: "f64", y: "f64" });
const Node = struct({ at: Point, next: "pointer", name: "cstring" });
const Bits = union({ number: "f32", bits: "u32" });

/** Each kind of owner, with the pointer that it has. */
function owners(arena: Arena): Record<string, [PointerOwner, Pointer]> {
  const memory = arena.alloc(64);
  const large = arena.alloc(5000);
  const pinned = arena.pin(new Uint8Array(8));
  const made = arena.callback(definition, () => null);
  const channel = arena.use(new Channel());
  const node = Node.view(memory);
  return {
    "memory": [memory, memory.pointer],
    "large memory": [large, large.pointer],
    "a part of memory": [memory.subarray(8), memory.subarray(8).pointer],
    "a pin": [pinned, pinned.pointer],
    "a callback": [made, made.pointer],
    "a channel": [channel, channel.pointer],
    "a structure's view": [node, memory.pointer],
    "the view of a field": [node.at, memory.pointer],
    "a union's view": [Bits.view(memory, 4), memory.subarray(4).pointer],
    "an array's view": [array("i32", 4).view(memory, 16), memory.subarray(16).pointer],
    "the view of many": [Point.viewMany(memory, 16, 2), memory.subarray(16).pointer],
    "the view of an element": [Point.viewMany(memory, 16, 2).at(1), memory.subarray(32).pointer],
  };
}

describe("what has a pointer", () => {
  it("is passed to C as it", async () => {
    using arena = new Arena();
    for (const [what, [owner, expected]] of Object.entries(owners(arena))) {
      assertStrictEquals(symbols.pass(owner), expected, what);
      assertStrictEquals(symbols.passTagged(owner), expected as never, what);
      assertEquals(symbols.passAndErrno(owner)[0], expected, what);
      assertStrictEquals(await symbols.passLater(owner), expected, what);
    }
  });

  it("is stored as it: by setPointer(), in a structure, through a view", () => {
    using arena = new Arena();
    const memory = arena.alloc(Node.byteLength);
    const view = Node.view(memory);
    for (const [what, [owner, expected]] of Object.entries(owners(arena))) {
      memory.setPointer(16, owner);
      assertStrictEquals(memory.getPointer(16), expected, what);
      Node.write(memory, { at: { x: 1, y: 2 }, next: owner, name: null });
      assertStrictEquals(Node.read(memory).next, expected, what);
      view.next = null;
      (view as { next: unknown }).next = owner;
      assertStrictEquals(view.next, expected, what);
    }
    const text = arena.cstring("belay");
    Node.write(memory, { at: { x: 1, y: 2 }, next: null, name: text });
    assertStrictEquals(Node.read(memory).name, "belay");
  });

  it("is what a callback returns, and what onError answers", () => {
    using arena = new Arena();
    for (const [what, [owner, expected]] of Object.entries(owners(arena))) {
      assertStrictEquals(symbols.ask(() => owner, null), expected, what);
      using failing = callback(definition, () => {
        throw new Error("no pointer");
      }, { onError: () => owner });
      assertStrictEquals(symbols.ask(failing, null), expected, what);
      using falling = callback(definition, () => null, { fallback: owner });
      falling.close();
      assertThrows(() => symbols.ask(falling, null), TypeError, "closed");
    }
  });

  it("is refused once that is gone, before C is entered", () => {
    const memory = NativeMemory.alloc(64);
    const view = Node.view(memory);
    const many = Point.viewMany(memory, 0, 2);
    const large = NativeMemory.alloc(5000);
    const largeView = Node.view(large);
    const pinned = pin(new Uint8Array(8));
    const made = callback(definition, () => null);
    memory.free();
    large.free();
    pinned.unpin();
    made.close();
    using other = NativeMemory.alloc(8);
    for (const owner of [memory, view, many, large, largeView]) {
      assertThrows(() => symbols.pass(owner), MemoryFreedError);
      assertThrows(() => other.setPointer(0, owner), MemoryFreedError);
    }
    const error = assertThrows(() => symbols.pass(pinned), PointerRuleError);
    assertStrictEquals(error.rule, "unpinned");
    assertThrows(() => symbols.pass(made), TypeError, "a Callback that was closed");
    assertStrictEquals(pointerValue(other.getPointer(0)), 0n);
  });

  it("is refused where it merely looks like one", () => {
    using memory = NativeMemory.alloc(64);
    using arena = new Arena();
    for (const [what, [owner]] of Object.entries(owners(arena))) {
      for (const lie of [new Proxy(owner, {}), Object.create(owner), { pointer: 16n }]) {
        assertThrows(() => symbols.pass(lie), TypeError, undefined, what);
        assertThrows(() => memory.setPointer(0, lie), Error, undefined, what);
      }
    }
    const shifted = Object.defineProperty(NativeMemory.alloc(8), "pointer", { value: 16n });
    assertStrictEquals(symbols.pass(shifted) === (16n as never), false);
    shifted.free();
    assertStrictEquals(memory.getPointer(0), null);
  });
});
