/** Callbacks with `thread: "wait"`: C waits for the result. */

import { assert, assertEquals, assertFalse, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, CallbackTimeoutError, configure, dlopen, pointerValue, stats } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { type Crew, keepBusy, post, threadDefinitions, type Wait, wait } from "../programs/threads.ts";
import { alive, collectFully } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { slowness } from "../support/machine.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import { callbackUnchecked } from "../support/unchecked.ts";
import { until } from "../support/until.ts";
import { c, ended, kinds, listen, nothing, relay_i32, served, test } from "./crews.ts";

const before = alive();

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
      timeoutMs: 2000,
      fallback: -1,
      onError: () => raise("a timeout is no error of the callback's"),
    });
    using other = callback(wait, () => 5, { thread: "wait", timeoutMs: 1_000_000, fallback: -2 });
    const patient = c.start_waits(other, 1, 1);
    while (c.crew_waiting(patient) < 1) c.sleep_ms(0);
    const beganMs = performance.now();
    // Each thread calls 100 times: 400 timeouts would take 200 s.
    assertInstanceOf(caught(() => c.wait_and_join(made, 4, 100)), CallbackTimeoutError);
    assert(performance.now() - beganMs < 100_000 * slowness, "each call waited");
    // Who began to wait before that native call still does.
    assertStrictEquals(await ended(patient), 5n);
    // And the callback goes on to work.
    assertStrictEquals(await ended(c.start_waits(made, 2, 1)), 10n);
    assertStrictEquals(runs, 2);
  });

  test("a timeout that is no native call's is reported, and the callback goes on to work", async () => {
    const reports = listen();
    using made = callback(wait, () => 5, { thread: "wait", timeoutMs: 500, fallback: -1, name: "awaited" });
    // Past belay, since a timeout in a native call is that call's.
    const raw = rawOpen(testLibrary, { crew_running: { parameters: ["u64"], result: "i32" } });
    const crew = c.start_waits(made, 1, 1);
    while (Number(raw["crew_running"](pointerValue(crew))) > 0) keepBusy(1);
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
    let begun = false;
    using made = callback(wait, () => {
      begun = true;
      c.sleep_ms(700);
      return 5;
    }, { thread: "wait", timeoutMs: 300, fallback: -1, name: "slow" });
    // On a machine that is busy, a call's time may be up before its function has begun.
    for (let tries = 0; tries < 20 && !begun; tries++) {
      const reports = listen();
      const answer = await ended(c.start_waits(made, 1, 1));
      if (begun) assertEquals([answer, kinds(reports)], [5n, []]);
    }
    assert(begun);
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

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
