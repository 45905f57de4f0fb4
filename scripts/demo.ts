/**
 * Runs the main job: the SQLite demo, on Deno and then on Bun.
 *
 * @module
 */

import { build } from "./build.ts";
import { bun, deno, main, run } from "./tools.ts";

await main(() => {
  build();
  for (const [name, command, args] of [["Deno", deno(), ["run", "-A"]], ["Bun", bun(), ["run"]]] as const) {
    console.log(`\n=== ${name} ===\n`);
    run(command, [...args, "examples/sqlite/demo.ts"]);
  }
});
