/**
 * How much memory a process really takes, measured so that two measurements can be compared.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { dlopen } from "@belay/ffi";
import type { ChildOptions } from "./child.ts";
import { collectFully, turn } from "./gc.ts";

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

/** How much more memory a process takes after many cycles than after a tenth of them. */
export interface Growth {
  /** Of resident memory, in bytes. */
  readonly growth: number;
  /** The same of the engine's own heap. */
  readonly heapGrowth: number;
  readonly nsPerCycle: number;
}

/** Options of {@linkcode growthOf}. */
export interface GrowthOptions {
  readonly cycles: number;
  /** After how many cycles the event loop gets a turn: 0 for never. */
  readonly perTurn: number;
  readonly beforeTurn?: () => void;
  readonly afterTenth?: () => void;
}

/** Does something over and over, and measures. */
export async function growthOf(
  cycle: (index: number) => void,
  { cycles, perTurn, beforeTurn, afterTenth }: GrowthOptions,
): Promise<Growth> {
  /** A function that is compiled as a program's own would be. */
  const run = (start: number, end: number): void => {
    for (let i = start; i < end; i++) cycle(i);
  };
  const runAll = async (start: number, end: number): Promise<number> => {
    const startMs = performance.now();
    if (perTurn === 0) {
      run(start, end);
    } else {
      for (let i = start; i < end; i += perTurn) {
        run(i, Math.min(i + perTurn, end));
        beforeTurn?.();
        await turn();
      }
    }
    return performance.now() - startMs;
  };
  // The collectors' own first steps must not count.
  await settledBytes();
  const firstMs = await runAll(0, cycles / 10);
  const before = await settledBytes();
  const { heapUsed: heapBefore } = process.memoryUsage();
  afterTenth?.();
  const restMs = await runAll(cycles / 10, cycles);
  const after = await settledBytes();
  const { heapUsed: heapAfter } = process.memoryUsage();
  return {
    growth: after - before,
    heapGrowth: heapAfter - heapBefore,
    nsPerCycle: (firstMs + restMs) * 1e6 / cycles,
  };
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
