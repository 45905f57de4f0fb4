/** Where the errors of callbacks go: `onError`, `always`, the native call, its promise, reports. */

import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  CallbackThreadError,
  CallbackTimeoutError,
  configure,
  dlopen,
  Handle,
  handle,
  type Pointer,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { type Crew, post, wait } from "../programs/threads.ts";
import { alive, collectFully, turn } from "../support/gc.ts";
import { slowness } from "../support/machine.ts";
import { until } from "../support/until.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";

const before = alive();

const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const onRow = { parameters: [handle<string>(), "i32"], result: "i32" } as const;

const symbols = {
  relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
  collect_i32: { parameters: [i32ToI32, "buffer", "i32"], result: "void" },
  each: { parameters: ["i32", onRow, "handle"], result: "i32" },
} as const;
const loop = { parameters: [i32ToI32, i32ToI32, "i32", "i32"], result: "i32" } as const;
const threadSymbols = {
  loop_quit: { parameters: [], result: "void" },
  loop_run: loop,
  loop_later: { ...loop, name: "loop_run", nonblocking: true },
  use_and_destroy: { parameters: [i32ToI32, i32ToI32, "i32"], result: "i32" },
  use_and_destroy_later: {
    name: "use_and_destroy",
    parameters: [i32ToI32, i32ToI32, "i32"],
    result: "i32",
    nonblocking: true,
  },
  start_waits: { parameters: [wait, "i32", "i32"], result: "pointer" },
  start_fast_posts: { parameters: [post, "i32", "i32"], result: "pointer" },
  wait_and_join: { parameters: [wait, "i32", "i32"], result: "i64", nonblocking: true },
  post_and_join: { parameters: [post, "i32", "i32"], result: "i64", nonblocking: true },
  crew_running: { parameters: ["pointer"], result: "i32" },
  crew_join: { parameters: ["pointer"], result: "i64" },
  there_and_here: { parameters: [i32ToI32, i32ToI32, "i32"], result: "i32" },
  wait_at_gate: { parameters: ["i32"], result: "i32", nonblocking: true },
  set_gate: { parameters: ["bool"], result: "void" },
  sleep_later: { name: "sleep_ms", parameters: ["i32"], result: "void", nonblocking: true },
} as const;
const { relay_i32, collect_i32, each } = dlopen(testLibrary, symbols).symbols;
const c = dlopen(testLibrary, threadSymbols).symbols;
const raw = rawOpen(testLibrary, { relay_i32: { parameters: ["u64", "i32"], result: "i32" } });
const relayRaw = (made: { readonly pointer: Pointer }, value: number): unknown =>
  raw["relay_i32"](pointerValue(made.pointer), value);
before.libraries += 2;

/** Waits for threads without blocking, and answers the sum of their answers. */
async function ended(crew: Crew): Promise<bigint> {
  await until(() => c.crew_running(crew) === 0, "the end of the threads");
  return c.crew_join(crew);
}

/** What is reported until it is closed. */
function listening(): { readonly reports: Report[] } & Disposable {
  const reports: Report[] = [];
  configure({ onReport: (report) => void reports.push(report) });
  return { reports, [Symbol.dispose]: () => configure({ onReport: undefined }) };
}

