/** What events carry: payloads, how they are read, and until when. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, afterEach, describe, it } from "@std/testing/bdd";
import { Channel, type ChannelData, stats } from "@belay/ffi";
import { alive } from "../support/gc.ts";
import { send } from "./senders.ts";

const before = alive();

afterEach(() => assertStrictEquals(stats().live.channels, 0));

afterAll(() => {
  assertEquals(alive(), before);
});

describe("Channel", () => {
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
});
