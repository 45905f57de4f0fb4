/**
 * What is alive, and what went wrong quietly.
 *
 * @module
 */

import { calls, none } from "./calls.ts";
import { core, coreIsAttached } from "./core.ts";
import { Handle } from "./handle.ts";
import { libraryCounts } from "./library.ts";
import { thunksInUse, upcallCounts } from "./upcall.ts";

/** Counts of this isolate. */
export interface Stats {
  /** Live handles. */
  readonly handles: number;
  /** Live callbacks, functions that are lent to a running native call among them. */
  readonly callbacks: number;
  /** Open libraries. */
  readonly libraries: number;
  /** Native callbacks of the runtime: 0 before the first callback, 1 from then on. */
  readonly trampolines: number;
  /** Thunks that callbacks stand behind. */
  readonly thunksInUse: number;
  /** Thunks of the process. */
  readonly thunks: number;
  /** Calls of callbacks that were disposed of or collected. */
  readonly staleCalls: number;
  /** Calls that did not come from the isolate's thread. */
  readonly foreignCalls: number;
  /** Callbacks that did not run, because C passed a null or stale handle. */
  readonly invalidHandles: number;
  /** Errors that wait for their native call to return. */
  readonly pendingErrors: number;
}

/**
 * What is alive in this isolate, and what was counted instead of thrown. Opens nothing.
 *
 * ```ts
 * import { Handle, stats } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const handle = Handle.create("kept");
 * assert(stats().handles === 1);
 * handle.delete();
 * assert(stats().handles === 0);
 * ```
 */
export function stats(): Stats {
  const native = coreIsAttached() ? core() : undefined;
  return {
    handles: Handle.live,
    callbacks: upcallCounts.live,
    libraries: libraryCounts.open,
    trampolines: upcallCounts.trampolines,
    thunksInUse: thunksInUse(),
    thunks: native?.thunkCount ?? 0,
    staleCalls: upcallCounts.staleCalls,
    foreignCalls: native?.foreignCalls() ?? 0,
    invalidHandles: upcallCounts.invalidHandles,
    pendingErrors: calls.pending === none ? 0 : 1,
  };
}
