/** Unions, and the definitions of structures, unions and arrays that are refused. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { array, charArray, dlopen, out, struct, union } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { callbackUnchecked } from "../support/unchecked.ts";
import { Narrow, Point, set, symbols } from "./shapes.ts";

const before = alive();

describe("a union", () => {
  it("writes the members that are given, and leaves no rests of other calls", () => {
    using memory = Narrow.alloc({ large: 2n ** 64n - 1n });
    Narrow.write(memory, { small: 5 });
    assertEquals(Narrow.read(memory), { small: 5, large: 5n });
    const view = Narrow.view(memory);
    view.large = 2n ** 64n - 1n;
    view.small = 5;
    assertStrictEquals(view.large, 2n ** 64n - 251n);
    const all = 2n ** 64n - 1n;
    for (let i = 0; i < 5; i++) {
      symbols.fill(all, all, all, all, all, all, { x: 0, y: 0 });
      assertStrictEquals(symbols.largeOf({ small: 5 }), 5n);
    }
    assertStrictEquals(symbols.largeOf(view), 2n ** 64n - 251n);
    for (const value of [{}, null, 5, { other: 1 }, []]) {
      assertThrows(
        () => Narrow.write(memory, value as never),
        TypeError,
        "Cannot write to memory: the value must be an object",
      );
    }
  });

  it("that was read is written back as it was, whatever its members make of it", () => {
    const Either = union({ bits: "u32", number: "f32", flag: "bool", text: charArray(4) });
    const Tagged = struct({ kind: "u8", either: Either });
    using memory = Tagged.alloc({ kind: 1, either: { bits: 0xffc00001 } });
    const value = Tagged.read(memory);
    using copy = Tagged.alloc({ ...value, kind: 2 });
    assertEquals([Tagged.read(copy).kind, Tagged.read(copy).either.bits], [2, 0xffc00001]);
    value.either.bits = 36;
    assertEquals([value.either.flag, Tagged.read(memory).either.bits], [true, 0xffc00001]);
    Tagged.write(memory, value);
    assertStrictEquals(Tagged.read(memory).either.bits, 36);
    assertEquals(Object.keys(value.either), ["bits", "number", "flag", "text"]);
    assertThrows(() => set(value.either, "bits", "1"), TypeError, 'Cannot write to a union: "bits"');
  });

  it("that was read has what is changed inside of its members, and refuses members that contradict each other", () => {
    const Motion = struct({ x: "i32", y: "i32" });
    const Event = union({ motion: Motion, bytes: array("u8", 8), wide: "u64" });
    using memory = Event.alloc({ motion: { x: 1, y: 2 } });
    const event = Event.read(memory);
    const { motion } = event;
    motion.x = 50;
    assertEquals([event.motion.x, event.bytes[0], event.wide], [50, 50, 0x2_0000_0032n]);
    Event.write(memory, event);
    assertEquals(Event.read(memory).motion, { x: 50, y: 2 });
    event.bytes[4] = 9;
    assertEquals([event.motion, event.wide], [{ x: 50, y: 9 }, 0x9_0000_0032n]);
    event.wide = 3n;
    assertEquals([event.motion, [...event.bytes]], [{ x: 3, y: 0 }, [3, 0, 0, 0, 0, 0, 0, 0]]);
    // Again in what was taken out before.
    event.motion.y = 4;
    Event.write(memory, event);
    assertEquals(Event.read(memory).motion, { x: 3, y: 4 });
    const refused = "must be an object with the member that is meant, alone";
    assertThrows(() => Event.write(memory, { ...event, wide: 5n }), TypeError, refused);
    assertThrows(() => Event.write(memory, { motion: { x: 1, y: 1 }, wide: 5n }), TypeError, refused);
    Event.write(memory, { ...event });
    assertEquals(Event.read(memory).motion, { x: 3, y: 4 });
    const wrong = Event.read(memory);
    wrong.motion.x = 0.5;
    assertThrows(() => Event.write(memory, wrong), TypeError, 'Cannot write to a union: "motion.x"');
    const taken = Event.read(memory);
    const { motion: first, bytes } = taken;
    first.x = 1;
    bytes[0] = 2;
    assertThrows(() => Event.write(memory, taken), TypeError, '"motion" and "bytes" were both changed');
    assertEquals(Event.read(memory).motion, { x: 3, y: 4 });
  });

  it("refuses what reading would follow, however deep", () => {
    for (
      const type of [
        "cstring",
        "handle",
        struct({ text: "cstring" }),
        array("handle", 2),
        array(struct({ a: "handle" }), 1),
      ]
    ) {
      assertThrows(() => union({ a: "u64", b: type as "u64" }), TypeError, "take a pointer");
    }
    assertStrictEquals(union({ a: "u64", b: "pointer", c: struct({ text: charArray(4) }) }).byteLength, 8);
  });

  it("has members that other objects have: only those of the value count", () => {
    const Names = union({ toString: "u16", constructor: "u8", ["__proto__"]: "u8", value: "u32" });
    using memory = Names.alloc({ value: 0x01020304 } as never);
    assertStrictEquals(Names.read(memory).value, 0x01020304);
    Names.write(memory, { constructor: 7 } as never);
    assertStrictEquals(Names.read(memory).value, 7);
    Object.defineProperty(Object.prototype, "large", { value: 9n, configurable: true });
    try {
      using narrow = Narrow.alloc({ small: 1 });
      assertStrictEquals(Narrow.read(narrow).large, 1n);
    } finally {
      Reflect.deleteProperty(Object.prototype, "large");
    }
  });
});

describe("a definition", () => {
  const make = struct as (fields: unknown, options?: unknown) => unknown;

  it("is refused with a message that says what is wrong", () => {
    const refused: readonly (readonly [() => unknown, string])[] = [
      [() => make({}), "Cannot define a struct: it has no fields"],
      [() => make(null), "Cannot define a struct: expected its fields"],
      [() => make({ x: "int" }), 'Cannot define the field "x": it has the type int'],
      [() => make({ x: "buffer" }), `a buffer's address is a "pointer"`],
      [() => make({ x: "handleAddress" }), 'Cannot define the field "x"'],
      [() => make({ x: "void" }), 'Cannot define the field "x"'],
      [() => make({ x: out("i32") }), 'Cannot define the field "x"'],
      [() => make({ x: { struct: ["i32"] } }), 'Cannot define the field "x"'],
      [() => make({ a: "i32", 1: "i32" }), `a field can't be called "1"`],
      [() => make({ x: "i32" }, { pack: 1 }), '"pack" is not an option'],
      [() => make({ x: "i32" }, { packed: 3 }), "packed must be a boolean, 1, 2, 4, 8 or 16, got 3"],
      [() => make({ x: { parameters: ["int"], result: "i32" } }), "parameter 1 has the unknown type int"],
      [() => array({ parameters: [], result: "c_string" as "i32" }, 2), "unknown result type c_string"],
      [() => array({ parameters: [], result: "i32", optional: true } as never, 2), "isn't optional"],
      [() => array("i32", 0), "Cannot define an array: its length must be a whole number from 1 to 2^30"],
      [() => array("i32", 1.5), "Cannot define an array"],
      [() => array("buffer" as "i32", 1), "Cannot define an array"],
      [() => charArray(0), "Cannot define a string"],
      [() => out("buffer" as "i32"), "Cannot define an out-parameter"],
      [() => callbackUnchecked({ parameters: [array("i32", 2)], result: "void" }, () => {}), "parameter 1 is an array"],
      [() => callbackUnchecked({ parameters: [Point], result: "void" }, () => {}, { thread: "wait" }), "thread only"],
      [
        () => callbackUnchecked({ parameters: [], result: Point }, () => {}, { fallback: {} }),
        "fallback of a structure",
      ],
      [
        () => dlopen(testLibrary, { pass: { parameters: [array("i32", 2) as never], result: "void" } }),
        "parameter 1 is an array",
      ],
    ];
    for (const [define, message] of refused) assertThrows(define, Error, message);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
