/**
 * Runs every test on Deno and on Bun, after any set-up that is missing. Arguments are the test files to run; all by
 * default.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import type { Command } from "./beside.ts";
import { build, host, type Target } from "./build.ts";
import { packedForNpm } from "./pack.ts";
import { ifAvailable } from "./packages.ts";
import { noteResults, readResults, type Results, shownTimes, Times } from "./results.ts";
import { bun, deno, main, run, runtimes, toolsFolder, typeScriptIn } from "./tools.ts";

/** The test files. */
export function testFiles(): string[] {
  return typeScriptIn("tests").filter((path) => path.endsWith("_test.ts"));
}

/** What tests run on: this machine, or an emulated one. */
export interface Machine {
  /** What it is called in the messages, if it isn't this one. */
  readonly name?: string;
  readonly target: Target;
  /** The commands that start the runtimes. */
  readonly deno: () => Command;
  readonly bun: () => Command;
  readonly env: Readonly<Record<string, string>>;
  /** How many times slower than usual it may be. */
  readonly slowness: number;
  /** What it calls a path of this one. */
  readonly pathThere?: (path: string) => string;
  /** How many seconds a file may take, where each runs by itself. */
  readonly fileLimitS?: number;
}

const thisMachine: Machine = { target: host, deno: () => [deno()], bun: () => [bun()], env: {}, slowness: 1 };

const mostFilesShown = 5;

/**
 * Files whose programs take a second or more each, in processes of their own, and have no time limit that a busy machine could
 * exceed: the runtimes run them side by side.
 */
const sideBySide = [
  "./tests/package/soak_test.ts",
  "./tests/crossing/pointer_rules_test.ts",
  "./tests/calls/call_misuse_test.ts",
  "./tests/calls/call_sweep_test.ts",
  "./tests/commands/started_library.ts",
  "./tests/package/bundles_test.ts",
];

/** One runtime's run of some files. */
export interface Run {
  readonly name: string;
  readonly command: Command;
  /** Where the runtime writes what its tests came to. */
  readonly report: string;
}

/** What tells its files from those of others. */
function suffixOf({ name }: Machine): string {
  return name === undefined ? "" : `_${name.replaceAll(" ", "_")}`;
}

/** The command that runs some files. */
export function runOn(runtime: "deno" | "bun", files: readonly string[], machine: Machine): Run {
  const where = machine.name === undefined ? "" : ` on ${machine.name}`;
  const report = join(toolsFolder, `tests_${runtime}${suffixOf(machine)}.xml`);
  const reportThere = machine.pathThere?.(report) ?? report;
  if (runtime === "deno") {
    const flags = ["--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", `--junit-path=${reportThere}`];
    return { name: `Deno${where}`, command: [...machine.deno(), "test", ...flags, ...files], report };
  }
  const flags = [`--timeout=${120_000 * machine.slowness}`, "--reporter=junit", `--reporter-outfile=${reportThere}`];
  return { name: `Bun${where}`, command: [...machine.bun(), "test", ...flags, ...files], report };
}

/** Where tests note what they leave out, from now on. */
export function leftOutNotes(machine: Machine): { readonly file: string; read(): Set<string> } {
  const file = join(toolsFolder, `left_out${suffixOf(machine)}.txt`);
  rmSync(file, { force: true });
  return {
    file,
    read: () => existsSync(file) ? new Set(readFileSync(file, "utf8").trim().split("\n")) : new Set(),
  };
}

/** Runs test files, on both runtimes unless one is asked for. */
export function test(
  files: readonly string[],
  on: readonly ("deno" | "bun")[] = ["deno", "bun"],
  machine: Machine = thisMachine,
): void {
  const times = new Times();
  times.take("build", () => build(machine.target));
  const notes = leftOutNotes(machine);
  const env = { ...machine.env, BELAY_LEFT_OUT: notes.file, BELAY_SLOW: String(machine.slowness) };
  const results: Results[] = [];
  const beside = on.length > 1 && machine === thisMachine ? files.filter((file) => sideBySide.includes(file)) : [];
  const alone = files.filter((file) => !beside.includes(file));
  try {
    for (const runtime of on) if (alone.length > 0) runTests([runOn(runtime, alone, machine)], env, times, results);
    if (beside.length > 0) {
      // Both would pack it at the same time.
      packedForNpm();
      runTests(on.map((runtime) => runOn(runtime, beside, machine)), env, times, results);
    }
    const missing = notes.read();
    for (const what of missing) console.log(`\nLeft out: ${what}`);
    const which = missing.size > 0 ? "Every other test" : "Every test";
    const where = machine.name === undefined ? "" : ` on ${machine.name}`;
    console.log(`\n${which} of ${files.length} files passed on ${on.join(" and ")}${where}.`);
  } finally {
    console.log(String(times));
    const [passed, failed] = [sum(results, ({ passed }) => passed), sum(results, ({ failed }) => failed)];
    console.log(`${passed} passed, ${failed} failed`);
    noteResults(passed, failed);
  }
}

/** Makes one run, or several side by side; what they came to is among the results then, whether the tests passed or not. */
function runTests(
  runs: readonly Run[],
  env: Readonly<Record<string, string>>,
  times: Times,
  results: Results[],
): void {
  const name = runs.map((one) => one.name).join(" beside ");
  console.log(`\n=== ${name} ===\n`);
  mkdirSync(toolsFolder, { recursive: true });
  for (const { report } of runs) rmSync(report, { force: true });
  const [{ command: [program, ...args] }] = runs as [Run];
  const [command, ...rest] = runs.length === 1 ? [program, ...args] : [
    deno(),
    "run",
    "-A",
    "--quiet",
    "--no-check",
    "scripts/beside.ts",
    JSON.stringify(runs.map((one) => one.command)),
  ];
  try {
    times.take(name, () => run(command, rest, { env }));
  } finally {
    for (const { name: runtime, report } of runs) {
      // One that crashed has written none.
      const result = existsSync(report)
        ? readResults(readFileSync(report, "utf8"))
        : { passed: 0, failed: 1, files: [] };
      results.push(result);
      const slowest = result.files.slice(0, mostFilesShown);
      if (slowest.length > 1) console.log(`\nSlowest on ${runtime}: ${shownTimes(slowest)}`);
    }
  }
}

function sum(results: readonly Results[], count: (result: Results) => number): number {
  return results.reduce((total, result) => total + count(result), 0);
}

/**
 * Runs tests elsewhere than on this machine, by the arguments of the command line: those files; with `--chosen` the ones that
 * have most to say of that system; all by default. `--if-available` makes it no failure that the system isn't there.
 *
 * @param system What it is called.
 */
export function testElsewhere(
  system: string,
  chosenFiles: readonly string[],
  run: (files: readonly string[], on: readonly ("deno" | "bun")[]) => void,
): Promise<void> {
  const args = process.argv.slice(2);
  const named = args.filter((arg) => !arg.startsWith("--"));
  const files = named.length > 0 ? named : args.includes("--chosen") ? chosenFiles : testFiles();
  return ifAvailable(`the tests on ${system}`, () => run(files, runtimes(args)));
}

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    const chosen = args.filter((arg) => !arg.startsWith("--"));
    test(chosen.length > 0 ? chosen : testFiles(), runtimes(args));
  });
}
