/** Callbacks over their life: made, lent for a call, stored in C's memory, closed, dropped. */

import { assert, assertEquals, assertFalse, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  configure,
  dlopen,
  Handle,
  handle,
  type Pointer,
  pointerFrom,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive, collectFully, collectUntil, turn } from "../support/gc.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import type { ScalarType } from "../support/scalars.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";
import { call_each, i32ToI32, open, relay_i32, relayRaw, run_operations } from "./callers.ts";

const before = alive();

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
      for (let i = 0; i < 100_000 && again === 0; i++) {
        using other = callback(i32ToI32, () => -5);
        if (other.pointer === pointer) again += 1;
      }
      return value + 1;
    }, { fallback: -1 });
    assertStrictEquals(relay_i32(made, 41), 42);
    assert(again > 0, "the thunk was not used again");
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
