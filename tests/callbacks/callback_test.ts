import { assert, assertEquals, assertFalse, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { assertInstanceOf, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  type CallbackDefinition,
  configure,
  dlopen,
  Handle,
  handle,
  handleAddress,
  InvalidHandleError,
  type Library,
  type Pointer,
  pointerFrom,
  PointerRuleError,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil, turn } from "../support/gc.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import { randomFrom } from "../support/random.ts";
import { limits, type ScalarType, scalarTypes } from "../support/scalars.ts";
import { callbackUnchecked, openUnchecked, type Unchecked } from "../support/unchecked.ts";

const aliveBefore = alive();

const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const definitions = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  call_void: { parameters: [{ parameters: [], result: "void" }], result: "void" },
  relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
  relay_f64: { parameters: [{ parameters: ["f64"], result: "f64" }, "f64"], result: "f64" },
  relay_i64: { parameters: [{ parameters: ["i64"], result: "i64" }, "i64"], result: "i64" },
  collect_i32: { parameters: [i32ToI32, "buffer", "i32"], result: "void" },
  keep: { parameters: [i32ToI32], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  enter_pointer: { parameters: [], result: "pointer" },
} as const;

/** The bare runtime's own way to the test library, of which belay knows nothing. */
const raw = rawOpen(testLibrary, { relay_i32: { parameters: ["u64", "i32"], result: "i32" } });

const open = (): Library<typeof definitions> => dlopen(testLibrary, definitions);

describe("callback parameters and results", () => {
  for (const type of scalarTypes) {
    it(`a ${type} goes to a callback and comes back at its limits`, () => {
      const name = `relay_${type}`;
      using library = openUnchecked({
        [name]: { parameters: [{ parameters: [type], result: type }, type], result: type },
      });
      const seen: unknown[] = [];
      const relay = library.symbols[name];
      for (const value of limits[type]) {
        assertStrictEquals(relay((parameter: unknown) => (seen.push(parameter), parameter), value), value);
      }
      assertEquals(seen, [...limits[type]]);
      // Against what C gives to the callback, and what the callback answers, being one mistake twice.
      const [first, second] = limits[type];
      assertStrictEquals(relay(() => second, first), second);
    });
  }

  it("a 64-bit result may be a safe integer", () => {
    using library = open();
    const { relay_i64 } = library.symbols;
    assertStrictEquals(relay_i64(() => Number.MIN_SAFE_INTEGER, 0), BigInt(Number.MIN_SAFE_INTEGER));
    assertStrictEquals(relay_i64(() => -1, 0), -1n);
  });

  it("twenty arguments of every kind arrive, on the stack and in registers", () => {
    const many = {
      // deno-fmt-ignore
      parameters: [
        "i8", "f32", "u16", "f64", "i32", "f32", "i64", "f64", "u8", "f32",
        "i16", "f64", "u32", "f64", "u64", "f32", "i32", "f64", "bool", "f64",
      ],
      result: "f64",
    } as const;
    using library = dlopen(testLibrary, { call_many: { parameters: [many], result: "f64" } });
    let seen: unknown[] = [];
    assertStrictEquals(library.symbols.call_many((...parameters) => (seen = parameters, 0.25)), 0.25);
    // deno-fmt-ignore
    assertEquals(seen, [
      -1, 1.5, 65535, 2.5, -3, 3.5, -4n, 4.5, 255, 5.5,
      -6, 6.5, 4294967295, 7.5, 18446744073709551615n, 8.5, -9, 9.5, true, 10.5,
    ]);
  });

  it("ten small integers arrive, on the stack and in registers", () => {
    const many = {
      parameters: ["i8", "u8", "i16", "u16", "i32", "i8", "u8", "i16", "bool", "i32"],
      result: "i32",
    } as const;
    using library = dlopen(testLibrary, { call_many_integers: { parameters: [many], result: "i32" } });
    let seen: unknown[] = [];
    assertStrictEquals(library.symbols.call_many_integers((...parameters) => (seen = parameters, -77)), -77);
    assertEquals(seen, [-1, 2, -3, 4, -5, -6, 7, -8, true, -10]);
  });

  it("a cstring parameter arrives decoded, null for NULL, and with U+FFFD for what is not UTF-8", () => {
    using library = dlopen(testLibrary, {
      call_text: { parameters: [{ parameters: ["cstring"], result: "void" }], result: "void" },
      call_latin1: { parameters: [{ parameters: ["cstring"], result: "i32" }], result: "i32" },
    });
    const seen: unknown[] = [];
    library.symbols.call_text((text) => void seen.push(text));
    assertStrictEquals(library.symbols.call_latin1((text) => seen.push(text)), 3);
    assertEquals(seen, ["text", null, "gr\ufffd\ufffd"]);
  });

  it("a buffer and a function parameter arrive as pointers, null for NULL", () => {
    for (const type of ["buffer", "function"]) {
      using library = openUnchecked({
        relay_pointer: { parameters: [{ parameters: [type], result: "pointer" }, "pointer"], result: "pointer" },
      });
      const relay = library.symbols["relay_pointer"];
      const seen: unknown[] = [];
      const pointer = pointerFrom(4096);
      assertStrictEquals(relay((value: unknown) => (seen.push(value), value), pointer), pointer);
      assertStrictEquals(relay((value: unknown) => (seen.push(value), value), null), null);
      assertEquals(seen, [pointer, null]);
    }
  });

  it("a function result takes a Callback, its pointer and null", () => {
    using library = dlopen(testLibrary, {
      relay_pointer: { parameters: [{ parameters: ["pointer"], result: "function" }, "pointer"], result: "pointer" },
    });
    using answer = callback(i32ToI32, (value) => value);
    const { relay_pointer } = library.symbols;
    assertStrictEquals(relay_pointer(() => answer, null), answer.pointer);
    assertStrictEquals(relay_pointer(() => answer.pointer, null), answer.pointer);
    assertStrictEquals(relay_pointer(() => null, pointerFrom(1)), null);
  });

  it("a handle result takes a Handle, its id and null", () => {
    using library = dlopen(testLibrary, {
      relay_pointer: { parameters: [{ parameters: ["pointer"], result: "handle" }, "pointer"], result: "pointer" },
    });
    using answer = Handle.create("answer");
    const { relay_pointer } = library.symbols;
    assertStrictEquals(relay_pointer(() => answer, null), pointerFrom(answer.id));
    assertStrictEquals(relay_pointer(() => answer.id, null), pointerFrom(answer.id));
    assertStrictEquals(relay_pointer(() => null, pointerFrom(1)), null);
    const stale = Handle.create("stale");
    stale.delete();
    const error = assertThrows(() => relay_pointer(() => stale, null), InvalidHandleError);
    assertStrictEquals(error.reason, "stale");
  });
});

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

describe("a plain function as an argument", () => {
  it("is C's for the time of the call: what C kept is stale afterwards, counted and reported by name", () => {
    using library = open();
    const { keep, call_kept } = library.symbols;
    const { live: { callbacks }, counts: { staleCalls } } = stats();
    let runs = 0;
    keep(() => ++runs);
    assertStrictEquals(stats().live.callbacks, callbacks);
    const reports = reportsOf(() => {
      assertStrictEquals(call_kept(1), 0);
      assertStrictEquals(call_kept(2), 0);
    });
    assertStrictEquals(runs, 0);
    assertStrictEquals(stats().counts.staleCalls, staleCalls + 2);
    assertEquals(reports.map(({ kind }) => kind), ["stale-callback"]);
    assertStringIncludes(reports[0].message, "the function that was argument 1 of keep after that call had returned");
  });

  it("counts as a live callback while the call runs, and no longer when it threw", () => {
    using library = open();
    const { callbacks } = stats().live;
    library.symbols.call_void(() => assertStrictEquals(stats().live.callbacks, callbacks + 1));
    assertStrictEquals(stats().live.callbacks, callbacks);
    caught(() => library.symbols.call_void(() => raise("thrown")));
    assertStrictEquals(stats().live.callbacks, callbacks);
  });

  it("may be replaced by a Callback, its pointer, or C's own function", () => {
    using library = open();
    const { relay_i32, enter_pointer } = library.symbols;
    using doubled = callback(i32ToI32, (value) => 2 * value);
    assertStrictEquals(relay_i32((value) => 3 * value, 7), 21);
    assertStrictEquals(relay_i32(doubled, 7), 14);
    assertStrictEquals(relay_i32(doubled.pointer, 7), 14);
    assertStrictEquals(relay_i32(enter_pointer(), 7), 7);
  });
});

describe("callback", () => {
  it("takes one native callback of the runtime, whatever the number of signatures and functions", () => {
    const types: readonly ScalarType[] = ["i8", "u16", "i32", "u64", "f32", "f64"];
    using library = openUnchecked(Object.fromEntries(types.map((type) => [
      type,
      { parameters: ["function", type], result: type, name: `relay_${type}` },
    ])));
    const made: { type: ScalarType; answer: number; made: Callback }[] = [];
    for (let i = 0; i < 100; i++) {
      for (const type of types) {
        const answer = i;
        made.push({ type, answer, made: callbackUnchecked({ parameters: [type], result: type }, () => answer) });
      }
    }
    assertStrictEquals(new Set(made.map(({ made }) => pointerValue(made.pointer))).size, 600);
    for (const { type, answer, made: each } of made) {
      assertEquals(Number(library.symbols[type](each, 1)), answer);
    }
    for (const { made: each } of made) each.close();
  });

  it("tells two functions of the same signature and the same user data apart", () => {
    const definition = { parameters: [handle<string[]>(), "i32"], result: "i32" } as const;
    using library = dlopen(testLibrary, {
      each: { parameters: ["i32", definition, handle<string[]>()], result: "i32" },
    });
    using held = Handle.create<string[]>([]);
    using first = callback(definition, (list, index) => (list.push(`first ${index}`), 1));
    using second = callback(definition, (list, index) => (list.push(`second ${index}`), 10));
    assertStrictEquals(library.symbols.each(2, first, held), 2);
    assertStrictEquals(library.symbols.each(2, second, held), 20);
    assertStrictEquals(library.symbols.each(1, first, held), 1);
    assertEquals(held.value, ["first 0", "first 1", "second 0", "second 1", "first 0"]);
  });

  it("may call the library that called it", () => {
    using library = open();
    const { relay_i32, add_i32 } = library.symbols;
    assertStrictEquals(relay_i32((value) => add_i32(value, relay_i32((inner) => inner * 10, value)), 4), 44);
  });

  it("keeps its own arguments and result while a callback inside it runs", () => {
    using library = open();
    const { relay_i32, relay_f64, relay_i64 } = library.symbols;
    const result = relay_i32((value) => {
      const inner = relay_f64((half) => Number(relay_i64((big) => big * 2n, 2n ** 40n)) * half, 0.5);
      assertStrictEquals(inner, 2 ** 40);
      return value + 1;
    }, 41);
    assertStrictEquals(result, 42);
  });

  it("doesn't let microtasks run inside a native call", async () => {
    using library = open();
    const order: string[] = [];
    const results = new Int32Array(3);
    library.symbols.collect_i32(
      (index) => {
        order.push(`callback ${index}`);
        queueMicrotask(() => order.push(`microtask ${index}`));
        Promise.resolve().then(() => order.push(`promise ${index}`));
        return index;
      },
      results,
      3,
    );
    order.push("returned");
    await turn();
    assertEquals(order, [
      "callback 0",
      "callback 1",
      "callback 2",
      "returned",
      ...[0, 1, 2].flatMap((index) => [`microtask ${index}`, `promise ${index}`]),
    ]);
  });

  it("has its definition, and the name that it was given or the function's own", () => {
    using library = open();
    function ownName(): number {
      throw new Error("not called");
    }
    const names: [string, Callback<typeof i32ToI32>][] = [
      ["given", callback(i32ToI32, ownName, { name: "given" })],
      ["ownName", callback(i32ToI32, ownName)],
      ["anonymous", callback(i32ToI32, () => 1)],
    ];
    for (const [name, made] of names) {
      assertStrictEquals(made.definition, i32ToI32);
      made.close();
      const reports = reportsOf(() => assertStrictEquals(library.symbols.relay_i32(made.pointer, 1), 0));
      assertEquals(reports.length, 1);
      assertStringIncludes(reports[0].message, `callback "${name}"`);
    }
  });

  it("that was closed is refused as an argument, and so is one of another shape", () => {
    using library = open();
    const disposed = callback(i32ToI32, (value) => value);
    disposed.close();
    assertThrows(() => library.symbols.relay_i32(disposed, 1), TypeError, "got a Callback that was closed");
    using other = callback({ parameters: ["f64"], result: "f64" }, (value) => value);
    const asked = other as unknown as typeof disposed;
    assertThrows(() => library.symbols.relay_i32(asked, 1), TypeError, "got a Callback of another shape");
    const forged = { definition: i32ToI32, pointer: pointerFrom(77) } as unknown as typeof disposed;
    assertThrows(() => library.symbols.relay_i32(forged, 1), TypeError, "must be a function");
  });

  it("is passed on by a pointer that stays === over its life", () => {
    using made = callback(i32ToI32, (value) => value);
    assertStrictEquals(made.pointer, pointerFrom(pointerValue(made.pointer)));
    assertFalse(made.disposed);
  });
});

describe("Callback.dispose", () => {
  it("leaves C the fallback, and counts and reports calls once, by name", () => {
    using library = open();
    let runs = 0;
    const made = callback(i32ToI32, () => ++runs, { fallback: -3, name: "gone" });
    assertStrictEquals(library.symbols.relay_i32(made, 0), 1);
    made.close();
    assert(made.disposed);
    const before = stats().counts.staleCalls;
    const results = new Int32Array(4);
    const reports = reportsOf(() => {
      library.symbols.collect_i32(made.pointer, results, 4);
      assertStrictEquals(library.symbols.relay_i32(made.pointer, 0), -3);
    });
    assertEquals([...results], [-3, -3, -3, -3]);
    assertStrictEquals(runs, 1);
    assertStrictEquals(stats().counts.staleCalls, before + 5);
    assertEquals(reports.map(({ kind }) => kind), ["stale-callback"]);
    assertStringIncludes(reports[0].message, 'callback "gone"');
  });

  it("does nothing the second time", () => {
    const { callbacks, thunks: thunksInUse } = stats().live;
    const made = callback(i32ToI32, (value) => value);
    assertEquals([stats().live.callbacks, stats().live.thunks], [callbacks + 1, thunksInUse + 1]);
    made.close();
    made.close();
    made[Symbol.dispose]();
    assertEquals([stats().live.callbacks, stats().live.thunks], [callbacks, thunksInUse]);
  });

  it("is what using does, also when the scope throws", () => {
    const { callbacks } = stats().live;
    const thrown = new Error("out of the scope");
    const error = caught(() => {
      using _made = callback(i32ToI32, (value) => value);
      assertStrictEquals(stats().live.callbacks, callbacks + 1);
      throw thrown;
    });
    assertStrictEquals(error, thrown);
    assertStrictEquals(stats().live.callbacks, callbacks);
  });

  it("inside the callback's own call lets it finish; the next is stale", () => {
    using library = open();
    let runs = 0;
    const made = callback(i32ToI32, (index) => {
      runs += 1;
      made.close();
      return index + 100;
    }, { fallback: -1 });
    const results = new Int32Array(3);
    const reports = reportsOf(() => library.symbols.collect_i32(made, results, 3));
    assertEquals([...results], [100, -1, -1]);
    assertStrictEquals(runs, 1);
    assertStrictEquals(reports.length, 1);
  });

  it("inside the callback's own call, which then throws, doesn't lose the error", () => {
    using library = open();
    const thrown = new Error("after dispose");
    const made = callback(i32ToI32, () => {
      made.close();
      throw thrown;
    }, { fallback: -1 });
    const results = new Int32Array(2);
    reportsOf(() => {
      assertStrictEquals(caught(() => library.symbols.collect_i32(made, results, 2)), thrown);
    });
    assertEquals([...results], [-1, -1]);
  });
});

describe("a callback that was dropped", () => {
  it("is released after a garbage collection: C gets the fallback, which is counted", async () => {
    using library = open();
    const { callbacks } = stats().live;
    const pointers: Pointer[] = [];
    const drop = (): void => {
      pointers.push(callback(i32ToI32, (value) => value, { fallback: -9, name: "dropped" }).pointer);
    };
    drop();
    assertStrictEquals(stats().live.callbacks, callbacks + 1);
    assert(await collectUntil(() => stats().live.callbacks === callbacks));
    const { staleCalls } = stats().counts;
    const reports = reportsOf(() => assertStrictEquals(library.symbols.relay_i32(pointers[0], 1), -9));
    assertStrictEquals(stats().counts.staleCalls, staleCalls + 1);
    assertStringIncludes(reports[0].message, 'callback "dropped"');
  });

  it("is reported as a leak while leaks are tracked", async () => {
    const reports: Report[] = [];
    configure({ trackLeaks: true, onReport: (report) => reports.push(report) });
    try {
      const drop = (): void => void callback(i32ToI32, (value) => value, { name: "leaked" });
      drop();
      assert(await collectUntil(() => reports.length > 0));
    } finally {
      configure({ trackLeaks: false, onReport: undefined });
    }
    assertEquals(reports.map(({ kind }) => kind), ["leak"]);
    assertStringIncludes(reports[0].message, 'callback "leaked"');
  });

  it("has kept its function alive until then; one that was closed doesn't", async () => {
    const kept: { made?: Callback<typeof i32ToI32> } = {};
    let collected = false;
    const registry = new FinalizationRegistry<undefined>(() => void (collected = true));
    // Functions of their own: an async function's frame would keep what it touched.
    const make = (): void => {
      const fn = (value: number): number => value;
      registry.register(fn, undefined);
      kept.made = callback(i32ToI32, fn);
    };
    const dispose = (): void => kept.made?.close();
    make();
    await collectFully();
    assertFalse(collected);
    dispose();
    const released = await collectUntil(() => collected);
    // The callback itself is still held here.
    assert(kept.made?.disposed);
    assert(released, "a disposed callback holds its function");
  });
});

/** What C stores the results of `collect_` in. */
const resultArrays: Record<ScalarType, new (length: number) => ArrayBufferView & Iterable<number | bigint>> = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  isize: BigInt64Array,
  usize: BigUint64Array,
  f32: Float32Array,
  f64: Float64Array,
  bool: Uint8Array,
  pointer: BigUint64Array,
};

