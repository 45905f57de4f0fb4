/** `Channel`: events from C libraries that are written for belay. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, afterEach, describe, it } from "@std/testing/bdd";
import {
  Channel,
  type ChannelData,
  type ChannelEvent,
  configure,
  dlopen,
  Handle,
  leaks,
  native,
  type Pointer,
  pointerFrom,
  pointerValue,
  type Report,
  stats,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectUntil, turn } from "../support/gc.ts";

const before = alive();
const library = dlopen(testLibrary, {
  send_bytes: { parameters: ["function", "pointer", "usize", "buffer", "u32"], result: "bool" },
  send_numbers: { parameters: ["function", "pointer", "buffer", "u32", "u32", "u32"], result: "u32" },
  start_senders: { parameters: ["function", "pointer", "u64", "u32", "u32", "u32"], result: "bool" },
  stop_senders: { parameters: [], result: "void" },
});
const { symbols } = library;

function send(channel: { readonly pointer: Pointer }, handle: number | bigint, bytes: Uint8Array | null): boolean {
  return symbols.send_bytes(native.sendToChannel, channel.pointer, handle, bytes, bytes?.length ?? 0);
}

function sendNumbers(
  channel: Channel<never> | Channel,
  count: number,
  first = 0,
  ids: readonly number[] = [0],
): number {
  return symbols.send_numbers(
    native.sendToChannel,
    channel.pointer,
    BigUint64Array.from(ids, BigInt),
    ids.length,
    first,
    count,
  );
}

/** Collects what a channel's function gets, as it was then; `until` so many came. */
function collector<T>(channel: Channel<T>): { events: [unknown, number][]; until: (count: number) => Promise<void> } {
  const events: [unknown, number][] = [];
  let wanted = Infinity;
  let resolve = (): void => {};
  channel.onEvent((value, data) => {
    events.push([value, data.byteLength === 8 ? data.getFloat64(0) : data.byteLength]);
    if (events.length >= wanted) resolve();
  });
  return {
    events,
    until(count) {
      wanted = count;
      return events.length >= count ? Promise.resolve() : new Promise((resolved) => resolve = resolved);
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What is reported while a function runs. */
async function reports(fn: () => Promise<void>): Promise<Report[]> {
  const reported: Report[] = [];
  configure({ onReport: (report) => reported.push(report) });
  try {
    await fn();
  } finally {
    configure({ onReport: undefined });
  }
  return reported;
}

afterEach(() => assertStrictEquals(stats().live.channels, 0));

afterAll(() => {
  library.close();
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

  it("takes payloads of 0 bytes up to half of its capacity less 16, and counts what it refuses", async () => {
    using channel = new Channel({ capacity: 2 ** 17 });
    assertStrictEquals(channel.capacity, 2 ** 17);
    const { droppedEvents } = stats().counts;
    const largest = 2 ** 16 - 16;
    for (const length of [0, 1, 7, 8, 9, 4096, largest - 1, largest]) {
      const bytes = new Uint8Array(length).map((_, index) => index * 7);
      assert(send(channel, 0, bytes), String(length));
      const seen = await new Promise<Uint8Array>((resolve) => channel.onEvent((_, data) => resolve(data.bytes())));
      assertEquals(seen, bytes);
    }
    assert(send(channel, 0, null));
    assert(!send(channel, 0, new Uint8Array(largest + 1)));
    assertStrictEquals(stats().counts.droppedEvents, droppedEvents + 1);
    assertStrictEquals(new Channel({ capacity: 100, signal: AbortSignal.abort() }).disposed, true);
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

  it("ends the data when the function returns", async () => {
    using channel = new Channel();
    let kept: ChannelData | undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    channel.onEvent((_, data) => {
      kept = data;
      assertStrictEquals(data.getUint8(0), 7);
      resolve();
    });
    send(channel, 0, Uint8Array.of(7));
    await promise;
    assert(kept !== undefined);
    const data = kept;
    const uses: (() => unknown)[] = [
      () => data.byteLength,
      () => data.getUint8(0),
      () => data.getUint8(-1),
      () => data.getFloat64(0),
      () => data.bytes(),
      () => data.bytes(0, 0),
      () => data.text(),
    ];
    for (const use of uses) assertThrows(use, Error, "the event is over");
  });

  it("reads numbers as a DataView does, within the payload only, at offsets that are numbers", async () => {
    using channel = new Channel();
    const bytes = crypto.getRandomValues(new Uint8Array(29));
    // Others around it, which must not be seen.
    send(channel, 0, new Uint8Array(64).fill(255));
    send(channel, 0, bytes);
    send(channel, 0, new Uint8Array(64).fill(255));
    const view = new DataView(bytes.buffer);
    const widths = {
      getInt8: 1,
      getUint8: 1,
      getInt16: 2,
      getUint16: 2,
      getInt32: 4,
      getUint32: 4,
      getBigInt64: 8,
      getBigUint64: 8,
      getFloat32: 4,
      getFloat64: 8,
    } as const;
    let failure: unknown;
    await new Promise<void>((resolve) => {
      let count = 0;
      channel.onEvent((_, data) => {
        if (++count !== 2) return;
        try {
          for (const [name, width] of Object.entries(widths) as [keyof typeof widths, number][]) {
            for (let offset = 0; offset + width <= 29; offset++) {
              assertEquals(data[name](offset), view[name](offset, true));
              assertEquals(data[name](offset, false), view[name](offset, false));
            }
            for (const offset of [-1, -0.5, 29 - width + 0.5, 30 - width, 2 ** 32, -(2 ** 32), Infinity, NaN]) {
              assertThrows(() => data[name](offset), RangeError, "the event has 29 bytes");
            }
            for (const wrong of ["1e9", "2", null, { valueOf: () => 2 }]) {
              assertThrows(() => data[name](wrong as unknown as number), RangeError);
            }
          }
          assertEquals(data.bytes(3, 4), bytes.slice(3, 7));
          assertEquals(data.bytes(29), new Uint8Array());
          for (const [offset, length] of [[-1, 2], [0, 30], [29, 1], [1.5, 1], [0, -1], [NaN, 1]]) {
            assertThrows(() => data.bytes(offset, length), RangeError);
          }
        } catch (error) {
          failure = error;
        }
        resolve();
      });
    });
    if (failure !== undefined) throw failure;
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

  it("iterates in batches whose data ends with the next one", async () => {
    using channel = new Channel<string>();
    using handle = Handle.create("value");
    sendNumbers(channel, 1000, 0, [handle.id]);
    let next = 0;
    let last: ChannelEvent<string> | undefined;
    for await (const batch of channel) {
      const ended = last;
      if (ended !== undefined) assertThrows(() => ended.data.getFloat64(0), Error, "the event is over");
      assert(batch.length > 0);
      for (const { value, data } of batch) {
        assertStrictEquals(value, "value");
        assertStrictEquals(data.getFloat64(0), next);
        next += 1;
      }
      // An array like any other, as long as the batch lasts.
      assertStrictEquals(batch[0].data.getFloat64(0), next - batch.length);
      last = batch.at(-1);
      await turn();
      assertStrictEquals(last?.data.getFloat64(0), next - 1);
      if (next === 1000) sendNumbers(channel, 10, 1000, [handle.id]);
      if (next === 1010) break;
    }
    const ended = last;
    assert(ended !== undefined);
    assertThrows(() => ended.data.getFloat64(0), Error, "the event is over");
    // Leaving the loop has not closed it.
    sendNumbers(channel, 1, 1010, [handle.id]);
    for await (const batch of channel) {
      assertStrictEquals(batch[0].data.getFloat64(0), 1010);
      break;
    }
  });

  it("doesn't give a batch of nothing but stale handles", async () => {
    using channel = new Channel();
    const gone = Handle.create("gone");
    gone.delete();
    const reported = await reports(async () => {
      sendNumbers(channel, 3, 0, [gone.id]);
      const batches = channel[Symbol.asyncIterator]();
      const batch = batches.next();
      await pause(20);
      sendNumbers(channel, 1);
      assertStrictEquals((await batch).value?.length, 1);
    });
    assertStrictEquals(reported.length, 1);
  });

  it("lets timers have their turn while events always come, and a slow reader fills the ring", async () => {
    using channel = new Channel({ capacity: 2 ** 16 });
    const { droppedEvents } = stats().counts;
    assert(symbols.start_senders(native.sendToChannel, channel.pointer, 0, 2, 2 ** 31, 1));
    let timers = 0;
    const timer = setInterval(() => timers += 1, 1);
    let batches = 0;
    for await (const batch of channel) {
      assert(batch.length <= 2 ** 16 / 24);
      batches += 1;
      if (timers >= 5) break;
    }
    clearInterval(timer);
    assert(batches > 1);
    symbols.stop_senders();
    assert(stats().counts.droppedEvents > droppedEvents);
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

  it("ends an iteration when it is closed or aborted", async () => {
    for (const how of ["close", "abort"] as const) {
      const controller = new AbortController();
      const channel = new Channel({ signal: controller.signal });
      sendNumbers(channel, 1);
      let kept: ChannelData | undefined;
      setTimeout(() => how === "close" ? channel.close() : controller.abort(), 20);
      let batches = 0;
      for await (const batch of channel) {
        batches += 1;
        kept = batch[0].data;
      }
      assertStrictEquals(batches, 1);
      assert(channel.disposed);
      assertThrows(() => kept?.getUint8(0), Error, "the event is over");
      assert(!send(channel, 0, null));
      assertEquals(await channel[Symbol.asyncIterator]().next(), { done: true, value: undefined });
      channel.close();
      controller.abort();
    }
  });

  it("leaves a batch that was delivered to the reader, whoever closes the channel before it is read", async () => {
    using handle = Handle.create("value");
    const ends: Record<string, (channel: Channel<string>, controller: AbortController) => void> = {
      close: (channel) => channel.close(),
      dispose: (channel) => channel[Symbol.dispose](),
      abort: (_, controller) => controller.abort(),
      twice(channel, controller) {
        controller.abort();
        channel.close();
      },
    };
    for (const [how, end] of Object.entries(ends)) {
      for (const when of ["delivered", "in the body"]) {
        const controller = new AbortController();
        const channel = new Channel<string>({ signal: controller.signal, capacity: 4096 });
        const { channels } = stats().live;
        const batches = channel[Symbol.asyncIterator]();
        const next = batches.next();
        // Somebody else's code, in the same turn.
        if (when === "delivered") void next.then(() => end(channel, controller));
        sendNumbers(channel, 3, 7, [handle.id]);
        const { value: batch } = await next;
        if (when === "in the body") end(channel, controller);
        assert(batch !== undefined && channel.disposed);
        assertStrictEquals(stats().live.channels, channels - 1);
        assert(!send(channel, 0, null));
        // What others do with channels meanwhile doesn't touch it.
        using other = new Channel({ capacity: 4096 });
        sendNumbers(other, 3, 100);
        await turn();
        const seen = batch.map(({ value, data }) => [value, data.getFloat64(0), data.bytes().length]);
        // Where the ring ends, the batch does.
        assertEquals(seen, batch.map((_, index) => ["value", 7 + index, 8]), `${how}, ${when}`);
        assertEquals(await batches.next(), { done: true, value: undefined });
        assertThrows(() => batch[0].data.getFloat64(0), Error, "the event is over");
        channel.close();
      }
    }
  });

  it("leaves a batch of a closed channel readable until the iteration is left, or is collected with it", async () => {
    const channel = new Channel();
    sendNumbers(channel, 2);
    let kept: ChannelData | undefined;
    for await (const batch of channel) {
      channel.close();
      kept = batch[1].data;
      await turn();
      assertStrictEquals(kept.getFloat64(0), 1);
      break;
    }
    assertThrows(() => kept?.getFloat64(0), Error, "the event is over");
    // An event is enough to keep what it is read from.
    const data = await (async () => {
      const dropped = new Channel();
      sendNumbers(dropped, 2);
      const { value: batch } = await dropped[Symbol.asyncIterator]().next();
      dropped.close();
      return batch?.[1].data;
    })();
    await collectUntil(() => false, 5);
    assertStrictEquals(data?.getFloat64(0), 1);
  });

  it("gives a stream the events of the batch during which it is closed", async () => {
    using handle = Handle.create("value");
    const channel = new Channel<string>();
    const reader = channel.toReadableStream().getReader();
    const first = reader.read();
    await turn();
    // It is read after that, and before the stream has copied the batch.
    using other = new Channel();
    other.onEvent(() => channel.close());
    sendNumbers(other, 1);
    sendNumbers(channel, 3, 0, [handle.id]);
    const events = [await first];
    assert(channel.disposed);
    for (let read = await reader.read(); !read.done; read = await reader.read()) events.push(read);
    const seen = events.map(({ value }) => [value?.value, value?.data.getFloat64(0)]);
    assertEquals(seen, [["value", 0], ["value", 1], ["value", 2]]);
  });

  /** Reads 256 events, fast ones first and then those that take 2 ms; how many came between two ticks of a timer. */
  async function readSlowly(read: (channel: Channel, seen: () => void) => unknown): Promise<number> {
    using channel = new Channel();
    let count = 0;
    let sinceTimer = 0;
    let most = 0;
    const seen = (): void => {
      count += 1;
      most = Math.max(most, ++sinceTimer);
      for (const endMs = performance.now() + (count > 20 ? 2 : 0); performance.now() < endMs;);
    };
    read(channel, seen);
    const timer = setInterval(() => sinceTimer = 0, 1);
    sendNumbers(channel, 256);
    while (count < 256) await turn();
    clearInterval(timer);
    return most;
  }

  it("looks at the clock between slow events", async () => {
    const most = await readSlowly((channel, seen) => channel.onEvent(seen));
    assert(most <= 160, `${most} events between two ticks`);
  });

  it("lets other events have their turn while a stream is read slowly, and gives it all", async () => {
    const most = await readSlowly(async (channel, seen) => {
      const reader = channel.toReadableStream().getReader();
      for (let next = 0;; next++) {
        const { value, done } = await reader.read();
        if (done) break;
        assertStrictEquals(value.data.getFloat64(0), next);
        // What was delivered is the stream's.
        if (next === 30) channel.close();
        seen();
      }
    });
    assert(most <= 160, `${most} events between two ticks`);
  });

  it("becomes a stream of events that stay", async () => {
    using channel = new Channel<string>();
    using handle = Handle.create("value");
    sendNumbers(channel, 100, 0, [handle.id]);
    const events: ChannelEvent<string>[] = [];
    for await (const event of channel.toReadableStream() as unknown as AsyncIterable<ChannelEvent<string>>) {
      events.push(event);
      if (events.length === 100) channel.close();
    }
    assertEquals(
      events.map(({ value, data }) => [value, data.getFloat64(0)]),
      events.map((_, index) => ["value", index]),
    );
    assertThrows(() => events[0].data.getFloat64(1), RangeError);
    const other = new Channel();
    const reader = other.toReadableStream().getReader();
    const read = reader.read();
    await reader.cancel();
    assertStrictEquals((await read).done, true);
    assert(other.disposed);
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

  it("gives an iteration that begins inside its function what comes after the events that are being delivered", async () => {
    using channel = new Channel();
    const seen: number[] = [];
    let iteration: Promise<void> | undefined;
    channel.onEvent((_, data) => {
      seen.push(data.getFloat64(0));
      if (seen.length < 4) return;
      channel.onEvent(null);
      iteration = (async () => {
        for await (const batch of channel) {
          for (const { data } of batch) seen.push(data.getFloat64(0));
          if (seen.length === 8) break;
        }
      })();
      // It is still this function's.
      assertStrictEquals(data.getFloat64(0), 3);
    });
    sendNumbers(channel, 4);
    while (iteration === undefined) await turn();
    sendNumbers(channel, 4, 4);
    await iteration;
    assertEquals(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
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
    await pause(20);
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
    const { code, signal, stdout, stderr } = runChild("channel.ts", [name]);
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
