/**
 * GLib's main loop beside JavaScript's, on one thread. Sources are `async` functions. GLib polls by an `async` function as well,
 * so JavaScript goes on while GLib has nothing to do.
 *
 * It needs GLib 2.72 (Debian: `libglib2.0-0`), on Linux or macOS.
 *
 * @module
 */

import { callback, dlopen, Handle, handle, type Library, native, type Pointer, pointer } from "@belay/ffi";

const context = pointer<"GMainContext">();
const loop = pointer<"GMainLoop">();
const source = pointer<"GSource">();
const sourceFunction = { parameters: [handle<Source>()], result: "i32" } as const;
const pollFunction = { parameters: ["pointer", "u32", "i32"], result: "i32" } as const;
const definitions = {
  g_main_context_new_with_flags: { parameters: ["i32"], result: context },
  g_main_context_set_poll_func: { parameters: [context, pollFunction], result: "void" },
  g_main_context_unref: { parameters: [context], result: "void" },
  g_main_loop_new: { parameters: [context, "i32"], result: loop },
  g_main_loop_run: { parameters: [loop], result: "void", suspends: true },
  g_main_loop_quit: { parameters: [loop], result: "void" },
  g_main_loop_unref: { parameters: [loop], result: "void" },
  g_idle_source_new: { parameters: [], result: source },
  g_timeout_source_new: { parameters: ["u32"], result: source },
  g_source_set_callback: { parameters: [source, sourceFunction, "handle", "function"], result: "void" },
  g_source_attach: { parameters: [source, context], result: "u32" },
  g_source_unref: { parameters: [source], result: "void" },
  // What GLib polls with if it isn't told otherwise: on another thread here.
  g_poll: { parameters: ["pointer", "u32", "i32"], result: "i32", nonblocking: true },
} as const;

let library: Library<typeof definitions> | undefined;

/** Opens GLib. @throws {LibraryLoadError} If it isn't there. */
export function glib(): Library<typeof definitions> {
  return library ??= dlopen({ name: "glib-2.0", versions: ["0"] }, definitions);
}

/** GLib wakes its poll for a source that comes from its own thread, too: elsewhere that thread can't be in a poll. */
const ownerlessPolling = 1;

/** What a source does: GLib calls it again if it answers `true`. */
export type Work = () => boolean | Promise<boolean>;

interface Source {
  readonly owner: MainLoop;
  readonly work: Work;
}

// After an error, and when the loop is given up, sources get the fallback: they stay.
const dispatch = callback(sourceFunction, async ({ work }) => Number(await work()), {
  name: "source",
  suspends: true,
  fallback: 1,
  onError(error, { owner }) {
    owner.quit();
    throw error;
  },
});

/** A main loop with a context of its own. */
export class MainLoop {
  /** GLib's context, for other sources. */
  readonly context: Pointer<"GMainContext"> | null;
  readonly #loop: Pointer<"GMainLoop"> | null;
  #state: "idle" | "running" | "disposed" = "idle";
  /** While a thread polls. */
  #polled: Promise<number> | undefined;

  readonly #poll = callback(pollFunction, async (descriptors, count, timeoutMs) => {
    if (this.#polled !== undefined) {
      // GLib polls again although it waits: the call was given up, and C is run to its end.
      this.quit();
      return 0;
    }
    try {
      this.#polled = glib().symbols.g_poll(descriptors, count, timeoutMs);
      // It is negative when a signal has interrupted it.
      return Math.max(await this.#polled, 0);
    } finally {
      this.#polled = undefined;
    }
    // Always: GLib would go round and round with fallbacks until it is quit, and JavaScript would wait for that.
  }, { name: "poll", suspends: true, always: true });

  constructor() {
    const { symbols } = glib();
    this.context = symbols.g_main_context_new_with_flags(ownerlessPolling);
    symbols.g_main_context_set_poll_func(this.context, this.#poll);
    this.#loop = symbols.g_main_loop_new(this.context, 0);
  }

  /** Has a function called each time that so many milliseconds have gone by. */
  timeout(ms: number, work: Work): void {
    this.#add(glib().symbols.g_timeout_source_new(ms), work);
  }

  /** Has a function called whenever there is nothing else to do. */
  idle(work: Work): void {
    this.#add(glib().symbols.g_idle_source_new(), work);
  }

  /** Runs until `quit()`. Rejects with what a source throws, or the signal's reason. The loop can be run again. */
  async run({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state !== "idle") throw new Error(`Cannot run a main loop: it is ${this.#state}`);
    this.#state = "running";
    try {
      await glib().symbols.g_main_loop_run(this.#loop, { signal });
    } finally {
      // If the loop was given up, the thread polls yet. GLib has woken it, and has to keep what it polls.
      await this.#polled;
      this.#state = "idle";
    }
  }

  /** Has `run()` end when the source that is running has returned. */
  quit(): void {
    glib().symbols.g_main_loop_quit(this.#loop);
  }

  /** Ends the sources. @throws {Error} If the loop is running. */
  [Symbol.dispose](): void {
    if (this.#state === "disposed") return;
    if (this.#state === "running") throw new Error("Cannot dispose of a main loop: it is running");
    this.#state = "disposed";
    glib().symbols.g_main_loop_unref(this.#loop);
    glib().symbols.g_main_context_unref(this.context);
    this.#poll.close();
  }

  #add(made: Pointer<"GSource"> | null, work: Work): void {
    const { symbols } = glib();
    // GLib's from here on: it releases the handle with the source.
    symbols.g_source_set_callback(made, dispatch, Handle.create({ owner: this, work }), native.releaseHandle);
    symbols.g_source_attach(made, this.context);
    symbols.g_source_unref(made);
  }
}