/** Runs `fn` behind a callback with a result of a type, four times: what C got, and what the native call threw. */
function collectResults(
  type: ScalarType,
  fn: (index: number) => unknown,
  fallback?: unknown,
): { results: unknown[]; error: unknown } {
  using library = openUnchecked({
    collect: { parameters: ["function", "buffer", "i32"], result: "void", name: `collect_${type}` },
  });
  using made = callbackUnchecked({ parameters: ["i32"], result: type }, fn, { fallback, name: "collecting" });
  const results = new resultArrays[type](4);
  let error: unknown;
  try {
    library.symbols["collect"](made, results, 4);
  } catch (thrown) {
    error = thrown;
  }
  return { results: [...results], error };
}

/** For each type a fallback, what C makes of it, and what it makes of none. */
const fallbacks: [ScalarType, unknown, unknown, unknown][] = [
  ["i8", -128, -128, 0],
  ["u8", 255, 255, 0],
  ["i16", -32768, -32768, 0],
  ["u16", 65535, 65535, 0],
  ["i32", -2147483648, -2147483648, 0],
  ["u32", 4294967295, 4294967295, 0],
  ["i64", -(2n ** 63n), -(2n ** 63n), 0n],
  ["i64", -1, -1n, 0n],
  ["u64", 2n ** 64n - 1n, 2n ** 64n - 1n, 0n],
  ["isize", -2n, -2n, 0n],
  ["usize", 2n ** 63n, 2n ** 63n, 0n],
  ["f32", -1.5, -1.5, 0],
  ["f32", NaN, NaN, 0],
  ["f64", 0.1, 0.1, 0],
  ["f64", -Infinity, -Infinity, 0],
  ["bool", true, 1, 0],
  ["pointer", pointerFrom(2n ** 40n + 1n), 2n ** 40n + 1n, 0n],
];

