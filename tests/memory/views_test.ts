/** Views of structures, and values that are read from memory. */

import { inspect } from "node:util";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  array,
  charArray,
  Handle,
  InvalidHandleError,
  MemoryFreedError,
  NativeMemory,
  PointerRuleError,
  struct,
  union,
} from "@belay/ffi";
import { alive } from "../support/gc.ts";
import { raise } from "../support/outcome.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { Bearer, first, Narrow, Node, Point, set, symbols } from "./shapes.ts";

const before = alive();

describe("a view", () => {
  for (const type of scalarTypes) {
    it(`has ${type} as a property and as elements, and refuses what is none`, () => {
      const Pair = struct({ before: "u8", value: type, after: "u8", more: array(type, 2) });
      using memory = Pair.alloc();
      const view = Pair.view(memory);
      for (const value of limits[type]) {
        set(view, "value", value);
        assertStrictEquals(view.value, value as never);
        view.more.set(1, value as never);
        assertStrictEquals(view.more.at(1) as unknown, value);
        assertStrictEquals(Pair.read(memory).value as unknown, value);
      }
      assertEquals([view.before, view.after], [0, 0]);
      for (const value of ["1", undefined, {}, Symbol("value")]) {
        const [kind, must] = type === "pointer" && value === "1"
          ? [PointerRuleError, ": C's memory points to C's strings"]
          : [TypeError, " must be"];
        assertThrows(() => set(view, "value", value), kind, `Cannot write to memory: "value"${must}`);
        assertThrows(() => view.more.set(1, value as never), kind, `"[1]"${must}`);
      }
    });
  }

  it("takes numbers and bigints for 64-bit integers, and gives bigints", () => {
    using memory = Node.alloc(first);
    const node = Node.view(memory);
    node.size = 2 ** 53 - 1 as never;
    assertStrictEquals(node.size, 2n ** 53n - 1n);
    node.size = 2n ** 64n - 1n;
    assertStrictEquals(node.size, 2n ** 64n - 1n);
    assertThrows(() => set(node, "size", -1n), RangeError, '"size"');
    assertThrows(() => set(node, "size", 2n ** 64n), RangeError, '"size"');
  });

  it("is the memory: of structures in it, and elements, too", () => {
    using memory = Node.alloc(first);
    const node = Node.view(memory);
    const { at, path } = node;
    at.x += 5;
    path.at(1).y = 9;
    node.grid.at(1).set(0, 99);
    assertEquals(Node.read(memory), {
      ...first,
      at: { x: 6, y: 0.5 },
      path: [{ x: 1, y: 1 }, { x: 2, y: 9 }],
      grid: [[1, 2], [99, 4]],
    });
    node.at = { x: 1, y: 2 };
    path.set(0, { x: 8, y: 8 });
    assertEquals([at.x, at.y, path.at(0).x, path.at(0).y], [1, 2, 8, 8]);
    node.grid = [[5, 6], [7, 8]] as never;
    assertEquals(node.grid.toArray(), [[5, 6], [7, 8]]);
  });

  it("of an array is iterated, copied and bounded", () => {
    using memory = Node.alloc(first);
    const { weights, path } = Node.view(memory);
    assertEquals([...weights], [1, 2, 3]);
    assertEquals(weights.toArray(), [1, 2, 3]);
    assertEquals(path.toArray(), first.path);
    assertEquals([...path].map(({ x }) => x), [1, 2]);
    assertEquals([weights.length, path.length], [3, 2]);
    for (const index of [-1, 3, 0.5, NaN, Infinity, 2 ** 32, "0" as never]) {
      assertThrows(() => weights.at(index), RangeError, "the array has 3");
      assertThrows(() => weights.set(index, 1), RangeError, "the array has 3");
    }
    assertThrows(() => set(weights, "length", 100), TypeError);
  });

  it("writes all of a structure, or nothing when a part of it is wrong", () => {
    using memory = Node.alloc(first);
    const node = Node.view(memory);
    const wrong: readonly (readonly [string, unknown, string])[] = [
      ["at", { x: 2, y: "2" }, '"at.y" must be a number'],
      ["at", { x: 2 }, '"at.y" must be a number, got undefined'],
      ["at", null, '"at" must be an object, got null'],
      ["at", 5, '"at" must be an object, got 5'],
      ["path", [{ x: 3, y: 3 }, { x: 3, y: null }], '"path[1].y" must be a number'],
      ["path", [{ x: 3, y: 3 }], '"path" must be 2 values, got an array of 1'],
      ["weights", [9, 9, "9"], '"weights[2]" must be a number'],
      ["weights", { length: 3 }, '"weights" must be 3 values'],
      ["grid", [[1, 2], [3, 256]], '"grid[1][1]" must be an integer from 0 to 255'],
      ["name", "12345678", '"name" must be a string without NUL characters, of at most 7 bytes'],
      ["name", "a\0b", '"name" must be a string'],
      ["name", 5, '"name" must be a string'],
    ];
    for (const [key, value, message] of wrong) {
      assertThrows(() => set(node, key, value), Error, `Cannot write to memory: ${message}`);
      assertThrows(() => Node.write(memory, { ...first, [key]: value } as never), Error, `memory: ${message}`);
      assertEquals(Node.read(memory), first);
    }
    const error = assertThrows(() => Node.alloc({ ...first, path: [{ x: 1, y: 1 }, { x: 0.5, y: 1 }] }));
    assert(error instanceof Error && error.message.includes('"path[1].x"'), String(error));
    const path = Point.viewMany(memory, Node.offsets.path, 2);
    assertThrows(() => path.set(1, { x: "1", y: 1 } as never), TypeError, 'memory: "[1].x" must be an integer');
    assertThrows(() => node.weights.set(2, "9" as never), TypeError, 'memory: "[2]" must be a number');
  });

  it("is a value of its type, and its arrays are; of the same memory, too", () => {
    using memory = Node.alloc(first);
    using other = Node.alloc();
    const node = Node.view(memory);
    Node.write(other, node);
    assertEquals(Node.read(other), first);
    const copy = Node.view(other);
    copy.weights.set(0, 50);
    copy.at = node.at;
    set(node, "weights", copy.weights);
    set(node, "weights", node.weights);
    set(node, "path", [node.path.at(1), node.path.at(0)]);
    assertEquals(node.weights.toArray(), [50, 2, 3]);
    assertEquals(node.path.toArray(), [first.path[1], first.path[0]]);
    set(node, "weights", new Float32Array([4, 5, 6]));
    assertEquals(node.weights.toArray(), [4, 5, 6]);
    Node.write(memory, node);
    assertEquals(node.weights.toArray(), [4, 5, 6]);
  });

  it("that is a value is copied as it is: unions, strings and handles, too", () => {
    const Mixed = struct({
      either: union({ bits: "u32", flag: "bool", text: charArray(4), number: "f32" }),
      rest: "u8",
    });
    using memory = Mixed.alloc({ either: { bits: 0x7fa00041 }, rest: 7 });
    const view = Mixed.view(memory);
    using copy = Mixed.alloc(view);
    assertStrictEquals(Mixed.view(copy).either.bits, 0x7fa00041);
    view.either = Mixed.view(copy).either;
    assertStrictEquals(view.either.bits, 0x7fa00041);
    using several = array(Mixed, 2).alloc();
    array(Mixed, 2).write(several, [view, view]);
    assertStrictEquals(Mixed.view(several, Mixed.byteLength).either.bits, 0x7fa00041);
    using held = Handle.create("held");
    using bearer = Bearer.alloc({ handle: held, name: symbols.greeting(), call: null, value: 5 });
    assertStrictEquals(symbols.useBearer(Bearer.view(bearer) as never), -1);
    const seen: unknown[] = [];
    symbols.relayBearer(({ handle, name }) => seen.push(handle, typeof name), Bearer.view(bearer) as never);
    assertEquals(seen, ["held", "string"]);
    // The view of another structure is an object like any other.
    const Other = struct({ y: "f64", x: "i32" });
    using point = Point.alloc({ x: 1, y: 2 });
    using other = Other.alloc(Point.view(point));
    assertEquals(Other.read(other), { y: 2, x: 1 });
  });

  it("throws MemoryFreedError once the memory is freed, also in the middle of a write", () => {
    const memory = Node.alloc(first);
    const node = Node.view(memory);
    const { at, weights, path } = node;
    const value = {
      x: 1,
      get y() {
        memory.free();
        return 1;
      },
    };
    assertThrows(() => node.at = value, MemoryFreedError);
    for (
      const use of [
        () => node.at.x,
        () => at.x,
        () => at.x = 1,
        () => node.name,
        () => node.name = "a",
        () => weights.at(0),
        () => weights.set(0, 1),
        () => weights.toArray(),
        () => [...weights],
        () => path.at(0).x,
        () => node.at = { x: 1, y: 1 },
        () => Node.read(memory),
        () => Node.write(memory, first),
        () => Node.view(memory),
        () => JSON.stringify(node),
      ]
    ) assertThrows(use, MemoryFreedError);
  });

  it("is shown by a console as what it has; where it can't be read, why", () => {
    const memory = Node.alloc(first);
    const node = Node.view(memory);
    const { at, weights, path } = node;
    for (const [view, value] of [[node, first], [at, first.at], [weights, first.weights], [path, first.path]]) {
      assertStrictEquals(inspect({ view }), inspect({ view: value }));
    }
    const held = Handle.create("held");
    using bearer = Bearer.alloc({ handle: held, name: null, call: null, value: 1 });
    held.delete();
    assert(inspect(Bearer.view(bearer)).startsWith("[InvalidHandleError: "), inspect(Bearer.view(bearer)));
    memory.free();
    for (const view of [node, at, weights, path]) assertStrictEquals(inspect(view), "[freed or transferred memory]");
  });

  it("has its fields as other objects have their properties", () => {
    using memory = Node.alloc(first);
    const node = Node.view(memory);
    assertEquals(Object.keys(node), Object.keys(first));
    assertEquals(Object.keys(node.at), ["x", "y"]);
    const { name, size, live, at } = { ...node };
    assertEquals([name, size, live], [first.name, first.size, first.live]);
    // What is in it stays a view.
    at.x = 7;
    assertStrictEquals(Node.read(memory).at.x, 7);
    assertStrictEquals(node.at, node.at);
    assertEquals(structuredClone({ ...node.at }), { x: 7, y: 0.5 });
    assertEquals(structuredClone(node.at), { x: 7, y: 0.5 });
    assertEquals(["at" in node, "nope" in node, "nope" in node.path.at(0), "x" in node.path.at(0)], [
      true,
      false,
      false,
      true,
    ]);
    const inLoop: string[] = [];
    for (const key in node.path.at(0)) inLoop.push(key);
    assertEquals(inLoop, ["x", "y"]);
    const { size: _, ...rest } = first;
    const Sized = struct({
      at: Point,
      weights: array("f32", 3),
      path: array(Point, 2),
      grid: array(array("u8", 2), 2),
    });
    using other = Sized.alloc({ at: rest.at, weights: rest.weights, path: rest.path, grid: rest.grid });
    const json = { at: rest.at, weights: rest.weights, path: rest.path, grid: rest.grid };
    const sized = Sized.view(other);
    assertEquals(JSON.parse(JSON.stringify(sized)), json);
    assertEquals(JSON.parse(JSON.stringify({ ...sized })), json);
    assertEquals(JSON.parse(JSON.stringify([sized.weights, sized.path, sized.path.at(1), sized.grid])), [
      json.weights,
      json.path,
      json.path[1],
      json.grid,
    ]);
    assert(node instanceof Object);
    assertStrictEquals(String(node), "[object Object]");
    assertThrows(() => Reflect.deleteProperty(node, "at") || raise(new TypeError("not deleted")), TypeError);
  });

  it("refuses properties that are no fields, as what is written does, however deep", () => {
    const Event = union({ motion: Point, wide: "u64" });
    const Tagged = struct({ kind: "u8", event: Event, path: array(Point, 2) });
    const value = { kind: 1, event: { motion: { x: 1, y: 2 } }, path: [{ x: 1, y: 1 }, { x: 2, y: 2 }] };
    using memory = Tagged.alloc(value);
    const view = Tagged.view(memory);
    const wide = { x: 1, y: 1, z: 1 };
    const point = "is no field: the structure has x, y";
    const refused: readonly (readonly [() => unknown, string])[] = [
      [() => set(view, "knid", 1), '"knid" is no field: the structure has kind, event, path'],
      [() => set(view.path.at(0), "z", 1), `"z" ${point}`],
      [() => set(view.event, "wid", 1n), '"wid" is no member: the union has motion, wide'],
      [() => set(view.event.motion, "z", 1), `"z" ${point}`],
      [() => set([...view.path][1] ?? {}, "z", 1), `"z" ${point}`],
      [() => Tagged.write(memory, { ...value, knid: 1 } as never), '"knid" is no field: the structure has kind'],
      [() => Tagged.alloc({ ...value, knid: undefined } as never), '"knid" is no field: the structure has kind'],
      [() => Tagged.write(memory, { ...value, path: [wide, wide] }), `"path[0].z" ${point}`],
      [() => Tagged.write(memory, { ...value, event: { motion: wide } }), `"event.motion.z" ${point}`],
      [
        () => Tagged.write(memory, { ...value, event: { wide: 1n, motoin: 1 } as never }),
        '"event.motoin" is no member: the union has motion, wide',
      ],
      [() => view.path.set(1, wide), `"[1].z" ${point}`],
      [() => set(view, "path", [wide, wide]), `"path[0].z" ${point}`],
      [() => view.event.motion = wide, `"motion.z" ${point}`],
    ];
    for (const [use, message] of refused) assertThrows(use, TypeError, `Cannot write to memory: ${message}`);
    const symbol = Symbol("key");
    assertThrows(() => Reflect.set(view, symbol, 1), TypeError, '"Symbol(key)" is no field');
    const read = Tagged.read(memory);
    assertThrows(() => set(read.event, "wid", 1n), TypeError);
    assertThrows(() => read.event.motion = wide, TypeError, `Cannot write to a union: "motion.z" ${point}`);
    assertThrows(() => set(view.path, "first", 1), TypeError);
    assertEquals(JSON.stringify(Tagged.view(memory).path), JSON.stringify(value.path));
    // Only what an object has itself, and shows.
    const hidden = Object.create({ inherited: 1 }, { hidden: { value: 1 } }) as object;
    Point.write(memory, Object.assign(hidden, { x: 5, y: 6, [symbol]: 1 }));
    assertEquals(Point.read(memory), { x: 5, y: 6 });
  });

  it("has strings and handles that can't be assigned, and says what to do instead", () => {
    using memory = Bearer.alloc({ handle: null, name: symbols.greeting(), call: null, value: 1 });
    const view = Bearer.view(memory);
    using held = Handle.create("held");
    for (const value of [held, held.id, null]) {
      assertThrows(
        () => set(view, "handle", value),
        TypeError,
        'Cannot write to memory: "handle" (handle) is read only in a view: write the structure, or the handle\'s id by',
      );
    }
    for (const value of [null, symbols.greeting(), "text"]) {
      assertThrows(() => set(view, "name", value), TypeError, '"name" (cstring) is read only in a view: write');
    }
    assertThrows(() => set(Bearer.viewMany(memory).at(0), "name", null), TypeError, '"name" (cstring) is read only');
    assertEquals(Bearer.read(memory), { handle: null, name: view.name, call: null, value: 1 });
    // As elements they are written by a method, which takes a pointer or a handle.
    using names = array("cstring", 2).alloc();
    array("cstring", 2).view(names).set(1, symbols.greeting());
    assertStrictEquals(array("cstring", 2).read(names)[1], view.name);
  });

  it("of fields with peculiar names says their names", () => {
    const Peculiar = struct({ a: struct({ "[0]": "u8", "": "u8" }), z: array(struct({ "": array("u8", 2) }), 2) });
    using memory = Peculiar.alloc();
    const view = Peculiar.view(memory);
    const good = Peculiar.read(memory);
    const wrong: readonly (readonly ["a" | "z", unknown, string])[] = [
      ["a", { "[0]": -1, "": 0 }, "a.[0]"],
      ["a", { "[0]": 0, "": -1 }, "a."],
      ["z", [{ "": [0, 0] }, { "": [0, -1] }], "z[1].[1]"],
    ];
    for (const [key, value, name] of wrong) {
      const message = `Cannot write to memory: "${name}" must be an integer from 0 to 255, got -1`;
      assertThrows(() => Peculiar.write(memory, { ...good, [key]: value } as never), RangeError, message);
      assertThrows(() => set(view, key, value), RangeError, message);
    }
  });

  it("has to be inside the memory", () => {
    using memory = NativeMemory.alloc(3 * Point.byteLength);
    assertEquals(Point.viewMany(memory).length, 3);
    assertEquals(Point.viewMany(memory, Point.byteLength).length, 2);
    assertEquals(Point.viewMany(memory, 1, 2).length, 2);
    for (const byteOffset of [-1, 0.5, NaN, 33, 2 ** 53]) {
      assertThrows(() => Point.view(memory, byteOffset), RangeError);
      assertThrows(() => Point.read(memory, byteOffset), RangeError);
      assertThrows(() => Point.write(memory, { x: 1, y: 1 }, byteOffset), RangeError);
    }
    for (const length of [-1, 4, 0.5, NaN, Infinity]) assertThrows(() => Point.viewMany(memory, 0, length), RangeError);
    const points = Point.viewMany(memory);
    for (const [index, point] of [...points].entries()) point.x = index;
    assertEquals(points.toArray().map(({ x }) => x), [0, 1, 2]);
  });
});

