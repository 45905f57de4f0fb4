/**
 * Runs every event of the crash matrix with the bare runtimes' own APIs and with belay, on Deno and on Bun, and prints what
 * happened as a table. `--write` puts it into docs/crash_matrix.md.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { build } from "../../scripts/build.ts";
import { deno, main, root, run } from "../../scripts/tools.ts";
import { pinnedRuntime } from "../child.ts";
import { events } from "./events.ts";
import { cellOf, expectedOn, runEvent } from "./outcome.ts";
import { replaceTable } from "./table.ts";

await main(() => {
  build();
  const runtimes = [pinnedRuntime("deno"), pinnedRuntime("bun")];
  const table = ["| event | Deno, bare | Deno, belay | Bun, bare | Bun, belay |", "| --- | --- | --- | --- | --- |"];
  for (const event of events) {
    const cells = runtimes.flatMap((runtime) => {
      // Once would say too little where nothing is promised.
      const runs = expectedOn(event, runtime.name) === null ? 5 : 1;
      return (["bare", "belay"] as const).map((api) => {
        const seen = Array.from({ length: runs }, () => cellOf(runEvent(event, api, runtime)));
        return [...new Set(seen)].sort().join(" or ");
      });
    });
    table.push(`| ${[event.name, ...cells].join(" | ")} |`);
  }
  console.log(table.join("\n"));
  if (!process.argv.includes("--write")) return;
  const page = join(root, "docs", "crash_matrix.md");
  writeFileSync(page, replaceTable(readFileSync(page, "utf8"), table));
  run(deno(), ["fmt", "--quiet", page]);
});
