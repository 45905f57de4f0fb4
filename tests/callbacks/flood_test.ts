/** Threads that call and send faster than TypeScript serves them: timers and I/O have their turns all the same. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator } from "../support/machine.ts";

interface Seen {
  /** How many calls were served, and at most between two ticks of a 10 ms timer. */
  readonly calls: number;
  readonly mostCalls: number;
  readonly ticks: number;
  /** What an HTTP server answered. */
  readonly answers: number;
}

const variants: readonly (readonly [kind: string, threads: number, busyMs: number, spanMs: number])[] = [
  ["post", 2, 0.1, 1500],
  ["post", 4, 1, 3000],
  ["wait", 2, 0.5, 1500],
  ["wait", 4, 1, 3000],
  ["events", 2, 0.1, 1500],
  ["events", 4, 1, 3000],
  ["events", 4, 2, 1500],
  ["batches", 2, 0.5, 1500],
];

const describeFloods = emulator === undefined ? describe : describe.skip;
if (emulator !== undefined) leftOut("floods, which an emulator is too slow for");

describeFloods("a flood, in a child process", () => {
  for (const [kind, threads, busyMs, spanMs] of variants) {
    it(`leaves timers and an HTTP server their turns: ${kind}, ${threads} threads, ${busyMs} ms each`, () => {
      const args = [testLibrary, kind, threads, busyMs, spanMs].map(String);
      const { code, stdout, stderr } = runChild("flood.ts", args);
      assertEquals([code, stderr], [0, ""]);
      const { calls, mostCalls, ticks, answers }: Seen = JSON.parse(stdout);
      const servedMs = calls * busyMs;
      const note = `${stdout.trim()}: ${servedMs} ms of calls`;
      assert(servedMs > 0, note);
      assert(mostCalls * busyMs <= 300, note);
      // In three seconds 60 ticks and 300 answers, at least.
      assert(ticks >= servedMs / 50, note);
      assert(answers >= servedMs / 10, note);
    });
  }
});
