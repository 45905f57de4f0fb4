/** Callbacks that other threads call: `thread: "post"` and `thread: "wait"`, in this process. */

import process from "node:process";
import { assert, assertEquals, assertFalse, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
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
  native,
  pin,
  type Pointer,
  pointerFrom,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import {
  type Crew,
  endless,
  keepBusy,
  type Post,
  post,
  threadDefinitions,
  type Wait,
  wait,
} from "../programs/threads.ts";
import { alive, collect, collectFully, collectUntil, isLive, turn } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { slowness } from "../support/machine.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import { limits, type ScalarType, scalarTypes } from "../support/scalars.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";

const before = alive();

const nothing = { parameters: [], result: "void" } as const;
const possible = process.platform !== "win32";
const definitions = {
  ...threadDefinitions,
  crew_tell_to_stop: { parameters: ["pointer"], result: "void" },
  crew_longest_ms: { parameters: ["pointer"], result: "f64" },
  start_posts: { parameters: [post, post, "i32", "i32"], result: "pointer" },
  start_plain: { parameters: [nothing, "i32", "i32"], result: "pointer" },
  start_user_data: { parameters: ["function", "handle", "i32", "i32"], result: "pointer" },
  start_owned: { parameters: ["function", "function", "pointer", "i32"], result: "pointer" },
  destroy_each: { parameters: ["function", "buffer", "u32", "u32"], result: "void" },
  start_texts: { parameters: ["function", "i32", "i32"], result: "pointer" },
  start_through: { parameters: ["function", "i32", "buffer", "i32"], result: "pointer" },
  call_here: { parameters: [wait, "i32", "i32"], result: "i32" },
  post_here: { parameters: [post, "i32", "i32"], result: "void" },
  post_and_join: { parameters: [post, "i32", "i32"], result: "i64" },
  wait_and_join: { parameters: [wait, "i32", "i32"], result: "i64" },
} as const;
// Opened even where its functions are missing, so that what follows need not ask.
const library = possible ? dlopen(testLibrary, definitions) : undefined;
const c = library?.symbols as NonNullable<typeof library>["symbols"];
if (!possible) leftOut("the tests of threads, which have POSIX threads only");
const { relay_i32, call_void } = dlopen(testLibrary, {
  relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" },
  call_void: { parameters: [nothing], result: "void" },
}).symbols;
/** Opening it is what this file leaves behind. */
before.libraries += possible ? 2 : 1;

function test(name: string, body: () => void | Promise<void>): void {
  (possible ? it : it.skip)(name, async () => {
    try {
      await body();
    } finally {
      configure({ onReport: undefined });
    }
  });
}

/** Lets turns of the event loop pass until something has come about. */
async function until(condition: () => boolean, what = "it"): Promise<void> {
  const endMs = performance.now() + 50_000 * slowness;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`${what} has not come about`);
    await turn();
  }
}

/** Waits for threads without blocking, and answers the sum of their answers. */
async function ended(crew: Crew): Promise<bigint> {
  await until(() => c.crew_running(crew) === 0, "the end of the threads");
  return c.crew_join(crew);
}

/** Lets what is queued be called: it comes before a call that is queued now. */
async function served(): Promise<void> {
  let done = false;
  using last = callback(nothing, () => void (done = true), { thread: "post" });
  call_void(last);
  await until(() => done, "the queue's end");
}

/** What runs the event loop for a while, or until a promise is settled, before it returns. */
async function loopRunner(): Promise<((until?: Promise<unknown>) => void) | undefined> {
  if (!("Bun" in globalThis)) return undefined;
  // Not a name that Deno would look up.
  const { expect } = await import(["bun", "test"].join(":")) as {
    expect(value: unknown): { resolves: { toBeDefined(): unknown } };
  };
  const pause = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 20, 1));
  return (until = pause()) => void expect(until).resolves.toBeDefined();
}

/** The id of a handle that C releases on this thread. */
function released(): number {
  const { id } = Handle.create("value");
  c.destroy_each(native.releaseHandle, BigUint64Array.of(BigInt(id)), 1, 1);
  return id;
}

/** What is reported from now on. */
function listen(): Report[] {
  stats();
  const reports: Report[] = [];
  configure({ onReport: (report) => reports.push(report) });
  return reports;
}

const kinds = (reports: readonly Report[]): string[] => reports.map(({ kind }) => kind);

