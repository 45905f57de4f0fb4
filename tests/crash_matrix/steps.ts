/**
 * The steps of which the events are made: what many of them do, and what workers and files are asked to do.
 *
 * @module
 */

import { slowness } from "../support/machine.ts";
import { attempt, observe, right, tell } from "./observe.ts";
import { makeCallback, open, openWithoutBelay, unanswered } from "./test_library.ts";

export const stale = "after it was closed, and got its fallback";
export const collected = "after it was garbage-collected, and got its fallback";
export const misplaced =
  "from another thread, from a coroutine's or a signal's stack, or with no stack left for it, and got its fallback";

/** A function that the test library has on glibc alone: what needs it may need something else of glibc's. */
export const onlyOnGlibc = "call_on_coroutine";

export const ranTwice = ["the function ran", "the function ran"] as const;

export const i32ToI32 = { parameters: ["i32"], result: "i32" };
export const comparator = { parameters: ["i32", "i32"], result: "i32" };

export const ranAsUsual = (): number => observe("the function ran");

export function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Lets time pass until a condition holds, or for twenty seconds; answers whether it came to hold. */
export async function until(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 2000 * slowness && !condition(); i++) await sleep(10);
  return condition();
}

/** Numbers that take the C library's qsort far more than 1,000 comparisons, no two of them the same. */
export function mixed(): Int32Array {
  return Int32Array.from({ length: 1000 }, (_, index) => index * 7919 % 1009);
}

/** Whether a normal call works. */
function works(): boolean {
  const { relay_i32 } = open("relay_i32");
  const made = makeCallback(i32ToI32, (value: number) => value + 1);
  return relay_i32(made.pointer, 41) === 42;
}

export function callNormally(): void {
  if (works()) observe("the next call works");
}

export function tellError(error: unknown): void {
  if (error instanceof TypeError) observe("TypeError caught");
  else if (error instanceof RangeError) observe("RangeError caught");
  else if (error instanceof Error && error.name === "LibraryClosedError") observe("LibraryClosedError caught");
  else if (error instanceof Error && error.name === "CallbackThreadError") observe("CallbackThreadError caught");
  else if (error instanceof Error) observe("Error caught");
  else observe("no error");
}

/** A callback answers what its type doesn't have. */
export function answerWrongly(answer: () => unknown): void {
  const { collect_i32 } = open("collect_i32");
  const made = makeCallback(i32ToI32, answer);
  const results = new Int32Array(1);
  tellError(attempt(() => collect_i32(made.pointer, results, 1)));
  tell(results[0]);
  callNormally();
}

/** C and the function call each other until the stack is used up. */
export function recurse(): void {
  const { relay_i32 } = open("relay_i32");
  const made = makeCallback(i32ToI32, (value: number) => relay_i32(made.pointer, value));
  tellError(attempt(() => relay_i32(made.pointer, 1)));
  callNormally();
}

/** Throws ten levels down, where C and functions call each other. Each level may catch what comes. */
export function descend(thrown: unknown, level: (number: number, inner: () => unknown) => unknown): unknown {
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
export function atExit(how: { readonly close: boolean; readonly end: "normal" | "exit" }): void {
  const { keep_until_exit, end_process } = open("keep_until_exit", "end_process");
  const made = makeCallback(i32ToI32, ranAsUsual);
  keep_until_exit(made.pointer);
  if (how.close) made.close();
  observe("the program's end");
  if (how.end === "exit") end_process(0);
}

/** Has a worker run one of its programs, and terminates it, once it has begun or when it has ended. */
export async function inWorker(program: string, terminate: "begun" | "ended"): Promise<void> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url).href, { type: "module" });
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }) => data === terminate ? resolve() : undefined;
    worker.onerror = (event) => reject(new Error((event as ErrorEvent).message));
    worker.postMessage(program);
  });
  // So that it is in the middle of things, a while after it has begun.
  if (terminate === "begun") await sleep(200);
  worker.terminate();
}

/** What a worker can be asked to do; one that may be ended in the middle says that it has begun. */
export const workerPrograms: Readonly<Record<string, (begin: () => void) => void>> = {
  recurse,
  keep() {
    open("keep").keep(makeCallback(i32ToI32, ranAsUsual).pointer);
  },
  loop(begin) {
    let begun = false;
    const made = makeCallback(i32ToI32, () => {
      if (!begun) begin();
      begun = true;
      return right;
    });
    open("call_for").call_for(made.pointer, 1500);
  },
  "call at thread end"() {
    open("call_at_thread_end").call_at_thread_end(makeCallback(i32ToI32, ranAsUsual).pointer);
  },
};

/** A destructor of something thread-local calls a callback of the worker whose thread that was. */
export async function callAtThreadEnd(): Promise<void> {
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
