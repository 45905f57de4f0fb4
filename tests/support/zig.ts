/**
 * Zig, which compiles what tests call. Where the tests run in another system than the one that has Zig, they ask for it;
 * see `scripts/zig_requests.ts`.
 *
 * @module
 */

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { runZig } from "../../scripts/tools.ts";

const requests = process.env["BELAY_ZIG_REQUESTS"];
const lookEveryMs = 20;
const mostMs = 600_000;
let count = 0;

/** What a path is called in the system that has Zig: Wine calls its root `Z:`. */
function pathThere(path: string): string {
  return /^Z:\\/.test(path) ? path.slice(2).replaceAll("\\", "/") : path;
}

/** Runs Zig and waits. */
export function compile(args: readonly string[]): void {
  if (requests === undefined) return runZig(args, { quiet: true });
  const request = join(requests, `${process.pid}-${count++}`);
  const answer = `${request}.answer`;
  writeFileSync(`${request}.new`, JSON.stringify(args.map(pathThere)));
  renameSync(`${request}.new`, `${request}.json`);
  const still = new Int32Array(new SharedArrayBuffer(4));
  for (const endMs = performance.now() + mostMs; !existsSync(answer);) {
    if (performance.now() > endMs) throw new Error("Cannot compile: nothing answers the request");
    Atomics.wait(still, 0, 0, lookEveryMs);
  }
  const failure = readFileSync(answer, "utf8");
  rmSync(answer);
  if (failure !== "") throw new Error(failure);
}
