/** `Channel`: events from C libraries that are written for belay, and how it ends. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, afterEach, describe, it } from "@std/testing/bdd";
import {
  Channel,
  configure,
  Handle,
  leaks,
  native,
  type Pointer,
  pointerFrom,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { runChild } from "../support/child.ts";
import { alive, collectUntil, turn } from "../support/gc.ts";
import { until } from "../support/until.ts";
import { collector, pause, reports, send, sendNumbers, symbols } from "./senders.ts";

const before = alive();

afterEach(() => assertStrictEquals(stats().live.channels, 0));

afterAll(() => {
  assertEquals(alive(), before);
});

describe("Channel", () => {
  it("gives events to a function in order, with the value of their handle", async () => {
    using channel = new Channel<string>();
    using a = Handle.create("a");
    using b = Handle.create("b");
    const { events, until } = collector(channel);
    assertStrictEquals(sendNumbers(channel, 5, 0, [a.id, b.id, 0]), 5);
    assertEquals(events, []);
    await until(5);
    assertEquals(events, [["a", 0], ["b", 1], [undefined, 2], ["a", 3], ["b", 4]]);
  });

  it("gives what was sent before there was a function, or while there was none", async () => {
    using channel = new Channel();
    sendNumbers(channel, 3);
    await pause(20);
    const { events, until } = collector(channel);
    await until(3);
    channel.onEvent(null);
    sendNumbers(channel, 3, 3);
    await pause(20);
    assertStrictEquals(events.length, 3);
    const later = collector(channel);
    await later.until(3);
    assertEquals(later.events.map(([, number]) => number), [3, 4, 5]);
  });

  it("refuses events when it is full, until some were read", async () => {
    using channel = new Channel({ capacity: 1024 });
    const { droppedEvents } = stats().counts;
    const sent = sendNumbers(channel, 100);
    assert(sent >= 42 - 1 && sent <= 42, String(sent));
    assertStrictEquals(stats().counts.droppedEvents, droppedEvents + 100 - sent);
    const { events, until } = collector(channel);
    await until(sent);
    for (let round = 1; round < 200; round++) {
      assertStrictEquals(sendNumbers(channel, 17, round * 100), 17);
      await until(sent + round * 17);
      assertStrictEquals(events.at(-1)?.[1], round * 100 + 16);
    }
  });

  it("loses none of 800,000 events of 8 threads, and keeps each thread's order", async () => {
    using channel = new Channel<{ name: string }>();
    const value = { name: "value" };
    using handle = Handle.create(value);
    const next = new Array<number>(8).fill(0);
    let count = 0;
    const wrong: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    channel.onEvent((got, data) => {
      const thread = data.getUint32(0);
      const number = data.getUint32(4);
      const rest = number % 100;
      const right = got === value && next[thread] === number && data.byteLength === 8 + rest &&
        (rest === 0 || (data.getUint8(8) === (number & 255) && data.getUint8(7 + rest) === (number & 255)));
      if (!right) wrong.push(`${thread}: ${number}, not ${next[thread]}`);
      next[thread] = number + 1;
      if (++count === 800_000) resolve();
    });
    assert(symbols.start_senders(native.sendToChannel, channel.pointer, handle.id, 8, 100_000, 100));
    await promise;
    symbols.stop_senders();
    assertEquals(wrong, []);
    assertEquals(next, new Array(8).fill(100_000));
  });

  it("drops events whose handle is stale, counts them, and reports one", async () => {
    using channel = new Channel({ name: "sensors" });
    using live = Handle.create("live");
    const gone = Handle.create("gone");
    gone.delete();
    const { droppedEvents } = stats().counts;
    const reported = await reports(async () => {
      const { events, until } = collector(channel);
      sendNumbers(channel, 4, 0, [gone.id, live.id]);
      send(channel, 2n ** 64n - 1n, new Uint8Array(8));
      send(channel, 12345, new Uint8Array(8));
      sendNumbers(channel, 1, 9);
      await until(3);
      assertEquals(events, [["live", 1], ["live", 3], [undefined, 9]]);
    });
    assertStrictEquals(stats().counts.droppedEvents, droppedEvents + 4);
    assertStrictEquals(reported.length, 1);
    assertStrictEquals(reported[0].kind, "invalid-handle");
    assert(/channel "sensors" dropped an event: Cannot read handle \d+: it has been deleted/.test(reported[0].message));
  });

  it("can be closed, and given another function, by its function", async () => {
    using channel = new Channel();
    const seen: string[] = [];
    const { droppedEvents } = stats().counts;
    sendNumbers(channel, 6);
    const { promise, resolve } = Promise.withResolvers<void>();
    channel.onEvent((_, data) => {
      seen.push(`first ${data.getFloat64(0)}`);
      channel.onEvent((_, data) => {
        seen.push(`second ${data.getFloat64(0)}`);
        if (seen.length < 3) return;
        channel.close();
        seen.push(`closed, still ${data.getFloat64(0)}`);
        resolve();
      });
    });
    await promise;
    await turn();
    assertEquals(seen, ["first 0", "second 1", "second 2", "closed, still 2"]);
    assertStrictEquals(stats().counts.droppedEvents, droppedEvents + 3);
    assert(!send(channel, 0, null));
  });

  it("has one reader at a time", async () => {
    using channel = new Channel();
    const batches = channel[Symbol.asyncIterator]();
    assertThrows(() => channel[Symbol.asyncIterator](), TypeError, "it is being iterated");
    assertThrows(() => channel.onEvent(() => {}), TypeError, "it is being iterated");
    assertThrows(() => channel.toReadableStream(), TypeError, "it is being iterated");
    const first = batches.next();
    const refusal = await batches.next().then(() => undefined, (error: unknown) => error);
    assert(refusal instanceof TypeError && refusal.message.includes("the one before is still waited for"));
    assertEquals(await batches.return?.(), { done: true, value: undefined });
    assertEquals(await first, { done: true, value: undefined });
    assertEquals(await batches.next(), { done: true, value: undefined });
    channel.onEvent(() => {});
    assertThrows(() => channel[Symbol.asyncIterator](), TypeError, "it has a function for its events");
    channel.onEvent(null);
    channel[Symbol.asyncIterator]().return?.();
  });

  it("answers false for what is no channel, or no longer one", () => {
    const channel = new Channel();
    channel.close();
    using successors = {
      channels: Array.from({ length: 10 }, () => new Channel()),
      [Symbol.dispose]() {
        for (const each of this.channels) each.close();
      },
    };
    const { droppedEvents } = stats().counts;
    const pointers = new Set(successors.channels.map(({ pointer }) => pointerValue(pointer)));
    assertStrictEquals(pointers.size, 10);
    assert(!pointers.has(pointerValue(channel.pointer)));
    const none = [channel.pointer, pointerFrom(1), pointerFrom(0xfff), pointerFrom(2n ** 64n - 1n)] as Pointer[];
    for (const pointer of none) assert(!send({ pointer }, 0, Uint8Array.of(1)));
    assertStrictEquals(stats().counts.droppedEvents, droppedEvents);
  });

  it("is listed by leaks() until it is closed, and told of when it was dropped", async () => {
    const reports: Report[] = [];
    configure({ trackLeaks: true, onReport: (report) => reports.push(report) });
    const kept = new Channel({ name: "kept" });
    (() => void new Channel({ name: "dropped" }))();
    assertEquals(leaks().map(({ kind, name }) => [kind, name]), [["channel", "kept"], ["channel", "dropped"]]);
    assert(leaks()[0].stack.includes("channel_test.ts"));
    kept.close();
    assert(await collectUntil(() => reports.length > 0), "nothing was reported");
    configure({ trackLeaks: false, onReport: undefined });
    assertEquals([leaks(), reports.map(({ kind }) => kind)], [[], ["leak"]]);
    assert(reports[0].message.includes('"dropped"'));
  });

  it("is closed after a garbage collection when it is dropped", async () => {
    const { channels } = stats().live;
    const { signal } = new AbortController();
    const pointers: Pointer[] = [];
    (() => {
      for (let i = 0; i < 20; i++) {
        const channel = new Channel({ signal });
        sendNumbers(channel, 3);
        // One that is read is dropped, too, if it doesn't keep the program alive.
        if (i % 2 === 0) {
          channel.unref();
          channel.onEvent(() => {});
        }
        pointers.push(channel.pointer);
      }
    })();
    assertStrictEquals(stats().live.channels, channels + 20);
    assert(
      await collectUntil(() => stats().live.channels <= channels + 2),
      `${stats().live.channels} channels are open`,
    );
    // What a collector that scans stacks still sees.
    await collectUntil(() => stats().live.channels === channels);
    assert(pointers.filter((pointer) => !send({ pointer }, 0, null)).length >= 18);
  });

  it("isn't collected while it is read", async () => {
    const { channels } = stats().live;
    let count = 0;
    let close = (): void => {};
    const pointer = (() => {
      const channel = new Channel();
      close = () => channel.close();
      channel.onEvent(() => count += 1);
      return new WeakRef(channel).deref()?.pointer as Pointer;
    })();
    await collectUntil(() => false, 5);
    assertStrictEquals(stats().live.channels, channels + 1);
    assert(send({ pointer }, 0, null));
    await until(() => count > 0, "the event");
    assertStrictEquals(count, 1);
    close();
  });

  it("refuses options that are none", () => {
    for (const capacity of [0, 63, 2 ** 30 + 1, 100.5, NaN, "100", null]) {
      assertThrows(
        () => new Channel({ capacity: capacity as number }),
        RangeError,
        "Cannot create a channel: capacity",
      );
    }
    assertThrows(() => new Channel({ size: 1 } as object), TypeError, '"size" is not an option');
    assertThrows(() => new Channel({ signal: {} as AbortSignal }), TypeError, "signal must be an AbortSignal");
    assertThrows(() => new Channel({ name: 1 as unknown as string }), TypeError, "name must be a string");
    using channel = new Channel();
    assertThrows(() => channel.onEvent(undefined as unknown as null), TypeError, "expected a function or null");
  });
});

describe("a program with a channel", () => {
  const run = (name: string, expected: string): void => {
    // One that ends does so by itself, however slow the machine is.
    const timerMs = expected.includes("timer") ? 200 : 20_000;
    const { code, signal, stdout, stderr } = runChild("channel.ts", [name, String(timerMs)]);
    assertEquals({ code, signal, stdout, stderr }, { code: 0, signal: null, stdout: expected, stderr: "" });
  };

  it("hands what a function throws to the uncaught-error path, and goes on", () => {
    run("throws", "uncaught 1\nuncaught 3\nseen 0 1 2 3 4\n");
  });

  it("stays alive while the channel is read, and not otherwise", () => {
    run("unread", "end\n");
    run("read", "end\ntimer\n");
    run("iterated", "end\ntimer\n");
    run("read, unref", "end\n");
    run("iterated, unref", "end\n");
    run("read, unref, ref", "end\ntimer\n");
    run("read, closed", "end\n");
    run("read, then null", "end\n");
  });

  it("may close channels while threads send to them, 50 times", () => run("close while sending", "closed 50\n"));

  it("may end while threads send", () => run("end while sending", "end\n"));

  it("may terminate a worker while threads send to its channel", () =>
    run("terminate while sending", "terminated 10\n"));
});
