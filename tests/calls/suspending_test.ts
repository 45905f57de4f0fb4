/** Calls of C on stacks of their own, whose callbacks may be `async`. */

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { callback, configure, dlopen, Handle, handle, NativeMemory, type Pointer, stats, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { binary, eachCalls, sleep } from "./each_calls.ts";

const comparator = { parameters: ["pointer", "pointer"], result: "i32" } as const;
const sort = { parameters: ["buffer", "usize", "usize", comparator], result: "void" } as const;
const libc = dlopen(libcPath, {
  qsort: { ...sort, suspends: true },
  bsearch: { parameters: ["pointer", "buffer", "usize", "usize", comparator], result: "pointer", suspends: true },
});
const { qsort, bsearch } = libc.symbols;
const library = dlopen(testLibrary, eachCalls);
const { each, eachAtOnce, plainEach } = library.symbols;

const at = (pointer: Pointer | null): number => NativeMemory.borrow(pointer as Pointer, 4).getInt32(0);
const numbers = (length: number): Int32Array<ArrayBuffer> =>
  new Int32Array(length).map((_, index) => (index * 7919) % 1000);
const isSorted = (array: Int32Array): boolean => array.every((value, i) => i === 0 || array[i - 1]! <= value);
const before = alive();

describe("a suspending call", () => {
  it("waits for async callbacks while the event loop runs", async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    let calls = 0;
    const array = numbers(100);
    await qsort(array, array.length, 4, async (a, b) => {
      if (++calls % 20 === 0) await sleep(2);
      return at(a) - at(b);
    });
    clearInterval(timer);
    assert(isSorted(array) && calls > 400 && ticks > 5, `${calls} calls, ${ticks} ticks`);
  });

  it("takes functions that are not async, and answers a promise all the same", async () => {
    const array = numbers(50);
    const promise = qsort(array, array.length, 4, (a, b) => at(a) - at(b));
    assert(promise instanceof Promise && isSorted(array));
    assertEquals(await promise, undefined);
  });

  it("goes on in any order, many at once, each on its stack", async () => {
    const order: number[] = [];
    const run = async (index: number): Promise<number> => {
      const sum = await each(3, async (total, number) => {
        await sleep((index * 7) % 5);
        return total + number + index;
      }, 0);
      order.push(index);
      return sum;
    };
    const count = 200;
    const running = Array.from({ length: count }, (_, index) => run(index));
    assertEquals(stats().live.ownStacks, count);
    const sums = await Promise.all(running);
    // What C's `each` makes of them depends on the index alone.
    const expected = await Promise.all(
      Array.from(
        { length: count },
        (_, index) => Promise.resolve(plainEach(3, (total, number) => total + number + index, 0)),
      ),
    );
    assertEquals(sums, expected);
    assert(order.some((index, i) => index !== i), "they ended in the order in which they began");
    assertEquals(stats().live.ownStacks, 0);
  });

  it("rejects with what a callback throws, at once or later, and its other callbacks get the fallback", async () => {
    let calls = 0;
    const later = await assertRejects(
      () =>
        each(5, async () => {
          calls++;
          await sleep(1);
          throw new Error("later");
        }, 0) as Promise<unknown>,
      Error,
      "later",
    );
    assert(later instanceof Error);
    assertEquals(calls, 1);
    await assertRejects(
      () =>
        each(5, () => {
          throw new Error("at once");
        }, 0),
      Error,
      "at once",
    );
    await assertRejects(
      () => each(5, () => Promise.resolve("x" as unknown as number), 0),
      TypeError,
      "the result (i32) must be an integer",
    );
  });

  it("has onError answer, with the arguments that C gave", async () => {
    const seen: unknown[] = [];
    using made = callback(binary, (() => Promise.reject(new Error("rejected"))) as unknown as () => number, {
      onError: (error, a, b) => {
        seen.push((error as Error).message, a, b);
        return 7;
      },
    });
    assertEquals(await each(1, made, 3), plainEach(1, () => 7, 3));
    assertEquals(seen.slice(0, 1), ["rejected"]);
    assertEquals(seen.length, 3);
  });

  it("may be made inside of a callback of another one, and have plain calls inside", async () => {
    const inner = (x: number): Promise<number> =>
      each(2, async (total, number) => {
        await null;
        return total + number + x;
      }, 0);
    const outer = await each(2, async (total, number) => total + number + await inner(number), 0);
    const plainInner = (x: number): number => plainEach(2, (total, number) => total + number + x, 0);
    const expected = plainEach(2, (total, number) => total + number + plainInner(number), 0);
    assertEquals(outer, expected);
    assertEquals(
      await each(2, async (total, number) => {
        await null;
        return total + number + eachAtOnce(2, (a, b) => a + b + number, 0) + plainInner(number);
      }, 0),
      plainEach(2, (total, number) => total + number + plainInner(number) * 2, 0),
    );
  });

  it("is the only one whose callbacks C waits for: others refuse promises, inside of it, too", async () => {
    const refused = /the result is a promise, and C can't wait for it/;
    const asynchronous = (() => Promise.resolve(1)) as unknown as () => number;
    assertThrows(() => eachAtOnce(1, asynchronous, 0), TypeError, "is a promise");
    const messages: string[] = [];
    await each(1, () => {
      for (const call of [eachAtOnce, plainEach]) {
        try {
          call(1, asynchronous, 0);
        } catch (error) {
          messages.push(String(error));
        }
      }
      return 0;
    }, 0);
    assertEquals(messages.length, 2);
    for (const message of messages) assert(refused.test(message), message);
  });

  it("keeps its buffers in place, and frees nothing that it has, until it has ended", async () => {
    const memory = NativeMemory.alloc(16);
    const key = memory.pointer;
    let found: Pointer | null = null;
    const promise = bsearch(key, numbers(4), 4, 4, async (a) => {
      await sleep(1);
      found = a;
      return 0;
    });
    assertThrows(() => memory.free(), Error, "not freed while");
    await promise;
    assert(found !== null);
    memory.free();
  });

  it("takes any promise, one that lies about its class, too, and a Callback that may be async", async () => {
    const liar = Promise.resolve(1);
    Object.defineProperty(liar, "constructor", {
      get() {
        throw new Error("no constructor");
      },
    });
    await assertRejects(() => each(1, () => liar, 0), Error, "no constructor");
    const thenable = Object.assign(() => {}, { then: (resolve: (value: number) => void) => resolve(4) });
    assertEquals(await each(1, () => thenable as unknown as Promise<number>, 0), plainEach(1, () => 4, 0));
    using made = callback(binary, async (a, b) => {
      await null;
      return a + b;
    }, { suspends: true });
    assertEquals(await each(3, made, 2), plainEach(3, (a, b) => a + b, 2));
    assertEquals(stats().live.ownStacks, 0);
  });

  it("has stacks of the size that is set, those that were waiting then aside", async () => {
    let answer: (value: number) => void = () => {};
    const waiting = each(1, () => new Promise<number>((resolve) => answer = resolve), 0);
    configure({ callStackSize: 16 * 2 ** 20 });
    answer(1);
    await waiting;
    assertEquals(eachAtOnce(1, () => 1, 0), plainEach(1, () => 1, 0));
    for (const bad of [1000, 2 ** 31, 0.5 + 2 ** 20]) assertThrows(() => configure({ callStackSize: bad }), RangeError);
    assertThrows(() => configure({ callStackSize: "1" as never }), TypeError);
    configure({ callStackSize: 8 * 2 ** 20 });
  });

  it("returns structures, handles and strings, and takes them", async () => {
    const Point = struct({ x: "f64", y: "f64" });
    using points = dlopen(testLibrary, {
      call_with_point: {
        parameters: [{ parameters: [Point], result: Point }, Point],
        result: Point,
        suspends: true,
      },
    });
    const { call_with_point } = points.symbols;
    const got = await call_with_point(async ({ x, y }) => {
      await sleep(1);
      return { x: y, y: x };
    }, { x: 1, y: 2 });
    assertEquals([got.x, got.y], [2, 1]);
    using session = Handle.create({ name: "session" });
    using handles = dlopen(testLibrary, {
      each: {
        parameters: ["i32", { parameters: [handle<{ name: string }>(), "i32"], result: "i32" }, "handle"],
        result: "i32",
        suspends: true,
      },
    });
    const names: string[] = [];
    await handles.symbols.each(2, async ({ name }) => {
      await null;
      names.push(name);
      return 0;
    }, session);
    assertEquals(names, ["session", "session"]);
  });

  it("is given up by a signal: C gets fallbacks and returns, the promise is rejected", async () => {
    const controller = new AbortController();
    const reason = new Error("no longer wanted");
    let calls = 0;
    const call = each(
      5,
      async () => {
        calls += 1;
        await new Promise(() => {});
        return 1;
      },
      0,
      { signal: controller.signal },
    );
    await sleep(1);
    assertEquals(stats().live.ownStacks, 1);
    controller.abort(reason);
    // C has returned by now.
    assertEquals([calls, stats().live.ownStacks], [1, 0]);
    assertEquals(await call.then(() => undefined, (error) => error), reason);
    controller.abort();
  });

  it("is given up inside of its callbacks, which answer with their fallbacks from then on", async () => {
    for (const later of [false, true]) {
      const controller = new AbortController();
      const { signal } = controller;
      const seen: number[] = [];
      const twice = (_sum: number, index: number): number | Promise<number> => {
        seen.push(index);
        if (index === 2) controller.abort();
        return later ? sleep(1).then(() => 1) : 1;
      };
      const error = await assertRejects(() => each(5, twice, 0, { signal }), DOMException);
      assertEquals([error.name, seen], ["AbortError", [0, 1, 2]]);
    }
    assertEquals(stats().live.ownStacks, 0);
  });

  it("is given up inside of callbacks of another one, and by what a promise does when it is asked", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const waits = each(3, () => new Promise<number>(() => {}), 0, { signal });
    assertEquals(await each(3, (sum, index) => index === 1 ? (controller.abort(), sum + 5) : sum + 1, 0), 7);
    await assertRejects(() => waits, DOMException);

    const other = new AbortController();
    const asks = {
      get then(): never {
        other.abort(new Error("asked"));
        throw new Error("then");
      },
    };
    await assertRejects(() => each(3, () => asks as unknown as Promise<number>, 0, { signal: other.signal }), Error);
    assertEquals(stats().live.ownStacks, 0);
  });

  it("runs callbacks with always although it was given up, and waits for none of them", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    using always = callback(binary, (_sum, index) => {
      seen.push(index);
      return new Promise<number>(() => {});
    }, { always: true, fallback: 7, suspends: true });
    const call = each(4, always, 0, { signal: controller.signal });
    controller.abort();
    assertEquals(seen, [0, 1, 2, 3]);
    await assertRejects(() => call, DOMException);
  });

  it("keeps what callbacks threw before it was given up, and listens no longer than it runs", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    assertEquals(await each(3, (sum) => Promise.resolve(sum + 1), 0, { signal }), 3);
    assertEquals(await each(3, (sum) => sum + 1, 0, {}), 3);
    assertEquals(await each(3, (sum) => sum + 1, 0, { signal: undefined }), 3);
    using always = callback(binary, (_sum, index) => {
      if (index === 0) throw new Error("first");
      return new Promise<number>(() => {});
    }, { always: true, suspends: true });
    const call = each(3, always, 0, { signal });
    assertEquals(stats().live.ownStacks, 1);
    controller.abort(new Error("second"));
    const error = await assertRejects(() => call, Error);
    assertEquals([error.message, String((error as { suppressed?: unknown }).suppressed)], ["first", "Error: second"]);
  });

  it("is given up while its arguments are read, and by a function whose promise is rejected for that", async () => {
    const Point = struct({ x: "f64", y: "f64" });
    using points = dlopen(testLibrary, {
      call_with_point: { parameters: [{ parameters: [Point], result: Point }, Point], result: Point, suspends: true },
    });
    const controller = new AbortController();
    let calls = 0;
    const returnsIt = (point: { x: number; y: number }): { x: number; y: number } => {
      calls += 1;
      return point;
    };
    const aborts = {
      get x(): number {
        controller.abort(new Error("while it is read"));
        return 1;
      },
      y: 2,
    };
    const call = points.symbols.call_with_point(returnsIt, aborts, { signal: controller.signal });
    await assertRejects(() => call, Error, "while it is read");
    assertEquals([calls, stats().live.ownStacks], [0, 0]);

    const other = new AbortController();
    const dropped = async (): Promise<number> => {
      other.abort(new Error("by the function"));
      await undefined;
      other.signal.throwIfAborted();
      return 1;
    };
    await assertRejects(() => each(3, dropped, 0, { signal: other.signal }), Error, "by the function");
    await sleep(1);
  });

  it("has C's time begin when C calls back again", async () => {
    const controller = new AbortController();
    const slow = (): number => {
      controller.abort(new Error("slow"));
      const end = performance.now() + 110;
      while (performance.now() < end);
      return 1;
    };
    await assertRejects(() => each(2, slow, 0, { signal: controller.signal }), Error, "slow");
    assertEquals([stats().live.ownStacks, stats().counts.abandonedCalls], [0, 0]);
  });

  it("is not begun with a signal that is aborted, nor with options that can't be", async () => {
    const signal = AbortSignal.abort(new Error("too late"));
    let calls = 0;
    await assertRejects(() => each(3, () => calls++, 0, { signal }), Error, "too late");
    assertEquals(calls, 0);
    const wrong = (options: unknown): void => void each(3, () => calls++, 0, options as { signal: AbortSignal });
    const says = (message: string, options: unknown): void => {
      assertThrows(() => wrong(options), TypeError, `Cannot call "each": ${message}`);
    };
    says("the options must be an object, got 5", 5);
    says("the options must be an object, got null", null);
    says('"signals" is not an option; these are: signal', { signals: signal });
    says("signal must be an AbortSignal, got", { signal: {} });
    // @ts-expect-error: two are too many
    assertThrows(() => each(3, () => calls++, 0, {}, {}), TypeError, "expected 3 arguments and options, got 5");
    // @ts-expect-error: only suspending calls have options
    assertThrows(() => plainEach(3, () => calls++, 0, {}), TypeError, "expected 3 arguments, got 4");
    assertEquals(calls, 0);
  });

  it("is given up by a timeout, which keeps a program from ending as the runtime has it (in a child process)", async () => {
    const holdsLoop = setTimeout(() => {}, 1000);
    const timed = each(1, () => new Promise<number>(() => {}), 0, { signal: AbortSignal.timeout(5) });
    assertEquals((await assertRejects(() => timed, DOMException)).name, "TimeoutError");
    clearTimeout(holdsLoop);
    const { code, stdout, stderr } = runChild("timed_out_call.ts");
    // Only Deno's does, where somebody listens.
    assertEquals([code, stdout, stderr], [0, "Deno" in globalThis ? "TimeoutError\n" : "", ""]);
  });

  it("that doesn't end although it is given up is left where it is (in a child process)", () => {
    const { code, stdout, stderr } = runChild("abandoned_call.ts");
    assertEquals([code, stdout, stderr], [0, "done\n", ""]);
  });

  it("is not begun by a definition that can't be", () => {
    const open = (definition: object) => () => dlopen(testLibrary, { each: definition } as never);
    const base = { parameters: ["i32"], result: "i32" };
    assertThrows(open({ ...base, stack: "mine" }), TypeError, 'stack must be "own"');
    assertThrows(open({ ...base, stack: "own", nonblocking: true }), TypeError, "runs on its thread's stack");
    assertThrows(open({ ...base, suspends: true, nonblocking: true }), TypeError, "can't suspend");
    assertThrows(open({ ...base, suspends: 1 }), TypeError, "suspends must be a boolean");
    assertThrows(open({ type: "i32", suspends: true }), TypeError, "a variable has no stack");
  });

  it("that never goes on keeps nothing from ending, nor do workers that end (in a child process)", () => {
    const { code, stdout, stderr } = runChild("suspended_for_good.ts");
    assertEquals([code, stdout, stderr], [0, "suspended 3 3\nworkers are gone\n", ""]);
  });
});

describe("nothing of these tests", () => {
  afterAll(() => {
    libc.close();
    library.close();
  });
  it("is left alive", () => {
    configure({});
    assertEquals({ ...alive(), libraries: 0 }, { ...before, libraries: 0 });
    assertStringIncludes(String(stats().core?.path), "belay");
  });
});
