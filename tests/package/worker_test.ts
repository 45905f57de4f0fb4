/** Isolates: workers beside the main thread, and what is left of them. */

import {
  copyFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Callback, callback, dlopen, Handle, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { root } from "../../scripts/tools.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { runsExitHandlers } from "../support/machine.ts";
import { settledIsolates } from "../support/until.ts";
import type { CallbackAnswer, CallbackQuestion } from "../programs/callback_worker.ts";
import type { Answer, Question } from "../programs/worker.ts";

/** Asks a new worker, and terminates it when it has answered. */
async function askWorker<A>(program: string, question: unknown): Promise<A> {
  const worker = new Worker(new URL(`../programs/${program}`, import.meta.url).href, { type: "module" });
  try {
    return await new Promise<A>((resolve, reject) => {
      worker.onmessage = (event) => resolve(event.data as A);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(question);
    });
  } finally {
    worker.terminate();
  }
}

const ask = (question: Question): Promise<Answer> => askWorker("worker.ts", question);
const askForCallbacks = (question: CallbackQuestion): Promise<CallbackAnswer> =>
  askWorker("callback_worker.ts", question);

/** Puts the core where a copy of the package looks for it: the same one, as the loader sees it. */
function linkCore(target: string): void {
  const own = join(root, "native", "lib");
  if (process.platform !== "win32") return symlinkSync(own, target);
  // Links to folders want rights there; the loader tells libraries apart by the file.
  for (const name of readdirSync(own, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".dll"))) {
    mkdirSync(dirname(join(target, name)), { recursive: true });
    linkSync(join(own, name), join(target, name));
  }
}

const before = alive();
const maps = "/proc/self/maps";
const hasMaps = process.platform === "linux";
if (!hasMaps) leftOut("a look at what stays mapped after a worker, since there is no /proc/self/maps");

