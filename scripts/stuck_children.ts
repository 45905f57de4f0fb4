/**
 * Ends the children of emulated processes that never start, until it is ended itself: `stuck_children.ts <emulator>`.
 *
 * Now and then, when a process with several threads forks under QEMU, the child waits for ever for a lock of QEMU's own that
 * another thread had. It still has its parent's command line then. Its parent goes on when it has been ended, and the
 * tests start it once more (`tests/support/child.ts`).
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

const [emulator] = process.argv.slice(2);
const lookEveryMs = 10_000;
/** A child that starts has another command line after some milliseconds. */
const mostLooks = 3;
let looks = new Map<string, number>();

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It has ended.
    return "";
  }
}

function isStuck(pid: string): boolean {
  const command = read(`/proc/${pid}/cmdline`);
  if (!command.startsWith(`${emulator}\0`)) return false;
  // After the name in parentheses: the state and the parent.
  const parent = read(`/proc/${pid}/stat`).replace(/^.*\)/s, "").trim().split(" ")[1];
  return read(`/proc/${parent}/cmdline`) === command;
}

setInterval(() => {
  const stuck = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isStuck(name));
  const counts = new Map(stuck.map((pid) => [pid, (looks.get(pid) ?? 0) + 1]));
  for (const [pid, count] of counts) {
    if (count < mostLooks) continue;
    console.error(`Ending process ${pid}, which has not started under the emulator`);
    process.kill(Number(pid), "SIGKILL");
  }
  looks = counts;
}, lookEveryMs);