describe("an error that a callback throws", () => {
  for (const [type, fallback, inC, zero] of fallbacks) {
    it(`gives C the fallback ${String(inC)} for a ${type}, and zero when none is declared`, () => {
      const thrown = new Error("thrown");
      let runs = 0;
      const fail = (): never => {
        runs += 1;
        throw thrown;
      };
      assertEquals(collectResults(type, fail, fallback), { results: [inC, inC, inC, inC], error: thrown });
      assertEquals(collectResults(type, fail), { results: [zero, zero, zero, zero], error: thrown });
      assertStrictEquals(runs, 2);
    });
  }

  it("ends the callback's calls for the rest of the native call, which throws the same object", () => {
    const thrown = new Error("thrown");
    const seen: number[] = [];
    const { results, error } = collectResults("i32", (index) => {
      seen.push(index);
      if (index === 1) throw thrown;
      return index + 10;
    }, -1);
    assertStrictEquals(error, thrown);
    assertEquals(results, [10, -1, -1, -1]);
    assertEquals(seen, [0, 1]);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  it("gives other callbacks of the same native call their own fallback", () => {
    using library = open();
    const { relay_i32, keep, call_kept, collect_i32 } = library.symbols;
    let runs = 0;
    using other = callback(i32ToI32, () => ++runs, { fallback: -8 });
    keep(other);
    // The native call inside throws; the one outside goes on with an error that was caught.
    const thrown = new Error("thrown");
    const results = new Int32Array(2);
    collect_i32(
      (index) => {
        assertStrictEquals(caught(() => relay_i32(() => raise(thrown), 1)), thrown);
        return call_kept(index);
      },
      results,
      2,
    );
    assertEquals([...results], [1, 2]);
    keep(null);
  });

  it("doesn't hinder the next call", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    let failing = true;
    using made = callback(i32ToI32, (value) => failing ? raise("thrown") : value, { fallback: -1 });
    assertStrictEquals(caught(() => relay_i32(made, 5)), "thrown");
    failing = false;
    assertStrictEquals(relay_i32(made, 5), 5);
    failing = true;
    assertStrictEquals(caught(() => relay_i32(made, 5)), "thrown");
  });

  const objects: [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["a string", "text"],
    ["an empty string", ""],
    ["zero", 0],
    ["NaN", NaN],
    ["false", false],
    ["a symbol", Symbol("thrown")],
    ["a bigint", 1n],
    ["a frozen object", Object.freeze({ code: 1 })],
    ["a frozen error", Object.freeze(new Error("frozen"))],
    ["a function", () => {}],
    ["an object without a prototype", Object.create(null)],
  ];
  for (const [name, thrown] of objects) {
    it(`comes out of the native call as it is when it is ${name}`, () => {
      using library = open();
      const { relay_i32, call_void } = library.symbols;
      assertStrictEquals(caught(() => call_void(() => raise(thrown))), thrown);
      assertStrictEquals(caught(() => relay_i32(() => raise(thrown), 1)), thrown);
      assertStrictEquals(relay_i32((value) => value, 1), 1);
      assertStrictEquals(stats().live.waitingErrors, 0);
    });
  }

  it("thrown ten levels deep and caught at the fifth leaves the outer levels their results", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    const thrown = new Error("at the bottom");
    const passed: number[] = [];
    const descend = (level: number): number =>
      relay_i32((value) => {
        assertStrictEquals(value, level);
        if (level === 10) throw thrown;
        if (level !== 5) return descend(level + 1) + 1;
        try {
          return descend(level + 1);
        } catch (error) {
          assertStrictEquals(error, thrown);
          assertStrictEquals(stats().live.waitingErrors, 0);
          passed.push(level);
          // The way down is open again.
          return 100 + relay_i32((again) => again, 3);
        }
      }, level);
    assertStrictEquals(descend(1), 103 + 4);
    assertEquals(passed, [5]);
  });

  it("thrown ten levels deep comes out of every level, the same object", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    const thrown = { at: "the bottom" };
    const passed: number[] = [];
    const descend = (level: number): number => {
      try {
        return relay_i32(() => level === 10 ? raise(thrown) : descend(level + 1), level);
      } catch (error) {
        assertStrictEquals(error, thrown);
        passed.push(level);
        throw error;
      }
    };
    assertStrictEquals(caught(() => descend(1)), thrown);
    assertEquals(passed, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assertStrictEquals(relay_i32((value) => value, 8), 8);
  });

  it("replaces one that was thrown and caught inside", () => {
    using library = open();
    const { relay_i32 } = library.symbols;
    const [inner, outer] = [new Error("inner"), new Error("outer")];
    const error = caught(() =>
      relay_i32(() => {
        assertStrictEquals(caught(() => relay_i32(() => raise(inner), 1)), inner);
        throw outer;
      }, 1)
    );
    assertStrictEquals(error, outer);
  });

  it("waits for its own native call while the listener of a report makes others", () => {
    using library = open();
    const { relay_i32, collect_i32, add_i32 } = library.symbols;
    const thrown = new Error("thrown");
    const results = new Int32Array(2);
    let listened: unknown;
    const failing = callback(i32ToI32, () => {
      // C calls it again, when it is gone: that is reported while the error waits.
      failing.close();
      throw thrown;
    }, { fallback: -2 });
    configure({ onReport: () => void (listened = relay_i32((value) => add_i32(value, 1), 1)) });
    try {
      assertStrictEquals(caught(() => collect_i32(failing, results, 2)), thrown);
    } finally {
      configure({ onReport: undefined });
    }
    assertEquals([...results], [-2, -2]);
    assertStrictEquals(listened, 2);
  });
});

