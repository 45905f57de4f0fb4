/** Calls that JavaScript doesn't wait for: `nonblocking: true`. */

import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, configure, dlopen, LibraryClosedError, pointerValue, type Report, stats } from "@belay/ffi";
import { host, testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collect, collectFully, collectUntil, turn } from "../support/gc.ts";
import { caught, raise } from "../support/outcome.ts";
import { until } from "../support/until.ts";
import { i32Function, onMany, rejection } from "./nonblocking_calls.ts";
import { libcPath } from "../../examples/libc.ts";

const gate = {
  wait_at_gate: { parameters: ["i32"], result: "i32", nonblocking: true },
  set_gate: { parameters: ["bool"], result: "void" },
  at_gate: { parameters: [], result: "i32" },
} as const;

/** What is reported while a promise settles. */
async function reportsDuring(promise: () => Promise<unknown>): Promise<Report[]> {
  const reports: Report[] = [];
  configure({ onReport: (report) => reports.push(report) });
  try {
    await promise();
    stats();
  } finally {
    configure({ onReport: undefined });
  }
  return reports;
}

describe("nonblocking calls: many", () => {
  it("a thousand are outstanding, JavaScript goes on meanwhile, and each gets its own result", async () => {
    using library = dlopen(testLibrary, {
      ...gate,
      add_i32: { parameters: ["i32", "i32"], result: "i32", nonblocking: true },
    });
    const { symbols } = library;
    const sums = Array.from({ length: 1000 }, (_, i) => symbols.add_i32(i, 1));
    assertEquals(stats().live.nonblockingCalls, 1000);
    assertEquals(await Promise.all(sums), Array.from({ length: 1000 }, (_, i) => i + 1));
    symbols.set_gate(false);
    const waiting = Array.from({ length: 1000 }, (_, i) => symbols.wait_at_gate(i));
    await until(() => symbols.at_gate() === 64);
    assertEquals(stats().process.callThreads, 64);
    symbols.set_gate(true);
    assertEquals(await Promise.all(waiting), Array.from({ length: 1000 }, (_, i) => i));
    assertEquals(stats().live.nonblockingCalls, 0);
  });

  it("ten calls that wait for one another all return", async () => {
    using library = dlopen(testLibrary, {
      meet: { parameters: ["i32"], result: "i32", nonblocking: true },
      meet_anew: { parameters: [], result: "void" },
    });
    for (let round = 0; round < 20; round++) {
      library.symbols.meet_anew();
      const places = await Promise.all(Array.from({ length: 10 }, () => library.symbols.meet(10)));
      assertEquals(places.sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });

  it("one that waits doesn't keep others waiting", async () => {
    using library = dlopen(testLibrary, {
      ...gate,
      add_i32: { parameters: ["i32", "i32"], result: "i32", nonblocking: true },
    });
    const { symbols } = library;
    symbols.set_gate(false);
    const waiting = symbols.wait_at_gate(1);
    for (let i = 0; i < 100; i++) assertEquals(await symbols.add_i32(i, i), 2 * i);
    symbols.set_gate(true);
    assertEquals(await waiting, 1);
  });

  it("configure({ threads }) says how many there may be", async () => {
    using library = dlopen(testLibrary, { ...gate, most_at_gate: { parameters: [], result: "i32" } });
    const { symbols } = library;
    configure({ callThreads: 2 });
    try {
      symbols.set_gate(false);
      // Those that were more go.
      symbols.set_gate(true);
      await until(() => stats().process.callThreads <= 2);
      symbols.set_gate(false);
      const waiting = Array.from({ length: 6 }, (_, i) => symbols.wait_at_gate(i));
      await until(() => symbols.at_gate() === 2);
      await new Promise((resolve) => setTimeout(resolve, 20));
      symbols.set_gate(true);
      assertEquals(await Promise.all(waiting), [0, 1, 2, 3, 4, 5]);
      assert(symbols.most_at_gate() <= 2);
      assert(stats().process.callThreads <= 2);
    } finally {
      configure({ callThreads: 64 });
    }
    for (const threads of [0, 1025, 1.5, -1]) {
      assertThrows(() => configure({ callThreads: threads }), RangeError, "callThreads");
    }
    assertThrows(() => configure({ callThreads: "2" as never }), TypeError, "callThreads");
  });

  it("threads that idle end", async () => {
    using library = dlopen(testLibrary, { meet: { parameters: ["i32"], result: "i32", nonblocking: true } });
    await library.symbols.meet(0);
    assert(stats().process.callThreads > 0);
    await until(() => stats().process.callThreads === 0);
    await library.symbols.meet(0);
  });

  it("the order of the calls of a turn is that of their starts, where one thread makes them", async () => {
    using library = dlopen(testLibrary, { add_i32: { parameters: ["i32", "i32"], result: "i32", nonblocking: true } });
    configure({ callThreads: 1 });
    try {
      const order: number[] = [];
      const calls = Array.from({ length: 500 }, (_, i) => library.symbols.add_i32(i, 0).then((got) => order.push(got)));
      await Promise.all(calls);
      assertEquals(order, Array.from({ length: 500 }, (_, i) => i));
    } finally {
      configure({ callThreads: 64 });
    }
  });
});

describe("nonblocking calls: memory", () => {
  it("buffers and strings stay where they are until the call has ended, whatever is collected", async () => {
    using library = dlopen(testLibrary, {
      ...gate,
      sum_at_gate: { parameters: ["buffer", "usize"], result: "u64", nonblocking: true },
      compare_at_gate: { parameters: ["cstring", "cstring"], result: "i32", nonblocking: true },
    });
    const { symbols } = library;
    symbols.set_gate(false);
    const sums = Array.from(
      { length: 20 },
      (_, i) => symbols.sum_at_gate(new Uint8Array(1 + i * 100).fill(i), 1 + i * 100),
    );
    const comparisons = Array.from({ length: 20 }, (_, i) => symbols.compare_at_gate(`text ${i}`, `text ${i}`));
    await until(() => symbols.at_gate() === 40);
    for (let i = 0; i < 5; i++) {
      collect();
      // What would be put in the place of what is gone.
      for (let k = 0; k < 200; k++) new Uint8Array(1 + k * 10).fill(0xff);
      await turn();
    }
    symbols.set_gate(true);
    assertEquals(await Promise.all(sums), Array.from({ length: 20 }, (_, i) => BigInt(i * (1 + i * 100))));
    assertEquals(await Promise.all(comparisons), Array(20).fill(0));
  });

  it("a library that is dropped while a call of its runs stays until that has ended, and then goes", async () => {
    const before = stats().live.libraries;
    const start = (): Promise<number> => {
      const { symbols } = dlopen(testLibrary, gate, { unload: true });
      symbols.set_gate(false);
      return symbols.wait_at_gate(7);
    };
    const promise = start();
    await collectFully();
    assertEquals(stats().live.libraries, before + 1);
    {
      using library = dlopen(testLibrary, gate);
      library.symbols.set_gate(true);
      assertEquals(await promise, 7);
    }
    assert(await collectUntil(() => stats().live.libraries === before));
  });
});

describe("nonblocking calls: callbacks", () => {
  it("qsort with a function that is lent to it", async () => {
    using libc = dlopen(libcPath, {
      qsort: {
        parameters: ["buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
        result: "void",
        nonblocking: true,
      },
    });
    const { NativeMemory } = await import("@belay/ffi");
    const numbers = Int32Array.from({ length: 500 }, (_, i) => (i * 7919) % 1009);
    const wanted = numbers.slice().sort();
    const before = alive();
    await libc.symbols.qsort(numbers, numbers.length, 4, (a, b) => {
      if (a === null || b === null) return 0;
      return NativeMemory.borrow(a, 4).getInt32(0) - NativeMemory.borrow(b, 4).getInt32(0);
    });
    assertEquals(numbers, wanted);
    assertEquals(alive(), before);
  });

  it("what a lent function throws rejects the promise: the same object, the first error, and none runs after it", async () => {
    using library = dlopen(testLibrary, { sum_of_calls: onMany });
    const errors = [new Error("first"), new Error("second")];
    let calls = 0;
    const promise = library.symbols.sum_of_calls(() => raise(errors[calls++]), 100);
    assertStrictEquals(await rejection(promise), errors[0]);
    assertEquals(calls, 1);
    // Undefined can be thrown as well.
    assertStrictEquals(await rejection(library.symbols.sum_of_calls(() => raise(undefined), 1)), undefined);
    assertEquals(await library.symbols.sum_of_calls((value) => value, 100), 4950);
    assertEquals(stats().live.waitingErrors, 0);
  });

  it("what a lent function throws on a thread of C's own rejects the promise, too, and none runs after it", async () => {
    using library = dlopen(testLibrary, {
      call_on_thread: { parameters: [i32Function, "i32"], result: "i32", nonblocking: true },
    });
    const { call_on_thread } = library.symbols;
    const error = new Error("thrown");
    let calls = 0;
    const promise = call_on_thread((value) => {
      calls += 1;
      return value === 2 ? raise(error) : value;
    }, 100);
    assertStrictEquals(await rejection(promise), error);
    assertEquals([calls, stats().live.waitingErrors], [3, 0]);
    assertEquals(await call_on_thread((value) => value, 100), 4950);
  });

  it("errors of calls that run at once go to their own promises, beside other callbacks'", async () => {
    using library = dlopen(testLibrary, { sum_of_calls: onMany });
    using own = callback(i32Function, (value) => value === 50 ? raise(new Error("own")) : value, { thread: "wait" });
    const all = await Promise.allSettled([
      ...Array.from(
        { length: 8 },
        (_, i) => library.symbols.sum_of_calls((value) => value === 20 + i ? raise(new Error(`call ${i}`)) : 1, 100),
      ),
      library.symbols.sum_of_calls(own, 100),
      library.symbols.sum_of_calls(() => 2, 100),
    ]);
    const outcomes = all.map((one) => one.status === "fulfilled" ? one.value : (one.reason as Error).message);
    assertEquals(outcomes, [...Array.from({ length: 8 }, (_, i) => `call ${i}`), "own", 200]);
  });

  it("a callback's error inside a synchronous call of a lent function is that call's", async () => {
    using library = dlopen(testLibrary, {
      sum_of_calls: onMany,
      call_now: { name: "sum_of_calls", parameters: [i32Function, "i32"], result: "i32" },
    });
    const inner = new Error("inner");
    let seen: unknown;
    const result = await library.symbols.sum_of_calls((value) => {
      seen = caught(() => library.symbols.call_now(() => raise(inner), 1));
      return value + 1;
    }, 1);
    assertStrictEquals(seen, inner);
    assertEquals(result, 1);
  });

  it("a callback of its own thread only gets its fallback, and is reported", async () => {
    using library = dlopen(testLibrary, { sum_of_calls: onMany });
    using same = callback(i32Function, () => 1, { fallback: -2, name: "same" });
    const reports = await reportsDuring(async () => assertEquals(await library.symbols.sum_of_calls(same, 5), -10));
    assertEquals(reports.map(({ kind }) => kind), ["misplaced-call"]);
  });

  it("posted calls run before the promise settles or after, but all of them", async () => {
    using library = dlopen(testLibrary, {
      feed_i32: {
        parameters: [{ parameters: ["i32"], result: "void" }, "buffer", "i32"],
        result: "void",
        nonblocking: true,
      },
    });
    const got: number[] = [];
    using post = callback({ parameters: ["i32"], result: "void" }, (value) => got.push(value), { thread: "post" });
    await library.symbols.feed_i32(post, new Int32Array([1, 2, 3, 4]), 4);
    await until(() => got.length === 4);
    assertEquals(got, [1, 2, 3, 4]);
  });

  it("what C kept of a lent function gets zero after the call", async () => {
    using library = dlopen(testLibrary, {
      keep: { parameters: [i32Function], result: "void", nonblocking: true },
      call_kept: { parameters: ["i32"], result: "i32", nonblocking: true },
    });
    await library.symbols.keep(() => 5);
    const reports = await reportsDuring(async () => assertEquals(await library.symbols.call_kept(1), 0));
    assert(reports.length <= 1);
  });
});

describe("nonblocking calls: ends", () => {
  for (const unload of [false, true]) {
    it(`calls that run when their library is closed${unload ? " and unloaded" : ""} settle; new ones are refused`, async () => {
      using outside = dlopen(testLibrary, gate);
      const library = dlopen(testLibrary, gate, { unload });
      const { wait_at_gate: wait, set_gate: setGate } = library.symbols;
      setGate(false);
      const { libraries } = stats().live;
      const waiting = [wait(1), wait(2)];
      library.close();
      assertEquals(stats().live.libraries, unload ? libraries : libraries - 1);
      assertThrows(() => wait(3), LibraryClosedError, 'Cannot call "wait_at_gate"');
      assertThrows(() => (wait as (x: unknown) => void)("x"), LibraryClosedError);
      outside.symbols.set_gate(true);
      assertEquals(await Promise.all(waiting), [1, 2]);
      assertEquals(stats().live.libraries, libraries - 1);
    });
  }

  for (const how of ["exit", "end"]) {
    it(`a process that comes to its ${how} with calls outstanding ends well`, () => {
      const { code, stdout, stderr } = runChild("nonblocking_ends.ts", [how]);
      assertEquals({ code, stdout }, { code: 0, stdout: how === "end" ? "started\nsettled\n" : "started\n" });
      // The function that is lent to a call may get its fallback as the process ends.
      assertMatch(stderr, /^(belay: C called callback "argument 1 of sum_of_calls".*\n)?$/);
    });
  }

  it("a worker that is terminated leaves its calls behind, and nobody is called", () => {
    const { code, stdout, stderr } = runChild("nonblocking_terminated.ts");
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "all rounds\n", stderr: "" });
  });

  it("gives each call the string that C keeps for each thread", async () => {
    using library = dlopen(testLibrary, {
      thread_text: { parameters: ["i32"], result: "cstring", nonblocking: true },
    });
    const { thread_text } = library.symbols;
    for (let round = 0; round < 10; round++) {
      const texts = await Promise.all(Array.from({ length: 64 }, (_, index) => thread_text(round * 100 + index)));
      assertEquals(texts, texts.map((_, index) => `text ${round * 100 + index}`));
    }
    assertStrictEquals(await thread_text(-1), null);
  });

  it("settles when what threads posted before it returned was called", async () => {
    const post = { parameters: ["i32", "i32"], result: "void" } as const;
    using library = dlopen(testLibrary, {
      post_and_join: { parameters: ["function", "i32", "i32"], result: "i64", nonblocking: true },
    });
    const { post_and_join } = library.symbols;
    for (const queue of [undefined, { capacity: 100 }]) {
      for (let round = 0; round < 100; round++) {
        let calls = 0;
        using made = callback(post, () => void (calls += 1), { thread: "post", queue });
        await post_and_join(made, 2, 10);
        assertStrictEquals(calls, 20);
      }
    }
  });

  it("addresses of functions are what they are for synchronous calls", async () => {
    using library = dlopen(testLibrary, {
      enter_pointer: { parameters: [], result: "pointer" },
      enter_later: { name: "enter_pointer", parameters: [], result: "pointer", nonblocking: true },
    });
    const now = library.symbols.enter_pointer();
    assertStrictEquals(await library.symbols.enter_later(), now);
    assert(now !== null && pointerValue(now) > 0n);
    assert(host.arch.length > 0);
  });
});
