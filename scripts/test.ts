/**
 * Runs every test on Deno and on Bun, after any set-up that is missing. Arguments are the test files to run; all by
 * default.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { readdirSync } from "node:fs";
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
  if (on.includes("deno")) {
    console.log("\n=== Deno ===\n");
    run(deno(), ["test", "--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", ...files]);
  }
  if (on.includes("bun")) {
    console.log("\n=== Bun ===\n");
    run(bun(), ["test", "--timeout=120000", ...files]);
  }
  console.log(`\nEvery test of ${files.length} files passed on ${on.join(" and ")}.`);
}

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    const chosen = args.filter((arg) => !arg.startsWith("--"));
    test(chosen.length > 0 ? chosen : testFiles(), runtimes(args));
  });
}