describe("a callback with onError", () => {
  /** What `onError` was called with. */
  type Seen = [message: string, ...parameters: unknown[]];
  const failing = (seen: Seen[], answer: number | undefined): Callback<typeof i32ToI32> =>
    callback(i32ToI32, (value) => raise(new Error(`thrown for ${value}`)), {
      fallback: -1,
      onError: (error, ...parameters) => {
        seen.push([(error as Error).message, ...parameters]);
        return answer;
      },
    });

  for (const [answer, got] of [[9, 9], [undefined, -1]] as const) {
    it(`that answers ${answer} has C get ${got} at once, and raises nothing`, () => {
      const seen: Seen[] = [];
      using made = failing(seen, answer);
      assertStrictEquals(relay_i32(made, 5), got);
      assertEquals(seen, [["thrown for 5", 5]]);
      assertStrictEquals(relayRaw(made, 6), got);
      assertEquals([seen.length, seen[1], stats().live.waitingErrors], [2, ["thrown for 6", 6], 0]);
    });
  }

  it("gets C's arguments as the function does", () => {
    const seen: unknown[] = [];
    using user = Handle.create("user data");
    using made = callback(onRow, () => raise("thrown"), { onError: (...given) => (seen.push(given), 1) });
    assertStrictEquals(each(3, made, user), 3);
    assertEquals(seen, [0, 1, 2].map((index) => ["thrown", "user data", index]));
  });

  it("has others run as ever in the same native call, and nothing wait", () => {
    const seen: Seen[] = [];
    using made = failing(seen, undefined);
    const results = new Int32Array(3);
    collect_i32((index) => index === 1 ? relay_i32(made, index) : index + 10, results, 3);
    assertEquals([...results], [10, -1, 12]);
  });

  it("is asked about a result that isn't of its type, and about a stack that is used up", () => {
    const errors: unknown[] = [];
    using made = callback(i32ToI32, () => 2 ** 31, { onError: (error) => (errors.push(error), 3) });
    assertStrictEquals(relay_i32(made, 1), 3);
    assertInstanceOf(errors[0], RangeError);
    let depth = 0;
    using deep: Callback<typeof i32ToI32> = callback(i32ToI32, (value) => (depth += 1, relay_i32(deep, value)), {
      onError: (error, value) => (errors.push(error), value + 1),
    });
    // The innermost one answers; those around it pass that on.
    assertStrictEquals(relay_i32(deep, 5), 6);
    assertInstanceOf(errors[1], RangeError);
    assert(depth > 10);
  });

  it("that throws itself has that error raised", () => {
    using made = callback(i32ToI32, () => raise("first"), { fallback: -1, onError: () => raise("second") });
    using other = callback(i32ToI32, (value) => value);
    const results = new Int32Array(3);
    using through = callback(i32ToI32, (index) => Number(relayRaw(index === 0 ? made : other, index)));
    const reports = reportsOf(() => assertStrictEquals(caught(() => collect_i32(through, results, 3)), "second"));
    assertEquals([...results], [-1, 0, 0]);
    assertEquals(reports.map(({ kind, cause }) => [kind, cause]), [["suppressed-error", "first"]]);
  });

  it("that answers what is not of the result's type has that error raised", () => {
    const answers: readonly unknown[] = [2 ** 31, "1", Promise.resolve(1)];
    for (const answer of answers) {
      using made = callback(i32ToI32, () => raise("first"), { onError: () => answer as number });
      const error = caught(() => relay_i32(made, 1));
      assertStringIncludes(
        String(error),
        answer instanceof Promise ? "the result is a promise" : "what onError gave (i32)",
      );
      // What the callback threw isn't lost.
      assertEquals((error as { suppressed?: unknown }).suppressed, ["first"]);
    }
  });

  it("answers threads of C's that wait, and those of nonblocking calls", async () => {
    const seen: unknown[] = [];
    using made = callback(wait, (thread) => raise(`thread ${thread}`), {
      thread: "wait",
      onError: (error, thread, index) => (seen.push([error, thread, index]), 100 + index),
    });
    assertStrictEquals(await ended(c.start_waits(made, 1, 3)), 303n);
    assertEquals(seen, [0, 1, 2].map((index) => ["thread 0", 0, index]));
    assertStrictEquals(await c.wait_and_join(made, 1, 2), 201n);
    assertStrictEquals(seen.length, 5);
  });

  it("gets what C doesn't wait for, with C's arguments, also the rejection of an async function", async () => {
    const seen: unknown[] = [];
    using thrown = callback(post, () => raise("thrown"), {
      thread: "post",
      onError: (...given) => void seen.push(given),
    });
    using rejected = callback(post, async () => {
      await undefined;
      raise("rejected");
    }, { thread: "post", onError: (...given) => void seen.push(given) });
    assertStrictEquals(await c.post_and_join(thrown, 1, 2), 0n);
    await c.post_and_join(rejected, 1, 1);
    while (seen.length < 3) await turn();
    assertEquals(seen, [["thrown", 0, 0], ["thrown", 0, 1], ["rejected", 0, 0]]);
  });
});

