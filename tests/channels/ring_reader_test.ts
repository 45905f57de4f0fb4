/** How a channel is read: batches, streams, and turns for others. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, afterEach, describe, it } from "@std/testing/bdd";
import { Channel, type ChannelData, type ChannelEvent, Handle, native, stats } from "@belay/ffi";
import { alive, collectUntil, turn } from "../support/gc.ts";
import { pause, reports, send, sendNumbers, symbols } from "./senders.ts";

const before = alive();

afterEach(() => assertStrictEquals(stats().live.channels, 0));

afterAll(() => {
  assertEquals(alive(), before);
});

describe("Channel", () => {
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

  it("ends an iteration when it is closed or aborted", async () => {
    for (const how of ["close", "abort"] as const) {
      const controller = new AbortController();
      const channel = new Channel({ signal: controller.signal });
      sendNumbers(channel, 1);
      let kept: ChannelData | undefined;
      let batches = 0;
      for await (const batch of channel) {
        if (batches++ === 0) setTimeout(() => how === "close" ? channel.close() : controller.abort(), 20);
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
});
