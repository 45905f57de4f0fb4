/**
 * Runs every test on Deno and on Bun, after any set-up that is missing. Arguments are the test files to run; all by
 * default.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import type { Platform } from "../ffi/types/platform.ts";
import { build, host } from "./build.ts";
import { noteResults, readResults, type Results, shownTimes, Times } from "./results.ts";
import { bun, deno, main, root, run, runtimes, toolsFolder, typeScriptIn } from "./tools.ts";

/** The test files. */
export function testFiles(): string[] {
  return typeScriptIn("tests").filter((path) => path.endsWith("_test.ts"));
}

/** What tests run on: this machine, or an emulated one. */
export interface Machine {
  /** What it is called in the messages, if it isn't this one. */
  readonly name?: string;
  readonly target: Platform;
  /** The commands that start the runtimes. */
  readonly deno: () => readonly [string, ...string[]];
  readonly bun: () => readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** How many times slower than usual it may be. */
  readonly slowness: number;
}

const thisMachine: Machine = { target: host, deno: () => [deno()], bun: () => [bun()], env: {}, slowness: 1 };

/** Where the runtimes write what their tests came to. */
const reportFile = join(toolsFolder, "tests.xml");
const mostFilesShown = 5;

/** Runs test files, on both runtimes unless one is asked for. */
export function test(
  files: readonly string[],
  on: readonly ("deno" | "bun")[] = ["deno", "bun"],
  machine: Machine = thisMachine,
): void {
  const times = new Times();
  times.take("build", () => build(machine.target));
  const leftOut = join(root, ".tools", "left_out.txt");
  rmSync(leftOut, { force: true });
  const env = { ...machine.env, BELAY_LEFT_OUT: leftOut, BELAY_SLOW: String(machine.slowness) };
  const where = machine.name === undefined ? "" : ` on ${machine.name}`;
  const results: Results[] = [];
  try {
    if (on.includes("deno")) {
      const [command, ...args] = machine.deno();
      const flags = ["--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", `--junit-path=${reportFile}`];
      runTests(`Deno${where}`, command, [...args, "test", ...flags, ...files], env, times, results);
    }
    if (on.includes("bun")) {
      const [command, ...args] = machine.bun();
      const flags = [`--timeout=${120_000 * machine.slowness}`, "--reporter=junit", `--reporter-outfile=${reportFile}`];
      runTests(`Bun${where}`, command, [...args, "test", ...flags, ...files], env, times, results);
    }
    const missing = existsSync(leftOut) ? new Set(readFileSync(leftOut, "utf8").trim().split("\n")) : new Set<string>();
    for (const what of missing) console.log(`\nLeft out: ${what}`);
    const which = missing.size > 0 ? "Every other test" : "Every test";
    console.log(`\n${which} of ${files.length} files passed on ${on.join(" and ")}${where}.`);
  } finally {
    console.log(String(times));
    const [passed, failed] = [sum(results, ({ passed }) => passed), sum(results, ({ failed }) => failed)];
    console.log(`${passed} passed, ${failed} failed`);
    noteResults(passed, failed);
  }
}

/** Runs tests on one runtime; what they came to is among the results then, whether they passed or not. */
function runTests(
  name: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  times: Times,
  results: Results[],
): void {
  console.log(`\n=== ${name} ===\n`);
  mkdirSync(toolsFolder, { recursive: true });
  rmSync(reportFile, { force: true });
  try {
    times.take(name, () => run(command, args, { env }));
  } finally {
    // One that crashed has written none.
    const result = existsSync(reportFile)
      ? readResults(readFileSync(reportFile, "utf8"))
      : { passed: 0, failed: 1, files: [] };
    results.push(result);
    const slowest = result.files.slice(0, mostFilesShown);
    if (slowest.length > 1) console.log(`\nSlowest on ${name}: ${shownTimes(slowest)}`);
  }
}

function sum(results: readonly Results[], count: (result: Results) => number): number {
  return results.reduce((total, result) => total + count(result), 0);
}

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    const chosen = args.filter((arg) => !arg.startsWith("--"));
    test(chosen.length > 0 ? chosen : testFiles(), runtimes(args));
  });
}
