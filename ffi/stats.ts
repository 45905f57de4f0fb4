/**
 * What is alive, and what went wrong quietly.
 *
 * @module
 */

import { staleReleasesWord } from "./core/record.ts";
import { thunksInUse } from "./callbacks/binding.ts";
import { callbackCounts } from "./callbacks/misuse.ts";
import { libraryCounts } from "./calls/library.ts";
import { abandoned, callThreads, outstandingCalls } from "./calls/nonblocking.ts";
import { ownStackBytes, ownStacks } from "./calls/own_stack.ts";
import { channelCounts } from "./channels/ring_reader.ts";
import { core, coreIsAttached } from "./core/core.ts";
import { look, waitingErrors } from "./core/pending.ts";
import { knownCoreFile } from "./core/path.ts";
import { callCounts, processCounts } from "./core/thunks.ts";
import { handleTable } from "./lifetime/handle.ts";
import { memoryCounts } from "./memory/mapping.ts";
import { pinCounts } from "./memory/pin.ts";

/** What is alive, and what was counted instead of thrown; {@linkcode stats} gives it. */
export interface Stats {
  /** What is alive in this isolate. */
  readonly live: {
    /** Handles that neither TypeScript nor C has deleted. */
    readonly handles: number;
    /** Callbacks that haven't ended, and functions that are lent to a running native call. */
    readonly callbacks: number;
    /** Thunks that are in use: C functions that stand for callbacks. */
    readonly thunks: number;
    /** Pieces of memory that were allocated or adopted, and not freed. */
    readonly memory: number;
    /** Pins that hold a buffer. */
    readonly pins: number;
    /** Libraries that are open. */
    readonly libraries: number;
    /** Channels that are open. */
    readonly channels: number;
    /** Nonblocking calls that have not settled. */
    readonly nonblockingCalls: number;
    /** Calls that have a stack of their own: those that run, and suspending ones that wait. */
    readonly ownStacks: number;
    /** Errors of callbacks that a native call will throw when it returns, or with which it will reject its promise. */
    readonly waitingErrors: number;
  };
  /** What memory belay takes for this isolate, in bytes. */
  readonly memory: {
    /** Stacks of their own that calls have, and those that are kept for later calls. */
    readonly ownStacks: number;
  };
  /** What was counted instead of thrown, since the isolate began. */
  readonly counts: {
    /** Calls of callbacks that were closed or collected. Such calls from other threads are among `misplacedCalls`. */
    readonly staleCalls: number;
    /**
     * Calls of callbacks that got the fallback for where they came from: another thread, another stack, or after the
     * isolate's end. Calls from other threads that a `"wait"` or `"post"` callback took aren't among them.
     */
    readonly misplacedCalls: number;
    /**
     * Calls from other threads that found their queue full, were dropped for newer ones, or waited when their callback
     * was closed.
     */
    readonly droppedCalls: number;
    /** Events of channels that found no space, had a stale handle, or were unread when their channel was closed. */
    readonly droppedEvents: number;
    /** Calls from other threads that waited too long for their function to begin. */
    readonly timeouts: number;
    /** Callbacks that did not run, because C passed a null or stale handle. */
    readonly invalidHandles: number;
    /**
     * Calls of `native.releaseHandle` with an id of this isolate that names no live handle: it was deleted or released
     * before.
     *
     * An id that belongs to no isolate counts in every isolate. NULL isn't counted.
     */
    readonly staleReleases: number;
    /** Suspending calls that were given up, and that C did not return from. Their stacks are among `live.ownStacks`. */
    readonly abandonedCalls: number;
  };
  /** The native core that this isolate has opened; `undefined` before it opens one. */
  readonly core: {
    /** Its file. */
    readonly path: string;
    /**
     * Where the file came from: it is the `"package"`'s, was `"embedded"` in its modules or in a bundle, or is the one that
     * {@linkcode configure} named.
     */
    readonly source: "package" | "embedded" | "configured";
  } | undefined;
  /** What the process has, for all of its isolates. */
  readonly process: {
    /** Isolates that have opened something, and live. */
    readonly isolates: number;
    /** Thunks, in use or not: 4,096, and as many more whenever these are used up. */
    readonly thunks: number;
    /** Threads that make nonblocking calls, or wait for one. */
    readonly callThreads: number;
  };
}

/**
 * Counts what is alive in this isolate, and what was counted instead of thrown. It opens nothing.
 *
 * ```ts
 * import { Handle, stats } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const handle = Handle.create("kept");
 * assert(stats().live.handles === 1);
 * handle.delete();
 * assert(stats().live.handles === 0);
 * ```
 *
 * @returns The counts, in groups.
 */
export function stats(): Stats {
  const native = coreIsAttached() ? core() : undefined;
  // What waits to be reported is; what C has released is deleted.
  if (native !== undefined) look();
  const { misplaced, dropped, timeouts } = native === undefined
    ? { misplaced: 0, dropped: 0, timeouts: 0 }
    : callCounts();
  const { isolates, thunks } = native === undefined ? { isolates: 0, thunks: 0 } : processCounts();
  const { channels, dropped: droppedEvents } = channelCounts();
  const table = handleTable();
  const handles = table.live;
  return {
    live: {
      handles,
      callbacks: callbackCounts.live,
      thunks: thunksInUse(),
      memory: memoryCounts.allocations,
      pins: pinCounts.live,
      libraries: libraryCounts.open,
      channels,
      nonblockingCalls: outstandingCalls(),
      ownStacks: ownStacks(),
      waitingErrors: waitingErrors(),
    },
    memory: { ownStacks: ownStackBytes() },
    counts: {
      staleCalls: callbackCounts.staleCalls,
      misplacedCalls: misplaced,
      droppedCalls: dropped,
      droppedEvents,
      timeouts,
      invalidHandles: callbackCounts.invalidHandles,
      staleReleases: table.staleReleases + (native?.words.u32[staleReleasesWord] ?? 0),
      abandonedCalls: abandoned.length,
    },
    core: native === undefined ? undefined : knownCoreFile(),
    process: { isolates, thunks, callThreads: callThreads() },
  };
}
