/** GLib's main loop as a call that waits for `async` sources, by `examples/glib/glib.ts` and without it. */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import {
  callback,
  type CallbackOptions,
  dlopen,
  Handle,
  type Library,
  LibraryLoadError,
  NativeMemory,
  type Pointer,
  pointer,
  stats,
  struct,
  SymbolNotFoundError,
} from "@belay/ffi";
import { glib, MainLoop } from "../../examples/glib/glib.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, turn } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { until } from "../support/until.ts";

const context = pointer<"GMainContext">();
const mainLoop = pointer<"GMainLoop">();
const source = pointer<"GSource">();
const sourceFunction = { parameters: ["pointer"], result: "i32" } as const;
const pollFunction = { parameters: ["pointer", "u32", "i32"], result: "i32" } as const;
const Functions = {
  prepare: { parameters: [source, "pointer"], result: "i32" },
  check: { parameters: [source], result: "i32" },
  dispatch: { parameters: [source, "function", "pointer"], result: "i32" },
  finalize: { parameters: [source], result: "void" },
} as const;
const SourceFunctions = struct({ ...Functions, closureCallback: "function", closureMarshal: "function" });
const definitions = {
  g_main_context_new: { parameters: [], result: context },
  g_main_context_unref: { parameters: [context], result: "void" },
  g_main_context_wakeup: { parameters: [context], result: "void" },
  g_main_context_is_owner: { parameters: [context], result: "i32" },
  acquire_elsewhere: { name: "g_main_context_acquire", parameters: [context], result: "i32", nonblocking: true },
  g_main_context_iteration: { parameters: [context, "i32"], result: "i32", suspends: true },
  g_main_context_set_poll_func: { parameters: [context, pollFunction], result: "void" },
  g_poll: { parameters: ["pointer", "u32", "i32"], result: "i32", nonblocking: true },
  g_main_depth: { parameters: [], result: "i32" },
  g_main_current_source: { parameters: [], result: source },
  g_main_loop_new: { parameters: [context, "i32"], result: mainLoop },
  g_main_loop_run: { parameters: [mainLoop], result: "void", suspends: true },
  g_main_loop_quit: { parameters: [mainLoop], result: "void" },
  g_main_loop_unref: { parameters: [mainLoop], result: "void" },
  g_timeout_source_new: { parameters: ["u32"], result: source },
  g_source_new: { parameters: ["pointer", "u32"], result: source },
  g_source_set_callback: { parameters: [source, sourceFunction, "handle", "function"], result: "void" },
  g_source_attach: { parameters: [source, context], result: "u32" },
  g_source_unref: { parameters: [source], result: "void" },
} as const;

function open(): Library<typeof definitions> | undefined {
  try {
    glib();
    return dlopen({ name: "glib-2.0", versions: ["0"] }, definitions);
  } catch (error) {
    if (!(error instanceof LibraryLoadError || error instanceof SymbolNotFoundError)) throw error;
    leftOut("the tests of async sources in GLib's main loop, which want GLib 2.72 (Debian: libglib2.0-0)");
    return undefined;
  }
}

const library = open();
const itWithGlib = library === undefined ? it.skip : it;
// What the example keeps aside.
const before = alive();
const raw = library?.symbols as NonNullable<typeof library>["symbols"];
const keep = 1;
const remove = 0;

/** A promise that somebody else answers, and the one who does. */
function question<T>(): { readonly promise: Promise<T>; answer(value: T): void } {
  let answer: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => answer = resolve);
  return { promise, answer: (value) => answer(value) };
}

/** A context and a loop of it that poll as GLib itself does, with timers that are callbacks of their own. */
class PlainLoop {
  readonly context = raw.g_main_context_new();
  readonly loop = raw.g_main_loop_new(this.context, 0);
  readonly #timers: Disposable[] = [];

