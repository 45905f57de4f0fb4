/** Callbacks as C sees them: every type and place of a parameter, structures and arrays of them, and where calls come from. */

import process from "node:process";
import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { assertInstanceOf, assertNotStrictEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  CallbackThreadError,
  configure,
  dlopen,
  Handle,
  type Pointer,
  pointerFrom,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil, turn } from "../support/gc.ts";
import { slowness } from "../support/machine.ts";
import { leftOut } from "../support/left_out.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import { limits, type ScalarType, scalarTypes } from "../support/scalars.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";

const before = alive();

const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const symbols = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
  collect_i32: { parameters: [i32ToI32, "buffer", "i32"], result: "void" },
  keep: { parameters: [i32ToI32], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  run_operations: { parameters: ["buffer", "i32"], result: "f64" },
  call_each: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  call_on_thread: { parameters: [i32ToI32, "i32"], result: "i32", optional: true },
  call_on_coroutine: { parameters: [i32ToI32], result: "i32", optional: true },
  call_in_signal: { parameters: [i32ToI32, "bool"], result: "i32", optional: true },
} as const;
const { add_i32, relay_i32, collect_i32, keep, call_kept, run_operations, call_each, ...elsewhere } = dlopen(
  testLibrary,
  symbols,
).symbols;
/** Opening it is what this file leaves behind. */
before.libraries += 1;

/** The bare runtime's own way to the test library, of which belay knows nothing. */
const raw = rawOpen(testLibrary, { relay_i32: { parameters: ["u64", "i32"], result: "i32" } });
const relayRaw = (made: Callback<typeof i32ToI32>, value: number): unknown =>
  raw["relay_i32"](pointerValue(made.pointer), value);

