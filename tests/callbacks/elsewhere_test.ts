/** Calls from another thread, another stack or a signal handler, and calls that find the stack nearly used up. */

import process from "node:process";
import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  CallbackThreadError,
  configure,
  dlopen,
  type Pointer,
  pointerValue,
  stats,
} from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { slowness } from "../support/machine.ts";
import { leftOut } from "../support/left_out.ts";
import { caught, raise, reportsOf } from "../support/outcome.ts";
import { add_i32, collect_i32, elsewhere, i32ToI32, relay_i32, relayRaw } from "./callers.ts";

const before = alive();

describe("a call from elsewhere", () => {
  const { call_on_thread, call_on_coroutine, call_in_signal } = elsewhere;
  type Caller = (made: Callback<typeof i32ToI32> | Pointer) => number;
  // No native call of belay's, which would throw.
  const rawThread = rawOpen(testLibrary, { call_on_thread: { parameters: ["u64", "i32"], result: "i32" } });
  const callOnThread = (made: Callback<typeof i32ToI32> | Pointer, count: number): number => {
    const pointer = typeof made === "object" && "pointer" in made ? made.pointer : made;
    const answer = rawThread["call_on_thread"](pointerValue(pointer), count) as number;
    void stats();
    return answer;
  };
  const places: [name: string, call: Caller | undefined, from: string][] = [
    ["a thread", (made) => callOnThread(made, 1), "threads"],
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
      const { misplacedCalls, staleCalls } = stats().counts;
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
      assertEquals([stats().counts.misplacedCalls, stats().counts.staleCalls], [misplacedCalls + 6, staleCalls]);
      assertEquals(reports.map(({ kind }) => kind), ["misplaced-call", "misplaced-call"]);
      for (const [index, callbackName] of ["the first", "the second"].entries()) {
        assertStringIncludes(reports[index].message, `C called callback "${callbackName}" from another thread`);
      }
      // On its own thread it runs as ever.
      assertEquals([relay_i32(first, 5), relay_i32(second, 6), runs], [5, 6, 2]);
    });

    itThere(`gets zero from ${name} without a fallback, and the fallback also when it was closed`, () => {
      const { misplacedCalls, staleCalls } = stats().counts;
      using plain = callback(i32ToI32, (value) => value + 1);
      const disposed = callback(i32ToI32, (value) => value, { fallback: -9, name: "gone" });
      const { pointer } = disposed;
      disposed.close();
      const reports = reportsOf(() => assertEquals([callThere(plain), callThere(pointer)], [0, -9]));
      assertEquals(reports.map(({ kind }) => kind), ["misplaced-call", "misplaced-call"]);
      assertEquals([stats().counts.misplacedCalls, stats().counts.staleCalls], [misplacedCalls + 2, staleCalls]);
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
    const counts = [0n, 0n, 0n];
    reportsOf(() => {
      // On a machine that is busy, the thread may not run in time to see both.
      for (let tries = 0; tries < 50 && (counts[0] === 0n || counts[1] === 0n); tries++) {
        assert(start_watching(pointerValue(pointer), fallbacks[0], fallbacks[1]));
        watched.close();
        // A thunk comes back after 256 younger frees, so every other time with the other fallback.
        let replaced = 0;
        const endMs = performance.now() + 500;
        for (let i = 0; replaced < 1000 || performance.now() < endMs; i++) {
          using made = callback(toU64, () => 0n, { fallback: fallbacks[i % 2] });
          if (made.pointer === pointer) replaced += 1;
        }
        const seen = new BigUint64Array(3);
        stop_watching(seen);
        seen.forEach((count, index) => counts[index] += count);
      }
      void stats();
    });
    assertEquals([counts[0] > 0n, counts[1] > 0n, counts[2]], [true, true, 0n]);
  });

  itOnThreads("is counted each time, and leaves the function that it didn't run alone", () => {
    const { misplacedCalls } = stats().counts;
    using made = callback(i32ToI32, () => raise("it ran"), { fallback: 2 });
    const reports = reportsOf(() => assertStrictEquals(callOnThread(made, 10_000), 20_000));
    assertEquals([reports.length, stats().counts.misplacedCalls], [1, misplacedCalls + 10_000]);
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
    using misplaced = callback(i32ToI32, (value) => value, { fallback: -1 });
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
      // Neither is a call of belay's: the misplaced call is first noticed when the callback is about to run.
      assertStrictEquals(rawThread["call_on_thread"](pointerValue(misplaced.pointer), 1), -1);
      assertStrictEquals(relayRaw(made, 41), 42);
    } finally {
      configure({ onReport: undefined });
    }
    assertEquals([reports, seen], [1, [41]]);
  });
});

describe("a call from another thread that nothing follows", () => {
  const child = (how: string): string[] => {
    const { code, stdout } = runChild("misplaced_reports.ts", [how]);
    assertStrictEquals(code, 0);
    return stdout.trim().split("\n");
  };

  it("is reported when the program ends (in a child process)", () => {
    assertEquals(child("end"), ["-1", "the end of the turns", "misplaced-call true"]);
  });

  it(
    "is reported while a callback is ref'd, which the program waits for (in a child process)",
    () => {
      assertEquals(child("ref"), ["-1", "the end of the turns", "misplaced-call true"]);
    },
  );
});

describe("a callback that finds little of the stack left", () => {
  it("runs, is a RangeError, and further down gets the fallback (in a child process)", () => {
    const { code, signal, stdout } = runChild("deep_frames.ts");
    assertEquals([code, signal], [0, null]);
    // Bun's stack is longer than what C uses here.
    assertStrictEquals(stdout.trim(), "Bun" in globalThis ? "7 7" : "7,RangeError,-1 7");
  });
});

describe("endless recursion", () => {
  it("is a RangeError out of every level, soon, and the next calls work", () => {
    let depth = 0;
    const deeper: Callback<typeof i32ToI32> = callback(i32ToI32, (value): number => {
      depth += 1;
      return relay_i32(deeper, value);
    }, { name: "deeper" });
    // Of the processor, which other processes have meanwhile, too.
    const began = process.cpuUsage();
    for (let i = 0; i < 3; i++) {
      assertThrows(
        () => relay_i32(deeper, 1),
        RangeError,
        'Cannot call callback "deeper": the stack is nearly used up',
      );
    }
    // Each level looks at a part of the stack only: all of it at each would take seconds.
    const { user, system } = process.cpuUsage(began);
    const tookMs = (user + system) / 1000;
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

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
