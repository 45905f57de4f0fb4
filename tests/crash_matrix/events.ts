/**
 * What can happen to a callback, as small programs, and what belay makes of it.
 *
 * @module
 */

import process from "node:process";
import { collectFully } from "../support/gc.ts";
import { slowness } from "../support/machine.ts";
import { attempt, observe, right, tell, type Word } from "./observe.ts";
import { makeCallback, open, openWithoutBelay, unanswered } from "./test_library.ts";

/** What belay's child process is expected to say and to do. */
export interface Expected {
  readonly words: readonly Word[];
  /** 0 by default. */
  readonly code?: number;
  /** What each of belay's reports on stderr includes. None by default. */
  readonly reports?: readonly string[];
}

/** Files that run in one process, in more than one JavaScript world. */
export interface FileRun {
  readonly files: readonly string[];
  readonly as: "test" | "watch";
}

/** One row of the table. */
export interface Event {
  /** What the row says, and what the child process is told to run. */
  readonly name: string;
  /** What happens: a program, or files of `files/` that the runtime runs in a way of its own. */
  readonly run: (() => void | Promise<void>) | FileRun;
  /** The function of the test library that it needs, where that isn't everywhere. */
  readonly needs?: string;
  /** On both runtimes, or on each. */
  readonly expected: Expected | Readonly<Record<"deno" | "bun", Expected>>;
}

/** What is expected on a runtime. */
export function expectedOn({ expected }: Event, runtime: "deno" | "bun"): Expected {
  return "words" in expected ? expected : expected[runtime];
}

const stale = "after it was closed, and got its fallback";
const collected = "after it was garbage-collected, and got its fallback";
const foreign =
  "from another thread, from a coroutine's or a signal's stack, or with no stack left for it, and got its fallback";

/** A function that the test library has on glibc alone: what needs it may need something else of glibc's. */
const onlyOnGlibc = "call_on_coroutine";

const ranTwice = ["the function ran", "the function ran"] as const;

const i32ToI32 = { parameters: ["i32"], result: "i32" };
const comparator = { parameters: ["i32", "i32"], result: "i32" };

const ranAsUsual = (): number => observe("the function ran");

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Lets time pass until a condition holds, or for three seconds; answers whether it came to hold. */
async function until(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 300 * slowness && !condition(); i++) await sleep(10);
  return condition();
}

/** Numbers that take the C library's qsort far more than 1,000 comparisons, no two of them the same. */
function mixed(): Int32Array {
  return Int32Array.from({ length: 1000 }, (_, index) => index * 7919 % 1009);
}

/** Whether a normal call works. */
function works(): boolean {
  const { relay_i32 } = open("relay_i32");
  const made = makeCallback(i32ToI32, (value: number) => value + 1);
  return relay_i32(made.pointer, 41) === 42;
}

function callNormally(): void {
  if (works()) observe("the next call works");
}

function tellError(error: unknown): void {
  if (error instanceof TypeError) observe("TypeError caught");
  else if (error instanceof RangeError) observe("RangeError caught");
  else if (error instanceof Error && error.name === "LibraryClosedError") observe("LibraryClosedError caught");
  else if (error instanceof Error && error.name === "CallbackThreadError") observe("CallbackThreadError caught");
  else if (error instanceof Error) observe("Error caught");
  else observe("no error");
}

/** A callback answers what its type doesn't have. */
function answerWrongly(answer: () => unknown): void {
  const { collect_i32 } = open("collect_i32");
  const made = makeCallback(i32ToI32, answer);
  const results = new Int32Array(1);
  tellError(attempt(() => collect_i32(made.pointer, results, 1)));
  tell(results[0]);
  callNormally();
}

/** C and the function call each other until the stack is used up. */
function recurse(): void {
  const { relay_i32 } = open("relay_i32");
  const made = makeCallback(i32ToI32, (value: number) => relay_i32(made.pointer, value));
  tellError(attempt(() => relay_i32(made.pointer, 1)));
  callNormally();
}

