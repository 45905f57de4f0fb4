/**
 * What became of a child process of the crash matrix, in the words of the table.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChildResult, runFiles, type Runtime } from "../support/child.ts";
import type { Api } from "./api.ts";
import type { Event, Expected } from "./events.ts";
import { fallback, right, type Word, words } from "./observe.ts";

/** How long a child may take before it counts as one that hangs. What can't hang may take longer on a busy machine. */
const timeoutMs = { possible: 10_000, impossible: 60_000 };

/** What C prints itself, at a time when no program can. */
const printedByC: Readonly<Record<string, Word>> = {
  [`at exit: ${fallback}`]: "an exit handler got the fallback",
  [`at exit: ${right}`]: "an exit handler got a result",
};

const signals: Readonly<Record<string, string>> = {
  SIGSEGV: "segmentation fault",
  SIGABRT: "abort",
  SIGBUS: "bus error",
  SIGILL: "illegal instruction",
  SIGTRAP: "trap",
};

/** Runs an event's program in a process of its own, and waits. */
export function runEvent(event: Event, api: Api["name"], runtime: Runtime): ChildResult {
  const folder = join("tests", "crash_matrix");
  const mayHang = api === "bare" || expectedOn(event, runtime.name) === null;
  const options = { runtime, timeoutMs: mayHang ? timeoutMs.possible : timeoutMs.impossible };
  if (typeof event.run === "function") {
    return runFiles([join(folder, "run.ts")], { ...options, args: [api, event.name] });
  }
  const { files, as, bunFlags = [] } = event.run;
  const scratch = mkdtempSync(join(tmpdir(), "belay-"));
  try {
    return runFiles(files.map((file) => join(folder, "files", file)), {
      ...options,
      as,
      args: runtime.name === "bun" ? bunFlags : [],
      env: { BELAY_MATRIX_API: api, BELAY_MATRIX_FOLDER: scratch },
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

/** How a child ended, unless that was with exit code 0. */
function endOf({ code, signal, stderr, timedOut }: ChildResult): string | undefined {
  if (timedOut) return "**hangs**";
  if (signal !== null) return `**${signals[signal] ?? signal}**`;
  if (code === 0) return undefined;
  if (stderr.includes("panicked")) return "**panic**";
  return code === 1 ? "uncaught error" : `exit code ${code}`;
}

function cell(parts: readonly string[]): string {
  return parts.length === 0 ? "normal end" : parts.join(", ");
}

/** The cell of the table for what a child did. */
export function cellOf(result: ChildResult): string {
  const end = endOf(result);
  return cell([...wordsOf(result), ...(end === undefined ? [] : [end])]);
}

/** The cell of the table for what a child is expected to do. */
export function expectedCell({ words, code = 0 }: Expected): string {
  return cell([...words, ...(code === 0 ? [] : [`exit code ${code}`])]);
}

/** Whether a cell consists of what children can say and do. */
export function isPossible(text: string): boolean {
  const ends = [...Object.values(signals), "hangs", "panic"].map((end) => `**${end}**`);
  return text.split(/, | or /).every((part) =>
    isWord(part) || ends.includes(part) || /^(normal end|uncaught error|exit code \d+|\*\*SIG[A-Z0-9]+\*\*)$/.test(part)
  );
}

/** What is expected on a runtime; `null` where nothing is promised. */
export function expectedOn({ expected }: Event, runtime: "deno" | "bun"): Expected | null {
  return "words" in expected ? expected : expected[runtime];
}
