/**
 * How much memory a process really takes, measured so that two measurements can be compared.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { dlopen } from "@belay/ffi";
import type { ChildOptions } from "./child.ts";
import { collectFully } from "./gc.ts";

/**
 * For a child process that measures. V8 makes its young generation larger at some point of a long run, by up to 40 MB, and
 * keeps freed pages for eight seconds. With a young generation of a fixed size, and pages that go back at once, both stay
 * out of the difference.
 */
export const measuring: ChildOptions = {
  v8Flags: ["--min-semi-space-size=1", "--max-semi-space-size=1", "--memory-pool-timeout=0"],
};

/** The resident memory now; on Linux read from the kernel, since some runtimes keep a figure for a while. */
export function residentBytes(): number {
  if (process.platform !== "linux") return process.memoryUsage().rss;
  return Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4096;
}

/** Gives back what the C library's allocator keeps of freed memory: engines compile anew now and then, in megabytes. */
function openTrim(): () => void {
  if (process.platform !== "linux") return () => {};
  const { malloc_trim } = dlopen({ name: "c", versions: ["6"] }, {
    malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
  }).symbols;
  return () => void malloc_trim?.(0);
}

let trim: (() => void) | undefined;

/**
 * The resident memory when all garbage has been collected. Bun's allocator gives pages back some tenths of a second after
 * they became free, so the least of a few looks counts.
 */
export async function settledBytes(): Promise<number> {
  trim ??= openTrim();
  let least = Infinity;
  for (let look = 0; look < 3; look++) {
    await collectFully();
    await new Promise((resolve) => setTimeout(resolve, 200));
    trim();
    least = Math.min(least, residentBytes());
  }
  return least;
}
