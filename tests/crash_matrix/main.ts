/**
 * Prints the crash matrix as a page. `--write` puts it into `docs/crash_matrix.md`.
 *
 * @module
 */

import process from "node:process";
import { page, writePage } from "../../scripts/pages.ts";
import { main } from "../../scripts/tools.ts";

await main(() => {
  const path = "docs/crash_matrix.md";
  if (process.argv.includes("--write")) writePage(path);
  else console.log(page(path));
});
