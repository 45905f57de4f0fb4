/** Calls by a block of words: out-parameters, `errno`, variadic functions, structures. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  callback,
  charArray,
  dlopen,
  Handle,
  handle,
  InvalidHandleError,
  LibraryClosedError,
  NativeMemory,
  out,
  type Pointer,
  pointer,
  pointerFrom,
  pointerValue,
  struct,
} from "@belay/ffi";
import { host, testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { alive } from "../support/gc.ts";
import { raise } from "../support/outcome.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { openUnchecked } from "../support/unchecked.ts";

const before = alive();
const Point = struct({ x: "f64", y: "f64" });
const many = {
  parameters: ["i32", out(Point), "f64", out(charArray(16)), "cstring", out("i32"), "i32"],
  result: "i32",
  name: "give_many",
} as const;
const nothing = { parameters: [], result: "void" } as const;
const point = { x: 1, y: 2 };

const library = dlopen(testLibrary, {
  many,
  manyLater: { ...many, nonblocking: true },
  manyCaptured: { ...many, captureErrno: true },
  manyCapturedLater: { ...many, captureErrno: true, nonblocking: true },
  giveNothing: { parameters: [out("i64")], result: "void", name: "give_nothing" },
  giveTagged: { parameters: [pointer<"thing">(), out(pointer<"thing">())], result: "bool", name: "give_pointer" },
  giveText: { parameters: ["cstring", out("cstring")], result: "bool", name: "give_pointer" },
  giveFunction: { parameters: ["function", out("function")], result: "bool", name: "give_pointer" },
  giveHandle: { parameters: [handle<string>(), out(handle<string>())], result: "bool", name: "give_pointer" },
  giveNumber: { parameters: ["u64", out(handle<string>())], result: "bool", name: "give_u64" },
  giveNumberLater: { parameters: ["u64", out("handle")], result: "bool", name: "give_u64", nonblocking: true },
  fail: { parameters: ["i32"], result: "i32", name: "fail_with", captureErrno: true },
  failLater: { parameters: ["i32"], result: "i32", name: "fail_with", captureErrno: true, nonblocking: true },
  failBare: { parameters: ["i32"], result: "i32", name: "fail_with" },
  leave: { parameters: [], result: "i32", name: "leave_error", captureErrno: true },
  leaveLater: { parameters: [], result: "i32", name: "leave_error", captureErrno: true, nonblocking: true },
  fail_then_call: { parameters: ["i32", nothing], result: "i32", captureErrno: true },
  call_then_fail: { parameters: ["i32", nothing], result: "i32", captureErrno: true },
  callThenFailLater: {
    parameters: ["i32", nothing],
    result: "i32",
    captureErrno: true,
    nonblocking: true,
    name: "call_then_fail",
  },
  add_points: { parameters: [Point, Point], result: Point },
  addLater: { parameters: [Point, Point], result: Point, name: "add_points", nonblocking: true },
  relay_point: { parameters: [{ parameters: [Point], result: Point }, Point], result: Point },
  sumAfter: { parameters: ["f32", Point, "i32", "f64", "f64"], result: "f64", variadic: 3, name: "sum_after" },
  pointOf: { parameters: ["i32", "i32", "f64", "i32", "f64"], result: Point, variadic: 1, name: "point_of" },
});
const { symbols } = library;

describe("an out-parameter", () => {
  for (const type of scalarTypes) {
    it(`of ${type} gives every value, at once and later`, async () => {
      using opened = openUnchecked({
        give: { parameters: [type, out(type)], result: "bool", name: `give_${type}` },
        later: { parameters: [type, out(type)], result: "bool", name: `give_${type}`, nonblocking: true },
        captured: { parameters: [type, out(type)], result: "bool", name: `give_${type}`, captureErrno: true },
      });
      for (const value of limits[type]) {
        assertEquals(opened.symbols.give(value), [true, value]);
        assertEquals(await opened.symbols.later(value), [true, value]);
        assertEquals(opened.symbols.captured(value), [true, value, 0]);
      }
    });
  }

  it("may be a structure, a text, one of several between other parameters, with an error number", async () => {
    const given = [6, { x: 3, y: 4 }, "fifteen bytes a", 7] as const;
    const args = [3, 4, "fifteen bytes and more", 5] as const;
    assertEquals(symbols.many(...args), [...given]);
    assertEquals(await symbols.manyLater(...args), [...given]);
    assertEquals(symbols.manyCaptured(...args), [...given, 5]);
    assertEquals(await symbols.manyCapturedLater(...args), [...given, 5]);
  });

  it("that C doesn't write gives zero, whatever was there before", () => {
    for (let i = 0; i < 100; i++) {
      assertEquals(symbols.many(3, 4, "text", 0)[0], 6);
      assertEquals(symbols.giveNothing(), [undefined, 0n]);
    }
  });

  it("may be a tagged pointer, a function, a handle, a string that C keeps", () => {
    const tagged = pointerFrom<"thing">(4096);
    assertEquals(symbols.giveTagged(tagged), [true, tagged]);
    assertEquals(symbols.giveTagged(null), [true, null]);
    using made = callback(nothing, () => {});
    assertEquals(symbols.giveFunction(made), [true, made.pointer]);
    using value = Handle.create("value");
    assertEquals(symbols.giveHandle(value), [true, "value"]);
    assertEquals(symbols.giveText("a text that lives as long as the call"), [
      true,
      "a text that lives as long as the call",
    ]);
    assertEquals(symbols.giveText(null), [true, null]);
  });

  it("that gives a stale handle throws InvalidHandleError, or rejects", async () => {
    const value = Handle.create("value");
    const { id } = value;
    value.delete();
    assertThrows(() => symbols.giveNumber(id), InvalidHandleError);
    const rejected = await symbols.giveNumberLater(id).then(() => undefined, (error: unknown) => error);
    assert(rejected instanceof InvalidHandleError, String(rejected));
  });

  it("calls overlap: each has memory of its own", async () => {
    const calls = Array.from({ length: 200 }, (_, i) => symbols.manyCapturedLater(i, i, `text ${i}`, i + 1));
    for (const [i, result] of (await Promise.all(calls)).entries()) {
      assertEquals(result, [2 * i, { x: i, y: i }, `text ${i}`, 2 * i, i + 1]);
    }
  });
});

describe("captureErrno", () => {
  it("gives what C left, at once and later, and 0 when C left nothing", async () => {
    for (const error of [2, 0, 22, 1000]) {
      assertEquals(symbols.fail(error), [-1, error]);
      assertEquals(symbols.leave(), [1, 0]);
      assertEquals(await symbols.failLater(error), [-1, error]);
      assertEquals(await symbols.leaveLater(), [1, 0]);
    }
  });

  it("is not disturbed by the runtime, however much it allocates", () => {
    let kept: unknown[] = [];
    for (let i = 1; i < 20_000; i++) {
      kept.push(new Uint8Array(512), { i });
      if (kept.length > 2000) kept = [];
      const [result, error] = symbols.fail(i);
      assert(result === -1 && error === i, `${error} instead of ${i}`);
    }
  });

  it("is what C left last, whatever a callback did before; and callbacks have calls of their own", async () => {
    const inside: number[] = [];
    const busy = (): void => {
      inside.push(symbols.fail(7)[1]);
      NativeMemory.alloc(1 << 20).free();
      inside.push(symbols.leave()[1]);
    };
    for (let i = 1; i < 200; i++) assertEquals(symbols.call_then_fail(i, busy), [-1, i]);
    assertEquals(await symbols.callThenFailLater(99, busy), [-1, 99]);
    assertEquals(new Set(inside), new Set([7, 0]));
    assertEquals(symbols.call_then_fail(3, () => void symbols.call_then_fail(4, busy)), [-1, 3]);
  });

  it("survives a callback that does nothing after C has set it", () => {
    for (let i = 1; i < 200; i++) assertEquals(symbols.fail_then_call(i, () => {}), [-1, i]);
  });

  it("is not there when a callback throws", () => {
    assertThrows(() => symbols.call_then_fail(3, () => raise(new RangeError("mine"))), RangeError, "mine");
    assertEquals(symbols.fail(3), [-1, 3]);
  });
});

describe("a variadic function", () => {
  const samples = { i: "i32", u: "u32", l: "i64", d: "f64", p: "pointer", s: "cstring" } as const;
  const value = (kind: string, at: number): unknown => {
    if (kind === "s") return "x".repeat(at);
    if (kind === "p") return pointerFrom(4096 + at);
    return kind === "d" ? at + 0.5 : kind === "u" ? 2 ** 32 - 1 - at : kind === "l" ? BigInt(at) << 33n : -at;
  };
  const asNumber = (kind: string, given: unknown): number =>
    kind === "s" ? String(given).length : Number(kind === "p" ? pointerValue(given as Pointer) : given);

  for (
    const kinds of [
      "",
      "i",
      "d",
      "l",
      "u",
      "s",
      "p",
      "id",
      "di",
      "iiiiiiii",
      "dddddddddd",
      "idididididididididid",
      "sdlpuisdlpuisdlpuisd",
    ]
  ) {
    it(`gets ${kinds.length} further arguments: ${kinds === "" ? "none" : kinds}`, async () => {
      const types = [...kinds].map((kind) => samples[kind as keyof typeof samples]);
      const definition = { parameters: ["cstring", ...types], result: "f64", variadic: 1, name: "sum_of" };
      using opened = openUnchecked({
        sum: definition,
        later: { ...definition, nonblocking: true },
        captured: { ...definition, captureErrno: true },
      });
      const values = [...kinds].map((kind, index) => value(kind, index + 1));
      const expected = [...kinds].reduce((sum, kind, index) => sum + asNumber(kind, values[index]) * (index + 1), 0);
      assertStrictEquals(opened.symbols.sum(kinds, ...values), expected);
      assertStrictEquals(await opened.symbols.later(kinds, ...values), expected);
      assertEquals(opened.symbols.captured(kinds, ...values), [expected, 0]);
    });
  }

  it("takes floats and structures before the ..., and returns a structure", () => {
    assertStrictEquals(symbols.sumAfter(0.5, { x: 1, y: 2 }, 2, 1000, 2000), 3210.5);
    assertEquals(symbols.pointOf(2, 1, 0.25, 2, 0.5), { x: 3, y: 0.75 });
  });

  it("may be defined for several uses: snprintf of libc", () => {
    // Windows' new C library has it only as an inline function in a header, and the old one by another name.
    if (host.os === "windows") return;
    using opened = dlopen(libcPath, {
      number: {
        parameters: ["buffer", "usize", "cstring", "i32", "f64"],
        result: "i32",
        variadic: 3,
        name: "snprintf",
      },
      text: {
        parameters: [out(charArray(16)), "usize", "cstring", "cstring"],
        result: "i32",
        variadic: 3,
        name: "snprintf",
      },
    });
    const bytes = new Uint8Array(32);
    assertStrictEquals(opened.symbols.number(bytes, bytes.length, "%d and %.2f", -5, 0.25), 11);
    assertStrictEquals(new TextDecoder().decode(bytes.subarray(0, 11)), "-5 and 0.25");
    assertEquals(opened.symbols.text(16, "<%s>", "grüße"), [9, "<grüße>"]);
  });

  it("is refused with what C would promote, structures behind the ..., and a wrong count", () => {
    const refused = (parameters: unknown[], variadic: unknown, message: string): void =>
      void assertThrows(
        () => openUnchecked({ sum_of: { parameters, result: "f64", variadic } }),
        TypeError,
        message,
      );
    refused(["cstring", "f32"], 1, 'parameter 2: C passes a f32 behind the "..." as f64');
    for (const type of ["i8", "i16", "bool"]) refused(["cstring", type], 1, `as i32`);
    refused(["cstring", Point], 1, "structures are not passed behind");
    for (const count of [-1, 2, 0.5, "1"]) refused(["cstring"], count, "variadic must be");
  });
});

describe("a getter of a structure that is passed", () => {
  it("may call C again with structures, make nonblocking calls, and throw: calls have their own arguments", async () => {
    const later: Promise<unknown>[] = [];
    const many = {
      x: 1,
      get y() {
        for (let i = 0; i < 100; i++) later.push(symbols.addLater({ x: i, y: 0 }, point));
        return 0;
      },
    };
    assertEquals(
      symbols.add_points({
        get x() {
          return symbols.add_points(point, point).x;
        },
        y: 0,
      }, point),
      { x: 3, y: 2 },
    );
    assertEquals(
      symbols.add_points(point, {
        get x() {
          later.push(symbols.addLater(point, point));
          return 5;
        },
        y: 1,
      }),
      { x: 6, y: 3 },
    );
    assertEquals(symbols.add_points(many, point), { x: 2, y: 2 });
    for (let i = 0; i < 10; i++) {
      assertThrows(
        () =>
          symbols.add_points(point, {
            x: 1,
            get y(): number {
              return raise(new RangeError("mine"));
            },
          }),
        RangeError,
        "mine",
      );
    }
    assertEquals(symbols.add_points(point, point), { x: 2, y: 4 });
    const results = await Promise.all(later);
    assertEquals(results[0], { x: 2, y: 4 });
    for (let i = 0; i < 100; i++) assertEquals(results[i + 1], { x: i + 1, y: 2 });
  });

  it("that is nested in a callback, which throws, leaves nothing of the inner result", () => {
    const relayed = symbols.relay_point(
      (given) => symbols.relay_point((inner) => ({ x: inner.x * 2, y: inner.y }), given),
      point,
    );
    assertEquals(relayed, { x: 2, y: 2 });
    assertThrows(
      () =>
        symbols.relay_point(
          (given) => raise(new RangeError(`after ${symbols.relay_point((inner) => inner, given).x}`)),
          point,
        ),
      RangeError,
      "after 1",
    );
    const got: unknown[] = [];
    // C gets zeroes of what threw, even when a callback inside of it has answered.
    using throws = callback({ parameters: [Point], result: Point }, (given) => {
      symbols.relay_point((inner) => inner, given);
      return raise(new RangeError("thrown"));
    });
    assertThrows(
      () =>
        symbols.relay_point((given) => {
          try {
            got.push(symbols.relay_point(throws, given));
          } catch (error) {
            got.push(error);
          }
          return given;
        }, point) && raise(new RangeError("outer")),
      RangeError,
      "outer",
    );
    assert(got[0] instanceof RangeError, String(got[0]));
  });

  it("may close the library, which is called no more", () => {
    const opened = dlopen(testLibrary, {
      add: { parameters: [Point, Point], result: Point, name: "add_points", nonblocking: true },
      addNow: { parameters: [Point, Point], result: Point, name: "add_points" },
    }, { unload: true });
    const closing = {
      x: 1,
      get y() {
        opened.close();
        return 1;
      },
    };
    const { add } = opened.symbols;
    assertThrows(() => void add(point, closing), LibraryClosedError);
    assertThrows(() => opened.symbols.addNow(point, point), LibraryClosedError);
  });

  it("may detach a buffer that is passed, too: that is refused", () => {
    using opened = openUnchecked({
      pass: { parameters: ["buffer", Point], result: "pointer" },
      later: { parameters: ["buffer", Point], result: "pointer", name: "pass", nonblocking: true },
    });
    for (const name of ["pass", "later"]) {
      const buffer = new ArrayBuffer(64);
      const value = {
        get x() {
          buffer.transfer();
          return 1;
        },
        y: 1,
      };
      assertThrows(() => opened.symbols[name](new Uint8Array(buffer), value), TypeError, "argument 1 (buffer)");
    }
  });
});

it("nothing of these tests is left alive", () => {
  library.close();
  assertEquals(alive(), before);
});
