/**
 * Waits for what threads, workers and other processes bring about, in their own time.
 *
 * @module
 */

import { stats } from "@belay/ffi";
import { slowness } from "./machine.ts";

/** Below the time that a test may take: a busy machine takes long, and what never comes is told of. */
const longestMs = 100_000 * slowness;

/** Lets turns of the event loop pass until something has come about. */
export async function until(condition: () => boolean, what = "it"): Promise<void> {
  const endMs = performance.now() + longestMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`${what} has not come about`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Waits for the isolates of workers that were terminated to be gone; answers how many there are. */
export async function settledIsolates(most: number): Promise<number> {
  const endMs = performance.now() + longestMs / 2;
  while (stats().process.isolates > most && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return stats().process.isolates;
}