  timer(ms: number, fn: () => number | Promise<number>, options: CallbackOptions<typeof sourceFunction> = {}): void {
    const made = callback(sourceFunction, fn, { fallback: keep, ...options, suspends: true });
    const timer = raw.g_timeout_source_new(ms);
    raw.g_source_set_callback(timer, made, null, null);
    raw.g_source_attach(timer, this.context);
    raw.g_source_unref(timer);
    this.#timers.push(made);
  }

  quit(): void {
    raw.g_main_loop_quit(this.loop);
  }

  [Symbol.dispose](): void {
    raw.g_main_loop_unref(this.loop);
    raw.g_main_context_unref(this.context);
    for (const timer of this.#timers) timer[Symbol.dispose]();
  }
}

/** What a source of a kind of its own takes from, one after the other. */
class Queue {
  readonly items: string[] = [];
  readonly taken: string[] = [];
}

describe("GLib's loop beside JavaScript's", () => {
  itWithGlib("polls while timers and promises go on, and wakes for a source that comes meanwhile", async () => {
    using loop = new MainLoop();
    const seen: string[] = [];
    const running = loop.run();
    // It has nothing to do: GLib's own poll would never return.
    await turn();
    seen.push("turn");
    loop.timeout(1, async () => {
      seen.push("asks");
      await turn();
      seen.push("answered");
      loop.quit();
      return false;
    });
    await running;
    assertEquals(seen, ["turn", "asks", "answered"]);
  });

  itWithGlib("doesn't wake for a source of its own thread, if its context isn't made for that", async () => {
    using poll = callback(pollFunction, (...asked) => raw.g_poll(...asked), { suspends: true, always: true });
    using plain = new PlainLoop();
    raw.g_main_context_set_poll_func(plain.context, poll);
    let calls = 0;
    const running = raw.g_main_loop_run(plain.loop);
    plain.timer(1, () => (calls++, plain.quit(), keep));
    for (let i = 0; i < 10; i++) await turn();
    assertEquals(calls, 0);
    raw.g_main_context_wakeup(plain.context);
    await running;
    assertEquals(calls, 1);
  });

  itWithGlib("calls a source until it answers false, and releases what it has", async () => {
    const { handles } = stats().live;
    using loop = new MainLoop();
    const calls = [0, 0, 0];
    loop.timeout(1, async () => (await null, ++calls[0]! < 3));
    loop.idle(() => ++calls[1]! < 4);
    loop.timeout(10, () => (calls[2]!++, calls[0] === 3 && calls[1] === 4 && loop.quit(), true));
    assertEquals(stats().live.handles - handles, 3);
    await loop.run();
    assert(calls[0] === 3 && calls[1] === 4 && calls[2]! > 0, calls.join());
    assertEquals(stats().live.handles - handles, 1);
    loop[Symbol.dispose]();
    assertEquals(stats().live.handles - handles, 0);
    await assertRejects(() => loop.run(), Error, "it is disposed");
  });

  itWithGlib("leaves JavaScript its turns although a source is always ready", async () => {
    using loop = new MainLoop();
    let calls = 0;
    loop.idle(() => (calls++, true));
    const running = loop.run();
    await until(() => calls > 10, "the tenth call");
    loop.quit();
    await running;
  });

  itWithGlib("runs twice at once, on two contexts whose sources wait for each other", async () => {
    using one = new MainLoop();
    using other = new MainLoop();
    const [first, second] = [question<string>(), question<string>()];
    const seen: string[] = [];
    one.timeout(1, async () => {
      seen.push("one asks");
      seen.push(await first.promise);
      second.answer("one answers");
      one.quit();
      return false;
    });
    other.timeout(1, async () => {
      seen.push("other asks");
      first.answer("other answers");
      seen.push(await second.promise);
      other.quit();
      return false;
    });
    await Promise.all([one.run(), other.run()]);
    assertEquals(seen.slice(0, 2).sort(), ["one asks", "other asks"]);
    assertEquals(seen.slice(2).sort(), ["one answers", "other answers"]);
    assertEquals(stats().live.ownStacks, 0);
  });
});

describe("an error of an async source", () => {
  itWithGlib("quits the loop, whose promise is rejected with it, and the loop runs again", async () => {
    using loop = new MainLoop();
    const error = new Error("the source is dry");
    let others = 0;
    loop.timeout(1, () => (others++, true));
    loop.timeout(3, async () => {
      await turn();
      throw error;
    });
    assertStrictEquals(await loop.run().then(() => undefined, (reason) => reason), error);
    const enough = others + 3;
    loop.timeout(1, () => (others >= enough && loop.quit(), true));
    // The one that fails is still there: it got the fallback, which keeps it.
    assertStrictEquals(await loop.run().then(() => undefined, (reason) => reason), error);
    assertEquals((error as { suppressed?: unknown }).suppressed, undefined);
  });

  itWithGlib("is handled by onError, and the loop goes on", async () => {
    using plain = new PlainLoop();
    const errors: string[] = [];
    plain.timer(1, async () => {
      await turn();
      throw new Error(`failure ${errors.length}`);
    }, { onError: (error) => (errors.push((error as Error).message), errors.length < 3 ? keep : remove) });
    plain.timer(1, () => (errors.length === 3 && plain.quit(), keep));
    await raw.g_main_loop_run(plain.loop);
    assertEquals(errors, ["failure 0", "failure 1", "failure 2"]);
  });

  itWithGlib("without onError leaves the loop running, which a callback with always quits", async () => {
    using plain = new PlainLoop();
    let [failures, others, always] = [0, 0, 0];
    plain.timer(1, async () => {
      failures++;
      await turn();
      throw new Error("nobody handles it");
    });
    plain.timer(1, () => (failures > 0 && others++, keep));
    plain.timer(20, () => (failures > 0 && ++always === 3 && plain.quit(), keep), { always: true });
    await assertRejects(() => raw.g_main_loop_run(plain.loop), Error, "nobody handles it");
    assertEquals([failures, always], [1, 3]);
  });

  itWithGlib("lets the poll function run on, so that JavaScript can quit the loop", async () => {
    using loop = new MainLoop();
    let failures = 0;
    using failing = callback(sourceFunction, () => {
      failures++;
      throw new Error("it quits nothing");
    }, { fallback: keep });
    const timer = raw.g_timeout_source_new(1);
    raw.g_source_set_callback(timer, failing, null, null);
    raw.g_source_attach(timer, loop.context);
    raw.g_source_unref(timer);
    const running = loop.run();
    await until(() => failures > 0);
    for (let i = 0; i < 5; i++) await turn();
    loop.quit();
    await assertRejects(() => running, Error, "it quits nothing");
    assertEquals(failures, 1);
  });
});

describe("a loop that is given up", () => {
  itWithGlib("returns before abort() does, while it polls and while a source waits, and runs again", async () => {
    using loop = new MainLoop();
    let asked = 0;
    const source = async (): Promise<boolean> => (asked++, await new Promise<boolean>(() => {}));
    for (const add of [undefined, () => loop.timeout(1, source)]) {
      const controller = new AbortController();
      add?.();
      const running = loop.run({ signal: controller.signal });
      await (add === undefined ? turn() : until(() => asked > 0));
      assertEquals(stats().live.ownStacks, 1);
      assertThrows(() => loop[Symbol.dispose](), Error, "it is running");
      await assertRejects(() => loop.run(), Error, "it is running");
      controller.abort();
      assertEquals(stats().live.ownStacks, 0);
      assertEquals((await assertRejects(() => running, DOMException)).name, "AbortError");
      // No thread polls any more: what it polls for may be freed.
      assertEquals(stats().live.nonblockingCalls, 0);
    }
    const again = new AbortController();
    const running = loop.run({ signal: again.signal });
    await until(() => asked > 1);
    again.abort(new Error("enough"));
    await assertRejects(() => running, Error, "enough");
    for (let i = 0; i < 20; i++) {
      // Some threads haven't begun to poll yet.
      using brief = new MainLoop();
      const controller = new AbortController();
      const running = brief.run({ signal: controller.signal });
      controller.abort();
      await assertRejects(() => running, DOMException);
      assertEquals(stats().live.nonblockingCalls, 0);
    }
  });

  itWithGlib("comes to its end when the program does, however that ends (in child processes)", () => {
    for (const [waitsIn, end] of [["poll", "exit"], ["source", "exit"], ["source", "idle"]] as const) {
      const { code, stdout, stderr } = runChild("glib_ends.ts", [waitsIn, end]);
      assertEquals([code, stdout, stderr], [end === "exit" ? 3 : 0, "waiting\n", ""], `${waitsIn}, ${end}`);
    }
  });

  itWithGlib("comes to its end by a source with always, where GLib itself polls", async () => {
    using plain = new PlainLoop();
    const controller = new AbortController();
    const { signal } = controller;
    const asked = question<void>();
    plain.timer(1, async () => {
      asked.answer();
      return await new Promise<number>(() => {});
    });
    let quits = 0;
    plain.timer(1, () => (signal.aborted && (quits++, plain.quit()), keep), { always: true });
    const running = raw.g_main_loop_run(plain.loop, { signal });
    await asked.promise;
    controller.abort();
    assertEquals([quits, stats().live.ownStacks], [1, 0]);
    await assertRejects(() => running, DOMException);
  });
});

describe("what GLib has while a source waits", () => {
  itWithGlib("is JavaScript's thread, where GLib's own function polls: timers wait for it", async () => {
    using plain = new PlainLoop();
    let [calls, ticks] = [0, 0];
    plain.timer(20, () => (calls++, keep));
    const timer = setInterval(() => ticks++, 1);
    await turn();
    ticks = 0;
    const iteration = raw.g_main_context_iteration(plain.context, 1);
    // It has gone by before the call answers its promise.
    assertEquals([calls, ticks], [1, 0]);
    assertEquals(await iteration, 1);
    clearInterval(timer);
  });

  itWithGlib("is the context: other threads don't get it", async () => {
    using plain = new PlainLoop();
    const { promise, answer } = question<number>();
    plain.timer(1, () => promise);
    const waiting = raw.g_main_context_iteration(plain.context, 1);
    assertEquals([raw.g_main_context_is_owner(plain.context), raw.g_main_depth()], [1, 1]);
    assertEquals(await raw.acquire_elsewhere(plain.context), 0);
    answer(keep);
    assertEquals(await waiting, 1);
    assertEquals([raw.g_main_context_is_owner(plain.context), raw.g_main_depth()], [0, 0]);
  });

  itWithGlib("is mixed up where it says which source the thread is in, since calls end in any order", async () => {
    using one = new PlainLoop();
    using other = new PlainLoop();
    const [first, second] = [question<number>(), question<number>()];
    const inside: (Pointer<"GSource"> | null)[] = [raw.g_main_current_source()];
    const ask = (promise: Promise<number>) => () => (inside.push(raw.g_main_current_source()), promise);
    one.timer(1, ask(first.promise));
    other.timer(1, ask(second.promise));
    const calls = [one, other].map(({ context }) => raw.g_main_context_iteration(context, 1));
    const seen = [[raw.g_main_current_source(), raw.g_main_depth()]];
    for (const [index, { answer }] of [first, second].entries()) {
      answer(keep);
      await calls[index];
      seen.push([raw.g_main_current_source(), raw.g_main_depth()]);
    }
    // Each source puts back what there was when it began: the first one's end hides the second, whose end brings the first back.
    const [atFirst, firstSource, secondSource] = inside;
    assertEquals(seen, [[secondSource, 2], [atFirst, 1], [firstSource, 0]]);
    assert(firstSource !== secondSource);
  });

  itWithGlib("lets another iteration of the context in, which calls all sources but those that wait", async () => {
    using plain = new PlainLoop();
    const [slow, slower] = [question<number>(), question<number>()];
    const seen: string[] = [];
    const iterate = (mayBlock: number): Promise<number> => raw.g_main_context_iteration(plain.context, mayBlock);
    plain.timer(1, () => (seen.push(`slow at depth ${raw.g_main_depth()}`), slow.promise));
    const first = iterate(1);
    plain.timer(1, () => (seen.push(`slower at depth ${raw.g_main_depth()}`), slower.promise));
    const second = iterate(1);
    plain.timer(1, () => (seen.push(`quick at depth ${raw.g_main_depth()}`), remove));
    assertEquals(await iterate(1), 1);
    assertEquals(seen, ["slow at depth 1", "slower at depth 2", "quick at depth 3"]);
    assertEquals(await iterate(0), 0);
    // The one that began first ends first, which C alone never sees.
    slow.answer(remove);
    await first;
    assertEquals([raw.g_main_depth(), stats().live.ownStacks], [1, 1]);
    slower.answer(remove);
    await second;
    await turn();
    assertEquals([await iterate(0), raw.g_main_depth(), seen.length], [0, 0, 3]);
  });

  itWithGlib("runs iterations inside of a source, too", async () => {
    using loop = new MainLoop();
    const seen: string[] = [];
    let isAnswered = false;
    loop.timeout(1, async () => {
      seen.push("dialog opens");
      loop.timeout(5, () => (seen.push("answer"), isAnswered = true, false));
      while (!isAnswered) await raw.g_main_context_iteration(loop.context, 1);
      seen.push("dialog closes");
      loop.quit();
      return false;
    });
    await loop.run();
    assertEquals(seen, ["dialog opens", "answer", "dialog closes"]);
  });
});

describe("a source of a kind of its own", () => {
  itWithGlib("is prepared and checked at once, and dispatched by an async function", async () => {
    // Where GLib's own part of a source ends: there begins the source's, which is its queue's handle.
    const ownOffset = 96;
    const finalized: string[] = [];
    const queueOf = (at: Pointer<"GSource"> | null): Queue =>
      Handle.value(Number(NativeMemory.borrow(at as Pointer, ownOffset + 8).getBigUint64(ownOffset))) as Queue;
    const isReady = (at: Pointer<"GSource"> | null): number => Number(queueOf(at).items.length > 0);
    using prepare = callback(Functions.prepare, (at) => isReady(at), { always: true });
    using check = callback(Functions.check, isReady, { always: true });
    using dispatch = callback(Functions.dispatch, async (at) => {
      const { items, taken } = queueOf(at);
      const item = items.shift() ?? "";
      await turn();
      if (item === "bad") throw new RangeError("a bad item");
      taken.push(item);
      return item === "last" ? remove : keep;
    }, { suspends: true, fallback: keep });
    using finalize = callback(Functions.finalize, (at) => {
      finalized.push(queueOf(at).taken.join());
    }, { always: true });
    using functions = SourceFunctions.alloc({
      prepare,
      check,
      dispatch,
      finalize,
      closureCallback: null,
      closureMarshal: null,
    });
    using loop = new MainLoop();
    const queue = new Queue();
    using queueHandle = Handle.create(queue);
    const made = raw.g_source_new(functions, ownOffset + 8);
    NativeMemory.borrow(made as Pointer, ownOffset + 8).setBigUint64(ownOffset, BigInt(queueHandle.id));
    raw.g_source_attach(made, loop.context);
    raw.g_source_unref(made);
    const put = (item: string): void => {
      queue.items.push(item);
      // GLib polls: what its prepare function would say has changed.
      raw.g_main_context_wakeup(loop.context);
    };
    const running = loop.run();
    for (const item of ["first", "second"]) {
      put(item);
      await until(() => queue.taken.at(-1) === item);
    }
    put("bad");
    await until(() => queue.items.length === 0);
    await turn();
    loop.quit();
    await assertRejects(() => running, RangeError, "a bad item");
    const again = loop.run();
    put("last");
    await until(() => finalized.length > 0);
    loop.quit();
    await again;
    assertEquals(finalized, ["first,second,last"]);
  });
});

describe("nothing of these tests", () => {
  afterAll(() => library?.close());
  it("is left alive", async () => {
    await collectFully();
    assertEquals(alive(), before);
    assertEquals(stats().live.ownStacks, 0);
  });
});
