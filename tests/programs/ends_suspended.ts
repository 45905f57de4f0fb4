/** The isolate ends while C waits in a call: by `process.exit()`, since nothing is left to do, or inside of a callback. */

import process from "node:process";
import { writeSync } from "node:fs";
import { callback, dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const visit = { parameters: ["i32", "i32"], result: "i32" } as const;
const { each, ask_and_wait } = dlopen(testLibrary, {
  each: { parameters: ["i32", visit, "i32"], result: "i32", suspends: true },
  ask_and_wait: { parameters: [{ parameters: [], result: "void" }], result: "void", suspends: true },
}).symbols;
const write = (line: string): void => void writeSync(1, `${line}\n`);
const end = process.argv.at(-1);

let calls = 0;
// It runs although its call was given up, as what C can't do without would.
const made = callback(visit, (): number | Promise<number> => {
  if (calls++ === 0) return new Promise<number>(() => {});
  if (end !== "endless") write(`answered ${calls - 1}`);
  return 0;
}, { always: true, suspends: true });

if (end?.startsWith("blocked")) {
  void ask_and_wait(() => new Promise<void>(() => {}));
  write("waiting");
  if (end === "blocked") process.exit(5);
  if (end === "blocked-idle") process.exitCode = 6;
} else if (end === "inside") {
  write("waiting");
  void each(3, () => process.exit(), 0);
} else {
  void each(end === "endless" ? 2 ** 30 : 3, made, 0).catch(() => {});
  write("waiting");
  if (end === "exit" || end === "endless") process.exit();
}