describe('a callback with thread: "post"', () => {
  test("is called from other threads in each one's order, across callbacks that share the queue", async () => {
    const seen: string[][] = [[], [], [], []];
    using even = callback(post, (thread, index) => void seen[thread].push(`even ${index}`), { thread: "post" });
    using odd = callback(post, (thread, index) => void seen[thread].push(`odd ${index}`), { thread: "post" });
    assertStrictEquals(await ended(c.start_posts(even, odd, 4, 5000)), 20_000n);
    await served();
    const expected = Array.from({ length: 5000 }, (_, index) => `${index % 2 === 0 ? "even" : "odd"} ${index}`);
    for (const each of seen) assertEquals(each, expected);
  });

  test("is queued from the isolate's own thread, too, and runs in a later turn, in order with other threads' calls", async () => {
    const seen: number[][] = [];
    using made = callback(post, (thread, index) => void seen.push([thread, index]), { thread: "post" });
    c.post_here(made, 0, 3);
    assertEquals(seen, []);
    c.post_and_join(made, 1, 2);
    c.post_here(made, 0, 1);
    assertEquals(seen, []);
    await Promise.resolve();
    assertEquals(seen, []);
    await served();
    assertEquals(seen, [[-1, 0], [-1, 1], [-1, 2], [0, 0], [0, 1], [-1, 0]]);
  });

  test("lets C go on at once while JavaScript is busy", () => {
    using made = callback(post, () => {}, { thread: "post", timeoutMs: 1_000_000 });
    // It would wait for ever otherwise: this thread waits for those.
    c.post_and_join(made, 4, 500);
    reportsOf(() => made.close());
  });

  test("eight threads call it 1,000,000 times each: none is lost, and each one's come in order", async () => {
    const next = new Int32Array(8);
    let [wrong, count] = [0, 0];
    using made = callback(post, (thread, index) => {
      if (next[thread]++ !== index) wrong += 1;
      count += 1;
    }, { thread: "post", timeoutMs: 1_000_000 });
    const crew = c.start_fast_posts(made, 8, 1_000_000);
    await ended(crew);
    await served();
    assertEquals([count, wrong, [...next]], [8_000_000, 0, Array(8).fill(1_000_000)]);
  });

  test("may be async; its rejection goes to onError", async () => {
    const errors: unknown[] = [];
    let finished = 0;
    using made = callback(post, async (_, index) => {
      await turn();
      finished += 1;
      if (index % 2 === 1) throw `number ${index}`;
    }, { thread: "post", onError: (error) => void errors.push(error) });
    c.post_and_join(made, 1, 4);
    await until(() => finished === 4 && errors.length === 2);
    assertEquals(errors, ["number 1", "number 3"]);
  });

  test("that throws has its onError called, and the calls after it run", async () => {
    const errors: unknown[] = [];
    const seen: number[] = [];
    using made = callback(post, (_, index) => {
      seen.push(index);
      if (index === 1) throw "thrown";
    }, { thread: "post", onError: (error) => void errors.push(error) });
    c.post_and_join(made, 1, 3);
    await served();
    assertEquals([seen, errors], [[0, 1, 2], ["thrown"]]);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  test("may do anything when it is called: call C and be posted to, dispose of itself and of another", async () => {
    const log: string[] = [];
    const other = callback(post, () => void log.push("other"), { thread: "post", name: "other" });
    const made: Post = callback(post, (thread, index) => {
      log.push(`made ${thread} ${index}`);
      assertStrictEquals(relay_i32((value) => value + 1, 1), 2);
      assertEquals(stats().live.waitingErrors, 0);
      if (index < 2) return;
      if (thread === -1) return c.post_and_join(made, 1, 3) as unknown as void;
      made.close();
      other.close();
    }, { thread: "post", name: "made" });
    const reports = listen();
    c.post_here(made, 0, 3);
    c.post_here(other, 0, 1);
    await until(() => log.includes("made 0 2"));
    c.post_here(callback(post, () => void log.push("last"), { thread: "post", once: true }), 0, 1);
    await until(() => log.includes("last"));
    assertEquals(log, ["made -1 0", "made -1 1", "made -1 2", "other", "made 0 0", "made 0 1", "made 0 2", "last"]);
    assertEquals([made.disposed, other.disposed, kinds(reports)], [true, true, []]);
  });

  test("drops what is queued when it is closed, and says how many", async () => {
    const { droppedCalls } = stats().counts;
    let calls = 0;
    const made = callback(post, () => void (calls += 1), { thread: "post", name: "made" });
    using other = callback(post, () => void (calls += 100), { thread: "post" });
    c.post_and_join(made, 2, 50);
    c.post_and_join(other, 1, 1);
    const reports = listen();
    made.close();
    await served();
    assertEquals([calls, kinds(reports)], [100, ["dropped-calls"]]);
    assertStringIncludes(reports[0].message, 'callback "made" was closed while 100 calls of it waited');
    assertStrictEquals(stats().counts.droppedCalls - droppedCalls, 100);
  });

  for (const [how, slowMs] of [["quicker", 0], ["slower", 0.05]] as const) {
    test(`has the values of handles that C releases after it has called, with a function that is ${how}`, async () => {
      const { live: { handles }, counts: { staleReleases } } = stats();
      const count = 5000;
      const reports = listen();
      const seen: number[] = [];
      using made = callback({ parameters: [handle<number>(), "i32"], result: "void" }, (value) => {
        seen.push(value);
        keepBusy(slowMs);
      }, { thread: "post" });
      const ids = BigUint64Array.from({ length: count }, (_, i) => BigInt(Handle.create(i).id));
      // The thread reads them when this call has returned.
      using pinned = pin(ids);
      await ended(c.start_owned(made, native.releaseHandle, pinned.pointer, count));
      await served();
      assertEquals(seen, Array.from({ length: count }, (_, i) => i));
      assertEquals([stats().live.handles, stats().counts.staleReleases, reports], [handles, staleReleases, []]);
    });
  }

  test("that runs has its handle until it returns, whatever it calls meanwhile", async () => {
    const values: unknown[] = [];
    using made = callback({ parameters: ["u64", "i32"], result: "void" }, (id) => {
      c.sleep_ms(2);
      values.push(stats().live.handles >= 0 && Handle.value(Number(id)));
    }, { thread: "post" });
    const ids = BigUint64Array.of(BigInt(Handle.create("value").id));
    using pinned = pin(ids);
    await ended(c.start_owned(made, native.releaseHandle, pinned.pointer, 1));
    await served();
    assertEquals(values, ["value"]);
    assertThrows(() => Handle.value(Number(ids[0])));
  });

  test("that is called without end doesn't keep what C releases meanwhile", async () => {
    using made = callback(post, () => keepBusy(0.02), { thread: "post" });
    const crew = c.start_fast_posts(made, 1, endless);
    for (let i = 0; i < 3; i++) {
      const id = released();
      await until(() => !isLive(id), "its end");
    }
    // Nor does it keep a nonblocking call from being settled.
    using library = dlopen(testLibrary, { sleep_ms: { ...threadDefinitions.sleep_ms, nonblocking: true } });
    await library.symbols.sleep_ms(1);
    made.close();
    c.crew_stop(crew);
    // What is left in the queue would have the next thread wait for space.
    await served();
  });

  test("that is closed before it was called doesn't keep what C released then", async () => {
    const made = callback(post, () => {}, { thread: "post" });
    listen();
    c.post_and_join(made, 1, 3);
    const id = released();
    assert(isLive(id));
    made.close();
    await until(() => !isLive(id), "its end");
  });

  test("that was closed is told of as that when a thread calls it", () => {
    const made = callback(post, () => {}, { thread: "post", name: "made" });
    made.close();
    const reports = listen();
    c.post_and_join(made.pointer, 1, 3);
    stats();
    assertEquals(kinds(reports), ["stale-callback"]);
    assertStringIncludes(reports[0].message, '"made"');
  });

  test("with once, runs once, whoever calls first; what is queued behind that is told of", async () => {
    const seen: number[] = [];
    const reports = listen();
    const made = callback(post, (_, index) => void seen.push(index), { thread: "post", once: true, name: "only once" });
    c.post_and_join(made, 1, 5);
    await served();
    assertEquals([seen, made.disposed, kinds(reports)], [[0], true, ["dropped-calls"]]);
    assertStringIncludes(reports[0].message, '"only once"');
    assertStringIncludes(reports[0].message, "4 calls");
    // Of a callback that is gone, calls from elsewhere are as those of any other.
    c.post_and_join(made.pointer, 1, 1);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  test("that is once and given away is not collected before it was called", async () => {
    let calls = 0;
    const crew = (() => {
      const made = callback(post, () => void (calls += 1), { thread: "post", once: true });
      return c.start_fast_posts(made, 1, 1);
    })();
    await collectFully();
    await ended(crew);
    await until(() => calls === 1);
  });
});

describe('a callback with thread: "wait"', () => {
  test("gives C its result, on whatever thread", async () => {
    using made = callback(wait, (thread, index) => 1000 * thread + index, { thread: "wait" });
    const sum = await ended(c.start_waits(made, 4, 500));
    assertStrictEquals(sum, BigInt(500 * 1000 * (0 + 1 + 2 + 3) + 4 * (499 * 500 / 2)));
  });

  test("is a direct call from the isolate's own thread", () => {
    let runs = 0;
    using made = callback(wait, (thread, index) => (runs += 1, thread - index), { thread: "wait", timeoutMs: 0 });
    assertEquals([c.call_here(made, 7, 3), runs], [4, 1]);
    const thrown = new Error("thrown");
    using failing = callback(wait, () => raise(thrown), { thread: "wait", fallback: -1 });
    assertStrictEquals(caught(() => c.call_here(failing, 1, 1)), thrown);
  });

  test("a hundred threads wait at once, and each gets its own answer", async () => {
    let most = 0;
    const seen = new Set<number>();
    let crew: Crew = null;
    using made = callback(wait, (thread) => {
      if (crew !== null) most = Math.max(most, c.crew_waiting(crew));
      seen.add(thread);
      return thread * thread;
    }, { thread: "wait", timeoutMs: 1_000_000 });
    crew = c.start_waits(made, 100, 1);
    // They all come while nobody answers.
    while (c.crew_waiting(crew) < 100) c.sleep_ms(1);
    assertStrictEquals(await ended(crew), BigInt(99 * 100 * 199 / 6));
    assertEquals([seen.size, most], [100, 100]);
    assertStrictEquals(await ended(c.start_waits(made, 100, 20)), BigInt(20 * 99 * 100 * 199 / 6));
  });

  test("calls C, which calls back, and its own result is what C gets", async () => {
    using inner = callback(wait, (thread, index) => thread + index, { thread: "wait" });
    using made = callback(wait, (thread, index) => {
      const text = relay_i32((value) => value * 10, thread);
      return text + c.call_here(inner, c.call_here((a, b) => a * b, 2, index), 1);
    }, { thread: "wait" });
    // 10 thread + 2 index + 1
    assertStrictEquals(await ended(c.start_waits(made, 3, 100)), BigInt(100 * 10 * 3 + 3 * (2 * 4950 + 100)));
  });

  test("an error of the callback inside comes out of C, and may be caught there", async () => {
    const errors: unknown[] = [];
    const [caughtInside, thrown] = [[] as unknown[], new Error("thrown inside")];
    using made = callback(wait, (_, index) => {
      if (index === 1) return relay_i32(() => raise(thrown), 1);
      caughtInside.push(caught(() => relay_i32(() => raise(thrown), 1)));
      return 5;
    }, { thread: "wait", fallback: -1, onError: (error) => void errors.push(error) });
    assertStrictEquals(await ended(c.start_waits(made, 1, 3)), 9n);
    assertEquals([caughtInside, errors], [[thrown, thrown], [thrown]]);
    assertStrictEquals(errors[0], thrown);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });

  test("that throws has C get what onError answers, or else the fallback", async () => {
    using answered = callback(wait, (_, index) => raise(index), {
      thread: "wait",
      fallback: -1,
      onError: (error) => error === 2 ? undefined : 10 * (error as number),
    });
    assertStrictEquals(await ended(c.start_waits(answered, 1, 4)), BigInt(0 + 10 - 1 + 30));
  });

  test("that answers what is not of its type has C get the fallback, and onError told of it", async () => {
    const errors: unknown[] = [];
    using made = callbackUnchecked(
      wait,
      (_: number, index: number) => [2 ** 31, "1", Promise.resolve(1), null, 7][index],
      {
        thread: "wait",
        fallback: -1,
        onError: (error: unknown) => void errors.push(error),
      },
    ) as unknown as Wait & Disposable;
    assertStrictEquals(await ended(c.start_waits(made, 1, 5)), 3n);
    assertEquals(errors.map((error) => (error as Error).name), ["RangeError", "TypeError", "TypeError", "TypeError"]);
  });

  test("with once, answers one call; another thread that waits, and who comes later, gets the fallback", async () => {
    const reports = listen();
    const made = callback(wait, () => 100, { thread: "wait", once: true, fallback: -1, name: "only once" });
    const crew = c.start_waits(made, 5, 1);
    while (c.crew_waiting(crew) < 5) c.sleep_ms(1);
    assertStrictEquals(await ended(crew), 96n);
    assert(made.disposed);
    assertFalse(kinds(reports).includes("timeout"), String(kinds(reports)));
  });

  test("answers void, too: C goes on when it has run", async () => {
    let runs = 0;
    using made = callback(nothing, () => void (runs += 1), { thread: "wait" });
    assertStrictEquals(await ended(c.start_plain(made, 2, 100)), 200n);
    // Nothing is left in the queue.
    assertStrictEquals(runs, 200);
  });

  test("that asks for stats inside is one of those that are alive", async () => {
    using made = callback(wait, () => stats().live.callbacks, { thread: "wait" });
    assertStrictEquals(await ended(c.start_waits(made, 1, 1)), BigInt(stats().live.callbacks));
  });

  test("waiting for it in the native call that runs is an error that this throws, and that names both", () => {
    const { timeouts } = stats().counts;
    using made = callback(wait, () => 5, { thread: "wait", timeoutMs: 50, fallback: -1, name: "awaited" });
    let error: unknown;
    const reports = reportsOf(() => error = caught(() => c.wait_and_join(made, 3, 1)));
    assertEquals(kinds(reports), []);
    assertInstanceOf(error, CallbackTimeoutError);
    assertEquals([error.callback, error.call, error.timeoutMs], ["awaited", "wait_and_join", 50]);
    for (const part of ['callback "awaited"', "3 times", "50 ms", 'while "wait_and_join" ran', "nonblocking: true"]) {
      assertStringIncludes(error.message, part);
    }
    assertStrictEquals(stats().counts.timeouts - timeouts, 3);
  });

  test("after the first timeout of a native call all others of it get their fallback at once", async () => {
    let runs = 0;
    using made = callback(wait, () => (runs += 1, 5), {
      thread: "wait",
      timeoutMs: 1000,
      fallback: -1,
      onError: () => raise("a timeout is no error of the callback's"),
    });
    using other = callback(wait, () => 5, { thread: "wait", timeoutMs: 1_000_000, fallback: -2 });
    const patient = c.start_waits(other, 1, 1);
    while (c.crew_waiting(patient) < 1) c.sleep_ms(0);
    const beganMs = performance.now();
    // Each thread calls 100 times: 400 timeouts would take 100 s.
    assertInstanceOf(caught(() => c.wait_and_join(made, 4, 100)), CallbackTimeoutError);
    assert(performance.now() - beganMs < 20_000 * slowness, "each call waited");
    // Who began to wait before that native call still does.
    assertStrictEquals(await ended(patient), 5n);
    // And the callback goes on to work.
    assertStrictEquals(await ended(c.start_waits(made, 2, 1)), 10n);
    assertStrictEquals(runs, 2);
  });

  test("a timeout that is no native call's is reported, and the callback goes on to work", async () => {
    const reports = listen();
    using made = callback(wait, () => 5, { thread: "wait", timeoutMs: 50, fallback: -1, name: "awaited" });
    const crew = c.start_waits(made, 1, 1);
    while (c.crew_waiting(crew) < 1) c.sleep_ms(0);
    keepBusy(200);
    assertStrictEquals(await ended(crew), -1n);
    await until(() => reports.length > 0);
    assertEquals(kinds(reports), ["timeout"]);
    assertInstanceOf(reports[0].cause, CallbackTimeoutError);
    assertStringIncludes(reports[0].message, 'callback "awaited"');
    configure({ onReport: () => {} });
    let sum = 0n;
    // On a machine that is busy, one more may be late.
    for (let tries = 0; tries < 20 && sum !== 10n; tries++) sum = await ended(c.start_waits(made, 2, 1));
    assertStrictEquals(sum, 10n);
  });

  test("whose function has begun is waited for, however long that takes", async () => {
    const reports = listen();
    using made = callback(wait, (_, index) => {
      if (index === 0) c.sleep_ms(700);
      return 5;
    }, { thread: "wait", timeoutMs: 300 * slowness, fallback: -1, name: "slow" });
    assertStrictEquals(await ended(c.start_waits(made, 1, 1)), 5n);
    assertEquals(kinds(reports), []);
  });

  test("with timeoutMs: 0, never waits: C gets the fallback, the function isn't called", async () => {
    let runs = 0;
    using made = callback(wait, () => (runs += 1, 5), { thread: "wait", timeoutMs: 0, fallback: -1, name: "hasty" });
    const error = caught(() => c.wait_and_join(made, 2, 50));
    assertInstanceOf(error, CallbackTimeoutError);
    assertStringIncludes(error.message, "100 times");
    await served();
    assertStrictEquals(runs, 0);
  });

  test("disposing of it gives the fallback to who waits, also when JavaScript then waits for that thread", () => {
    const reports = reportsOf(() => {
      for (let i = 0; i < 200; i++) {
        const made = callback(wait, () => 5, { thread: "wait", timeoutMs: 1_000_000, fallback: -1 });
        const crew = c.start_waits(made, 2, 2);
        // Somewhere between not yet and long since.
        const threads = i % 3;
        while (threads > 0 && c.crew_waiting(crew) < threads) c.sleep_ms(0);
        if (i % 4 === 0) c.sleep_ms(1);
        made.close();
        assertStrictEquals(c.crew_join(crew), -4n);
      }
    });
    // Each waits for its first answer at most.
    assert(
      reports.length > 0 && kinds(reports).every((kind) => kind === "dropped-calls" || kind === "stale-callback"),
      String(kinds(reports)),
    );
  });

  test("another one's dispose leaves who waits alone", async () => {
    using made = callback(wait, () => 5, { thread: "wait" });
    const other = callback(wait, () => 6, { thread: "wait", fallback: -1 });
    const crew = c.start_waits(made, 10, 1);
    while (c.crew_waiting(crew) < 10) c.sleep_ms(0);
    other.close();
    assertStrictEquals(await ended(crew), 50n);
  });

  test("answers what it answers when something in it runs the event loop", async () => {
    const run = await loopRunner();
    if (run === undefined) return leftOut("the event loop inside a callback, which only Bun's tests can run");
    let other: Crew = null;
    using made = callback(wait, (_, index) => {
      if (other !== null) return 10 + index;
      // Its calls come meanwhile.
      other = c.start_waits(made, 1, 2);
      run();
      return 5;
    }, { thread: "wait", timeoutMs: 1_000_000 });
    // A turn of its own for what comes after this.
    using busy = callback(post, () => keepBusy(10), { thread: "post" });
    c.post_and_join(busy, 1, 1);
    assertStrictEquals(await ended(c.start_waits(made, 1, 1)), 5n);
    assertStrictEquals(await ended(other), 21n);
  });

  test("may start a nonblocking call and run the event loop", async () => {
    const run = await loopRunner();
    if (run === undefined) return leftOut("the event loop inside a callback, which only Bun's tests can run");
    using library = dlopen(testLibrary, { sleep_ms: { ...threadDefinitions.sleep_ms, nonblocking: true } });
    const { sleep_ms } = library.symbols;
    let [settled, waited] = [0, 0];
    using made = callback(wait, () => {
      void sleep_ms(0).then(() => settled += 1);
      run();
      return 1;
    }, { thread: "wait", timeoutMs: 1_000_000 });
    for (let i = 1; i <= 20; i++) {
      // So that its completion is looked for at once.
      for (let i = 0; i < 8; i++) await sleep_ms(0);
      assertStrictEquals(await ended(c.start_waits(made, 1, 1)), 1n);
      await until(() => settled === i, "a call's end");
    }
    // Bun wakes nobody whom it has just woken; in a turn of its own the callback may wait for the promise.
    using busy = callback(post, () => keepBusy(10), { thread: "post" });
    using waiting = callback(post, () => {
      run(sleep_ms(1).then(() => sleep_ms(1)).then(() => waited += 1));
      run(Promise.all([sleep_ms(1), sleep_ms(10)]).then(() => waited += 1));
    }, { thread: "post" });
    c.post_and_join(busy, 1, 1);
    c.post_and_join(waiting, 1, 1);
    await until(() => waited === 2, "the calls' end");
  });

  test("disposing of itself while it runs still answers", async () => {
    const made: Wait = callback(wait, () => (made.close(), 5), { thread: "wait", fallback: -1 });
    assertStrictEquals(await ended(c.start_waits(made, 1, 1)), 5n);
  });

  test("a thread of C's that JavaScript waits for in a wait callback is a timeout as well", async () => {
    const errors: unknown[] = [];
    using inner = callback(wait, () => 5, { thread: "wait", timeoutMs: 50, fallback: -1, name: "inner" });
    using outer = callback(wait, () => Number(c.wait_and_join(inner, 1, 1)), {
      thread: "wait",
      timeoutMs: 1_000_000,
      fallback: -2,
      onError: (error) => void errors.push(error),
    });
    assertStrictEquals(await ended(c.start_waits(outer, 1, 1)), -2n);
    assertEquals(errors.length, 1);
    assertInstanceOf(errors[0], CallbackTimeoutError);
    assertStringIncludes(errors[0].message, '"inner"');
  });
});

describe("arguments", () => {
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
  const farPointers = [pointerFrom(2n ** 53n), pointerFrom(2n ** 63n), pointerFrom(2n ** 64n - 1n)];
  const valuesOf = (type: ScalarType): readonly unknown[] =>
    type === "pointer" ? [...limits.pointer, ...farPointers] : limits[type];
  const inMemory = (type: ScalarType, value: unknown): unknown =>
    type === "bool" ? Number(value) : type !== "pointer" ? value : value === null ? 0n : pointerValue(value as Pointer);
  const memoryOf = (type: ScalarType, values: readonly unknown[]): ArrayBufferView & Iterable<number | bigint> =>
    new arrays[type](values.map((value) => inMemory(type, value)) as never[]);

  for (const type of scalarTypes) {
    test(`of type ${type} arrive at their limits, and so do results`, async () => {
      using typed = openUnchecked({
        feed: { parameters: ["function", "buffer", "i32"], result: "pointer", name: `start_feed_${type}` },
        relay: { parameters: ["function", "buffer", "i32"], result: "pointer", name: `start_relay_${type}` },
      });
      const values = valuesOf(type);
      const [posted, waited]: unknown[][] = [[], []];
      using poster = callbackUnchecked(
        { parameters: [type], result: "void" },
        (value: unknown) => void posted.push(value),
        { thread: "post" },
      );
      const memory = memoryOf(type, values);
      using _pinned = pin(memory);
      await ended(typed.symbols["feed"](poster, memory, values.length) as Crew);
      await served();
      let index = values.length;
      using waiter = callbackUnchecked({ parameters: [type], result: type }, (value: unknown) => {
        waited.push(value);
        return values[--index];
      }, { thread: "wait" });
      await ended(typed.symbols["relay"](waiter, memory, values.length) as Crew);
      values.forEach((value, index) => {
        assert(Object.is(posted[index], value), `${String(posted[index])} for ${String(value)}`);
        assert(Object.is(waited[index], value), `${String(waited[index])} for ${String(value)}`);
      });
      assertEquals([posted.length, waited.length], [values.length, values.length]);
      const answers = [...memoryOf(type, values.toReversed())];
      [...memory].forEach((value, index) => assert(Object.is(value, answers[index]), `${value} for ${answers[index]}`));
    });
  }

  const mixed = [
    ...["i32", "f64", "u8", "f32", "i64", "f64", "i16", "f32"],
    ...["u32", "f64", "i8", "f32", "u64", "f64", "u16", "f64"],
  ];
  const mixedValues = [1, 2.5, 3, 4.5, -5n, 6.5, -7, 8.5, 9, 10.5, -11, 12.5, 13n, 14.5, 15, 16.5];
  /** By the function that calls with them, in the order of `callers` in `threads.c`. */
  const many: Record<string, [types: readonly string[], values: readonly unknown[]]> = {};
  for (let length = 0; length <= 16; length++) {
    many[`mix_${length}`] = [mixed.slice(0, length), mixedValues.slice(0, length)];
  }
  Object.assign(many, {
    call_many: [
      [
        ...["i8", "f32", "u16", "f64", "i32", "f32", "i64", "f64", "u8", "f32"],
        ...["i16", "f64", "u32", "f64", "u64", "f32", "i32", "f64", "bool", "f64"],
      ],
      [
        ...[-1, 1.5, 65535, 2.5, -3, 3.5, -4n, 4.5, 255, 5.5],
        ...[-6, 6.5, 4294967295, 7.5, 2n ** 64n - 1n, 8.5, -9, 9.5, true, 10.5],
      ],
    ],
    call_wide: [
      Array.from({ length: 48 }, (_, index) => (index >> 3) % 2 === 0 ? "i64" : "f64"),
      Array.from({ length: 48 }, (_, index) => {
        const number = (index >> 4) * 8 + index % 8;
        return (index >> 3) % 2 === 0 ? BigInt(number) * 0x100000001n : number + 0.5;
      }),
    ],
  });
  for (const [name, [types, values]] of Object.entries(many)) {
    test(`${types.length} of them, in registers and on the stack, arrive (${name})`, async () => {
      const caller = [...Object.keys(many)].indexOf(name);
      const seen: unknown[][] = [];
      const results = new Float64Array(4);
      // The threads write to it when the calls have returned.
      using _pinned = pin(results);
      for (const options of [{ thread: "wait" }, { thread: "wait", queue: { capacity: 3, onFull: "block" } }]) {
        using made = callbackUnchecked({ parameters: types, result: "f64" }, (...given: unknown[]) => {
          seen.push(given);
          return seen.length + 0.5;
        }, options);
        await ended(c.start_through(made, caller, results, 4));
        assertEquals([...results].sort((a, b) => a - b), [1, 2, 3, 4].map((n) => seen.length - 4 + n + 0.5));
      }
      // The caller takes what the float register holds then.
      using posted = callbackUnchecked(
        { parameters: types, result: "void" },
        (...given: unknown[]) => void seen.push(given),
        {
          thread: "post",
        },
      );
      await ended(c.start_through(posted, caller, results, 4));
      await served();
      assertEquals(seen, Array(12).fill(values));
    });
  }

  for (const how of ["post", "wait"] as const) {
    test(`that are strings are copied: C overwrites and frees them as soon as the call is over (${how})`, async () => {
      let [count, wrong] = [0, 0];
      using made = callback(
        {
          parameters: ["cstring", "i32", "i32", "f64", "i32", "i32", "i32", "i32", "i32", "cstring", "cstring", "i8"],
          result: "void",
        },
        (first, thread, index, float, a, b, c, d, e, onStack, none, last) => {
          count += 1;
          const same = first === `grüß ${thread}/${index} ${"x".repeat(index % 300)}` &&
            onStack === `grüß ${-thread}/${-index} ${"x".repeat(index % 7 === 0 ? 100_000 : 0)}`;
          if (!same || none !== null || `${float} ${a} ${b} ${c} ${d} ${e} ${last}` !== "0.5 1 2 3 4 5 -6") wrong += 1;
        },
        { thread: how },
      );
      await ended(c.start_texts(made, 4, 300));
      await served();
      assertEquals([count, wrong], [1200, 0]);
    });
  }

  test("that are strings of calls which are dropped are freed, and those that come later are right", async () => {
    const definition = {
      parameters: ["cstring", "i32", "i32", "f64", "i32", "i32", "i32", "i32", "i32", "cstring", "cstring", "i8"],
      result: "void",
    } as const;
    for (const onFull of ["dropNewest", "dropOldest"] as const) {
      const seen: number[] = [];
      const reports = listen();
      const make = (): Callback<typeof definition> =>
        callback(definition, (first, _, index) => void (first?.startsWith(`grüß 0/${index} `) && seen.push(index)), {
          thread: "post",
          queue: { capacity: 4, onFull },
        });
      const gone = make();
      c.crew_join(c.start_texts(gone, 1, 20));
      gone.close();
      using made = make();
      c.crew_join(c.start_texts(made, 1, 10));
      await served();
      await until(() => seen.length === 4);
      assertEquals(seen, onFull === "dropNewest" ? [0, 1, 2, 3] : [6, 7, 8, 9]);
      stats();
      assert(kinds(reports).every((kind) => kind === "dropped-calls"));
    }
  });

  test("that are handles arrive as values; one that was deleted meanwhile is a report and the fallback", async () => {
    const each = { parameters: ["handle", "i32"], result: "i32" } as const;
    const reports = listen();
    const handle = Handle.create({ step: 3 });
    using made = callback(each, (value, index) => (value as { step: number }).step * index, {
      thread: "wait",
      fallback: -1,
    });
    assertStrictEquals(await ended(c.start_user_data(made, handle, 2, 5)), 60n);
    const crew = c.start_user_data(made, handle, 2, 1);
    c.sleep_ms(20);
    handle.delete();
    // Those that have not come by now get the same.
    assertStrictEquals(await ended(crew), -2n);
    assertEquals(kinds(reports), ["invalid-handle"]);
    using kept = Handle.create("kept");
    const seen: unknown[] = [];
    using poster = callback({ parameters: ["handle", "i32"], result: "void" }, (value) => void seen.push(value), {
      thread: "post",
    });
    await ended(c.start_user_data(poster, kept, 2, 5));
    await served();
    assertEquals(seen, Array(10).fill("kept"));
  });
});

describe("a queue", () => {
  for (const capacity of [1, 2, 3, 100]) {
    test(`of ${capacity} with dropNewest keeps the first ${capacity}, while JavaScript is busy`, async () => {
      const seen: number[] = [];
      const { droppedCalls } = stats().counts;
      using made = callback(post, (_, index) => void seen.push(index), {
        thread: "post",
        queue: { capacity, onFull: "dropNewest" },
        name: "full",
      });
      const reports = listen();
      c.post_and_join(made, 1, capacity + 7);
      c.post_and_join(made, 1, 2);
      assertStrictEquals(stats().counts.droppedCalls - droppedCalls, 9);
      await until(() => seen.length >= capacity);
      await served();
      assertEquals(seen, Array.from({ length: capacity }, (_, index) => index));
      // There is as much space as before.
      c.post_and_join(made, 1, capacity);
      assertStrictEquals(stats().counts.droppedCalls - droppedCalls, 9);
      await until(() => seen.length >= 2 * capacity);
      assertEquals(kinds(reports), ["dropped-calls"]);
      assertStringIncludes(reports[0].message, 'the queue of callback "full" was full');
    });

    test(`of ${capacity} with dropOldest keeps the last ${capacity}, while JavaScript is busy`, async () => {
      const seen: number[] = [];
      const { droppedCalls } = stats().counts;
      using made = callback(post, (_, index) => void seen.push(index), {
        thread: "post",
        queue: { capacity, onFull: "dropOldest" },
        name: "full",
      });
      const reports = listen();
      c.post_and_join(made, 1, capacity + 7);
      assertStrictEquals(stats().counts.droppedCalls - droppedCalls, 7);
      await until(() => seen.length >= capacity);
      await served();
      assertEquals(seen, Array.from({ length: capacity }, (_, index) => index + 7));
      assertEquals(kinds(reports), ["dropped-calls"]);
    });

    test(`of ${capacity} with block has threads wait for space: at most timeoutMs, then the call is dropped`, async () => {
      const seen: number[] = [];
      const { droppedCalls } = stats().counts;
      using made = callback(post, (_, index) => void seen.push(index), {
        thread: "post",
        timeoutMs: 20,
        queue: { capacity, onFull: "block" },
        name: "full",
      });
      const reports = listen();
      const crew = c.start_posts(made, made, 1, capacity + 3);
      while (c.crew_running(crew) > 0) c.sleep_ms(1);
      assert(c.crew_longest_ms(crew) >= 19);
      c.crew_join(crew);
      assertStrictEquals(stats().counts.droppedCalls - droppedCalls, 3);
      await until(() => seen.length >= capacity);
      assertEquals(seen, Array.from({ length: capacity }, (_, index) => index));
      assertEquals(kinds(reports), ["dropped-calls"]);
    });
  }

  test("that is full in the native call that waits for who posts is a timeout, not a hang", () => {
    using made = callback(post, () => {}, { thread: "post", timeoutMs: 30, queue: { capacity: 1 }, name: "full" });
    const reports = reportsOf(() => {
      c.post_and_join(made, 3, 2);
      made.close();
    });
    assertEquals(kinds(reports), ["dropped-calls", "dropped-calls"]);
    assertStringIncludes(reports[0].message, '"full"');
  });

  test("that all share is full at some time, too, and threads wait for space there", async () => {
    let count = 0;
    using made = callback(post, () => void (count += 1), { thread: "post", timeoutMs: 0, name: "much" });
    const { droppedCalls } = stats().counts;
    const reports = listen();
    c.post_and_join(made, 1, 20_000);
    assertEquals(kinds(reports), ["dropped-calls"]);
    const dropped = stats().counts.droppedCalls - droppedCalls;
    assert(dropped > 0);
    await until(() => count + dropped === 20_000);
    await ended(c.start_fast_posts(made, 2, 100_000));
    await until(() => count + stats().counts.droppedCalls - droppedCalls === 220_000);
  });

  test("of 1 with block loses nothing where JavaScript comes to it, and keeps each thread's order", async () => {
    const next = [0, 0, 0, 0];
    let wrong = 0;
    using made = callback(post, (thread, index) => {
      if (next[thread]++ !== index) wrong += 1;
    }, { thread: "post", timeoutMs: 1_000_000, queue: { capacity: 1, onFull: "block" } });
    await ended(c.start_posts(made, made, 4, 500));
    await until(() => next.every((count) => count === 500));
    assertStrictEquals(wrong, 0);
  });

  test("that is full drops a call of the isolate's own thread, which can't wait for itself", async () => {
    const seen: number[] = [];
    const { droppedCalls } = stats().counts;
    using made = callback(post, (_, index) => void seen.push(index), {
      thread: "post",
      timeoutMs: 1_000_000,
      queue: { capacity: 2, onFull: "block" },
    });
    const reports = reportsOf(() => c.post_here(made, 0, 5));
    assertEquals([kinds(reports), stats().counts.droppedCalls - droppedCalls], [["dropped-calls"], 3]);
    await until(() => seen.length === 2);
  });

  test("with drops, under threads that call all the time and a consumer that sleeps: all are accounted for", async () => {
    for (const onFull of ["dropNewest", "dropOldest"] as const) {
      const { droppedCalls } = stats().counts;
      const last = [-1, -1, -1, -1];
      let [count, wrong] = [0, 0];
      const reports = listen();
      using made = callback(post, (thread, index) => {
        if (last[thread] >= index) wrong += 1;
        last[thread] = index;
        count += 1;
        if (count % 64 === 0) c.sleep_ms(1);
      }, { thread: "post", queue: { capacity: 32, onFull } });
      await ended(c.start_fast_posts(made, 4, 20_000));
      await until(() => count + stats().counts.droppedCalls - droppedCalls === 80_000);
      assertEquals([wrong, kinds(reports)], [0, ["dropped-calls"]]);
    }
  });

  test("of waiting calls: each thread has its answer, the fallback where it was dropped", async () => {
    const reports = listen();
    for (const onFull of ["dropNewest", "dropOldest"] as const) {
      using made = callback(wait, () => 1000, { thread: "wait", fallback: 1, queue: { capacity: 3, onFull } });
      const crew = c.start_waits(made, 10, 1);
      // Seven are dropped, whoever they are.
      while (c.crew_running(crew) > 3) c.sleep_ms(1);
      assertStrictEquals(await ended(crew), 3007n);
    }
    assertEquals(kinds(reports), ["dropped-calls", "dropped-calls"]);
    using blocking = callback(wait, () => 1000, { thread: "wait", fallback: 1, queue: { capacity: 3 } });
    assertStrictEquals(await ended(c.start_waits(blocking, 10, 10)), 100_000n);
  });

  test("of a callback that was closed serves another of the capacity, which never gets the first one's calls", async () => {
    const wrong: number[] = [];
    listen();
    for (const onFull of ["block", "dropNewest", "dropOldest"] as const) {
      for (let i = 0; i < 50; i++) {
        const make = (own: number, seen: number[]): Post =>
          callback(post, (_, index) => (seen.push(index), void (index >= 100 !== (own === 1) && wrong.push(index))), {
            thread: "post",
            timeoutMs: 0,
            queue: { capacity: 5, onFull },
          });
        const [first, second]: number[][] = [[], []];
        const one = make(0, first);
        c.post_and_join(one, 1, 3 + i % 5);
        if (i % 2 === 0) await served();
        one.close();
        using two = make(1, second);
        // Its whole capacity is there.
        c.post_here(two, 100, 5);
        await until(() => second.length === 5);
        assertEquals(second, [100, 101, 102, 103, 104]);
      }
    }
    assertEquals(wrong, []);
  });

  test("that is flooded doesn't keep the calls of another one waiting", async () => {
    listen();
    let flood = 0;
    // It takes longer than C takes to call again: the queue is never empty.
    const busy = (): void => {
      flood += 1;
      const startMs = performance.now();
      while (performance.now() - startMs < 0.05) continue;
    };
    using flooded = callback(post, busy, { thread: "post", timeoutMs: 1_000_000, queue: { capacity: 10_000 } });
    using made = callback(wait, () => 1, { thread: "wait", timeoutMs: 1_000_000, fallback: -1 });
    const crew = c.start_fast_posts(flooded, 4, 2 ** 31 - 1);
    try {
      await until(() => flood > 0);
      assertStrictEquals(await ended(c.start_waits(made, 1, 10)), 10n);
    } finally {
      flooded.close();
      c.crew_stop(crew);
    }
  });

  test("that is flooded doesn't keep timers waiting", async () => {
    listen();
    let flood = 0;
    using flooded = callback(post, () => void (flood += 1), { thread: "post", timeoutMs: 1_000_000 });
    const crew = c.start_fast_posts(flooded, 4, 2 ** 31 - 1);
    try {
      await until(() => flood > 0);
      for (let i = 0; i < 10; i++) await turn();
    } finally {
      flooded.close();
      c.crew_stop(crew);
    }
  });
});

describe("while threads call all the time", () => {
  test("callbacks are made and closed, 200 times: a call runs or gets the fallback", async () => {
    listen();
    const { staleCalls } = stats().counts;
    for (const how of ["post", "wait"] as const) {
      for (let i = 0; i < 200; i++) {
        let runs = 0;
        const made = how === "post"
          ? callback(post, () => void (runs += 1), { thread: "post", timeoutMs: 1_000_000 })
          : callback(wait, () => (runs += 1, 1), { thread: "wait", timeoutMs: 1_000_000, fallback: 1 });
        const crew = how === "post"
          ? c.start_fast_posts(made as Post, 2, 2 ** 31 - 1)
          : c.start_waits(made as Wait, 2, 2 ** 31 - 1);
        if (i % 3 > 0) await turn();
        if (i % 3 > 1) await until(() => runs > 0);
        made.close();
        const atEnd = runs;
        c.crew_stop(crew);
        if (i % 10 === 0) await turn();
        assertStrictEquals(runs, atEnd);
      }
    }
    await served();
    // What comes while it is closed gets the fallback there; nothing of it is queued.
    assertStrictEquals(stats().counts.staleCalls, staleCalls);
  });

  test("a callback that is unref'd and dropped is collected, and they get the fallback", async () => {
    const { callbacks } = stats().live;
    listen();
    for (const how of ["post", "wait"] as const) {
      const crew = (() => {
        const made = how === "post"
          ? callback(post, () => {}, { thread: "post", timeoutMs: 1_000_000 })
          : callback(wait, () => 1, { thread: "wait", timeoutMs: 1_000_000 });
        made.unref();
        return how === "post"
          ? c.start_fast_posts(made as Post, 2, 2 ** 31 - 1)
          : c.start_waits(made as Wait, 2, 2 ** 31 - 1);
      })();
      assert(await collectUntil(() => stats().live.callbacks === callbacks), how);
      c.crew_stop(crew);
    }
  });

  test("a callback that is ref'd, as it is from the beginning, is not collected", async () => {
    let runs = 0;
    const weak = (() => {
      const made = callback(post, () => void (runs += 1), { thread: "post" });
      return { made: new WeakRef(made), pointer: made.pointer };
    })();
    await collectFully();
    collect();
    const made = weak.made.deref();
    assert(made !== undefined);
    c.post_and_join(made, 1, 3);
    await until(() => runs === 3);
    made.close();
  });

  test("garbage is collected all the time: everything arrives", async () => {
    let sum = 0;
    using made = callback(
      {
        parameters: ["cstring", "i32", "i32", "f64", "i32", "i32", "i32", "i32", "i32", "cstring", "cstring", "i8"],
        result: "void",
      },
      (first) => void (sum += first?.length ?? 0),
      { thread: "post" },
    );
    const crew = c.start_texts(made, 2, 400);
    while (c.crew_running(crew) > 0) {
      collect();
      await turn();
    }
    c.crew_join(crew);
    await served();
    let expected = 0;
    for (let i = 0; i < 400; i++) expected += 2 * `grüß 0/${i} `.length + 2 * (i % 300);
    assertStrictEquals(sum, expected);
  });
});

describe("a pool of C's threads", () => {
  const done = { parameters: ["handle", "i32", "i64"], result: "void" } as const;
  for (const how of ["post", "wait"] as const) {
    test(`tells when a job is done (${how})`, async () => {
      const results = new Map<number, bigint>();
      using target = Handle.create(results);
      using made = callback(done, (map, number, result) => void (map as typeof results).set(number, result), {
        thread: how,
      });
      const pool = c.pool_create(4);
      for (let i = 0; i < 2000; i++) c.pool_submit(pool, i, made, target);
      await until(() => results.size === 2000);
      c.pool_destroy(pool);
      for (let i = 0; i < 2000; i++) assertStrictEquals(results.get(i), BigInt(i * i));
    });
  }
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

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
