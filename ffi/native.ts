/**
 * C functions that belay has for C libraries.
 *
 * @module
 */

import { channelSendWord, handleReleaseWord } from "./core/record.ts";
import { core } from "./core/core.ts";
import { present } from "./ground/present.ts";
import { pointerFrom } from "./memory/pointer.ts";
import type { Pointer } from "./types/definitions.ts";

/**
 * C functions of belay's own, as pointers to pass to C; {@linkcode native} has them.
 *
 * They stay callable until the process ends, also after their isolate has ended.
 */
export interface NativeFunctions {
  /**
   * A pointer to `void (*)(void *id)`, which deletes the handle with that id.
   *
   * Pass it to C as the destructor of user data that is a handle by value: SQLite's `xDestroy`, GLib's
   * `GDestroyNotify`.
   *
   * *Threads:* C may call it from any thread and on any stack. It waits for nothing, and doesn't wake an event loop.
   * The handle is deleted when its isolate next looks: after a native call, before a callback, or in {@linkcode stats}.
   * Until then its value is kept, and its id is good. If calls of `"wait"` and `"post"` callbacks were queued before,
   * the handle stays until they have run.
   *
   * *Errors:* none. NULL does nothing, as with C's `free`. An id that was deleted or released before does nothing, and
   * is counted in `stats().counts.staleReleases`. The same goes for bits that are no id. If the handle's isolate is
   * gone, nothing happens.
   *
   * @throws {LibraryLoadError} If belay's native core can't be opened.
   */
  readonly releaseHandle: Pointer;
  /**
   * A pointer to a C function that sends an event to a {@linkcode Channel}.
   *
   * Its signature is `bool (*)(belay_channel *channel, void *handle, const void *data, uint32_t length)`, which
   * `belay.h` calls `belay_channel_send_function`. C libraries that are written for belay get it from your program,
   * since they can't link belay's core.
   *
   * *Threads:* C may call it from any thread and on any stack, but not in a signal handler. It takes no lock of the
   * channel's, allocates nothing and never waits for space.
   *
   * *Errors:* if nothing was sent, it answers false. Then there is no space, the event is too large, the channel is
   * closed, its isolate is gone, or `channel` is no channel.
   *
   * @throws {LibraryLoadError} If belay's native core can't be opened.
   */
  readonly sendToChannel: Pointer;
}

/**
 * C functions of belay's own, for C libraries to call: one deletes a handle, one sends to a channel.
 *
 * belay's native core is opened when you first read one of them.
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