/** Throws ten levels down, where C and functions call each other. Each level may catch what comes. */
function descend(thrown: unknown, level: (number: number, inner: () => unknown) => unknown): unknown {
  const { relay_i32 } = open("relay_i32");
  const down = (number: number): unknown => {
    const made = makeCallback(i32ToI32, () => {
      if (number === 10) throw thrown;
      return level(number + 1, () => down(number + 1));
    });
    return relay_i32(made.pointer, number);
  };
  return level(1, () => down(1));
}

/** What happens at the end of the process, when C calls a callback from `atexit`. */
function atExit(how: { readonly close: boolean; readonly end: "normal" | "exit" }): void {
  const { keep_until_exit, end_process } = open("keep_until_exit", "end_process");
  const made = makeCallback(i32ToI32, ranAsUsual);
  keep_until_exit(made.pointer);
  if (how.close) made.close();
  observe("the program's end");
  if (how.end === "exit") end_process(0);
}

/** Has a worker run one of its programs, and terminates it, once it has begun or when it has ended. */
async function inWorker(program: string, terminate: "begun" | "ended"): Promise<void> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url).href, { type: "module" });
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }) => data === terminate ? resolve() : undefined;
    worker.onerror = (event) => reject(new Error((event as ErrorEvent).message));
    worker.postMessage(program);
  });
  // So that it is in the middle of things.
  if (terminate === "begun") await sleep(200);
  worker.terminate();
}

/** What a worker can be asked to do. */
export const workerPrograms: Readonly<Record<string, () => void>> = {
  recurse,
  keep() {
    open("keep").keep(makeCallback(i32ToI32, ranAsUsual).pointer);
  },
  loop() {
    open("call_for").call_for(makeCallback(i32ToI32, () => right).pointer, 1500);
  },
  "call at thread end"() {
    open("call_at_thread_end").call_at_thread_end(makeCallback(i32ToI32, ranAsUsual).pointer);
  },
};

/** A destructor of something thread-local calls a callback of the worker whose thread that was. */
async function callAtThreadEnd(): Promise<void> {
  const { thread_end_answer } = open("thread_end_answer");
  await inWorker("call at thread end", "ended");
  await until(() => thread_end_answer() !== unanswered);
  tell(thread_end_answer());
  callNormally();
}

/** What the first of several worlds in one process does: C keeps its callback, which is to be held. */
export function keepForLater(): unknown {
  const { keep } = open("keep");
  const made = makeCallback(i32ToI32, ranAsUsual);
  keep(made.pointer);
  return made;
}

/** What each of the others does, before it has used belay and after. */
export function callWhatWasKept(): void {
  tell(openWithoutBelay("call_kept").call_kept(1));
  if (!works()) throw new Error("Cannot go on: a normal call doesn't work");
  tell(open("call_kept").call_kept(1));
}

