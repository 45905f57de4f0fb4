/**
 * Programs that run in a process of their own: those that may crash, measure memory, or end with an uncaught error.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { root } from "../scripts/tools.ts";
import { emulator, slowness } from "./machine.ts";

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

/** Runs a file of `tests/fixtures/` on the runtime that the tests run on, from the project's folder, and waits. */
export function runChild(fixture: string, args: readonly string[] = []): ChildResult {
  const file = join("tests", "fixtures", fixture);
  const command = "Bun" in globalThis
    ? ["run", file]
    : ["run", "-A", "--no-check", "--quiet", "--v8-flags=--expose-gc", file];
  const [program, ...rest] = [...(emulator === undefined ? [] : [emulator]), process.execPath, ...command, ...args];
  const { status, signal, stdout, stderr, error } = spawnSync(program, rest, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: 100_000 * slowness,
  });
  if (error !== undefined) throw error;
  return { code: status, signal, stdout, stderr };
}
