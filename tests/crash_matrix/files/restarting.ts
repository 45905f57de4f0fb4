/**
 * A program that its runtime starts again in the same process when a file that it imports changes. It changes that file
 * itself, once.
 */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { apis, open } from "../api.ts";
import { slowness } from "../../support/machine.ts";
import { callWhatWasKept, keepForLater } from "../events.ts";
import { observe } from "../observe.ts";
import { chosenApi, scratchFolder } from "./chosen.ts";

const imported = join(scratchFolder, "imported.ts");

if (!existsSync(imported)) {
  writeFileSync(imported, "");
  await import(pathToFileURL(imported).href);
  // Held as long as its world lives.
  Object.assign(globalThis, { kept: keepForLater(chosenApi) });
  setTimeout(() => writeFileSync(imported, "// changed"), 300 * slowness);
} else {
  observe("started again");
  callWhatWasKept(chosenApi);
  // The watcher goes on after `process.exit`.
  open(apis.bare, "end_process").end_process(0);
}
