/**
 * Runs the tests with builds of the runtimes for another system: each file in a process of its own, so that one that hangs
 * costs no other. A table says at the end what each came to.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { build } from "./build.ts";
import { noteResults, readResults } from "./results.ts";
import { leftOutNotes, type Machine, runOn } from "./test.ts";
import { root, StepError, toolsFolder } from "./tools.ts";

/** Of a file's output, when it failed. */
const mostLinesShown = 80;

/** What a file came to on a runtime. */
interface FileResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** How it ended, unless with exit code 0. */
  readonly end: string;
}

function runFile(
  runtime: "deno" | "bun",
  file: string,
  machine: Machine,
  env: Readonly<Record<string, string>>,
): FileResult {
  const { command: [program, ...args], report } = runOn(runtime, [file], machine);
  const logs = join(toolsFolder, "logs");
  mkdirSync(logs, { recursive: true });
  rmSync(report, { force: true });
  const log = join(logs, `${machine.name}_${runtime}_${basename(file, ".ts")}.txt`.replaceAll(" ", "_"));
  const output = openSync(log, "w");
  const startMs = performance.now();
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    env: { ...process.env, ...machine.env, ...env },
    stdio: ["ignore", output, output],
    timeout: (machine.fileLimitS ?? 600) * 1000,
    killSignal: "SIGKILL",
  });
  closeSync(output);
  const seconds = (performance.now() - startMs) / 1000;
  const timedOut = (error as { code?: string } | undefined)?.code === "ETIMEDOUT";
  const end = timedOut ? "its time was up" : status === 0 ? "" : signal ?? `exit code ${status}`;
  const text = existsSync(report) ? readFileSync(report, "utf8") : "";
  const { passed, failed } = readResults(text);
  const skipped = [...text.matchAll(/<skipped\b/g)].length;
  // One that crashed or hung has no report; one that passed every test may yet have ended badly.
  const result = { passed, failed: failed === 0 && end !== "" ? 1 : failed, skipped, seconds, end };
  console.log(lineOf(runtime, file, result));
  if (result.failed > 0) {
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    console.log(["", ...lines.slice(-mostLinesShown), `(all of it: ${log})`, ""].join("\n"));
  }
  return result;
}

function lineOf(runtime: "deno" | "bun", file: string, { passed, failed, skipped, seconds, end }: FileResult): string {
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds.toFixed(1)} s`;
  return `${runtime} ${file.replace("./tests/", "").padEnd(44)} ${counts}${end === "" ? "" : `; ${end}`}`;
}

/** Runs test files on another system's builds. @throws {StepError} When one fails. */
export function testGuest(files: readonly string[], on: readonly ("deno" | "bun")[], machine: Machine): void {
  build(machine.target);
  const notes = leftOutNotes(machine);
  const env = { BELAY_LEFT_OUT: notes.file, BELAY_SLOW: String(machine.slowness), BELAY_GUEST: machine.name ?? "" };
  const results: [runtime: "deno" | "bun", file: string, FileResult][] = [];
  for (const runtime of on) {
    console.log(`\n=== ${runtime} on ${machine.name} ===\n`);
    for (const file of files) results.push([runtime, file, runFile(runtime, file, machine, env)]);
  }
  for (const what of notes.read()) console.log(`\nLeft out: ${what}`);
  const failing = results.filter(([, , { failed }]) => failed > 0);
  if (failing.length > 0) console.log(`\nNot passed:\n${failing.map((result) => lineOf(...result)).join("\n")}`);
  const sum = (count: (result: FileResult) => number) => results.reduce((all, [, , result]) => all + count(result), 0);
  const [passed, failed] = [sum((result) => result.passed), sum((result) => result.failed)];
  const seconds = sum((result) => result.seconds).toFixed(0);
  console.log(`\n${passed} passed, ${failed} failed, ${sum((result) => result.skipped)} skipped on ${machine.name}`);
  console.log(`${files.length} files on ${on.join(" and ")}, ${seconds} s`);
  noteResults(passed, failed);
  if (failed > 0) throw new StepError(`Cannot pass: tests failed on ${machine.name}`);
}
