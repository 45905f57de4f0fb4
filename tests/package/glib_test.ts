/** A C event loop whose callbacks fail: GLib's main loop, in a nonblocking call and in a synchronous one. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type Callback,
  callback,
  type CallbackOptions,
  configure,
  dlopen,
  type Library,
  LibraryLoadError,
  pointer,
  type Report,
  stats,
} from "@belay/ffi";
import { alive, collectFully, turn } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { caught } from "../support/outcome.ts";

const before = alive();

const sourceFunction = { parameters: ["pointer"], result: "i32" } as const;
const mainLoop = pointer<"GMainLoop">();
const definitions = {
  g_main_loop_new: { parameters: ["pointer", "i32"], result: mainLoop },
  g_main_loop_run: { parameters: [mainLoop], result: "void" },
  run_later: { name: "g_main_loop_run", parameters: [mainLoop], result: "void", nonblocking: true },
  g_main_loop_quit: { parameters: [mainLoop], result: "void" },
  g_main_loop_unref: { parameters: [mainLoop], result: "void" },
  g_timeout_add: { parameters: ["u32", sourceFunction, "pointer"], result: "u32" },
  g_source_remove: { parameters: ["u32"], result: "i32" },
} as const;

function open(): Library<typeof definitions> | undefined {
  try {
    return dlopen({ name: "glib-2.0", versions: ["0"] }, definitions);
  } catch (error) {
    if (!(error instanceof LibraryLoadError)) throw error;
    leftOut("the tests of GLib's main loop, whose library is missing (Debian: apt-get install libglib2.0-0)");
    return undefined;
  }
}

const library = open();
before.libraries += library === undefined ? 0 : 1;
const glib = library?.symbols as NonNullable<typeof library>["symbols"];
const itThere = library === undefined ? it.skip : it;

/** What GLib does with a timer: C's TRUE keeps it. */
const keep = 1;
type TimerOptions = CallbackOptions<typeof sourceFunction>;

/** Three timers, of which the first one fails at its fifth tick, and what they have done. */
class Timers {
  readonly ticks = [0, 0, 0];
  readonly thrown = new Error("the fifth tick");
  readonly reports: Report[] = [];
  readonly loop = glib.g_main_loop_new(null, 0);
  readonly #callbacks: Callback<typeof sourceFunction>[];
  readonly #ids: number[];

  constructor(options: TimerOptions, third: TimerOptions = {}) {
    configure({ onReport: (report) => void this.reports.push(report) });
    const names = ["first", "second", "third"];
    this.#callbacks = names.map((name, index) =>
      callback(sourceFunction, () => {
        this.ticks[index] += 1;
        if (index === 0 && this.ticks[0] === 5) throw this.thrown;
        if (index === 2) this.onThird();
        return keep;
      }, { name, fallback: keep, ...options, ...(index === 2 ? third : {}) })
    );
    this.#ids = this.#callbacks.map((made) => glib.g_timeout_add(2, made, null));
  }

  /** Called at the third timer's ticks. */
  onThird: () => void = () => {};

  quit(): void {
    glib.g_main_loop_quit(this.loop);
  }

  [Symbol.dispose](): void {
    for (const id of this.#ids) glib.g_source_remove(id);
    for (const made of this.#callbacks) made.close();
    glib.g_main_loop_unref(this.loop);
    configure({ onReport: undefined });
  }
}

function expectReport({ reports: [{ kind, message, cause }, ...others], thrown }: Timers, call: string): void {
  assertEquals([kind, others.length], ["waiting-error", 0]);
  assertStrictEquals(cause, thrown);
  for (const part of ['"first"', `"${call}"`, "onError"]) assertStringIncludes(message, part);
}

describe("a callback that throws in GLib's main loop", () => {
  itThere("with onError lets all timers tick on, in a nonblocking call", async () => {
    const errors: unknown[] = [];
    using timers = new Timers({ thread: "wait", onError: (error) => (errors.push(error), keep) });
    const running = glib.run_later(timers.loop);
    while (timers.ticks.some((ticks) => ticks < 20)) await turn();
    timers.quit();
    await running;
    assertEquals([errors, timers.reports], [[timers.thrown], []]);
  });

  itThere("without rejects the promise after g_main_loop_quit, and a report has come", async () => {
    using timers = new Timers({ thread: "wait" });
    const running = glib.run_later(timers.loop).then(() => undefined, (error: unknown) => error);
    while (timers.reports.length === 0) await turn();
    const ticks = [...timers.ticks];
    for (let i = 0; i < 20; i++) await turn();
    // The others answer with their fallback meanwhile, which keeps them.
    assertEquals([timers.ticks[0], timers.ticks], [5, ticks]);
    timers.quit();
    assertStrictEquals(await running, timers.thrown);
    expectReport(timers, "run_later");
  });

  itThere("with onError lets all timers tick on, in a synchronous call", () => {
    const errors: unknown[] = [];
    using timers = new Timers({ onError: (error) => (errors.push(error), keep) });
    timers.onThird = () => timers.ticks.every((ticks) => ticks >= 20) && timers.quit();
    glib.g_main_loop_run(timers.loop);
    assertEquals([errors, timers.reports], [[timers.thrown], []]);
    assert(timers.ticks.every((ticks) => ticks >= 20), String(timers.ticks));
  });

  itThere("without is thrown by a synchronous call, which a callback with always can quit", () => {
    using timers = new Timers({}, { always: true });
    timers.onThird = () => timers.reports.length > 0 && timers.quit();
    assertStrictEquals(caught(() => glib.g_main_loop_run(timers.loop)), timers.thrown);
    assertStrictEquals(timers.ticks[0], 5);
    assert(timers.ticks[1] < 20 && timers.ticks[2] > 20, String(timers.ticks));
    expectReport(timers, "g_main_loop_run");
  });
});

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
