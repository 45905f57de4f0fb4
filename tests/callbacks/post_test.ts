/** Callbacks with `thread: "post"`: C goes on at once, and the function is called later. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, Handle, handle, native, pin, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { endless, keepBusy, type Post, post, threadDefinitions } from "../programs/threads.ts";
import { alive, collectFully, isLive, turn } from "../support/gc.ts";
import { reportsOf } from "../support/outcome.ts";
import { until } from "../support/until.ts";
import { c, ended, kinds, listen, relay_i32, served, test } from "./crews.ts";

const before = alive();

/** The id of a handle that C releases on this thread. */
function released(): number {
  const { id } = Handle.create("value");
  c.destroy_each(native.releaseHandle, BigUint64Array.of(BigInt(id)), 1, 1);
  return id;
}

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

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
