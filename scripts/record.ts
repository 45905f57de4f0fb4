/**
 * Writes `ffi/core/record.ts`, which is generated from the structures and numbers in `native/src/abi.zig`. The gate's step
 * `record` fails where it is stale.
 *
 * @module
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { main, root, runZig, StepError } from "./tools.ts";

const file = join(root, "ffi", "core", "record.ts");

/** The module as it has to be. */
function generate(): string {
  const native = join(root, "native");
  runZig(["build", "record"], { cwd: native, quiet: true });
  return readFileSync(join(native, "zig-out", "record.ts"), "utf8");
}

/** What is wrong with a module, if it is not as it has to be. */
export function staleness(found: string, wanted: string): string | undefined {
  if (found === wanted) return undefined;
  const lines = new Set(found.split("\n"));
  const first = wanted.split("\n").find((line) => !lines.has(line)) ?? "fewer lines";
  return `"ffi/core/record.ts" is stale: native/src/abi.zig has ${first}. \`deno task record\` writes it`;
}

/** Compares the module that is there. @throws {StepError} When it is another one. */
export function checkRecord(): void {
  const stale = staleness(existsSync(file) ? readFileSync(file, "utf8") : "", generate());
  if (stale !== undefined) throw new StepError(`Cannot pass: ${stale}`);
}

if (import.meta.main) await main(() => writeFileSync(file, generate()));
