/**
 * Events: a callback throws, has no stack left, or answers what its type doesn't have.
 *
 * @module
 */

import type { Event } from "./event.ts";
import { attempt, observe, right } from "./observe.ts";
import { answerWrongly, callNormally, comparator, descend, inWorker, mixed, recurse, tellError } from "./steps.ts";
import { makeCallback, open } from "./test_library.ts";

export const errorEvents: readonly Event[] = [
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
];
