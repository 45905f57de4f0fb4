/**
 * Events: C calls from a thread, a stack or a signal handler where the function can't run.
 *
 * @module
 */

import type { Event } from "./event.ts";
import { attempt, observe, tell } from "./observe.ts";
import {
  callAtThreadEnd,
  callNormally,
  i32ToI32,
  inWorker,
  misplaced,
  onlyOnGlibc,
  ranAsUsual,
  sleep,
  tellError,
  until,
} from "./steps.ts";
import { makeCallback, open, openWithoutBelay, unanswered } from "./test_library.ts";

export const threadEvents: readonly Event[] = [
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
      const { start_on_thread } = open("start_on_thread");
      // No native call of belay's runs when the thread calls: it would throw.
      const { thread_answer } = openWithoutBelay("thread_answer");
      const made = makeCallback(i32ToI32, ranAsUsual);
      start_on_thread(made.pointer, 1);
      if (!await until(() => thread_answer() !== unanswered)) return void observe("the thread is blocked");
      tell(thread_answer());
      callNormally();
    },
    expected: { words: ["fallback", "the next call works"], reports: [misplaced] },
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
    expected: { words: ["fallback", "the next call works"], reports: [misplaced] },
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
    expected: { words: ["fallback", "the next call works"], reports: [misplaced] },
  },
];
