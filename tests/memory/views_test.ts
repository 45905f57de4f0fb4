import { inspect } from "node:util";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  array,
  callback,
  charArray,
  dlopen,
  Handle,
  handle,
  InvalidHandleError,
  MemoryFreedError,
  NativeMemory,
  out,
  PointerRuleError,
  struct,
  union,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { raise } from "../support/outcome.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { callbackUnchecked } from "../support/unchecked.ts";

const before = alive();
const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const Point = struct({ x: "i32", y: "f64" });
const Node = struct({
  name: charArray(8),
  at: Point,
  weights: array("f32", 3),
  path: array(Point, 2),
  grid: array(array("u8", 2), 2),
  size: "u64",
  live: "bool",
});
const Bearer = struct({ handle: handle<string>(), name: "cstring", call: i32ToI32, value: "i32" });
const Narrow = union({ small: "u8", large: "u64" });
const first = {
  name: "first",
  at: { x: 1, y: 0.5 },
  weights: [1, 2, 3],
  path: [{ x: 1, y: 1 }, { x: 2, y: 2 }],
  grid: [[1, 2], [3, 4]],
  size: 7n,
  live: true,
};

const library = dlopen(testLibrary, {
  useBearer: { parameters: [Bearer], result: "i32", name: "use_bearer" },
  relayBearer: { parameters: [{ parameters: [Bearer], result: "i32" }, Bearer], result: "i32", name: "relay_bearer" },
  makeBearer: { parameters: [handle<string>(), "i32"], result: Bearer, name: "make_bearer" },
  makeOfNumber: { parameters: ["u64", "i32"], result: Bearer, name: "make_bearer" },
  makeLater: { parameters: ["u64", "i32"], result: Bearer, name: "make_bearer", nonblocking: true },
  largeOf: { parameters: [Narrow], result: "u64", name: "large_of" },
  fill: {
    parameters: ["u64", "u64", "u64", "u64", "u64", "u64", struct({ x: "f64", y: "f64" })],
    result: "u64",
    name: "fill_words",
  },
  greeting: { parameters: [], result: "pointer" },
});
const { symbols } = library;

/** Sets a property that TypeScript would not let be set so. */
function set(view: object, key: string, value: unknown): void {
  (view as Record<string, unknown>)[key] = value;
}

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
  it("takes a Callback, a pointer or null, and gives a pointer", () => {
    using made = callback(i32ToI32, (value) => value * 2);
    const bearer = { handle: null, name: null, value: 21 };
    assertStrictEquals(symbols.useBearer({ ...bearer, call: made }), 42);
    assertStrictEquals(symbols.useBearer({ ...bearer, call: made.pointer }), 42);
    assertStrictEquals(symbols.useBearer({ ...bearer, call: null }), -1);
    using memory = Bearer.alloc({ ...bearer, call: made });
    const view = Bearer.view(memory);
    assertStrictEquals(view.call, made.pointer);
    set(view, "call", null);
    assertStrictEquals(view.call, null);
    set(view, "call", made);
    assertStrictEquals(view.call, made.pointer);
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
      [() => array({ parameters: [], result: "cstring" as "i32" }, 2), "its result can't be a cstring"],
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
  library.close();
  assertEquals(alive(), before);
});
