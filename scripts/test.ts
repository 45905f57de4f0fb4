/**
 * Runs every test on Deno and on Bun, after any set-up that is missing. Arguments are the test files to run; all by
 * default.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import type { Platform } from "../ffi/backend.ts";
import { build, host } from "./build.ts";
import { bun, deno, main, root, run, runtimes } from "./tools.ts";

/** The test files. */
export function testFiles(): string[] {
  const folder = join(root, "tests");
  return readdirSync(folder).filter((name) => name.endsWith("_test.ts")).sort().map((name) => `./tests/${name}`);
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

/** Runs test files, on both runtimes unless one is asked for. */
export function test(
  files: readonly string[],
  on: readonly ("deno" | "bun")[] = ["deno", "bun"],
  machine: Machine = thisMachine,
): void {
  build(machine.target);
  const leftOut = join(root, ".tools", "left_out.txt");
  rmSync(leftOut, { force: true });
  const env = { ...machine.env, BELAY_LEFT_OUT: leftOut, BELAY_SLOW: String(machine.slowness) };
  const where = machine.name === undefined ? "" : ` on ${machine.name}`;
  if (on.includes("deno")) {
    console.log(`\n=== Deno${where} ===\n`);
    const [command, ...args] = machine.deno();
    run(command, [...args, "test", "--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", ...files], { env });
  }
  if (on.includes("bun")) {
    console.log(`\n=== Bun${where} ===\n`);
    const [command, ...args] = machine.bun();
    run(command, [...args, "test", `--timeout=${120_000 * machine.slowness}`, ...files], { env });
  }
  const missing = existsSync(leftOut) ? new Set(readFileSync(leftOut, "utf8").trim().split("\n")) : new Set<string>();
  for (const what of missing) console.log(`\nLeft out: ${what}`);
  const which = missing.size > 0 ? "Every other test" : "Every test";
  console.log(`\n${which} of ${files.length} files passed on ${on.join(" and ")}${where}.`);
}

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    const chosen = args.filter((arg) => !arg.startsWith("--"));
    test(chosen.length > 0 ? chosen : testFiles(), runtimes(args));
  });
}
