/**
 * Events: a callback or a library is closed or collected, and C calls it.
 *
 * @module
 */

import { collectFully } from "../support/gc.ts";
import type { Event } from "./event.ts";
import { attempt, observe, right, tell } from "./observe.ts";
import { collected, comparator, i32ToI32, mixed, ranAsUsual, stale, tellError } from "./steps.ts";
import { makeCallback, open } from "./test_library.ts";

export const closedEvents: readonly Event[] = [
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
];
