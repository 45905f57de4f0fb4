/**
 * Events: the process ends, or another world begins in it.
 *
 * @module
 */

import process from "node:process";
import type { Event, Expected } from "./event.ts";
import { right } from "./observe.ts";
import { atExit, i32ToI32, onlyOnGlibc, ranAsUsual, ranTwice } from "./steps.ts";
import { makeCallback, open } from "./test_library.ts";

const handled: Expected = { words: ["the program's end", "an exit handler got the fallback"] };
const unhandled: Expected = { words: ["the program's end"] };
// Bun runs C's exit handlers on Windows alone; the page is about Linux.
const atNormalEnd = { deno: handled, bun: process.platform === "win32" ? handled : unhandled };

export const endEvents: readonly Event[] = [
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
    expected: atNormalEnd,
  },
  {
    name: "the same with a closed callback",
    run: () => atExit({ close: true, end: "normal" }),
    expected: atNormalEnd,
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
];