/** The rows, in the order in which the table has them. */
export const events: readonly Event[] = [
  {
    name: "C calls a callback that was closed",
    run() {
      const { relay_i32 } = open("relay_i32");
      const made = makeCallback(i32ToI32, ranAsUsual);
      made.close();
      tell(relay_i32(made.pointer, 1));
    },
    expected: { words: ["fallback"], reports: [stale] },
  },
  {
    name: "a callback closes itself while it runs",
    run() {
      const { relay_i32 } = open("relay_i32");
      let runs = 0;
      const made = makeCallback(i32ToI32, () => {
        if (++runs > 1) return observe("the function ran again");
        made.close();
        return right;
      });
      if (relay_i32(made.pointer, 1) === right) observe("the running call finished");
      tell(relay_i32(made.pointer, 1));
    },
    expected: { words: ["the running call finished", "fallback"], reports: [stale] },
  },
  {
    name: "a comparator closes itself in the middle of `qsort`",
    run() {
      const { sort_i32 } = open("sort_i32");
      const numbers = mixed();
      const counts = new Int32Array(2);
      let runs = 0;
      const made = makeCallback(comparator, (a: number, b: number) => {
        if (++runs === 500) made.close();
        return a - b;
      }, 0);
      sort_i32(numbers, numbers.length, made.pointer, counts);
      observe("qsort returned");
      observe(runs === 500 ? "the comparator ran no more" : "the comparator ran on");
      if (counts[1] > 0 && counts[0] - counts[1] === 500) observe("the rest got 0");
    },
    expected: {
      words: ["qsort returned", "the comparator ran no more", "the rest got 0"],
      reports: [stale],
    },
  },
  {
    name: "a callback closes the one that called it, by way of C",
    run() {
      const { relay_i32 } = open("relay_i32");
      let runs = 0;
      const inner = makeCallback(i32ToI32, () => {
        outer.close();
        return right;
      });
      const outer = makeCallback(i32ToI32, () => {
        if (++runs > 1) return observe("the function ran again");
        return relay_i32(inner.pointer, 1);
      });
      if (relay_i32(outer.pointer, 1) === right) observe("the running call finished");
      tell(relay_i32(outer.pointer, 1));
    },
    expected: { words: ["the running call finished", "fallback"], reports: [stale] },
  },
  {
    name: "C calls a callback that was garbage-collected",
    async run() {
      const { keep, call_kept } = open("keep", "call_kept");
      // A function of its own: this one's frame would keep what it touched.
      const drop = (): void => void keep(makeCallback(i32ToI32, ranAsUsual).pointer);
      drop();
      await collectFully();
      tell(call_kept(1));
    },
    expected: { words: ["fallback"], reports: [collected] },
  },
  {
    name: "a callback closes the library whose loop calls it",
    run() {
      const { collect_i32, close } = open("collect_i32");
      const results = new Int32Array(3);
      const made = makeCallback(i32ToI32, (index: number) => {
        if (index === 0) close();
        return right;
      });
      collect_i32(made.pointer, results, 3);
      if (results.every((result) => result === right)) observe("C's loop went on");
    },
    expected: { words: ["C's loop went on"] },
  },
  {
    name: "a function of a closed library is called",
    run() {
      const { add_i32, close } = open("add_i32");
      close();
      tellError(attempt(() => {
        if (add_i32(1, 2) === 3) observe("the function ran");
      }));
    },
    expected: { words: ["LibraryClosedError caught"] },
  },
  {
    name: "a throw in the first of over 1,000 comparisons of `qsort`",
    run() {
      const { sort_i32 } = open("sort_i32");
      const numbers = mixed();
      const counts = new Int32Array(2);
      const errors: unknown[] = [];
      const made = makeCallback(comparator, () => {
        const error = new Error("thrown by the comparator");
        errors.push(error);
        throw error;
      }, 0);
      const caught = attempt(() => sort_i32(numbers, numbers.length, made.pointer, counts));
      observe(errors.length === 1 ? "the comparator ran no more" : "the comparator ran on");
      if (counts[0] > 1000 && counts[0] === counts[1]) observe("the rest got 0");
      if (caught === undefined) observe("no error");
      else observe(caught === errors[0] ? "the same error caught" : "another error caught");
    },
    expected: { words: ["the comparator ran no more", "the rest got 0", "the same error caught"] },
  },
  {
    name: "a throw ten levels deep, C and TypeScript in turn, caught at level five",
    run() {
      const thrown = new Error("thrown at the bottom");
      const answer = descend(thrown, (number, inner) => {
        if (number !== 5) return inner();
        if (attempt(inner) === thrown) observe("caught at level five");
        return right;
      });
      if (answer === right) observe("the outer levels succeed");
    },
    expected: { words: ["caught at level five", "the outer levels succeed"] },
  },
  {
    name: "the same, not caught",
    run() {
      const thrown = new Error("thrown at the bottom");
      let same = 0;
      attempt(() =>
        descend(thrown, (_, inner) => {
          try {
            return inner();
          } catch (error) {
            if (error === thrown) same += 1;
            throw error;
          }
        })
      );
      if (same === 10) observe("the same error at each level");
      callNormally();
    },
    expected: { words: ["the same error at each level", "the next call works"] },
  },
  {
    name: "endless recursion, C and TypeScript in turn",
    run: recurse,
    expected: { words: ["RangeError caught", "the next call works"] },
  },
  {
    name: "the same in a worker",
    run: () => inWorker("recurse", "ended"),
    expected: { words: ["RangeError caught", "the next call works"] },
  },
  {
    name: "an `async` function as a callback",
    run: () =>
      answerWrongly(async () => {
        await undefined;
        return right;
      }),
    expected: { words: ["TypeError caught", "fallback", "the next call works"] },
  },
  {
    name: "a callback answers a thenable",
    run: () => answerWrongly(() => ({ then() {} })),
    expected: { words: ["TypeError caught", "fallback", "the next call works"] },
  },
  {
    name: "a callback without a result answers a thenable",
    run() {
      const { call_void } = open("call_void");
      const made = makeCallback({ parameters: [], result: "void" }, () => ({ then() {} }));
      tellError(attempt(() => call_void(made.pointer)));
      callNormally();
    },
    expected: { words: ["TypeError caught", "the next call works"] },
  },
  {
    name: "an `i32` callback answers text",
    run: () => answerWrongly(() => "text"),
    expected: { words: ["TypeError caught", "fallback", "the next call works"] },
  },
  {
    name: "an `i32` callback answers 0.5",
    run: () => answerWrongly(() => 0.5),
    expected: { words: ["TypeError caught", "fallback", "the next call works"] },
  },
  {
    name: "an `i32` callback answers 2^40",
    run: () => answerWrongly(() => 2 ** 40),
    expected: { words: ["RangeError caught", "fallback", "the next call works"] },
  },
  {
    name: "C's `exit(7)` in a callback",
    run() {
      const { relay_i32, end_process } = open("relay_i32", "end_process");
      const made = makeCallback(i32ToI32, () => {
        end_process(7);
        return right;
      });
      relay_i32(made.pointer, 1);
    },
    expected: { words: [], code: 7 },
  },
  {
    name: "the runtime's `exit(7)` in a callback",
    run() {
      const { relay_i32 } = open("relay_i32");
      const made = makeCallback(i32ToI32, () => process.exit(7));
      relay_i32(made.pointer, 1);
    },
    expected: { words: [], code: 7 },
  },
  {
    name: "the program ends with live callbacks and exit code 7",
    run() {
      const { keep } = open("keep");
      for (let i = 0; i < 100; i++) keep(makeCallback(i32ToI32, ranAsUsual).pointer);
      process.exitCode = 7;
    },
    expected: { words: [], code: 7 },
  },
  {
    name: "an `atexit` handler calls a callback at a normal end (Bun runs none)",
    run: () => atExit({ close: false, end: "normal" }),
    expected: {
      deno: { words: ["the program's end", "an exit handler got the fallback"] },
      bun: { words: ["the program's end"] },
    },
  },
  {
    name: "the same with a closed callback",
    run: () => atExit({ close: true, end: "normal" }),
    expected: {
      deno: { words: ["the program's end", "an exit handler got the fallback"] },
      bun: { words: ["the program's end"] },
    },
  },
  {
    name: "an `atexit` handler calls a callback at C's `exit` (glibc)",
    needs: onlyOnGlibc,
    run: () => atExit({ close: false, end: "exit" }),
    expected: { words: ["the program's end", "an exit handler got the fallback"] },
  },
  {
    name: "the same with a closed callback, at C's `exit` (glibc)",
    needs: onlyOnGlibc,
    run: () => atExit({ close: true, end: "exit" }),
    expected: { words: ["the program's end", "an exit handler got the fallback"] },
  },
  {
    name: "C calls a callback of one test file while the next two run",
    run: { files: ["first_test_file.ts", "second_test_file.ts", "third_test_file.ts"], as: "test" },
    expected: {
      deno: { words: ["the second file", "fallback", "fallback", "the third file", "fallback", "fallback"] },
      // All its files share one world, which lives.
      bun: { words: ["the second file", ...ranTwice, "the third file", ...ranTwice] },
    },
  },
  {
    name: "the same, after a garbage collection",
    run: { files: ["first_test_file.ts", "collecting_test_file.ts"], as: "test" },
    expected: {
      deno: { words: ["the second file", "fallback", "fallback"] },
      bun: { words: ["the second file", ...ranTwice] },
    },
  },
  {
    name: "C calls a callback from before a restart in the same process (`deno --watch`, `bun --hot`)",
    run: { files: ["restarting.ts"], as: "watch" },
    expected: {
      deno: { words: ["started again", "fallback", "fallback"] },
      // The world goes on, and so does what it holds.
      bun: { words: ["started again", ...ranTwice] },
    },
  },
  {
    name: "C calls a callback of a worker that was terminated",
    async run() {
      const { call_kept } = open("call_kept");
      await inWorker("keep", "ended");
      await sleep(100);
      tell(call_kept(1));
      callNormally();
    },
    expected: { words: ["fallback", "the next call works"] },
  },
  {
    name: "a worker is terminated while C calls its callback over and over",
    needs: "call_for",
    async run() {
      const { loop_is_over } = open("loop_is_over");
      await inWorker("loop", "begun");
      if (await until(() => loop_is_over() as boolean)) observe("the loop ended");
      // Until its thread has ended too.
      await sleep(100);
      callNormally();
    },
    expected: { words: ["the loop ended", "the next call works"] },
  },
  {
    name: "a destructor of a thread's key calls a callback of a worker that was terminated",
    needs: "call_at_thread_end",
    run: () => callAtThreadEnd(),
    expected: { words: ["fallback", "the next call works"] },
  },
  {
    name: "the same with a key that is older than belay (glibc)",
    needs: onlyOnGlibc,
    run() {
      // Keys are destroyed in the order in which they were made.
      openWithoutBelay("prepare_thread_end").prepare_thread_end();
      return callAtThreadEnd();
    },
    expected: { words: ["fallback", "the next call works"] },
  },
  {
    name: "a call from another thread",
    needs: "start_on_thread",
    async run() {
      const { start_on_thread, thread_answer } = open("start_on_thread", "thread_answer");
      const made = makeCallback(i32ToI32, ranAsUsual);
      start_on_thread(made.pointer, 1);
      // No native call runs when the thread calls: it would throw.
      await sleep(1000);
      if (!await until(() => thread_answer() !== unanswered)) return void observe("the thread is blocked");
      tell(thread_answer());
      callNormally();
    },
    expected: { words: ["fallback", "the next call works"], reports: [foreign] },
  },
  {
    name: "a call from another thread for which the callback's own waits",
    needs: "call_on_thread",
    run() {
      const { call_on_thread } = open("call_on_thread");
      const made = makeCallback(i32ToI32, ranAsUsual);
      const error = attempt(() => tell(call_on_thread(made.pointer, 1)));
      if (error !== undefined) tellError(error);
      callNormally();
    },
    expected: { words: ["CallbackThreadError caught", "the next call works"] },
  },
  {
    name: "a call from a coroutine's stack (glibc)",
    needs: onlyOnGlibc,
    run() {
      const { call_on_coroutine } = open("call_on_coroutine");
      const made = makeCallback(i32ToI32, ranAsUsual);
      tell(call_on_coroutine(made.pointer));
      callNormally();
    },
    expected: { words: ["fallback", "the next call works"], reports: [foreign] },
  },
  {
    name: "a call from a signal handler with a stack of its own",
    needs: "call_in_signal",
    run() {
      const { call_in_signal } = open("call_in_signal");
      const made = makeCallback(i32ToI32, ranAsUsual);
      tell(call_in_signal(made.pointer, false));
      callNormally();
    },
    expected: { words: ["fallback", "the next call works"], reports: [foreign] },
  },
];