/** What memory of a scalar type is made of. */
const arrays: Record<ScalarType, new (values: Iterable<never>) => ArrayBufferView & Iterable<number | bigint>> = {
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

/** A value as memory holds it. */
function inMemory(type: ScalarType, value: unknown): number | bigint {
  if (type === "bool") return value === true ? 1 : 0;
  if (type === "pointer") return value === null ? 0n : pointerValue(value as Pointer);
  return value as number | bigint;
}

function memoryOf(type: ScalarType, values: readonly unknown[]): ArrayBufferView & Iterable<number | bigint> {
  return new arrays[type](values.map((value) => inMemory(type, value)) as never[]);
}

/** Beyond what a number holds exactly, addresses have another spelling on some runtimes. */
const farPointers = [pointerFrom(2n ** 53n), pointerFrom(2n ** 63n), pointerFrom(2n ** 64n - 1n)];
const valuesOf = (type: ScalarType): readonly unknown[] =>
  type === "pointer" ? [...limits.pointer, ...farPointers] : limits[type];

describe("a callback of each scalar type", () => {
  for (const type of scalarTypes) {
    it(`gets ${type} arguments at their limits, which C reads from memory`, () => {
      using library = openUnchecked({
        feed: { parameters: ["function", "buffer", "i32"], result: "void", name: `feed_${type}` },
      });
      const values = valuesOf(type);
      const seen: unknown[] = [];
      using made = callbackUnchecked({ parameters: [type], result: "void" }, (value: unknown) => void seen.push(value));
      library.symbols["feed"](made, memoryOf(type, values), values.length);
      assertEquals(seen, [...values]);
      // `assertEquals` doesn't tell all of them apart in every version.
      seen.forEach((value, index) => assert(Object.is(value, values[index]), `${String(value)} at ${index}`));
    });

    it(`answers ${type} results at their limits, which C stores in memory`, () => {
      using library = openUnchecked({
        collect: { parameters: ["function", "buffer", "i32"], result: "void", name: `collect_${type}` },
      });
      const values = valuesOf(type);
      using made = callbackUnchecked({ parameters: ["i32"], result: type }, (index: number) => values[index]);
      const results = memoryOf(type, values.toReversed());
      library.symbols["collect"](made, results, values.length);
      const expected = [...memoryOf(type, values)];
      assertEquals([...results], expected);
      [...results].forEach((value, index) => assert(Object.is(value, expected[index]), `${String(value)} at ${index}`));
    });

    it(`answers any ${type} to any other`, () => {
      using library = openUnchecked({
        relay: { parameters: [{ parameters: [type], result: type }, type], result: type, name: `relay_${type}` },
      });
      let [wanted, seen]: unknown[] = [];
      using made = callbackUnchecked({ parameters: [type], result: type }, (value: unknown) => {
        seen = value;
        return wanted;
      });
      for (const argument of valuesOf(type)) {
        for (const result of valuesOf(type)) {
          wanted = result;
          assertStrictEquals(library.symbols["relay"](made, argument), result);
          assertStrictEquals(seen, argument);
        }
      }
    });
  }
});

describe("a callback of many parameters", () => {
  const types = [
    ...["i32", "f64", "u8", "f32", "i64", "f64", "i16", "f32"],
    ...["u32", "f64", "i8", "f32", "u64", "f64", "u16", "f64"],
  ];
  const values = [1, 2.5, 3, 4.5, -5n, 6.5, -7, 8.5, 9, 10.5, -11, 12.5, 13n, 14.5, 15, 16.5];

  for (let length = 0; length <= 16; length++) {
    it(`gets ${length}, integers and floats in turn`, () => {
      const definition = { parameters: types.slice(0, length), result: "f64" };
      using library = openUnchecked({ mix: { parameters: [definition], result: "f64", name: `mix_${length}` } });
      const seen: unknown[][] = [];
      using made = callbackUnchecked(definition, (...parameters: unknown[]) => {
        seen.push(parameters);
        return length + 0.125;
      });
      assertStrictEquals(library.symbols["mix"](made), length + 0.125);
      const lent = (...parameters: unknown[]): number => {
        seen.push(parameters);
        return -length - 0.25;
      };
      assertStrictEquals(library.symbols["mix"](lent), -length - 0.25);
      assertEquals(seen, [values.slice(0, length), values.slice(0, length)]);
    });
  }

  it("keeps its own when it calls another of as many inside", () => {
    const definition = { parameters: types, result: "f64" };
    using library = openUnchecked({
      mix_16: { parameters: [definition], result: "f64" },
      mix_15: { parameters: [{ parameters: types.slice(0, 15), result: "f64" }], result: "f64" },
    });
    const { mix_16, mix_15 } = library.symbols;
    const seen: unknown[] = [];
    const result = mix_16((...outer: unknown[]) => {
      assertStrictEquals(mix_15((...inner: unknown[]) => (seen.push(inner), inner.length)), 15);
      seen.push(outer);
      return outer.length;
    });
    assertStrictEquals(result, 16);
    assertEquals(seen, [values.slice(0, 15), values]);
  });
});

describe("callbacks in C's memory", () => {
  const addition = { parameters: ["i32", "i32"], result: "i32" } as const;
  const scaling = { parameters: ["f64"], result: "f64" } as const;
  const ending = { parameters: [], result: "void" } as const;
  /** As a C structure has them. */
  const pointersTo = (...made: readonly { readonly pointer: Pointer }[]): BigUint64Array =>
    BigUint64Array.from(made, ({ pointer }) => pointerValue(pointer));

  it("stand in a structure: each is called as what it is", () => {
    const log: string[] = [];
    using add = callback(addition, (a, b) => (log.push(`add ${a} ${b}`), a + b));
    using scale = callback(scaling, (sum) => (log.push(`scale ${sum}`), sum * 1.5));
    using done = callback(ending, () => void log.push("done"));
    assertStrictEquals(run_operations(pointersTo(add, scale, done), 4), 9);
    assertEquals(log, ["add 0 0", "add 0 1", "add 1 2", "add 3 3", "scale 6", "done"]);
  });

  it("stand in a structure: what one throws ends the others' calls, and the native call throws it", () => {
    const thrown = new Error("thrown");
    const log: string[] = [];
    using add = callback(addition, () => raise(thrown), { fallback: 3 });
    using scale = callback(scaling, (sum) => (log.push("scale"), sum), { fallback: -1 });
    using done = callback(ending, () => void log.push("done"));
    assertStrictEquals(caught(() => run_operations(pointersTo(add, scale, done), 4)), thrown);
    assertEquals(log, []);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  it("stand in a structure: one that was closed answers with its fallback, the others go on", () => {
    const log: string[] = [];
    using add = callback(addition, (a, b) => a + b + 1);
    using done = callback(ending, () => void log.push("done"));
    const scale = callback(scaling, (sum) => sum, { fallback: 0.25, name: "scale" });
    const pointers = pointersTo(add, scale, done);
    assertStrictEquals(run_operations(pointers, 3), 6);
    scale.close();
    const reports = reportsOf(() => assertStrictEquals(run_operations(pointers, 3), 0.25));
    assertEquals(reports.map(({ kind }) => kind), ["stale-callback"]);
    assertEquals(log, ["done", "done"]);
  });

  it("stand in an array: each is called with what C gives it", () => {
    const seen: [number, number][] = [];
    const made = Array.from(
      { length: 100 },
      (_, index) => callback(i32ToI32, (value) => (seen.push([index, value]), index)),
    );
    assertStrictEquals(call_each(pointersTo(...made), made.length, 1000), 4950);
    assertEquals(seen, made.map((_, index) => [index, 1000 + index]));
    for (const each of made) each.close();
  });

  it("stand in an array more than once, and may dispose of others in it that come later", () => {
    const other = callback(i32ToI32, (value) => value, { fallback: -100, name: "other" });
    using first = callback(i32ToI32, (value) => {
      other.close();
      return value;
    });
    const pointers = pointersTo(other, first, other, first);
    const reports = reportsOf(() => assertStrictEquals(call_each(pointers, 4, 10), 10 + 11 - 100 + 13));
    assertEquals(reports.map(({ kind }) => kind), ["stale-callback"]);
    assertStringIncludes(reports[0].message, '"other"');
  });
});

describe("callback, with once", () => {
  const doubled = (value: number): number => 2 * value;

  it("disposes of itself at its first call, which runs; the next is stale", () => {
    const { live: { callbacks }, counts: { staleCalls } } = stats();
    let wasDisposed: boolean | undefined;
    const made = callback(i32ToI32, (value) => {
      wasDisposed = made.disposed;
      assertStrictEquals(stats().live.callbacks, callbacks);
      return value + 1;
    }, { once: true, fallback: -1, name: "only once" });
    const { pointer } = made;
    assertFalse(made.disposed);
    assertStrictEquals(stats().live.callbacks, callbacks + 1);
    assertStrictEquals(relay_i32(made, 1), 2);
    assertEquals([wasDisposed, made.disposed], [true, true]);
    assertThrows(() => relay_i32(made, 1), TypeError, "got a Callback that was closed");
    const reports = reportsOf(() => assertStrictEquals(relay_i32(pointer, 1), -1));
    assertEquals(reports.map(({ kind }) => kind), ["stale-callback"]);
    assertStringIncludes(reports[0].message, '"only once"');
    assertEquals([stats().live.callbacks, stats().counts.staleCalls], [callbacks, staleCalls + 1]);
  });

  it("answers the first of several calls of one native call", () => {
    const made = callback(i32ToI32, (index) => index + 10, { once: true, fallback: -1 });
    const results = new Int32Array(3);
    reportsOf(() => collect_i32(made, results, 3));
    assertEquals([...results], [10, -1, -1]);
  });

  it("is stale for a call inside the first one", () => {
    let runs = 0;
    const made: Callback<typeof i32ToI32> = callback(i32ToI32, (value): number => {
      runs += 1;
      return value + relay_i32(made.pointer, 5);
    }, { once: true, fallback: -100 });
    const reports = reportsOf(() => assertStrictEquals(relay_i32(made, 1), -99));
    assertEquals([runs, reports.length], [1, 1]);
  });

  it("is used up by a call that throws", () => {
    const thrown = new Error("thrown");
    const made = callback(i32ToI32, () => raise(thrown), { once: true, fallback: -1 });
    const results = new Int32Array(2);
    reportsOf(() => assertStrictEquals(caught(() => collect_i32(made, results, 2)), thrown));
    assertEquals([[...results], made.disposed], [[-1, -1], true]);
  });

  it("is not used up by a call that didn't run, because an error was pending", () => {
    let failing = true;
    using add = callback({ parameters: ["i32", "i32"], result: "i32" }, () => failing ? raise("failing") : 1);
    using scale = callback({ parameters: ["f64"], result: "f64" }, (sum) => sum);
    let runs = 0;
    const done = callback({ parameters: [], result: "void" }, () => void (runs += 1), { once: true });
    const pointers = BigUint64Array.of(...[add, scale, done].map(({ pointer }) => pointerValue(pointer)));
    assertStrictEquals(caught(() => run_operations(pointers, 1)), "failing");
    assertEquals([runs, done.disposed], [0, false]);
    failing = false;
    assertStrictEquals(run_operations(pointers, 1), 1);
    assertEquals([runs, done.disposed], [1, true]);
  });

  it("is not used up by a call that didn't run, because its handle was null", () => {
    using library = dlopen(testLibrary, {
      each: { parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "usize"], result: "i32" },
    });
    const made = callback({ parameters: ["handle", "i32"], result: "i32" }, () => 5, { once: true, fallback: -2 });
    const reports = reportsOf(() => assertStrictEquals(library.symbols.each(2, made, 0), -4));
    assertEquals(reports.map(({ kind }) => kind), ["invalid-handle"]);
    assertFalse(made.disposed);
    using handle = Handle.create("good");
    assertStrictEquals(library.symbols.each(1, made, handle.id), 5);
    assert(made.disposed);
  });

  it("may be closed before", () => {
    const made = callback(i32ToI32, doubled, { once: true, fallback: -3 });
    const { pointer } = made;
    made.close();
    reportsOf(() => assertStrictEquals(relay_i32(pointer, 1), -3));
  });

  it("is one of any number with once: false", () => {
    using made = callback(i32ToI32, doubled, { once: false });
    assertEquals([relay_i32(made, 1), relay_i32(made, 2)], [2, 4]);
  });

  it("gives its thunk back: a later callback of the shape may dispose of itself, too", () => {
    const { thunks: thunksInUse } = stats().live;
    for (let i = 0; i < 2000; i++) {
      assertStrictEquals(relay_i32(callback(i32ToI32, (value) => value + i, { once: true }), 1), i + 1);
    }
    assertStrictEquals(stats().live.thunks, thunksInUse);
  });

  it("may wait for C, which calls it later", async () => {
    let seen = 0;
    keep(callback(i32ToI32, (value) => seen = value, { once: true }).pointer);
    await turn();
    assertStrictEquals(call_kept(7), 7);
    assertStrictEquals(seen, 7);
    keep(null);
  });

  it("has its onError called when it throws past belay", async () => {
    const errors: unknown[] = [];
    const made = callback(i32ToI32, () => raise("thrown"), {
      once: true,
      fallback: -1,
      onError: (error) => (errors.push(error), 77),
    });
    assertStrictEquals(relayRaw(made, 1), 77);
    await turn();
    assertEquals(errors, ["thrown"]);
  });

  it("is not collected before it is called, though nobody holds it", async () => {
    const { callbacks } = stats().live;
    const give = (): void => keep(callback(i32ToI32, doubled, { once: true }).pointer);
    give();
    await collectFully();
    assertStrictEquals(stats().live.callbacks, callbacks + 1);
    assertStrictEquals(call_kept(4), 8);
    assertStrictEquals(stats().live.callbacks, callbacks);
    keep(null);
  });
});

describe("a callback that disposes of itself", () => {
  it("and throws past belay has its onError called, too", async () => {
    const errors: unknown[] = [];
    const made = callback(i32ToI32, () => {
      made.close();
      return raise("thrown");
    }, { fallback: -1, onError: (error) => (errors.push(error), 77) });
    assertStrictEquals(relayRaw(made, 1), 77);
    await turn();
    assertEquals(errors, ["thrown"]);
  });

  it("and makes others until its thunk is used again still answers its own", () => {
    let again = 0;
    const made = callback(i32ToI32, (value) => {
      const { pointer } = made;
      made.close();
      for (let i = 0; i < 2000; i++) {
        using other = callback(i32ToI32, () => -5);
        if (other.pointer === pointer) again += 1;
      }
      return value + 1;
    }, { fallback: -1 });
    assertStrictEquals(relay_i32(made, 41), 42);
    assert(again > 0, "the thunk was not used again");
  });
});

describe("callback, with ref", () => {
  // What the process does is told by a timer that doesn't keep it alive.
  const cases: [name: string, printed: string][] = [
    ["without ref", "end"],
    ["ref", "end,timer"],
    ["ref, then unref", "end"],
    ["ref, then dispose", "end"],
    ["ref in a scope that ends", "end"],
    ["ref twice, then unref", "end"],
    ["ref, then unref twice, then ref", "end,timer"],
    ["unref without ref", "end"],
    ["ref after dispose", "end"],
    ["ref of two, unref of one", "end,timer"],
    ["ref of two, unref of both", "end"],
    ["ref, then unref in the timer", "end,timer,called 3"],
    ["ref of one that C calls once", "end,timer,called 3"],
    ["ref, dropped and collected", "end,timer,called 3"],
  ];
  for (const [name, printed] of cases) {
    it(`keeps the process alive or not: ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("keep_alive.ts", [name], { timeoutMs: 20_000 });
      assertEquals({ code, signal, stderr, printed: stdout.trim().split("\n").join() }, {
        code: 0,
        signal: null,
        stderr: "",
        printed,
      });
    });
  }

  it("is not collected when it is dropped, until unref", async () => {
    const { callbacks } = stats().live;
    const make = (): WeakRef<Callback> => {
      const made = callback(i32ToI32, (value) => value + 1);
      made.ref();
      return new WeakRef(made as Callback);
    };
    const unref = (): void => dropped.deref()?.unref();
    const dropped = make();
    await collectFully();
    assertStrictEquals(stats().live.callbacks, callbacks + 1);
    unref();
    assert(await collectUntil(() => stats().live.callbacks === callbacks));
  });
});

describe("callback, with thread", () => {
  it('takes "same", and undefined', () => {
    using same = callback(i32ToI32, (value) => value + 1, { thread: "same" });
    using left = callback(i32ToI32, (value) => value + 2, { thread: undefined });
    assertEquals([relay_i32(same, 1), relay_i32(left, 1)], [2, 3]);
  });

  it("refuses anything else, and makes nothing", () => {
    const { callbacks } = stats().live;
    for (const thread of ["any", "other", "", "Same", 1, true, null, {}]) {
      const error = assertThrows(() => callbackUnchecked(i32ToI32, () => 1, { thread }), TypeError);
      assertStringIncludes(
        error.message,
        'Cannot create a callback: thread must be "same", "post" or "wait", got ',
      );
    }
    assertStrictEquals(stats().live.callbacks, callbacks);
  });

  it("refuses options that it doesn't know, and those of a wrong type", () => {
    const { callbacks } = stats().live;
    const wrong: [unknown, string][] = [
      [{ threads: "same" }, '"threads" is not an option'],
      [{ Once: true }, '"Once" is not an option'],
      [{ once: 1 }, "once must be a boolean, got number"],
      [{ name: 1 }, "name must be a string, got number"],
      [{ onError: "log" }, "onError must be a function, got string"],
    ];
    for (const [options, message] of wrong) {
      assertThrows(() => callbackUnchecked(i32ToI32, () => 1, options), TypeError, message);
    }
    assertStrictEquals(stats().live.callbacks, callbacks);
  });
});

describe("onError", () => {
  /** What C gets past belay from a callback that throws, by type. */
  function answered(type: ScalarType, onError: () => unknown, fallback?: unknown): unknown {
    const spelled = { isize: "i64", usize: "u64", pointer: "u64" }[type as string] ?? type;
    const relay = rawOpen(testLibrary, { [`relay_${type}`]: { parameters: ["u64", spelled], result: spelled } });
    using made = callbackUnchecked({ parameters: [type], result: type }, () => raise("thrown"), { fallback, onError });
    const zero = type === "bool" ? false : /^[iup](64|size|ointer)/.test(type) ? 0n : 0;
    return relay[`relay_${type}`](pointerValue(made.pointer), zero);
  }

  it("answers C with what it returns when no native call of belay's is around, for every type", () => {
    for (const type of scalarTypes) {
      for (const value of valuesOf(type)) {
        const got = answered(type, () => value);
        const inC = type === "pointer" ? inMemory(type, value) : value;
        // Some runtimes give 64-bit integers that are small as numbers.
        const same = typeof inC === "bigint" ? BigInt(got as number | bigint) === inC : Object.is(got, inC);
        assert(same, `${type}: ${String(got)}, expected ${String(inC)}`);
      }
    }
  });

  it("leaves C the fallback when it returns undefined", () => {
    assertStrictEquals(answered("i32", () => undefined, -7), -7);
    assertStrictEquals(answered("f64", () => {}, 0.5), 0.5);
    assertStrictEquals(answered("i32", () => undefined), 0);
  });

  it("may answer null for a pointer, whatever the fallback", () => {
    assertEquals(BigInt(answered("pointer", () => null, pointerFrom(9)) as number | bigint), 0n);
  });

  it("is called for each error", () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, (value) => raise(value), { onError: (error) => errors.push(error) });
    assertEquals([1, 2, 3].map((value) => relayRaw(made, value)), [1, 2, 3]);
    assertEquals(errors, [1, 2, 3]);
  });

  it("is called for a result of the wrong type and for a promise, with that error", () => {
    for (const result of ["text", 2 ** 40, Promise.resolve(1)]) {
      const errors: unknown[] = [];
      using made = callbackUnchecked(i32ToI32, () => result, { onError: (error: unknown) => errors.push(error) + 10 });
      assertStrictEquals(relayRaw(made as unknown as Callback<typeof i32ToI32>, 1), 11);
      assert(errors[0] instanceof Error);
      assertStringIncludes(errors[0].message, "Cannot return from callback");
    }
  });

  it("may call C, which calls back, and then answer", () => {
    using made = callback(i32ToI32, () => raise(5), {
      onError: (error) => relay_i32((value) => add_i32(value, relay_i32((inner) => inner * 10, 2)), error as number),
    });
    assertStrictEquals(relayRaw(made, 1), 25);
  });

  it("may throw what it called C for, and dispose of the callback", async () => {
    const { callbacks } = stats().live;
    const made = callback(i32ToI32, () => raise("first"), {
      fallback: -1,
      onError: () => {
        made.close();
        return caught(() => relay_i32(() => raise("second"), 1)) === "second" ? 6 : 7;
      },
    });
    assertStrictEquals(relayRaw(made, 1), 6);
    await turn();
    assertEquals([stats().live.callbacks, stats().live.waitingErrors], [callbacks, 0]);
  });

  it("answers inside of a native call of belay's, too, which throws nothing", () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => raise("thrown"), { fallback: -1, onError: (error) => errors.push(error) });
    let got: unknown;
    const outer = (value: number): number => {
      got = relayRaw(made, value);
      return 7;
    };
    assertStrictEquals(relay_i32(outer, 1), 7);
    assertEquals([got, errors], [1, ["thrown"]]);
  });

  const uncaught: [name: string, message: string][] = [
    ["a number that doesn't fit", "what onError gave (i32) must be an integer"],
    ["a text", "what onError gave (i32) must be an integer"],
    ["a promise", "the result is a promise"],
    ["an error of its own", "thrown by onError"],
    ["a promise for void", "the result is a promise"],
  ];
  for (const [name, message] of uncaught) {
    it(`gives C the fallback and the process an uncaught error with ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("on_error.ts", [name]);
      const expected = name.endsWith("void") ? "C went on\n" : "-1\n";
      assertEquals({ code, signal, stdout }, { code: 1, signal: null, stdout: expected });
      assertStringIncludes(stderr, message);
    });
  }
});

describe("a call from elsewhere", () => {
  const { call_on_thread, call_on_coroutine, call_in_signal } = elsewhere;
  type Caller = (made: Callback<typeof i32ToI32> | Pointer) => number;
  // No native call of belay's, which would throw.
  const rawThread = call_on_thread === null
    ? undefined
    : rawOpen(testLibrary, { call_on_thread: { parameters: ["u64", "i32"], result: "i32" } })["call_on_thread"];
  const callOnThread = (made: Callback<typeof i32ToI32> | Pointer, count: number): number => {
    const pointer = typeof made === "object" && "pointer" in made ? made.pointer : made;
    const answer = rawThread?.(pointerValue(pointer), count) as number;
    void stats();
    return answer;
  };
  const places: [name: string, call: Caller | undefined, from: string][] = [
    ["a thread", call_on_thread === null ? undefined : (made) => callOnThread(made, 1), "pthreads"],
    [
      "a coroutine's stack",
      call_on_coroutine === null ? undefined : (made) => call_on_coroutine(made as Pointer),
      "glibc's makecontext",
    ],
    [
      "a signal's own stack",
      call_in_signal === null ? undefined : (made) => call_in_signal(made as Pointer, false),
      "sigaltstack",
    ],
  ];

  for (const [name, call, needed] of places) {
    if (call === undefined) leftOut(`calls from ${name}, which need ${needed}`);
    const itThere = call === undefined ? it.skip : it;
    const callThere = call as Caller;

    itThere(`gets the fallback from ${name}, is counted, and reported once for each callback, by name`, () => {
      const { misplacedCalls: foreignCalls, staleCalls } = stats().counts;
      let runs = 0;
      const run = (value: number): number => {
        runs += 1;
        return value;
      };
      using first = callback(i32ToI32, run, { fallback: -3, name: "the first" });
      using second = callback(i32ToI32, run, { fallback: -4, name: "the second" });
      const reports = reportsOf(() => {
        assertEquals([callThere(first), callThere(first), callThere(first)], [-3, -3, -3]);
        assertEquals([callThere(second), callThere(first), callThere(second)], [-4, -3, -4]);
      });
      assertEquals(runs, 0);
      assertEquals([stats().counts.misplacedCalls, stats().counts.staleCalls], [foreignCalls + 6, staleCalls]);
      assertEquals(reports.map(({ kind }) => kind), ["misplaced-call", "misplaced-call"]);
      for (const [index, callbackName] of ["the first", "the second"].entries()) {
        assertStringIncludes(reports[index].message, `C called callback "${callbackName}" from another thread`);
      }
      // On its own thread it runs as ever.
      assertEquals([relay_i32(first, 5), relay_i32(second, 6), runs], [5, 6, 2]);
    });

    itThere(`gets zero from ${name} without a fallback, and the fallback also when it was closed`, () => {
      const { misplacedCalls: foreignCalls, staleCalls } = stats().counts;
      using plain = callback(i32ToI32, (value) => value + 1);
      const disposed = callback(i32ToI32, (value) => value, { fallback: -9, name: "gone" });
      const { pointer } = disposed;
      disposed.close();
      const reports = reportsOf(() => assertEquals([callThere(plain), callThere(pointer)], [0, -9]));
      assertEquals(reports.map(({ kind }) => kind), ["misplaced-call", "misplaced-call"]);
      assertEquals([stats().counts.misplacedCalls, stats().counts.staleCalls], [foreignCalls + 2, staleCalls]);
    });
  }

  const itOnThreads = call_on_thread === null ? it.skip : it;

  itOnThreads("gets a whole fallback while its callback is replaced by another of the same shape", () => {
    const toU64 = { parameters: [], result: "u64" } as const;
    const fallbacks = [0x11111111_11111111n, 0x22222222_22222222n];
    const watched = callback(toU64, () => 0n, { fallback: fallbacks[0] });
    const { pointer } = watched;
    // The thread calls all the time: any native call of belay's would throw that it ran meanwhile.
    const { start_watching, stop_watching } = rawOpen(testLibrary, {
      start_watching: { parameters: ["u64", "u64", "u64"], result: "bool" },
      stop_watching: { parameters: ["buffer"], result: "void" },
    });
    assert(start_watching(pointerValue(pointer), fallbacks[0], fallbacks[1]));
    const counts = new BigUint64Array(3);
    reportsOf(() => {
      watched.close();
      // A thunk comes back after 256 younger frees, so every other time with the other fallback.
      let replaced = 0;
      // Long enough for the thread to run on a busy machine.
      const endMs = performance.now() + 500;
      for (let i = 0; replaced < 1000 || performance.now() < endMs; i++) {
        using made = callback(toU64, () => 0n, { fallback: fallbacks[i % 2] });
        if (made.pointer === pointer) replaced += 1;
      }
      stop_watching(counts);
      void stats();
    });
    assertEquals([counts[0] > 0n, counts[1] > 0n, counts[2]], [true, true, 0n]);
  });

  itOnThreads("is counted each time, and leaves the function that it didn't run alone", () => {
    const { misplacedCalls: foreignCalls } = stats().counts;
    using made = callback(i32ToI32, () => raise("it ran"), { fallback: 2 });
    const reports = reportsOf(() => assertStrictEquals(callOnThread(made, 10_000), 20_000));
    assertEquals([reports.length, stats().counts.misplacedCalls], [1, foreignCalls + 10_000]);
    assertStrictEquals(caught(() => relay_i32(made, 1)), "it ran");
  });

  itOnThreads("while a native call of belay's runs is an error that this throws, and that names both", () => {
    const onThread = call_on_thread as NonNullable<typeof call_on_thread>;
    let error: unknown;
    const reports = reportsOf(() => error = caught(() => onThread(() => 5, 3)));
    assertEquals(reports, []);
    assertInstanceOf(error, CallbackThreadError);
    assertEquals([error.callback, error.call], ["argument 1 of call_on_thread", "call_on_thread"]);
    for (const part of ["3 times", 'while "call_on_thread" ran', "nonblocking: true"]) {
      assertStringIncludes(error.message, part);
    }
    // Each native call in which that happens throws.
    using made = callback(i32ToI32, (value) => value, { fallback: -1, name: "made" });
    for (let i = 0; i < 3; i++) assertInstanceOf(caught(() => onThread(made, 1)), CallbackThreadError);
    // One that has ended is not to blame for a later one.
    assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
    // The native call outside of the one in which it happened goes on.
    let inner: unknown;
    assertStrictEquals(relay_i32((value) => (inner = caught(() => onThread(made, 1)), value + 1), 5), 6);
    assertInstanceOf(inner, CallbackThreadError);
  });

  itOnThreads(
    "from a library that belay hasn't called, in a callback, is the error of the native call around it",
    () => {
      using made = callback(i32ToI32, (value) => value, { fallback: -1, name: "made" });
      let answer: unknown;
      const error = caught(() => relay_i32((value) => (answer = callOnThread(made, 2), value + 1), 5));
      assertStrictEquals(answer, -2);
      assertInstanceOf(error, CallbackThreadError);
      assertEquals([error.callback, error.call, stats().live.waitingErrors], ["made", "relay_i32", 0]);
    },
  );

  itOnThreads("doesn't use up a callback with once", () => {
    const made = callback(i32ToI32, (value) => value, { once: true, fallback: -1 });
    reportsOf(() => assertStrictEquals(callOnThread(made, 2), -2));
    assertEquals([made.disposed, relay_i32(made, 5), made.disposed], [false, 5, true]);
  });

  itOnThreads("past belay is reported with the next native call, and with stats()", () => {
    const rawThread = rawOpen(testLibrary, { call_on_thread: { parameters: ["u64", "i32"], result: "i32" } });
    for (const look of [() => void add_i32(1, 2), () => void stats(), () => void relay_i32((value) => value, 1)]) {
      using made = callback(i32ToI32, (value) => value, { fallback: -1, name: "past belay" });
      const reports = reportsOf(() => {
        assertStrictEquals(rawThread["call_on_thread"](pointerValue(made.pointer), 2), -2);
        look();
        look();
      });
      assertEquals(reports.map(({ kind }) => kind), ["misplaced-call"]);
      assertStringIncludes(reports[0].message, '"past belay"');
    }
  });

  itOnThreads("is reported for each callback anew, whatever thunks stood behind others before", () => {
    let kinds: string[] = [];
    for (let i = 0; i < 600; i++) {
      using made = callback(i32ToI32, (value) => value, { fallback: -1, name: `number ${i}` });
      const reports = reportsOf(() => assertStrictEquals(callOnThread(made, 1), -1));
      kinds = reports.map(({ kind, message }) => `${kind} ${message.includes(`"number ${i}"`)}`);
      assertEquals(kinds, ["misplaced-call true"]);
    }
  });

  itOnThreads("while an error waits doesn't lose the error", () => {
    const thrown = new Error("thrown");
    using made = callback(i32ToI32, (value) => value, { fallback: -1, name: "on a thread" });
    const rawThread = rawOpen(testLibrary, { call_on_thread: { parameters: ["u64", "i32"], result: "i32" } });
    const results = new Int32Array(3);
    const seen: number[] = [];
    const reports = reportsOf(() => {
      const error = caught(() =>
        collect_i32(
          (index) => {
            seen.push(index);
            if (index === 1) {
              rawThread["call_on_thread"](pointerValue(made.pointer), 1);
              throw thrown;
            }
            return index + 1;
          },
          results,
          3,
        )
      );
      assertStrictEquals(error, thrown);
    });
    assertEquals([[...results], seen], [[1, 0, 0], [0, 1]]);
    assertEquals(reports, []);
    const { suppressed } = thrown as Error & { suppressed: unknown[] };
    assertEquals(suppressed.map((each) => (each as Error).name), ["CallbackThreadError"]);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  it("whose report makes native calls leaves the arguments of the callback that is about to run alone", () => {
    const rawThread = rawOpen(testLibrary, { call_on_thread: { parameters: ["u64", "i32"], result: "i32" } });
    using foreign = callback(i32ToI32, (value) => value, { fallback: -1 });
    const seen: number[] = [];
    using made = callback(i32ToI32, (value) => (seen.push(value), value + 1), { fallback: -2 });
    let reports = 0;
    configure({
      onReport() {
        reports += 1;
        // Another callback, with another argument in the words that all share.
        assertStrictEquals(relay_i32((value) => value, 1000), 1000);
      },
    });
    try {
      // Neither is a call of belay's: the foreign call is first noticed when the callback is about to run.
      assertStrictEquals(rawThread["call_on_thread"](pointerValue(foreign.pointer), 1), -1);
      assertStrictEquals(relayRaw(made, 41), 42);
    } finally {
      configure({ onReport: undefined });
    }
    assertEquals([reports, seen], [1, [41]]);
  });
});

describe("a call from another thread that nothing follows", () => {
  const possible = process.platform !== "win32";
  if (!possible) leftOut("calls from a thread of the tests' C library, which has POSIX threads only");
  const child = (how: string): string[] => {
    const { code, stdout } = runChild("foreign_reports.ts", [how]);
    assertStrictEquals(code, 0);
    return stdout.trim().split("\n");
  };

  (possible ? it : it.skip)("is reported when the program ends (in a child process)", () => {
    assertEquals(child("end"), ["-1", "the end of the turns", "misplaced-call true"]);
  });

  (possible ? it : it.skip)(
    "is reported while a callback is ref'd, which the program waits for (in a child process)",
    () => {
      assertEquals(child("ref"), ["-1", "the end of the turns", "misplaced-call true"]);
    },
  );
});

describe("an error", () => {
  /** Microseconds that a native call takes whose callback throws. */
  function throwingUs(): number {
    using made = callback(i32ToI32, () => raise("thrown"));
    let least = Infinity;
    for (let i = 0; i < 200; i++) {
      const startMs = performance.now();
      caught(() => relay_i32(made, 1));
      least = Math.min(least, performance.now() - startMs);
    }
    return least * 1000;
  }

  it("costs about the same with 20,000 callbacks alive as with one", () => {
    const few = throwingUs();
    const made = Array.from({ length: 20_000 }, () => callback(i32ToI32, (value) => value));
    const many = throwingUs();
    for (const each of made) each.close();
    assert(many < 4 * few + 20, `${many.toFixed(0)} µs, with one it is ${few.toFixed(0)} µs`);
  });
});

describe("a callback that finds little of the stack left", () => {
  it("runs, is a RangeError, and further down gets the fallback (in a child process)", () => {
    const { code, signal, stdout } = runChild("deep_frames.ts");
    assertEquals([code, signal], [0, null]);
    // Bun's stack is longer than what C uses here.
    assertStrictEquals(stdout.trim(), "Bun" in globalThis ? "7 7" : "7,RangeError,-1 7");
  });
});

describe("an error of a program that has its own way with errors", () => {
  const formats: Readonly<Record<string, (() => unknown) | undefined>> = {
    "formats stacks as text": () => "no stack",
    "formats stacks as objects": () => ({ frames: 0 }),
    "fails to format stacks": () => raise("the formatter"),
  };
  for (const [what, format] of Object.entries(formats)) {
    it(`comes out of its native call, the same object, when the program ${what}`, () => {
      const before = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
      const thrown = { name: "thrown" };
      try {
        Reflect.set(Error, "prepareStackTrace", format);
        assertStrictEquals(caught(() => relay_i32(() => raise(thrown), 1)), thrown);
        assertStrictEquals(Reflect.get(Error, "prepareStackTrace"), format);
      } finally {
        // Bun sees no other change than an assignment, and none after it was deleted.
        Reflect.set(Error, "prepareStackTrace", before?.value);
      }
      assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
    });
  }
});

describe("endless recursion", () => {
  it("is a RangeError out of every level, soon, and the next calls work", () => {
    let depth = 0;
    const deeper: Callback<typeof i32ToI32> = callback(i32ToI32, (value): number => {
      depth += 1;
      return relay_i32(deeper, value);
    }, { name: "deeper" });
    const startMs = performance.now();
    for (let i = 0; i < 3; i++) {
      assertThrows(
        () => relay_i32(deeper, 1),
        RangeError,
        'Cannot call callback "deeper": the stack is nearly used up',
      );
    }
    // Each level looks at a part of the stack only: all of it at each would take seconds.
    const tookMs = performance.now() - startMs;
    assert(tookMs < 2000 * slowness, `${tookMs} ms`);
    assert(depth > 3 * 100, `${depth} levels`);
    assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
    deeper.close();
  });

  it("may end in the first call of a signature, which has code to generate then: later calls work", () => {
    const u16 = { parameters: ["u16"], result: "u16" } as const;
    using library = dlopen(testLibrary, { relay_u16: { parameters: [u16, "u16"], result: "u16" } });
    const { relay_u16 } = library.symbols;
    using first = callback(u16, (value) => value + 1);
    let calls = 0;
    using deeper: Callback<typeof i32ToI32> = callback(i32ToI32, (value): number => {
      try {
        return relay_i32(deeper, value);
      } finally {
        if (calls++ === 0) relay_u16(first, 1);
      }
    });
    assertThrows(() => relay_i32(deeper, 1), RangeError, "the stack is nearly used up");
    assertStrictEquals(relay_u16(first, 1), 2);
  });

  it("is a RangeError that a callback can catch on the way", () => {
    let caughtAt = 0;
    let depth = 0;
    using deeper: Callback<typeof i32ToI32> = callback(i32ToI32, (value): number => {
      depth += 1;
      const level = depth;
      try {
        return relay_i32(deeper, value);
      } catch (error) {
        if (level !== 50) throw error;
        caughtAt = level;
        return 7;
      }
    });
    assertStrictEquals(relay_i32(deeper, 1), 7);
    assertStrictEquals(caughtAt, 50);
  });
});

describe("a report", () => {
  it("of a stale call may make native calls, and dispose of and make callbacks", () => {
    const made: Callback<typeof i32ToI32>[] = [];
    const gone = callback(i32ToI32, (value) => value, { fallback: -5 });
    gone.close();
    const seen: Report["kind"][] = [];
    configure({
      onReport({ kind }) {
        seen.push(kind);
        const other = callback(i32ToI32, (value) => value + 1);
        made.push(other);
        assertStrictEquals(relay_i32(other, 1), 2);
        assertNotStrictEquals(other.pointer, gone.pointer);
        other.close();
      },
    });
    try {
      assertStrictEquals(relay_i32(gone.pointer, 1), -5);
    } finally {
      configure({ onReport: undefined });
    }
    assertEquals([seen, made.length], [["stale-callback"], 1]);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
