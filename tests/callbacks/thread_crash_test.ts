/** Callbacks that other threads call: how processes live and end with them, workers, and libraries as they are. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, pointerFrom, pointerValue, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild, runFiles } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import type { SqliteFigures } from "../programs/sqlite_threads.ts";
import type { ThreadAnswer, ThreadQuestion } from "../programs/thread_worker.ts";
import { type Crew, openThreads, wait } from "../programs/threads.ts";
import { leftOut } from "../support/left_out.ts";
import { until } from "../support/until.ts";

const before = alive();

describe("the event loop", () => {
  const lives: [name: string, lines: string[]][] = [
    ["made", ["end", "timer"]],
    ["made, then unref", ["end"]],
    ["made, then dispose", ["end"]],
    ["made in a scope that ends", ["end"]],
    ["made two, then unref one", ["end", "timer"]],
    ["made, unref, ref", ["end", "timer"]],
    ["made, dropped and collected", ["end", "timer"]],
    ["called, then dispose", ["end", "called"]],
    ["called once", ["end", "called"]],
  ];
  for (const kind of ["post", "wait"]) {
    for (const [name, lines] of lives) {
      const lasts = lines.includes("timer") ? "lives on" : "ends";
      it(`${lasts} with a ${kind} callback that is ${name} (in a child process)`, () => {
        // One that ends does so by itself, however slow the machine is.
        const timerMs = lines.includes("timer") ? 300 : 20_000;
        const { code, signal, stdout, stderr } = runChild("thread_life.ts", [kind, name, String(timerMs)]);
        assertEquals([stdout.trim().split("\n"), code, signal, stderr], [lines, 0, null, ""]);
      });
    }
  }
});

describe("an asynchronous context", () => {
  it("is none of those that threads' calls are made in, however the loop was woken (in a child process)", () => {
    const { code, stdout, stderr } = runChild("thread_context.ts", [testLibrary]);
    assertEquals([stdout.trim(), code, stderr], ['40000 ["undefined"]', 0, ""]);
  });
});

describe("a test that fails", () => {
  it("leaves the callbacks of the next one as they are (in a child process)", () => {
    const program = "./tests/programs/after_failure.ts";
    const options = { as: "test", env: { TEST_LIBRARY: testLibrary } } as const;
    const { code, stdout, stderr } = runFiles([program], options);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stdout, "all were called");
  });
});

describe("an error that nobody takes", () => {
  const cases: [kind: string, name: string, thrown: string][] = [
    ["post", "throws", "thrown by the callback"],
    ["wait", "throws", "thrown by the callback"],
    ["post", "rejects", "thrown by the callback"],
    ["post", "onError throws", "thrown by onError"],
    ["wait", "onError throws", "thrown by onError"],
  ];
  for (const [kind, name, thrown] of cases) {
    it(`is uncaught: ${kind}, ${name} (in a child process)`, () => {
      const { code, signal, stdout, stderr } = runChild("thread_life.ts", [kind, name, "20000"]);
      assertEquals([code, signal], [1, null], stderr);
      assertStringIncludes(stderr, thrown);
      // Bun's main program goes on; the code is what it is.
      if (kind === "wait" && stdout.includes("C got")) assertStringIncludes(stdout, "C got -7");
    });
  }

  it("is none of a timeout, which is printed, with what JavaScript was in (in a child process)", () => {
    const { code, stdout, stderr } = runChild("thread_life.ts", ["wait", "blocked", "20000"]);
    assertEquals([code, stdout.trim().split("\n")], [0, ["C got -7n", "end"]]);
    for (const part of ['belay: C called callback "awaited"', "500 ms", 'the native call "crew_join"']) {
      assertStringIncludes(stderr, part);
    }
  });
});

describe("a worker", () => {
  interface Asked extends AsyncDisposable {
    readonly answer: ThreadAnswer;
    readonly calls: Int32Array;
    readonly terminate: () => void;
  }

  async function ask(question: Omit<ThreadQuestion, "testLibrary" | "calls">): Promise<Asked> {
    const { isolates } = stats().process;
    const calls = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL("../programs/thread_worker.ts", import.meta.url).href, { type: "module" });
    const answer = await new Promise<ThreadAnswer>((resolve, reject) => {
      worker.onmessage = (event) => resolve(event.data as ThreadAnswer);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ ...question, testLibrary, calls } satisfies ThreadQuestion);
    });
    return {
      answer,
      calls,
      terminate: () => worker.terminate(),
      async [Symbol.asyncDispose]() {
        worker.terminate();
        await until(() => stats().process.isolates <= isolates, "the worker's end");
      },
    };
  }

  it("has its callbacks called in itself, whoever calls them", async () => {
    using library = openThreads(testLibrary);
    const { start_waits, crew_running, crew_join } = library.symbols;
    await using worker = await ask({ thread: "wait", what: "give" });
    const pointer = pointerFrom(worker.answer.pointer) as Crew;
    const crew = start_waits(pointer as never, 2, 100);
    await until(() => crew_running(crew) === 0);
    assertEquals([crew_join(crew), Atomics.load(worker.calls, 0)], [2n * 4950n, 200]);
    // This thread is not the callback's own either: it waits for the worker.
    using here = dlopen(testLibrary, { call_here: { parameters: ["pointer", "i32", "i32"], result: "i32" } });
    assertEquals([here.symbols.call_here(pointer, 1, 77), Atomics.load(worker.calls, 0)], [77, 201]);
  });

  it("has a callback of this thread called here, by its threads", async () => {
    let calls = 0;
    using made = callback(wait, (_, index) => (calls += 1, index), { thread: "wait" });
    await using worker = await ask({ thread: "wait", what: "call", pointer: pointerValue(made.pointer) });
    assertEquals([worker.answer.right, calls], [true, 100]);
  });

  for (const thread of ["post", "wait"] as const) {
    it(`has a pool's threads tell it when a job is done (${thread})`, async () => {
      await using worker = await ask({ thread, what: "pool" });
      assert(worker.answer.right);
    });

    it(`is called no more when it was terminated, and threads go on (${thread})`, async () => {
      using library = openThreads(testLibrary);
      const { isolates } = stats().process;
      const worker = await ask({ thread, what: "crew" });
      worker.terminate();
      await until(() => stats().process.isolates <= isolates, "the worker's end");
      const calls = Atomics.load(worker.calls, 0);
      library.symbols.crew_stop(pointerFrom(worker.answer.crew) as Crew);
      assert(calls > 0);
      assertEquals(Atomics.load(worker.calls, 0), calls);
      // A thread that calls it later gets the fallback.
      using here = dlopen(testLibrary, { call_here: { parameters: ["pointer", "i32", "i32"], result: "i32" } });
      const pointer = pointerFrom(worker.answer.pointer) as Crew;
      if (thread === "wait") assertEquals(here.symbols.call_here(pointer, 1, 77), -1);
      assertEquals(Atomics.load(worker.calls, 0), calls);
    });
  }
});

describe("SQLite in serialized mode, used by four threads of C's", () => {
  for (const where of ["main", "worker"]) {
    it(`calls a function of SQL with wait, and its log with post (${where}, in a child process)`, () => {
      const { code, stdout, stderr } = runChild("thread_sqlite.ts", [where]);
      assertEquals([code, stderr], [0, ""]);
      const { installed, ...figures } = JSON.parse(stdout) as SqliteFigures;
      if (!installed) return leftOut("SQLite with threads, since its library is not installed");
      const [threads, rounds, rows] = [4, 10, 20];
      assertEquals(figures, {
        // For each thread and round, 1 to 20, and the thread's number with each.
        sum: rounds * (threads * rows * (rows + 1) / 2 + rows * (0 + 1 + 2 + 3)),
        calls: threads * rounds * rows,
        rounds: Array.from({ length: threads }, () => Array.from({ length: rounds }, (_, round) => round)),
        errors: threads * rounds,
        misplacedCalls: 0,
      });
    });
  }
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
