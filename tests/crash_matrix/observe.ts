/**
 * What a program of the crash matrix saw. It says so in these words alone, and at once: a worker may be terminated.
 *
 * @module
 */

import { writeSync } from "node:fs";

/** Every word. Some of them are what a program says when belay fails, or what a runtime did without it. */
export const words = [
  "fallback",
  "a made-up result",
  "the function ran",
  "the function ran again",
  "the running call finished",
  "the rest got 0",
  "the comparator ran no more",
  "the comparator ran on",
  "qsort returned",
  "the same error caught",
  "another error caught",
  "no error",
  "Error caught",
  "TypeError caught",
  "RangeError caught",
  "LibraryClosedError caught",
  "CallbackThreadError caught",
  "caught at level five",
  "the outer levels succeed",
  "the same error at each level",
  "the next call works",
  "C's loop went on",
  "the program's end",
  "an exit handler got the fallback",
  "an exit handler got a result",
  "the loop ended",
  "the thread is blocked",
  "started again",
  "the second file",
  "the third file",
] as const;

/** Something that a program can say. */
export type Word = typeof words[number];

/** What callbacks answer when nothing is wrong. */
export const right = 1;
/** What C gets of them otherwise. */
export const fallback = -1;

/** Says what was seen, and answers what a callback that says so answers. */
export function observe(word: Word): number {
  // At once, and from workers too: `console.log` may wait for a turn of an event loop that never comes.
  writeSync(1, `${word}\n`);
  return right;
}

/** Says what C got of a callback, unless it is the right thing. */
export function tell(answer: unknown): void {
  if (answer === fallback) observe("fallback");
  else if (answer !== right) observe("a made-up result");
}

/** What a function throws; `undefined` when it returns. */
export function attempt(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}
