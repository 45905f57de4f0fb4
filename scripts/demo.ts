/**
 * Runs the main job: the SQLite demo, on Deno and then on Bun.
 *
 * @module
 */

import process from "node:process";
import { build } from "./build.ts";
import { runExample } from "./example.ts";
import { main, runtimes } from "./tools.ts";

await main(() => {
  build();
  runExample("examples/sqlite/demo.ts", runtimes(process.argv.slice(2)));
});
