/**
 * A program that its runtime starts again in the same process when a file that it imports changes. It changes that file
 * itself, once.
 */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { slowness } from "../../support/machine.ts";
import { callWhatWasKept, keepForLater } from "../steps.ts";
import { observe } from "../observe.ts";
import { openWithoutBelay } from "../test_library.ts";

// From the environment, since what a watcher starts takes no arguments.
const imported = join(process.env["BELAY_MATRIX_FOLDER"] ?? "", "imported.ts");

if (!existsSync(imported)) {
  writeFileSync(imported, "");
  await import(pathToFileURL(imported).href);
  // Held as long as its world lives.
  Object.assign(globalThis, { kept: keepForLater() });
  // Again and again, since the watcher takes its time to begin. The world that comes then has no timer of this one.
  let changes = 0;
  setInterval(() => writeFileSync(imported, `// changed ${++changes}`), 300 * slowness);
} else {
  observe("started again");
  callWhatWasKept();
  // The watcher goes on after `process.exit`.
  openWithoutBelay("end_process").end_process(0);
}
