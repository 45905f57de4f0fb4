/**
 * Runs every test on Deno and on Bun, after any set-up that is missing. Arguments are the test files to run; all by
 * default.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { build } from "./build.ts";
import { bun, deno, main, root, run, runtimes } from "./tools.ts";

/** The test files. */
export function testFiles(): string[] {
  const folder = join(root, "tests");
  return readdirSync(folder).filter((name) => name.endsWith("_test.ts")).sort().map((name) => `./tests/${name}`);
}

/** Runs test files, on both runtimes unless one is asked for. */
export function test(files: readonly string[], on: readonly ("deno" | "bun")[] = ["deno", "bun"]): void {
  build();
  const leftOut = join(root, ".tools", "left_out.txt");
  rmSync(leftOut, { force: true });
  const env = { BELAY_LEFT_OUT: leftOut };
  if (on.includes("deno")) {
    console.log("\n=== Deno ===\n");
    run(deno(), ["test", "--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", ...files], { env });
  }
  if (on.includes("bun")) {
    console.log("\n=== Bun ===\n");
    run(bun(), ["test", "--timeout=120000", ...files], { env });
  }
  const missing = existsSync(leftOut) ? new Set(readFileSync(leftOut, "utf8").trim().split("\n")) : new Set<string>();
  for (const what of missing) console.log(`\nLeft out: ${what}`);
  const which = missing.size > 0 ? "Every other test" : "Every test";
  console.log(`\n${which} of ${files.length} files passed on ${on.join(" and ")}.`);
}

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    const chosen = args.filter((arg) => !arg.startsWith("--"));
    test(chosen.length > 0 ? chosen : testFiles(), runtimes(args));
  });
}
