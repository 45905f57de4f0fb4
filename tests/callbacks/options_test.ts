/** A callback's options: `once`, `ref`, `thread`, and those of threads and queues. */

import { assert, assertEquals, assertFalse, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Callback, callback, CallbackThreadError, dlopen, Handle, pointerValue, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil, turn } from "../support/gc.ts";
import { post, wait } from "../programs/threads.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import { callbackUnchecked } from "../support/unchecked.ts";
import { call_kept, collect_i32, i32ToI32, keep, relay_i32, relayRaw, run_operations } from "./callers.ts";
import { c, test } from "./crews.ts";

const before = alive();

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
      // One that ends does so by itself, however slow the machine is.
      const timerMs = printed.includes("timer") ? 200 : 20_000;
      const { code, signal, stdout, stderr } = runChild("keep_alive.ts", [name, String(timerMs)]);
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

describe("options", () => {
  test("that make no sense are refused, with a word on what would", () => {
    const refused: [definition: unknown, options: unknown, words: string, kind?: typeof RangeError][] = [
      [wait, { thread: "post" }, "takes no result"],
      [{ parameters: ["handleAddress"], result: "void" }, { thread: "post" }, "handleAddress"],
      [post, { thread: "later" }, '"same", "post" or "wait"'],
      [post, { thread: null }, '"same", "post" or "wait"'],
      [post, { timeoutMs: 5 }, "needs thread"],
      [post, { thread: "same", timeoutMs: 5 }, "needs thread"],
      [post, { queue: { capacity: 1 } }, "needs thread"],
      [post, { thread: "post", timeoutMs: -1 }, "timeoutMs must be", RangeError],
      [post, { thread: "post", timeoutMs: 0.5 }, "timeoutMs must be", RangeError],
      [post, { thread: "post", timeoutMs: Infinity }, "timeoutMs must be", RangeError],
      [post, { thread: "post", timeoutMs: 2 ** 31 }, "timeoutMs must be", RangeError],
      [post, { thread: "post", timeoutMs: "5" }, "timeoutMs must be"],
      [post, { thread: "post", queue: {} }, "capacity must be"],
      [post, { thread: "post", queue: null }, "queue must be an object"],
      [post, { thread: "post", queue: { capacity: 0 } }, "capacity must be", RangeError],
      [post, { thread: "post", queue: { capacity: 2 ** 24 + 1 } }, "capacity must be", RangeError],
      [post, { thread: "post", queue: { capacity: 1.5 } }, "capacity must be", RangeError],
      [post, { thread: "post", queue: { capacity: 1, onFull: "drop" } }, '"block", "dropNewest" or "dropOldest"'],
      [post, { thread: "post", queue: { capacity: 1, size: 1 } }, '"size" is not an option of a queue'],
    ];
    for (const [definition, options, words, kind = TypeError] of refused) {
      const error = assertThrows(() => callbackUnchecked(definition, () => {}, options), Error, words);
      assertInstanceOf(error, kind);
    }
  });

  test('of thread: "same" are as without it: a call from another thread gets the fallback', () => {
    using made = callback(wait, () => 5, { thread: "same", fallback: -1 });
    assertInstanceOf(caught(() => c.wait_and_join(made, 1, 1)), CallbackThreadError);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
