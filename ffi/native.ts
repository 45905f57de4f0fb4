/**
 * C functions that belay has for C libraries.
 *
 * @module
 */

import { channelSendWord, core, handleReleaseWord } from "./core/core.ts";
import { present } from "./ground/present.ts";
import { pointerFrom } from "./memory/pointer.ts";
import type { Pointer } from "./types/definitions.ts";

/** C functions of belay's own, to be passed to C. They stay callable until the process ends, whoever is gone by then. */
export interface NativeFunctions {
  /**
   * `void (*)(void *id)`, which deletes a handle: the destructor of user data that is a handle by value, such as SQLite's
   * `xDestroy` and GLib's `GDestroyNotify`.
   *
   * *Threads:* C may call it from any thread and on any stack, without waiting for anything. The handle is deleted when
   * its isolate next looks: after a native call, before a callback, in `stats()`, and `leaks()`, and before
   * the registry grows; and not before the calls of `"post"` and `"wait"` callbacks that are queued by then have run, which
   * may be C's last with it. Until then its value is kept, and its id good. Calling it wakes no event loop.
   *
   * *Errors:* none. NULL does nothing, as with C's `free`. An id of a handle that was deleted or released before, and what
   * is no id at all, do nothing and are counted in `stats().counts.staleReleases`. When the isolate is gone, nothing happens.
   *
   * @throws {LibraryLoadError} When belay's native core can't be opened.
   */
  readonly releaseHandle: Pointer;
  /**
   * `bool (*)(belay_channel *channel, void *handle, const void *data, uint32_t length)`, which sends an event to a
   * {@linkcode Channel}: for C libraries that are written for belay, `belay_channel_send_function` in `belay.h`. They get it
   * from here, since they can't link belay's core.
   *
   * *Threads:* C may call it from any thread and on any stack, but not in signal handlers. It takes no lock of the
   * channel's, allocates nothing and waits for no space.
   *
   * *Errors:* it answers false when nothing was sent: there is no space, the event is too large, the channel is closed, its
   * isolate is gone, or it is no channel at all.
   *
   * @throws {LibraryLoadError} When belay's native core can't be opened.
   */
  readonly sendToChannel: Pointer;
}

/**
 * C functions that belay has for C libraries. The core is opened when one is first read.
 *
 * ```ts
 * import { dlopen, Handle, native, stats } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * // Here `bsearch` stands for a library: it calls its last argument with its first.
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   bsearch: { parameters: ["handle", "buffer", "usize", "usize", "function"], result: "pointer" },
 * });
 * const { id } = Handle.create("user data");
 * libc.symbols.bsearch(id, new Uint8Array(1), 1, 1, native.releaseHandle);
 * assert(stats().live.handles === 0);
 * ```
 */
export const native: NativeFunctions = {
  get releaseHandle() {
    return pointerFrom(present(core().words.u64[handleReleaseWord])) as Pointer;
  },
  get sendToChannel() {
    return pointerFrom(present(core().words.u64[channelSendWord])) as Pointer;
  },
};
