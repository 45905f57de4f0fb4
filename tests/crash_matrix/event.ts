/**
 * What can happen to a callback: one row of the table.
 *
 * @module
 */

import type { Word } from "./observe.ts";

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
