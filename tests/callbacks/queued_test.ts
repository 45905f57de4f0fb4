/** The queues of callbacks that other threads call: bounded ones, and under threads that call all the time. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, Handle, stats } from "@belay/ffi";
import { type Post, post, type Wait, wait } from "../programs/threads.ts";
import { alive, collect, collectFully, collectUntil, turn } from "../support/gc.ts";
import { reportsOf } from "../support/outcome.ts";
import { until } from "../support/until.ts";
import { c, ended, kinds, listen, served, test } from "./crews.ts";

const before = alive();

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

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