describe("a result that a callback can't have", () => {
  const always = [undefined, {}, Object.create(null), Symbol("symbol"), "1", () => {}];
  const numbers: [ScalarType, unknown[], unknown, unknown][] = [
    ["i8", [...always, null, true, 1n, 128, -129, 0.5, NaN, Infinity], -1, -1],
    ["u8", [...always, null, true, 1n, 256, -1, 0.5, NaN, Infinity], 255, 255],
    ["i16", [...always, null, true, 1n, 2 ** 15, -(2 ** 15) - 1, 0.5, NaN], -1, -1],
    ["u16", [...always, null, true, 1n, 2 ** 16, -1, 0.5, NaN], 65535, 65535],
    ["i32", [...always, null, true, 1n, 2 ** 31, 2 ** 40, 0.5, NaN, Infinity], -1, -1],
    ["u32", [...always, null, true, 1n, 2 ** 32, -1, 0.5, NaN, Infinity], 2 ** 32 - 1, 2 ** 32 - 1],
    ["i64", [...always, null, true, 2n ** 63n, 2 ** 53, 0.5, NaN, Infinity], -1n, -1n],
    ["u64", [...always, null, true, 2n ** 64n, -1n, -1, 2 ** 53, 0.5, NaN], 1, 1n],
    ["isize", [...always, null, true, 2n ** 63n, 2 ** 53, 0.5], -1, -1n],
    ["usize", [...always, null, true, 2n ** 64n, -1n, -1, 0.5], 1, 1n],
    ["f32", [...always, null, true, 1n], 0.5, 0.5],
    ["f64", [...always, null, true, 1n], 0.1, 0.1],
    ["bool", [...always, null, 0, 1, 1n], true, 1],
    ["pointer", [...always, true], pointerFrom(1), 1n],
  ];
  for (const [type, wrong, right, inC] of numbers) {
    it(`for a ${type} is an error and the fallback, and the next good call works`, () => {
      for (const value of wrong) {
        const note = `${type} given ${typeof value} ${typeof value === "object" ? "" : String(value)}`;
        const { results, error } = collectResults(type, () => value, right);
        assert(error instanceof TypeError || error instanceof RangeError, note);
        assertMatch(
          error.message,
          new RegExp(`^Cannot return from callback "collecting": the result \\(${type}\\) `),
          note,
        );
        assertEquals(results, [inC, inC, inC, inC], note);
        assertEquals(collectResults(type, () => right), { results: [inC, inC, inC, inC], error: undefined }, note);
      }
    });
  }

  it("for a pointer is a buffer: a PointerRuleError and the fallback", () => {
    const { results, error } = collectResults("pointer", () => new Uint8Array(1), pointerFrom(1));
    assert(error instanceof PointerRuleError);
    assertEquals(results, [1n, 1n, 1n, 1n]);
  });

  it("is named after the argument when it is a plain function's", () => {
    using library = openUnchecked({ relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" } });
    assertEquals(
      assertThrows(() => library.symbols["relay_i32"](() => 2 ** 40, 1), RangeError).message,
      'Cannot return from callback "argument 1 of relay_i32": the result (i32) must be an integer from -2147483648 ' +
        "to 2147483647, got 1099511627776",
    );
  });

  it("is nothing that a void callback knows: it may return anything but a promise", () => {
    using library = openUnchecked({ call_void: definitions.call_void });
    for (const value of [1, "text", null, {}, { then: 1 }, () => {}]) {
      assertStrictEquals(library.symbols["call_void"](() => value), undefined);
    }
  });

  it("is a promise, for every type", () => {
    for (const type of scalarTypes) {
      const { results, error } = collectResults(type, () => Promise.resolve(0));
      assertInstanceOf(error, TypeError, type);
      assertStringIncludes(error.message, "the result is a promise", type);
      assertStrictEquals(results.filter((result) => Number(result) !== 0).length, 0);
    }
  });

  it("is a promise or another thenable of a void callback", () => {
    using library = openUnchecked({ call_void: definitions.call_void });
    const then = (): void => {};
    for (const value of [Promise.resolve(), { then }, Object.assign(() => {}, { then })]) {
      const error = assertThrows(() => library.symbols["call_void"](() => value), TypeError);
      assertStringIncludes(error.message, "the result is a promise");
    }
    assertThrows(() => library.symbols["call_void"](async () => {}), TypeError, "the result is a promise");
  });

  for (const name of ["rejected promise", "async function that throws"]) {
    it(`is a ${name}, whose rejection is handled (in a child process)`, () => {
      const { code, stdout, stderr } = runChild("callback_errors.ts", [name]);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertMatch(stdout, /^TypeError: .*the result is a promise.*\nend\n$/);
    });
  }
});

describe("an error with no native call of belay's around it", () => {
  const callRaw = (made: Callback<typeof i32ToI32>): unknown => raw["relay_i32"](pointerValue(made.pointer), 1);

  it("goes to onError at once; C gets the fallback", async () => {
    for (const thrown of [new Error("thrown"), undefined, null, "text", 0, Object.freeze({})]) {
      const errors: unknown[] = [];
      const onError = (error: unknown): void => void errors.push(error);
      using made = callback(i32ToI32, () => raise(thrown), { fallback: -4, onError });
      assertStrictEquals(callRaw(made), -4);
      assertEquals([errors.length, stats().live.waitingErrors], [1, 0]);
      await turn();
      assertEquals([errors.length, stats().live.waitingErrors], [1, 0]);
      assertStrictEquals(errors[0], thrown);
    }
  });

  it("goes to onError when it is NaN", async () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => raise(NaN), { onError: (error) => void errors.push(error) });
    assertStrictEquals(callRaw(made), 0);
    await turn();
    // Whatever came of it, it must not wait for the tests that follow.
    const { waitingErrors: pendingErrors } = stats().live;
    using library = open();
    if (pendingErrors > 0) caught(() => library.symbols.add_i32(1, 1));
    assertEquals({ errors, pendingErrors }, { errors: [NaN], pendingErrors: 0 });
  });

  it("goes to onError, not to a native call that is made later in the turn", async () => {
    using library = open();
    const thrown = new Error("thrown");
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => raise(thrown), { onError: (error) => void errors.push(error) });
    callRaw(made);
    assertStrictEquals(library.symbols.add_i32(1, 2), 3);
    assertStrictEquals(library.symbols.relay_i32((value) => value + 1, 1), 2);
    await turn();
    assertEquals(errors, [thrown]);
  });

  it("leaves the callback callable", async () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, (value) => errors.length === 0 ? raise("once") : value + 1, {
      fallback: -1,
      onError: (error) => void errors.push(error),
    });
    assertStrictEquals(callRaw(made), -1);
    await turn();
    assertStrictEquals(callRaw(made), 2);
    assertEquals(errors, ["once"]);
  });

  const uncaught: [string, string][] = [
    ["no onError", "thrown by the callback"],
    ["onError throws", "thrown by onError"],
    ["onReport throws", "thrown by onReport"],
  ];
  for (const [name, message] of uncaught) {
    it(`goes to the runtime's uncaught-error path: ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("callback_errors.ts", [name]);
      assertEquals({ code, signal, stdout }, { code: 1, signal: null, stdout: "-1\n" });
      assertStringIncludes(stderr, message);
    });
  }
});

describe("a callback's definition", () => {
  const refused: [string, unknown, string][] = [
    ["a struct", { parameters: [{ struct: ["i32"] }], result: "void" }, "what struct() gives"],
    [
      "a callback's definition as a parameter",
      { parameters: ["i32", i32ToI32], result: "void" },
      "parameter 2 is no type of a callback",
    ],
    ["a struct as the result", { parameters: [], result: { struct: ["i32"] } }, "unknown result type"],
    ["a cstring result", { parameters: [], result: "cstring" }, "its result can't be a cstring"],
    ["a buffer result", { parameters: [], result: "buffer" }, "its result can't be a buffer"],
    ["a handleAddress result", { parameters: [], result: "handleAddress" }, "its result can't be a handleAddress"],
    ["an unknown key", { ...i32ToI32, nonblocking: true }, '"nonblocking" is not a property'],
    ["a misspelled key", { paramaters: [], parameters: [], result: "void" }, '"paramaters" is not a property'],
    [
      "an unknown parameter type",
      { parameters: ["i32", "int"], result: "void" },
      "parameter 2 has the unknown type int",
    ],
    ["a void parameter", { parameters: ["void"], result: "void" }, "parameter 1 has the unknown type void"],
    ["an undefined parameter", { parameters: [undefined], result: "void" }, "parameter 1 has the unknown type"],
    ["a name with a comma", { parameters: ["i32,i32"], result: "void" }, "parameter 1 has the unknown type i32,i32"],
    ["an unknown result type", { parameters: [], result: "int" }, "the unknown result type int"],
    ["no result", { parameters: [] }, 'it has no result; without one it is "void"'],
    ["no parameters", { result: "void" }, "parameters must be an array"],
    ["parameters that are no array", { parameters: "i32", result: "i32" }, "parameters must be an array"],
    ["parameters that look like an array", { parameters: { join: () => "i32" }, result: "i32" }, "must be an array"],
    ["null", null, ""],
    ["undefined", undefined, ""],
  ];
  for (const [name, definition, message] of refused) {
    it(`is refused with ${name}, also after a good one of the same types`, () => {
      for (
        const good of [i32ToI32, { parameters: ["i32", "i32"], result: "void" }, { parameters: [], result: "void" }]
      ) {
        callbackUnchecked(good, () => 1).close();
      }
      const { callbacks } = stats().live;
      const error = assertThrows(() => callbackUnchecked(definition, () => {}).close(), TypeError);
      assertStringIncludes(error.message, "Cannot define a callback: ");
      assertStringIncludes(error.message, message);
      assertStrictEquals(stats().live.callbacks, callbacks);
    });
  }

  it("is read once: getters that answer otherwise the next time change nothing, for later ones neither", () => {
    let asked = 0;
    const odd = {
      get parameters() {
        return asked++ === 0 ? ["u16"] : ["f64", "f64", "f64"];
      },
      result: "u16",
    };
    using library = dlopen(testLibrary, { relay_u16: { parameters: ["function", "u16"], result: "u16" } });
    using first = callbackUnchecked(odd, (value: number) => value + 1);
    using second = callback({ parameters: ["u16"], result: "u16" }, (value) => value + 2);
    assertStrictEquals(library.symbols.relay_u16(first, 1), 2);
    assertStrictEquals(library.symbols.relay_u16(second, 1), 3);
    assertStrictEquals(asked, 1);
  });

  it("is worked out by what the program had at its start (in a child process)", () => {
    const { code, stdout, stderr } = runChild("late_code.ts", [testLibrary]);
    assertEquals([code, stdout.trim(), stderr], [0, "2", ""]);
  });

  it("is refused with more than 128 words of arguments on the stack, and not with fewer", () => {
    const parameters = (length: number): CallbackDefinition => ({
      parameters: Array.from({ length }, () => "f64" as const),
      result: "void",
    });
    const { callbacks } = stats().live;
    const error = assertThrows(() => callbackUnchecked(parameters(137), () => {}).close(), RangeError);
    assertStringIncludes(error.message, "at most 128");
    callbackUnchecked(parameters(128), () => {}).close();
    assertStrictEquals(stats().live.callbacks, callbacks);
  });

  it("is refused with what is no function", () => {
    for (const fn of [undefined, null, {}, "text", 1]) {
      assertThrows(() => callbackUnchecked(i32ToI32, fn), TypeError, "Cannot create a callback: expected a function");
    }
  });

  it("is refused with a fallback that is not of the result's type", () => {
    const { callbacks } = stats().live;
    const wrong: [string, unknown][] = [["i32", "1"], ["i8", 128], ["i64", 2n ** 63n], ["bool", 1], ["f64", null]];
    for (const [result, fallback] of wrong) {
      const error = caught(() => callbackUnchecked({ parameters: [], result }, () => {}, { fallback, name: "named" }));
      assert(error instanceof TypeError || error instanceof RangeError);
      assertStringIncludes(error.message, '"named"');
    }
    assertStrictEquals(stats().live.callbacks, callbacks);
  });
});

describe("a random mix of callbacks", () => {
  /** What is known of a callback; that of a pointer is known of its latest one. */
  interface Model {
    readonly made: Callback;
    readonly type: "i32" | "f64" | "i64";
    readonly addend: number;
    readonly fallback: number;
    /** What its next call throws. */
    thrown: unknown;
    reported: boolean;
  }

  for (const seed of [1, 2, 3]) {
    it(`does what the model says, with seed ${seed}`, () => {
      const random = randomFrom(seed);
      using library = open();
      const relays: Record<Model["type"], Unchecked> = {
        i32: library.symbols.relay_i32 as Unchecked,
        f64: library.symbols.relay_f64 as Unchecked,
        i64: library.symbols.relay_i64 as Unchecked,
      };
      const live: Model[] = [];
      const byPointer = new Map<bigint, Model>();
      const { staleCalls } = stats().counts;
      let stale = 0;
      let reports = 0;
      const done = { create: 0, dispose: 0, call: 0, throw: 0, nested: 0, stale: 0, reused: 0 };

      const create = (): void => {
        const type = (["i32", "f64", "i64"] as const)[random(3)];
        const addend = random(1000);
        const fallback = -1 - random(1000);
        const model: Model = {
          made: callbackUnchecked({ parameters: [type], result: type }, (value: number | bigint) => {
            const { thrown } = model;
            if (thrown !== undefined) throw thrown;
            return Number(value) + addend;
          }, { fallback }),
          type,
          addend,
          fallback,
          thrown: undefined,
          reported: false,
        };
        live.push(model);
        const pointer = pointerValue(model.made.pointer);
        const before = byPointer.get(pointer);
        if (before !== undefined) {
          done.reused += 1;
          assert(before.made.disposed, "a pointer of a live callback was given away");
          assertStrictEquals(before.type === "f64", type === "f64", "a pointer changed its shape");
          assertStrictEquals(before.type === "i32", type === "i32", "a pointer changed its shape");
        }
        byPointer.set(pointer, model);
        done.create += 1;
      };
      const dispose = (): void => {
        const [model] = live.splice(random(live.length), 1);
        model.made.close();
        done.dispose += 1;
      };
      const one = (): Model => live[random(live.length)];
      const call = ({ made, type, addend }: Model): void => {
        const value = random(1000);
        assertEquals(Number(relays[type](made, value)), value + addend);
        done.call += 1;
      };
      const callThrowing = (model: Model): void => {
        model.thrown = { thrown: done.throw };
        assertStrictEquals(caught(() => relays[model.type](model.made, 1)), model.thrown);
        model.thrown = undefined;
        done.throw += 1;
      };
      let [first, second]: Model[] = [];
      // One for all: a function that is lent for a call would take and leave pointers that the model doesn't know.
      using nesting = callback(i32ToI32, (value) => {
        call(first);
        if (random(2) === 0) callThrowing(second);
        return value + 1;
      });
      const callNested = (): void => {
        [first, second] = [one(), one()];
        assertStrictEquals(library.symbols.relay_i32(nesting, 1), 2);
        done.nested += 1;
      };
      const callStale = (): void => {
        const pointers = [...byPointer];
        const [pointer, model] = pointers[random(pointers.length)];
        if (!model.made.disposed) return call(model);
        assertEquals(Number(relays[model.type](pointerFrom(pointer), 1)), model.fallback);
        stale += 1;
        if (!model.reported) reports += 1;
        model.reported = true;
        done.stale += 1;
      };

      const { callbacks } = stats().live;
      const seen = reportsOf(() => {
        for (let i = 0; i < 6000; i++) {
          const choice = random(100);
          if (live.length === 0 || (choice < 35 && live.length < 200)) create();
          else if (choice < 60) dispose();
          else if (choice < 75) call(one());
          else if (choice < 82) callThrowing(one());
          else if (choice < 90) callNested();
          else callStale();
          const now = stats();
          assertEquals(
            [now.live.callbacks, now.counts.staleCalls, now.live.waitingErrors],
            [callbacks + live.length, staleCalls + stale, 0],
          );
        }
      });
      assertStrictEquals(seen.length, reports);
      // The mix was one.
      for (const [name, count] of Object.entries(done)) assert(count > 50, `${name}: ${count}`);
      for (const { made } of live) made.close();
      assertStrictEquals(stats().live.callbacks, callbacks);
    });
  }
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), aliveBefore);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
