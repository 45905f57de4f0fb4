/** What a program's start takes longer: opening the core and making the first callback, against the bare runtime's own. */

import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { callback } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compare, finish } from "./harness.ts";
import { rawCallback, rawOpen } from "./raw.ts";

const definition = { parameters: ["i32"], result: "i32" } as const;
const subjects: Record<string, () => unknown> = {
  belay: () => callback(definition, (value) => value + 1).pointer,
  raw() {
    rawOpen(testLibrary, { relay_i32: { parameters: ["function", "i32"], result: "i32" } });
    return rawCallback(definition, (value: number) => value + 1).pointer;
  },
};

/** Each start is a process of its own; what counts is the time inside it, modules being loaded. */
function start(subject: string): number {
  const file = fileURLToPath(import.meta.url);
  const command = "Bun" in globalThis ? ["run", file] : ["run", "-A", "--no-check", "--quiet", file];
  const { stdout, status } = spawnSync(process.execPath, [...command, `--start=${subject}`], { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot start ${subject}: ${status}`);
  return Number(stdout);
}

const wanted = process.argv.find((arg) => arg.startsWith("--start="))?.slice("--start=".length);
if (wanted !== undefined) {
  const begun = performance.now();
  subjects[wanted]();
  console.log(performance.now() - begun);
} else {
  compare("start/first-callback", { belay: () => start("belay"), raw: () => start("raw") }, { count: 1 });
  finish();
}
