/**
 * Processes that end while threads call their callbacks, so many of each kind, some at once. Prints how many there were, and
 * what is wrong with some.
 */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { testLibrary } from "../../scripts/build.ts";
import { emulator, withoutWine } from "../support/machine.ts";

/** What is printed, as JSON. */
export interface ExitFigures {
  readonly count: number;
  /** How those ended that did not end with code 0 and without a word. */
  readonly wrong: readonly string[];
}

const atOnce = 3;
const longestMs = 60_000;
const exitProgram = fileURLToPath(new URL("./thread_exit.ts", import.meta.url));
const before = "Bun" in globalThis ? [] : ["run", "--quiet", "-A", "--no-check"];

/** How one ends. */
function end(thread: string, how: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [program, ...rest] = [...(emulator === undefined ? [] : [emulator]), process.execPath];
  const child = spawn(program, [...rest, ...before, exitProgram, testLibrary, thread, how], {
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: unknown) => void (text += String(data)));
  const timer = setTimeout(() => child.kill("SIGKILL"), longestMs);
  child.on("error", reject);
  child.on("close", (code, signal) => {
    clearTimeout(timer);
    text = withoutWine(text);
    resolve(code === 0 && text === "" ? "" : `${thread}, ${how}: ${signal ?? code} ${text.slice(0, 500)}`);
  });
  return promise;
}

const kinds = ["exit", "exit inside", "end", "dispose"].flatMap((how) => [["post", how], ["wait", how]] as const);
const waiting = Array.from({ length: Number(process.argv[2]) }).flatMap(() => kinds);
const count = waiting.length;
const wrong: string[] = [];
await Promise.all(Array.from({ length: atOnce }, async () => {
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const how = await end(next[0], next[1]);
    if (how !== "") wrong.push(how);
  }
}));
const figures: ExitFigures = { count, wrong };
console.log(JSON.stringify(figures));
