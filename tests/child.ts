/**
 * Programs that run in a process of their own: those that may crash, measure memory, or end with an uncaught error.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { bun, deno, root } from "../scripts/tools.ts";

/** How a child process ended, and what it printed. */
export interface ChildResult {
  /** Its exit code, `null` when a signal ended it. */
  readonly code: number | null;
  /** The signal that ended it, such as `SIGSEGV`. */
  readonly signal: string | null;
  /** What it printed. */
  readonly stdout: string;
  /** What it printed as errors and warnings. */
  readonly stderr: string;
}

/** Options of {@linkcode runChild}. */
export interface ChildOptions {
  /** On which runtime. By default on the one that this runs on. */
  readonly runtime?: "deno" | "bun";
  /** More flags for Deno's engine. */
  readonly v8Flags?: readonly string[];
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** After which it is ended. */
  readonly timeoutMs?: number;
}

/** Runs a file of `tests/fixtures/` on the runtime that the tests run on, from the project's folder, and waits. */
export function runChild(fixture: string, args: readonly string[] = [], options: ChildOptions = {}): ChildResult {
  const { runtime, v8Flags = [], env = {}, timeoutMs = 100_000 } = options;
  const file = join("tests", "fixtures", fixture);
  const onBun = runtime === undefined ? "Bun" in globalThis : runtime === "bun";
  const binary = runtime === undefined ? process.execPath : onBun ? bun() : deno();
  const command = onBun
    ? ["run", file]
    : ["run", "-A", "--no-check", "--quiet", `--v8-flags=${["--expose-gc", ...v8Flags].join()}`, file];
  const { status, signal, stdout, stderr, error } = spawnSync(binary, [...command, ...args], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", ...env },
    timeout: timeoutMs,
  });
  if (error !== undefined) throw error;
  return { code: status, signal, stdout, stderr };
}