describe("what is read", () => {
  it("is a copy of its own: another read changes nothing in it, also one in the middle of it, or one that failed", () => {
    using memory = Node.alloc(first);
    using other = Node.alloc({ ...first, name: "other", size: 1n, weights: [7, 8, 9] });
    const { decode } = TextDecoder.prototype;
    let within = 0;
    TextDecoder.prototype.decode = function (...args): string {
      within += 1;
      if (within === 1) assertStrictEquals(Node.read(other).size, 1n);
      return decode.apply(this, args);
    };
    let read: ReturnType<typeof Node.read>;
    try {
      read = Node.read(memory);
    } finally {
      TextDecoder.prototype.decode = decode;
    }
    assert(within >= 2);
    Node.read(other);
    assertEquals(read, first);
    using held = Handle.create("held");
    using bearer = Bearer.alloc({ handle: held, name: null, call: null, value: 5 });
    using stale = Bearer.alloc({ handle: null, name: null, call: null, value: 6 });
    const ended = Handle.create("ended");
    Bearer.write(stale, { handle: ended, name: null, call: null, value: 7 });
    ended.delete();
    assertThrows(() => Bearer.read(stale), InvalidHandleError);
    assertThrows(() => Bearer.read(bearer, 1), RangeError);
    assertEquals(Bearer.read(bearer), { handle: "held", name: null, call: null, value: 5 });
  });

  it("and what is written don't meet, where a value reads or writes others of its type", () => {
    using memory = Point.alloc();
    using other = Point.alloc({ x: 8, y: 9 });
    const value = {
      x: 1,
      get y() {
        Point.write(other, { x: 3, y: 4 });
        assertEquals(Point.read(other), { x: 3, y: 4 });
        return 2;
      },
    };
    Point.write(memory, value);
    assertEquals([Point.read(memory), Point.read(other)], [{ x: 1, y: 2 }, { x: 3, y: 4 }]);
    assertThrows(() => Point.write(memory, { x: 5, y: "6" as never }), TypeError);
    Point.viewMany(memory).set(0, { x: 7, y: 8 });
    assertEquals(Point.read(memory), { x: 7, y: 8 });
    // Padding is zero, whatever was written before.
    const Padded = struct({ a: "u8", b: "u32" });
    using padded = Padded.alloc({ a: 255, b: 2 ** 32 - 1 });
    Padded.write(padded, { a: 1, b: 2 });
    assertEquals([...padded.bytes()], [1, 0, 0, 0, 2, 0, 0, 0]);
  });

  it("of a union keeps its bytes when another one is read", () => {
    using one = Narrow.alloc({ large: 1n });
    using two = Narrow.alloc({ large: 2n });
    const read = Narrow.read(one);
    Narrow.read(two);
    assertStrictEquals(read.large, 1n);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
