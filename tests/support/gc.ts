/**
 * Garbage collections on demand, on both runtimes.
 *
 * @module
 */

import { assert } from "@std/assert";
import { Handle, InvalidHandleError, stats } from "@belay/ffi";

const scope = globalThis as { readonly gc?: () => void; readonly Bun?: { gc(force: boolean): void } };

/** Collects all garbage now. What is still on the stack, or was seen in this turn, may stay. */
export function collect(): void {
  if (scope.Bun !== undefined) return scope.Bun.gc(true);
  if (scope.gc === undefined) throw new Error("Cannot collect garbage: run with --v8-flags=--expose-gc");
  scope.gc();
}

/** Overwrites what earlier calls have left on the stack: a collector that scans it would take that for references. */
function overwriteStack(depth: number): number {
  return depth === 0 ? 0 : overwriteStack(depth - 1) + 1;
}

/** Lets a turn of the event loop pass, with the finalization callbacks that are due; a function may run in it. */
export function turn(inIt: () => void = () => {}): Promise<void> {
  return new Promise((resolve, reject) =>
    setTimeout(() => {
      try {
        inIt();
        resolve();
      } catch (error) {
        reject(error);
      }
    }, 1)
  );
}

/**
 * Collects garbage, turn by turn, until a condition holds; answers whether it came to hold.
 *
 * The collection is in a timer's own call: there is no shallower one. What tests leave on the stack, in calls that came
 * from a promise's turn, is overwritten there, also what would be in the gaps of the frames from which a test goes on.
 */
export async function collectUntil(condition: () => boolean, tries = 100): Promise<boolean> {
  for (let i = 0; i < tries; i++) {
    await turn(() => {
      // Differently deep: frames have gaps.
      overwriteStack(1000 + 37 * (i % 20));
      collect();
    });
    await turn();
    if (condition()) return true;
  }
  return false;
}

let controlsCollected = 0;
const controls = new FinalizationRegistry<undefined>(() => void (controlsCollected += 1));

/** Collects garbage for so many turns that what can be collected is, and its finalization callbacks have run. */
export async function collectFully(): Promise<void> {
  // A control: objects that are garbage from the start. A collector that scans stacks may miss some of them.
  controlsCollected = 0;
  for (let i = 0; i < 100; i++) controls.register({}, undefined);
  if (!await collectUntil(() => controlsCollected >= 90)) {
    throw new Error(`Cannot collect garbage: ${controlsCollected} of 100 objects were collected`);
  }
  for (let i = 0; i < 5; i++) await collectUntil(() => true);
}

/** Whether a handle lives; it must have been one. */
export function isLive(id: number): boolean {
  try {
    Handle.value(id);
    return true;
  } catch (error) {
    assert(error instanceof InvalidHandleError && error.reason === "stale", String(error));
    return false;
  }
}

/** What is alive in this isolate: the counts of `stats()` that a test file leaves as it found them. */
export function alive(): Record<"handles" | "callbacks" | "memories" | "pins" | "libraries" | "thunksInUse", number> {
  const { handles, callbacks, memory: memories, pins, libraries, thunks: thunksInUse } = stats().live;
  return { handles, callbacks, memories, pins, libraries, thunksInUse };
}
