/**
 * Runs an example on Deno and on Bun, after any set-up that is missing: `deno task example 02_qsort`.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { build } from "./build.ts";
import { bun, deno, main, root, run, runtimes, StepError } from "./tools.ts";

/** Runs one example on some runtimes. */
export function runExample(path: string, on: readonly ("deno" | "bun")[] = ["deno", "bun"]): void {
  for (const runtime of on) {
    console.log(`\n=== ${path} on ${runtime} ===\n`);
    const [command, args] = runtime === "deno"
      ? [deno(), ["run", "-A", "--quiet", "--no-check", "--v8-flags=--expose-gc"]]
      : [bun(), ["run"]];
    run(command, [...args, path]);
  }
}

if (import.meta.main) {
  await main(() => {
    build();
    const args = process.argv.slice(2);
    const names = args.filter((arg) => !arg.startsWith("--"));
    if (names.length === 0) throw new StepError("Which example? For instance: deno task example 02_qsort");
    for (const name of names) {
      const path = `examples/${name.replace(/\.ts$/, "")}.ts`;
      if (!existsSync(join(root, path))) throw new StepError(`Cannot run "${name}": there is no ${path}`);
      runExample(path, runtimes(args));
    }
  });
}
