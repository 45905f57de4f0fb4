/**
 * Runs commands side by side, for scripts that wait for each step: its argument is their JSON. What each prints comes when it
 * has ended, in order; the exit code is 1 when one of them fails.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { root } from "./tools.ts";

/** A command with its arguments. */
export type Command = readonly [string, ...string[]];

/** Runs one, and answers what it printed and whether it succeeded. */
function ended([command, ...args]: Command): Promise<{ printed: string; succeeded: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => printed += text);
    }
    child.on("error", (error) => resolve({ printed: `${printed}${error.message}\n`, succeeded: false }));
    child.on("close", (code) => resolve({ printed, succeeded: code === 0 }));
  });
}

if (import.meta.main) {
  const commands = JSON.parse(process.argv[2] ?? "[]") as Command[];
  let succeeded = commands.length > 0;
  for (const end of commands.map(ended)) {
    const { printed, succeeded: one } = await end;
    process.stdout.write(printed);
    succeeded &&= one;
  }
  process.exitCode = succeeded ? 0 : 1;
}
