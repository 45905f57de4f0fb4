/**
 * What is alive, and what went wrong quietly.
 *
 * @module
 */

import { look, waitingErrors } from "./calls.ts";
import { channelCounts } from "./channel.ts";
import { core, coreIsAttached } from "./core.ts";
import { staleReleasesWord } from "./core/record.ts";
import { callCounts, processCounts } from "./core_thunks.ts";
import { handleTable } from "./handle.ts";
import { libraryCounts } from "./library.ts";
import { memoryCounts } from "./memory.ts";
import { pinCounts } from "./pin.ts";
import { outstandingCalls, poolThreads } from "./outgoing.ts";
import { thunksInUse, upcallCounts } from "./upcall.ts";

/** Counts of this isolate; those of the process say so. */
export interface Stats {
  /** This isolate's registry tag, 1 to 255; 0 before it has opened anything. */
  readonly isolate: number;
  /** Isolates of the process that have opened something and live. */
  readonly isolates: number;
  /** Live handles. */
  readonly handles: number;
  /** Live callbacks, functions that are lent to a running native call among them. */
  readonly callbacks: number;
  /** Pieces of memory that were allocated or adopted and not freed. */
  readonly memories: number;
  /** Pins that hold a buffer. */
  readonly pins: number;
  /** Open libraries. */
  readonly libraries: number;
  /** Native callbacks of the runtime that serve callbacks: 0 before the first callback, 1 from then on. */
  readonly trampolines: number;
  /** Thunks that callbacks stand behind. */
  readonly thunksInUse: number;
  /** Thunks of the process, in use or not: 4,096, and as many more whenever these are used up. */
  readonly thunks: number;
  /** Calls of callbacks that were disposed of or collected; those from other threads are among `foreignCalls`. */
  readonly staleCalls: number;
  /**
   * Calls of callbacks that belay refused, because they came from another thread or stack, or after the isolate's end. C got
   * the fallback. Calls from other threads that a `"wait"` or `"post"` callback took are not among them.
   */
  readonly foreignCalls: number;
  /**
   * Calls from other threads that found their queue full, were dropped for newer ones, or waited when their callback was
   * disposed of.
   */
  readonly droppedCalls: number;
  /** Open channels. */
  readonly channels: number;
  /**
   * Events of channels that found no space, whose handle was stale, or that nobody had read when their channel was closed.
   */
  readonly droppedEvents: number;
  /** Calls from other threads that waited too long for their answer. */
  readonly timeouts: number;
  /** Callbacks that did not run, because C passed a null or stale handle. */
  readonly invalidHandles: number;
  /**
   * Calls of `native.releaseHandle` with an id of this isolate that was no live handle's: it had been deleted, or released
   * before. Those with what has no isolate's tag count in every isolate. NULL isn't counted.
   */
  readonly staleReleases: number;
  /** Nonblocking calls that have not settled. */
  readonly nonblockingCalls: number;
  /** Threads of the process that make nonblocking calls, or wait for one. */
  readonly poolThreads: number;
  /** Errors of callbacks that wait for their native call to return, synchronous or not. */
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
  // What waits to be reported is; what C has released is deleted.
  if (native !== undefined) look();
  const { foreign, dropped, timeouts } = native === undefined ? { foreign: 0, dropped: 0, timeouts: 0 } : callCounts();
  const { isolates, thunks } = native === undefined ? { isolates: 0, thunks: 0 } : processCounts();
  const { channels, dropped: droppedEvents } = channelCounts();
  const table = handleTable();
  const handles = table.live;
  return {
    isolate: native?.tag ?? 0,
    isolates,
    handles,
    callbacks: upcallCounts.live,
    memories: memoryCounts.allocations,
    pins: pinCounts.live,
    libraries: libraryCounts.open,
    trampolines: upcallCounts.trampolines,
    thunksInUse: thunksInUse(),
    thunks,
    staleCalls: upcallCounts.staleCalls,
    foreignCalls: foreign,
    droppedCalls: dropped,
    channels,
    droppedEvents,
    timeouts,
    invalidHandles: upcallCounts.invalidHandles,
    staleReleases: table.staleReleases + (native?.words.u32[staleReleasesWord] ?? 0),
    nonblockingCalls: outstandingCalls(),
    poolThreads: poolThreads(),
    pendingErrors: waitingErrors(),
  };
}
