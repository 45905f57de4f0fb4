/**
 * What became of a child process of the crash matrix, in the words of the table.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChildResult, runFiles } from "../support/child.ts";
import type { Event } from "./event.ts";
import { fallback, right, type Word, words } from "./observe.ts";

/** Long, for a busy machine. */
const timeoutMs = 60_000;

/** What C prints itself, at a time when no program can. */
const printedByC: Readonly<Record<string, Word>> = {
  [`at exit: ${fallback}`]: "an exit handler got the fallback",
  [`at exit: ${right}`]: "an exit handler got a result",
};

/** Runs an event's program in a process of its own, on the runtime that the tests run on, and waits. */
export function runEvent(event: Event): ChildResult {
  const folder = join("tests", "crash_matrix");
  if (typeof event.run === "function") {
    return runFiles([join(folder, "run.ts")], { timeoutMs, args: [event.name] });
  }
  const { files, as } = event.run;
  const scratch = mkdtempSync(join(tmpdir(), "belay-"));
  try {
    return runFiles(files.map((file) => join(folder, "files", file)), {
      timeoutMs,
      as,
      env: { BELAY_MATRIX_FOLDER: scratch },
    });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function isWord(line: string): line is Word {
  return (words as readonly string[]).includes(line);
}

/** What a child said. Other lines are left out: those of a runtime that runs tests. */
export function wordsOf({ stdout }: ChildResult): Word[] {
  return stdout.split("\n").map((line) => printedByC[line] ?? line).filter(isWord);
}