describe("isolates", () => {
  it("a worker has a registry tag of its own, and refuses another isolate's handle as such", async () => {
    using handle = Handle.create("main");
    const answer = await ask({ testLibrary, otherId: handle.id });
    assertEquals([answer.otherReasonAtFirst, answer.otherReason], ["other-isolate", "other-isolate"]);
    assertNotEquals(Math.floor(answer.id / 2 ** 23) % 256, Math.floor(handle.id / 2 ** 23) % 256);
    assertEquals(answer.sum, 12);
    assertEquals(handle.value, "main");
  });

  it("twenty workers in turn never issue the same id, though they get the tags of those that are gone", async () => {
    const ids: number[] = [];
    for (let i = 0; i < 20; i++) ids.push((await ask({ testLibrary, otherId: 2 })).id);
    assertEquals(new Set(ids).size, ids.length);
    const tags = new Set(ids.map((id) => Math.floor(id / 2 ** 23) % 256));
    assert(tags.size < ids.length, `expected tags to be used again, got ${[...tags]}`);
  });

  it("a callback of a worker that is gone answers with its fallback and is counted as foreign", async () => {
    using library = dlopen(testLibrary, { call_kept: { parameters: ["i32"], result: "i32" } });
    await ask({ testLibrary, otherId: 2 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(library.symbols.call_kept(1), -7);
    assertEquals(library.symbols.call_kept(2), -7);
  });

  (hasMaps ? it : it.skip)(
    "a library that only a terminated worker had opened stays mapped (read in /proc/self/maps)",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "belay-"));
      try {
        const ownLibrary = join(folder, "only_in_a_worker.so");
        copyFileSync(testLibrary, ownLibrary);
        await ask({ testLibrary, otherId: 2, ownLibrary });
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert(readFileSync(maps, "utf8").includes("only_in_a_worker.so"));
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  it("two copies of the package in one world have an isolate each (in a child process)", () => {
    const folder = mkdtempSync(join(tmpdir(), "belay-"));
    try {
      cpSync(join(root, "ffi"), join(folder, "ffi"), { recursive: true });
      copyFileSync(join(root, "mod.ts"), join(folder, "mod.ts"));
      mkdirSync(join(folder, "native"));
      linkCore(join(folder, "native", "lib"));
      const { code, stdout, stderr } = runChild("two_copies.ts", [folder]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(JSON.parse(stdout), {
        ids: 5060,
        mine: 2,
        theirs: 3,
        crossed: 3,
        values: true,
        theirValues: true,
        refusals: [true, true, true, true],
        failed: [0, ["mine"], 0],
        misplacedCalls: 0,
      });
    } finally {
      // Windows doesn't delete a library that is mapped, under any of its names.
      if (process.platform !== "win32") rmSync(folder, { recursive: true });
    }
  });

  for (const kind of ["live", "disposed", "exit"]) {
    it(`C calls a callback while the process exits: it answers with its fallback (${kind}, in a child process)`, () => {
      const { code, signal, stdout } = runChild("at_exit.ts", [kind]);
      assertEquals([code, signal], [0, null]);
      const called = runsExitHandlers ? ["at exit: -5"] : [];
      assertEquals(stdout.trim().split("\n"), ["end", ...called]);
    });
  }

  const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
  const f64ToF64 = { parameters: ["f64"], result: "f64" } as const;

  /** Callbacks of this thread, in the shapes that the workers use. */
  function callbacksHere(
    symbols: { relay_i32: (made: Callback<typeof i32ToI32>, value: number) => number },
  ): Disposable & { answer(): boolean } {
    const made = Array.from({ length: 50 }, (_, index) => callback(i32ToI32, (value) => value * 2 + index));
    return {
      answer: () => made.every((each, index) => symbols.relay_i32(each, 21) === 42 + index),
      [Symbol.dispose]() {
        for (const each of made) each.close();
      },
    };
  }

  it("300 workers in turn make, call and leave callbacks: those of this thread, and the number of thunks, stay", async () => {
    using library = dlopen(testLibrary, {
      relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
      call_kept: { parameters: ["i32"], result: "i32" },
    });
    using here = callbacksHere(library.symbols);
    // Of the workers of other tests, some may be about to end.
    await settledIsolates(1);
    const beforeAll = stats();
    for (let i = 1; i <= 300; i++) {
      const answer = await askForCallbacks({ testLibrary, addend: i, rounds: 2, keeps: true });
      const { live: { callbacks, thunks, handles }, counts: { staleCalls, misplacedCalls } } = answer.stats;
      assertEquals([answer.right, answer.wrong], [2 * 12 + 1, 0], `worker ${i}`);
      // What it counts is its own.
      assertEquals(
        { callbacks, thunks, staleCalls, misplacedCalls, handles },
        { callbacks: 1, thunks: 1, staleCalls: 1, misplacedCalls: 0, handles: 0 },
        `worker ${i}`,
      );
      assert(here.answer(), `after worker ${i}`);
    }
    assertEquals(await settledIsolates(beforeAll.process.isolates), beforeAll.process.isolates);
    // What the last worker left with C answers with its fallback, each time.
    assertEquals([library.symbols.call_kept(1), library.symbols.call_kept(2)], [-300, -300]);
    assert(here.answer());
    // The thunks of workers that are gone are used again; and nothing of theirs is counted here.
    // (The pool's threads end when they have had nothing to do for a while, whatever other tests had them do.)
    assertEquals(stats(), {
      ...beforeAll,
      process: { ...beforeAll.process, callThreads: stats().process.callThreads },
    });
  });

  it("eight workers at once and this thread make and call callbacks of one shape: each gets its own answers", async () => {
    using library = dlopen(testLibrary, {
      relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
      relay_f64: { parameters: [f64ToF64, "f64"], result: "f64" },
    });
    const { relay_i32, relay_f64 } = library.symbols;
    using here = callbacksHere(library.symbols);
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const rounds = 2000;
    const answers = Array.from(
      { length: 8 },
      (_, index) => askForCallbacks({ testLibrary, addend: 1000 * (index + 1), rounds, keeps: false, gate }),
    );
    // They open the library first, each in its own time.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { staleCalls, misplacedCalls } = stats().counts;
    let done = false;
    const all = Promise.all(answers).finally(() => done = true);
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    let turns = 0;
    while (!done) {
      for (let i = 0; i < 200; i++) {
        using made = callback(i32ToI32, (value) => value - i);
        assertEquals([relay_i32(made, 7), relay_f64((value) => value / 2, i)], [7 - i, i / 2]);
      }
      assert(here.answer(), `turn ${turns}`);
      turns += 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const { right, wrong, stats: theirs, pointers } of await all) {
      assertEquals([right, wrong], [rounds * 12 + 1, 0]);
      assertEquals([theirs.live.callbacks, theirs.counts.staleCalls, theirs.counts.misplacedCalls], [0, 1, 0]);
      // They rest and come again, each isolate's own: of each twelve frees, ten are of this shape, and ten are in use.
      assert(pointers > 213 && pointers <= 240, `${pointers} pointers`);
    }
    assertEquals([stats().counts.staleCalls, stats().counts.misplacedCalls], [staleCalls, misplacedCalls]);
    assert(turns > 3, `${turns} turns`);
  });

  it("nothing is left alive here", () => {
    assertEquals(alive(), before);
  });
});
