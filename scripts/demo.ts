/**
 * Runs the main job: the SQLite demo, on Deno and then on Bun.
 *
 * @module
 */

import process from "node:process";
import { build } from "./build.ts";
import { bun, deno, main, run, runtimes } from "./tools.ts";

await main(() => {
  build();
  for (const runtime of runtimes(process.argv.slice(2))) {
    console.log(`\n=== ${runtime} ===\n`);
    const [command, args] = runtime === "deno" ? [deno(), ["run", "-A"]] : [bun(), ["run"]];
    run(command, [...args, "examples/sqlite/demo.ts"]);
  }
});
