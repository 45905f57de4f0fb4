/**
 * Events: C is on a stack of its own, where it waits for a promise, or calls back without an engine's being entered.
 *
 * @module
 */

import process from "node:process";
import { type Callback, callback, dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import type { Event } from "./event.ts";
import { attempt, fallback, observe, right, tell } from "./observe.ts";
import { callNormally, inWorker, tellError } from "./steps.ts";

const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const relay = { name: "relay_i32", parameters: ["function", "i32"], result: "i32" } as const;

const open = () => dlopen(testLibrary, { later: { ...relay, suspends: true }, own: { ...relay, stack: "own" } });

/** C waits for what a function returns: the call's promise, and what can be done about it. */
function waiting(fn: () => Promise<number>, signal?: AbortSignal) {
  const library = open();
  const made: Callback = callback(i32ToI32, fn, { fallback, suspends: true });
  return { library, made, call: library.symbols.later(made, 1, { signal }) };
}

const never = (): Promise<number> => new Promise(() => {});

/** What a promise is rejected with; `undefined` when it isn't, of which C's answer is told. */
async function outcome(call: Promise<number>): Promise<void> {
  try {
    const answer = await call;
    if (answer === right) observe("the running call finished");
    else tell(answer);
  } catch (error) {
    tellError(error);
  }
  callNormally();
}

/** In a worker: C waits for good. */
export function waitForGood(): void {
  waiting(never).call.catch(() => {});
}

export const ownEvents: readonly Event[] = [
  {
    name: "C waits for a promise, which is fulfilled",
    run: () => outcome(waiting(() => Promise.resolve(right)).call),
    expected: { words: ["the running call finished", "the next call works"] },
  },
  {
    name: "C waits for a promise, which is rejected",
    run: () => outcome(waiting(() => Promise.reject(new RangeError())).call),
    expected: { words: ["RangeError caught", "the next call works"] },
  },
  {
    name: "C waits for a promise, and its callback is closed",
    async run() {
      let answer = (_: number): void => {};
      const { made, call } = waiting(() => new Promise((resolve) => answer = resolve));
      made.close();
      answer(right);
      await outcome(call);
    },
    expected: { words: ["the running call finished", "the next call works"] },
  },
  {
    name: "C waits for a promise, and its library is closed",
    async run() {
      const { library, call } = waiting(never);
      library.close();
      await outcome(call);
    },
    expected: { words: ["LibraryClosedError caught", "the next call works"] },
  },
  {
    name: "C waits for a promise, and the call is aborted",
    async run() {
      const controller = new AbortController();
      const { call } = waiting(never, controller.signal);
      controller.abort(new TypeError());
      await outcome(call);
    },
    expected: { words: ["TypeError caught", "the next call works"] },
  },
  {
    name: "C waits for a promise, and `exit(7)` is called",
    run() {
      waitForGood();
      process.exit(7);
    },
    expected: { words: [], code: 7 },
  },
  {
    name: "C waits for a promise that is never settled, and nothing else is left to do",
    run: waitForGood,
    expected: { words: [] },
  },
  {
    name: "a worker is terminated in which C waits for a promise",
    async run() {
      await inWorker("waitForGood", "ended");
      callNormally();
    },
    expected: { words: ["the next call works"] },
  },
  {
    name: "on a stack of its own, C calls a callback that was closed",
    run() {
      const { own } = open().symbols;
      const { pointer, close } = makeFor(() => observe("the function ran"));
      close();
      tell(own(pointer, 1));
      callNormally();
    },
    expected: {
      words: ["fallback", "the next call works"],
      reports: ["after it was closed, and got its fallback"],
    },
  },
  {
    name: "on stacks of C's own, C and the function call each other until the stack is used up",
    run() {
      const { own } = open().symbols;
      const made: Callback = callback(i32ToI32, (value: number): number => own(made, value), { fallback });
      tellError(attempt(() => own(made, 1)));
      callNormally();
    },
    expected: { words: ["RangeError caught", "the next call works"] },
  },
];

function makeFor(fn: () => number): { readonly pointer: Callback["pointer"]; close(): void } {
  const made = callback(i32ToI32, fn, { fallback });
  return { pointer: made.pointer, close: () => made.close() };
}
