/**
 * Runs the command that starts a library.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { root } from "../../scripts/tools.ts";
import { ownRuntime } from "../support/child.ts";
import { emulator, slowness } from "../support/machine.ts";

/** How long a command may take. */
export const timeoutMs = 110_000 * slowness;

/** How a command ended. */
export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in a folder. */
export function create(args: readonly string[], cwd: string, module = "create.ts"): Result {
  const flags = ownRuntime.name === "deno" ? ["--quiet", "--no-check", "-A"] : [];
  const command = [ownRuntime.binary, "run", ...flags, join(root, "ffi", "commands", module), ...args];
  const [program, ...rest] = emulator === undefined ? command : [emulator, ...command];
  const { status, stdout, stderr, error } = spawnSync(program, rest, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: timeoutMs,
  });
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}

/** The commands at the end of what was printed. */
export function commandsOf({ stdout }: Result): string[] {
  return (stdout.split("pack it for all platforms:\n")[1] ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
}
