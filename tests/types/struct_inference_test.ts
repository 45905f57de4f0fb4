/** The types that TypeScript infers for structures, unions and arrays. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  array,
  type ArrayView,
  charArray,
  dlopen,
  Handle,
  handle,
  type Pointer,
  pointer,
  pointerFrom,
  type PointerOwner,
  struct,
  union,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { compiles, type Equals, holds, i32ToI32 } from "./holds.ts";

const before = alive();

describe("struct(), union(), array() and charArray()", () => {
  const Point = struct({ x: "f64", y: "f64" });
  const Node = struct({
    name: charArray(8),
    at: Point,
    weights: array("f32", 2),
    path: array(Point, 2),
    size: "u64",
    live: "bool",
    text: "cstring",
    owner: handle<Date>(),
    next: pointer<"node">(),
    call: i32ToI32,
  });
  const Bits = union({ number: "f32", bits: "u32" });
  type PointValue = { x: number; y: number };

  it("type what is read", () => {
    holds<Equals<ReturnType<typeof Point["read"]>, PointValue>>();
    type NodeValue = ReturnType<typeof Node["read"]>;
    holds<Equals<NodeValue["name"], string>>();
    holds<Equals<NodeValue["at"], PointValue>>();
    holds<Equals<NodeValue["weights"], number[]>>();
    holds<Equals<NodeValue["path"], PointValue[]>>();
    holds<Equals<NodeValue["size"], bigint>>();
    holds<Equals<NodeValue["live"], boolean>>();
    holds<Equals<NodeValue["text"], string | null>>();
    holds<Equals<NodeValue["owner"], Date | null>>();
    holds<Equals<NodeValue["next"], Pointer<"node"> | null>>();
    holds<Equals<NodeValue["call"], ((...args: [number]) => number) | null>>();
    holds<Equals<ReturnType<typeof Bits["read"]>, { number: number; bits: number }>>();
    holds<Equals<typeof Point.offsets, { readonly x: number; readonly y: number }>>();
    assertStrictEquals(Bits.byteLength, 4);
  });

  it("type views, which are read and written", () => {
    using memory = Point.alloc({ x: 1, y: 2 });
    const view = Point.view(memory);
    holds<Equals<typeof view, PointerOwner & PointValue>>();
    view.x += 1;
    assertStrictEquals(view.x, 2);
    const points = Point.viewMany(memory);
    holds<Equals<ReturnType<typeof points.at>, PointerOwner & PointValue>>();
    compiles(
      () => {
        const node = Node.view(memory);
        holds<Equals<typeof node.weights, ArrayView<"f32">>>();
        holds<Equals<ReturnType<typeof node.path.at>, PointerOwner & PointValue>>();
        holds<Equals<ReturnType<typeof node.weights.toArray>, number[]>>();
        node.path.set(0, { x: 1, y: 2 });
        // @ts-expect-error: an f32 is no string
        node.weights.set(0, "1");
        // @ts-expect-error: there is no such field
        return node.other;
      },
      () => {
        const view = struct({ name: "cstring", held: handle<Date>(), n: "i32" }).view(memory);
        holds<Equals<typeof view.name, string | null>>();
        holds<Equals<typeof view.held, Date | null>>();
        view.n = 5;
        // @ts-expect-error: somebody has to keep the text
        view.name = "text";
        // @ts-expect-error: what is stored is a handle
        view.held = new Date();
      },
    );
  });

  it("type what can be written", () => {
    using bits = Bits.alloc({ bits: 5 });
    assertStrictEquals(Bits.view(bits).bits, 5);
    compiles(
      // @ts-expect-error: a field is missing
      () => Point.alloc({ x: 1 }),
      // @ts-expect-error: there is no such field
      () => Point.alloc({ x: 1, y: 2, z: 3 }),
      // @ts-expect-error: a string is no f64
      () => Point.alloc({ x: 1, y: "2" }),
      // @ts-expect-error: there is no such member
      () => Bits.alloc({ other: 1 }),
      () => array(Point, 2).alloc([{ x: 1, y: 1 }, { x: 2, y: 2 }]),
      () => array(Point, 2).alloc(Point.viewMany(bits)),
      () => array("u8", 2).alloc(new Uint8Array(2)),
      // @ts-expect-error: an element is no point
      () => array(Point, 2).alloc([{ x: 1 }]),
      // @ts-expect-error: a string is no array
      () => array("u8", 2).alloc("ab"),
      () => struct({ text: "cstring" }).alloc({ text: pointerFrom(1) }),
      // @ts-expect-error: the characters are somebody's to keep
      () => struct({ text: "cstring" }).alloc({ text: "text" }),
      () => struct({ owner: handle<Date>() }).alloc({ owner: Handle.create(new Date()) }),
      // @ts-expect-error: the handle of another value
      () => struct({ owner: handle<Date>() }).alloc({ owner: Handle.create("text") }),
      // @ts-expect-error: a buffer can't be stored
      () => struct({ bytes: "buffer" }),
      // @ts-expect-error: a misspelled option
      () => struct({ x: "i32" }, { pack: true }),
      // @ts-expect-error: no such packing
      () => struct({ x: "i32" }, { packed: 3 }),
    );
  });

  it("type parameters and results of functions and callbacks", () => {
    using library = dlopen(testLibrary, {
      add_points: { parameters: [Point, Point], result: Point },
      relay_point: { parameters: [{ parameters: [Point], result: Point }, Point], result: Point },
    });
    const { symbols } = library;
    const sum = symbols.add_points({ x: 1, y: 2 }, { x: 3, y: 4 });
    holds<Equals<typeof sum, PointValue>>();
    using memory = Point.alloc(sum);
    const relayed = symbols.relay_point((given) => {
      holds<Equals<typeof given, PointValue>>();
      return { x: given.y, y: given.x };
    }, Point.view(memory));
    assertEquals(relayed, { x: 6, y: 4 });
    compiles(
      // @ts-expect-error: a number is no point
      () => symbols.add_points(1, { x: 1, y: 2 }),
      // @ts-expect-error: a field of the result is missing
      () => symbols.relay_point(() => ({ x: 1 }), sum),
      // @ts-expect-error: arrays are passed as pointers
      () => dlopen(testLibrary, { pass: { parameters: [array("u8", 2)], result: "void" } }),
      // @ts-expect-error: arrays are no results
      () => dlopen(testLibrary, { pass: { parameters: [], result: array("u8", 2) } }),
    );
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
