/**
 * Runs the command that starts a library.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "../../scripts/tools.ts";
import { ownRuntime } from "../support/child.ts";
import { type Ended, runProgram } from "../support/installed.ts";
import { emulator, slowness, withoutWine } from "../support/machine.ts";

/** How long a command may take. */
export const timeoutMs = 110_000 * slowness;

/** Runs the command in a folder. */
export function create(args: readonly string[], cwd: string, module = "create.ts"): Ended {
  const flags = ownRuntime.name === "deno" ? ["--quiet", "--no-check", "-A"] : [];
  const command = [ownRuntime.binary, "run", ...flags, join(root, "ffi", "commands", module), ...args];
  const [program, ...rest] = emulator === undefined ? command : [emulator, ...command];
  const ended = runProgram(program, rest, { cwd, timeoutMs });
  return { ...ended, stderr: withoutWine(ended.stderr) };
}

/** The commands at the end of what was printed. */
export function commandsOf({ stdout }: Ended): string[] {
  return (stdout.split("pack it for all platforms:\n")[1] ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
}