describe("an error that is raised", () => {
  it("has C's cleanup run where the callback says always, and no other", () => {
    for (const always of [true, false]) {
      const destroyed: number[] = [];
      using destroy = callback(i32ToI32, (index) => (destroyed.push(index), 1), { always });
      using use = callback(i32ToI32, (index) => index === 1 ? raise("thrown") : 0);
      assertStrictEquals(caught(() => c.use_and_destroy(use, destroy, 3)), "thrown");
      assertEquals(destroyed, always ? [0, 1, 2] : []);
    }
  });

  it("of a nonblocking call has C's cleanup run where the callback says always, and no other", async () => {
    for (const always of [true, false]) {
      const destroyed: number[] = [];
      using destroy = callback(i32ToI32, (index) => (destroyed.push(index), 1), { thread: "wait", always });
      using use = callback(i32ToI32, (index) => index === 1 ? raise("thrown") : 0, { thread: "wait" });
      const outcome = await c.use_and_destroy_later(use, destroy, 3).catch((error) => error);
      assertStrictEquals(outcome, "thrown");
      assertEquals(destroyed, always ? [0, 1, 2] : []);
    }
  });

  it("is the first one; later ones are its suppressed", async () => {
    for (const later of [false, true]) {
      const first = new Error("first");
      using destroy = callback(i32ToI32, (index) => raise(`later ${index}`), {
        always: true,
        ...(later ? { thread: "wait" } : {}),
      });
      using use = callback(i32ToI32, () => raise(first), later ? { thread: "wait" } : {});
      const error = later
        ? await c.use_and_destroy_later(use, destroy, 2).catch((error) => error)
        : caught(() => c.use_and_destroy(use, destroy, 2));
      assertStrictEquals(error, first);
      assertEquals((error as { suppressed?: unknown }).suppressed, ["later 0", "later 1"]);
    }
  });

  it("that takes no property has later ones reported", () => {
    for (const first of ["text", Object.freeze(new Error("frozen")), undefined]) {
      using destroy = callback(i32ToI32, (index) => raise(`later ${index}`), { always: true });
      using use = callback(i32ToI32, () => raise(first));
      const reports = reportsOf(() => assertStrictEquals(caught(() => c.use_and_destroy(use, destroy, 2)), first));
      assertEquals(reports.map(({ kind, cause }) => [kind, cause]), [
        ["suppressed-error", "later 0"],
        ["suppressed-error", "later 1"],
      ]);
    }
  });

  it("is not thrown by native calls that are made while it waits; their own errors are", () => {
    const seen: unknown[] = [];
    using destroy = callback(i32ToI32, (index) => {
      seen.push(relay_i32((value) => value + 1, index));
      seen.push(caught(() => relay_i32(() => raise("inner"), index)));
      // Where it isn't caught it is one of this native call's.
      if (index === 1) relay_i32(() => raise("not caught"), index);
      return 1;
    }, { always: true });
    const first = new Error("first");
    using use = callback(i32ToI32, () => raise(first));
    assertStrictEquals(caught(() => c.use_and_destroy(use, destroy, 2)), first);
    assertEquals(seen, [1, "inner", 2, "inner"]);
    assertEquals((first as { suppressed?: unknown }).suppressed, ["not caught"]);
    assertStrictEquals(stats().live.waitingErrors, 0);
    assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
  });

  it(
    "on a thread of C's rejects the only nonblocking call that is outstanding, whose others run no more",
    async () => {
      let runs = 0;
      using made = callback(wait, () => (runs += 1, raise("thrown")), { thread: "wait", fallback: -1 });
      assertStrictEquals(await c.wait_and_join(made, 1, 5).catch((error) => error), "thrown");
      assertStrictEquals(runs, 1);
      using posted = callback(post, () => raise("posted"), { thread: "post" });
      assertStrictEquals(await c.post_and_join(posted, 1, 3).catch((error) => error), "posted");
      // A call of its own has nothing to do with that.
      await c.sleep_later(1);
    },
  );

  for (const name of ["no call", "two calls", "a closed function before"]) {
    it(`is an uncaught one where it belongs to no native call: ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("uncaught_errors.ts", [name, testLibrary]);
      assertEquals({ code, signal }, { code: 1, signal: null }, stdout);
      assertStringIncludes(stderr, "thrown by the callback");
    });
  }

  it("in a loop that goes on is reported after a second, and the loop can be quit", () => {
    let ticks = 0;
    let report: Report | undefined;
    configure({ onReport: (given) => report ??= given });
    using ticking = callback(i32ToI32, (index) => (ticks += 1, index === 4 ? raise(new Error("fifth tick")) : 0), {
      name: "ticking",
    });
    using quitting = callback(i32ToI32, () => {
      if (report !== undefined) c.loop_quit();
      return 0;
    }, { always: true, name: "quitting" });
    const beganMs = performance.now();
    const error = caught(() => c.loop_run(ticking, quitting, 10_000, 10));
    configure({ onReport: undefined });
    assertStringIncludes(String(error), "fifth tick");
    assertStrictEquals(ticks, 5);
    assert(performance.now() - beganMs >= 1000);
    assertStrictEquals(report?.kind, "waiting-error");
    assertStrictEquals(report.cause, error);
    for (const part of ['"ticking"', '"loop_run"', "onError", "fifth tick"]) assertStringIncludes(report.message, part);
  });

  it("in a nonblocking loop that goes on is reported after a second, and rejects the promise", async () => {
    using listener = listening();
    let ticks = 0;
    using ticking = callback(i32ToI32, (index) => (ticks += 1, index === 4 ? raise("fifth tick") : 0), {
      name: "ticking",
      thread: "wait",
    });
    using silent = callback(i32ToI32, () => 0, { thread: "wait" });
    const running = c.loop_later(ticking, silent, 10_000, 10).catch((error) => error);
    while (listener.reports.length === 0) await turn();
    c.loop_quit();
    assertStrictEquals(await running, "fifth tick");
    assertEquals([ticks, listener.reports.length], [5, 1]);
    const [{ kind, cause, message }] = listener.reports;
    assertEquals([kind, cause], ["waiting-error", "fifth tick"]);
    for (const part of ['"ticking"', '"loop_later"', "onError"]) assertStringIncludes(message, part);
  });

  it("is none with onError: the loop ticks on, in either kind of call", async () => {
    const options = { thread: "wait", onError: () => 0 } as const;
    for (const later of [false, true]) {
      let ticks = 0;
      using ticking = callback(i32ToI32, (index) => (ticks += 1, index === 4 ? raise("fifth tick") : 0), options);
      using other = callback(i32ToI32, () => 0, options);
      const turns = later ? await c.loop_later(ticking, other, 20, 0) : c.loop_run(ticking, other, 20, 0);
      assertEquals([turns, ticks], [20, 20]);
    }
  });
});

describe("calls of other threads in vain while a native call runs", () => {
  it("are thrown by that call, not by one that its callbacks make, nor by a later one", () => {
    using there = callback(i32ToI32, (value) => value, { fallback: -1, name: "there" });
    const inner: unknown[] = [];
    const bodies: ((value: number) => number)[] = [
      (value) => (inner.push(relay_i32((value) => value + 1, value)), 0),
      (value) => (inner.push(caught(() => relay_i32(() => raise("inner"), value))), 0),
      () => (void stats(), 0),
    ];
    for (const here of bodies) {
      const error = caught(() => c.there_and_here(there, here, 2));
      assertInstanceOf(error, CallbackThreadError);
      assertEquals([error.callback, error.call, "suppressed" in error], ["there", "there_and_here", false]);
      assertStringIncludes(error.message, "2 times");
      assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
      assertStrictEquals(stats().live.waitingErrors, 0);
    }
    assertEquals(inner, [1, 2, "inner", "inner"]);
  });

  it("are thrown although a report's listener makes native calls meanwhile", () => {
    using there = callback(i32ToI32, (value) => value, { fallback: -1 });
    const stale = callback(i32ToI32, (value) => value, { fallback: -2 });
    stale.close();
    let heard = 0;
    configure({ onReport: () => void (heard += relay_i32((value) => value, 1)) });
    const error = caught(() => c.there_and_here(there, () => Number(relayRaw(stale, 1)), 1));
    configure({ onReport: undefined });
    assertInstanceOf(error, CallbackThreadError);
    assertStrictEquals(heard, 1);
    assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
  });

  it("wait once, also where callbacks of the call make native calls in between", () => {
    using there = callback(i32ToI32, (value) => value, {
      thread: "wait",
      timeoutMs: 1000,
      fallback: -1,
      name: "there",
    });
    const beganMs = performance.now();
    const error = caught(() => c.there_and_here(there, (value) => relay_i32((value) => value, value), 20));
    assert(performance.now() - beganMs < 15_000 * slowness, "each call waited");
    assertInstanceOf(error, CallbackTimeoutError);
    assertEquals([error.callback, error.call], ["there", "there_and_here"]);
    assertStringIncludes(error.message, "20 times");
  });

  it("are reported once each, where the native call throws them and where none does", () => {
    using there = callback(i32ToI32, (value) => value, { fallback: -1, name: "there" });
    const reports = reportsOf(() => {
      for (let i = 0; i < 3; i++) {
        assertInstanceOf(caught(() => c.there_and_here(there, () => 0, 1)), CallbackThreadError);
      }
    });
    assertEquals(reports, []);
  });
});

describe("a second error", () => {
  it("leaves a suppressed of the program's alone, and is not lost", () => {
    const first = Object.assign(new Error("first"), { suppressed: "the program's" });
    using use = callback(i32ToI32, () => raise(first));
    using destroy = callback(i32ToI32, () => raise("second"), { always: true });
    const reports = reportsOf(() => assertStrictEquals(caught(() => c.use_and_destroy(use, destroy, 1)), first));
    assertEquals([first.suppressed, reports.map(({ cause }) => cause)], ["the program's", ["second"]]);
  });

  it("of each native call that an error passes is in its suppressed, and no error in its own", () => {
    const first = new Error("first");
    using inner = callback(i32ToI32, () => raise(first));
    using innerDestroy = callback(i32ToI32, () => raise("inner"), { always: true });
    using outer = callback(i32ToI32, () => c.use_and_destroy(inner, innerDestroy, 1));
    using outerDestroy = callback(i32ToI32, () => raise("outer"), { always: true });
    assertStrictEquals(caught(() => c.use_and_destroy(outer, outerDestroy, 1)), first);
    assertEquals((first as { suppressed?: unknown }).suppressed, ["inner", "outer"]);
    const alone = new Error("alone");
    using twice = callback(i32ToI32, () => raise(alone));
    using alsoAlone = callback(i32ToI32, () => raise(alone), { always: true });
    assertStrictEquals(caught(() => c.use_and_destroy(twice, alsoAlone, 1)), alone);
    assert(!("suppressed" in alone));
  });
});

it("an error of a post callback keeps no later call from running", async () => {
  let runs = 0;
  using made = callback(post, (_, index) => (runs += 1, index === 3 ? raise("the fourth") : undefined), {
    thread: "post",
  });
  // Outstanding until all of them have run.
  c.set_gate(false);
  const waiting = c.wait_at_gate(1).catch((error) => error);
  assertStrictEquals(await ended(c.start_fast_posts(made, 1, 100)), 0n);
  await until(() => runs === 100, "the last call");
  c.set_gate(true);
  assertStrictEquals(await waiting, "the fourth");
});

it("always must be a boolean", () => {
  const error = caught(() => callback(i32ToI32, (value) => value, { always: 1 as unknown as boolean }));
  assertStringIncludes(String(error), "always must be a boolean, got number");
});

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
