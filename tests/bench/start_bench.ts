/**
 * What a program's start takes longer with belay, in processes of their own: importing it, the first callback, the first
 * library. The npm package is held against the sources and the bare runtime, and JSR's modules against the sources.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { testLibrary } from "../../scripts/build.ts";
import { packedForNpm, packForJsr } from "../../scripts/pack.ts";
import { root, run as runTool } from "../../scripts/tools.ts";
import { compareAsync, finish } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "belay-start-"));

/** The milliseconds of a start; the first one only fills the runtime's caches. */
function start(subject: string, module = ""): number[] {
  const program = join(root, "tests", "bench", "start_program.ts");
  const command = "Bun" in globalThis ? ["run", program] : ["run", "-A", "--no-check", "--quiet", program];
  const { stdout, status } = spawnSync(process.execPath, [...command, subject, module, testLibrary], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`Cannot start ${subject} ${module}: ${status}`);
  return JSON.parse(stdout) as number[];
}

/** Figures of cases, from milliseconds. */
function figures(ms: Record<string, number>): Promise<Record<string, number>> {
  return Promise.resolve(Object.fromEntries(Object.entries(ms).map(([name, time]) => [name, time * 1e6])));
}

try {
  const installed = join(folder, "node_modules", "@belay", "ffi");
  mkdirSync(installed, { recursive: true });
  runTool("tar", ["xzf", packedForNpm(), "-C", installed, "--strip-components=1"], { quiet: true });
  const jsr = join(folder, "jsr");
  packForJsr(jsr);
  const npmModule = pathToFileURL(join(installed, "dist", "belay_ffi.js")).href;
  const sources = pathToFileURL(join(root, "mod.ts")).href;
  const jsrModule = pathToFileURL(join(jsr, "mod.ts")).href;

  await compareAsync({
    belay() {
      const [module = 0, callback = 0, library = 0] = start("belay", npmModule);
      return figures({
        "start/import": module + callback,
        "start/first-callback": callback,
        "start/first-dlopen": library,
      });
    },
    files() {
      const [module = 0, callback = 0] = start("belay", sources);
      return figures({ "start/import": module + callback });
    },
    raw() {
      const [callback = 0] = start("raw-callback");
      const [library = 0] = start("raw-dlopen");
      return figures({ "start/first-callback": callback, "start/first-dlopen": library });
    },
  }, { rounds: 31 });
  await compareAsync({
    belay() {
      const [module = 0, callback = 0] = start("belay", jsrModule);
      return figures({ "start/import-jsr": module + callback });
    },
    files() {
      const [module = 0, callback = 0] = start("belay", sources);
      return figures({ "start/import-jsr": module + callback });
    },
  }, { rounds: 31 });
} finally {
  rmSync(folder, { recursive: true });
}
finish();
