/**
 * Events from C libraries that are written for belay.
 *
 * C puts them into a ring of the channel's, without entering JavaScript; the core wakes the event loop, and JavaScript reads
 * them where they are, many at a time.
 *
 * @module
 */

import { lookNowAndThen } from "../core/pending.ts";
import { connect, laterTurn, onWake, sliceIsOver } from "../core/wake.ts";
import { onPointerOf } from "../crossing/owners.ts";
import { RangeError, TypeError } from "../ground/blame.ts";
import { noOptions, ownOptions } from "../ground/options.ts";
import { present } from "../ground/present.ts";
import { addCheckedCleanup, type Cleanup } from "../lifetime/cleanup.ts";
import { keepAlive, letGo } from "../lifetime/keep_alive.ts";
import { pointerFrom } from "../memory/pointer.ts";
import { owner, type PointerOwner } from "../types/data_type.ts";
import type { Pointer } from "../types/definitions.ts";
import { ChannelData, type ChannelEvent, type Lease } from "./channel_data.ts";
import { consumed, Consumer, type EventFunction, serve } from "./ring_reader.ts";

/** Options of {@linkcode Channel}. */
export interface ChannelOptions {
  /**
   * How many bytes of events may wait: 64 to 2^30, rounded up to a power of two; 1 MiB by default.
   *
   * An event takes its payload, rounded up to 8 bytes, and 16 bytes more. It may take at most half of the capacity.
   */
  readonly capacity?: number;
  /** A signal that closes the channel when it is aborted. */
  readonly signal?: AbortSignal;
  /** What reports call the channel; `"anonymous"` by default. */
  readonly name?: string;
}

/** Events that a stream's queue has at most. */
const mostInStream = 32;

// As it was before the program could replace it.
const { Promise } = globalThis;

let served = false;

/**
 * Events that a C library sends to TypeScript, from any thread; for libraries that are written for belay.
 *
 * C calls `native.sendToChannel` with the channel, a handle and a few bytes, and goes on. It needs no lock, allocates
 * nothing and never waits. TypeScript reads the events where C has put them, thousands in one turn of the event loop.
 * It reads by {@linkcode Channel.onEvent}, in a `for await` loop, or as a stream; one reader at a time.
 *
 * The C side (`belay.h` says more):
 *
 * ```c
 * bool sent = send(channel, handle, &sample, sizeof sample); // false: no space, or closed
 * ```
 *
 * *Values:* an event's value is that of the handle that C sent. For NULL it is `undefined`, so include `undefined` in
 * `T` if C passes NULL. belay looks the handle up when the event is read, so the handle has to live until then. If it
 * was deleted, the event is dropped, counted in `stats().counts.droppedEvents`, and reported once for each channel.
 *
 * *Backpressure:* while nothing reads them, events wait. If the ring is full, sending answers false, which is counted
 * as a dropped event. C decides what to do.
 *
 * *Ownership:* a channel lives until it is closed. If you drop it, it is closed after a garbage collection. Exceptions:
 * it is being read and not `unref`'d, or its function can reach it. C may keep the pointer, which is no address but a
 * number that is never issued twice. Sending to a channel that is closed, or whose isolate is gone, answers false.
 *
 * *Order:* the events of one thread arrive in the order in which it sent them.
 *
 * *Threads:* TypeScript uses the channel on its isolate's thread. C sends from any thread, but not from a signal
 * handler.
 *
 * ```ts
 * import { Channel, native } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using channel = new Channel<{ name: string }>({ capacity: 2 ** 16 });
 * channel.onEvent((sensor, data) => console.log(sensor.name, data.getFloat64(0)));
 * // library.symbols.sensor_start(native.sendToChannel, channel, Handle.create(sensor));
 * assert(native.sendToChannel !== channel.pointer);
 * ```
 *
 * @typeParam T The type of the events' values.
 */
export class Channel<T = unknown> implements PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** What C sends to: the `belay_channel *`. It is no address. */
  readonly pointer: Pointer;
  readonly #consumer: Consumer;
  readonly #cleanup: Cleanup;
  #refed = true;

  static {
    onPointerOf((value) => #consumer in value ? value.#consumer.channel : undefined);
  }

  /**
   * Makes a channel.
   *
   * @param options How much may wait, what closes it, and its name.
   * @throws {TypeError} If an option is misspelled or of the wrong type.
   * @throws {RangeError} If the capacity is out of its range, there is no memory for it, or the process has too many
   * channels.
   */
  constructor(options: ChannelOptions = noOptions) {
    const { capacity, signal, name } = checkedOptions(options);
    connect();
    if (!served) onWake(serve);
    served = true;
    const consumer = new Consumer(this, capacity, name);
    this.#consumer = consumer;
    this.pointer = pointerFrom(consumer.channel) as Pointer;
    this.#cleanup = addCheckedCleanup(this, collected, consumer);
    if (signal === undefined) return;
    const abort = (): void => void consumer.close();
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    consumer.onClose = () => signal.removeEventListener("abort", abort);
  }

  /**
   * How many bytes of events may wait: the capacity that was asked for, rounded up to a power of two.
   */
  get capacity(): number {
    return this.#consumer.capacity;
  }

  /**
   * Whether the channel was closed.
   *
   * @returns `true` once C's sending answers false.
   */
  get disposed(): boolean {
    return this.#consumer.closed;
  }

  /**
   * Has a function called with each event. Another function takes its place, and `null` ends that.
   *
   * The event loop calls it in turns of its own. While there is a function, the channel keeps the event loop alive,
   * unless {@linkcode Channel.unref} was called. The payload can be read until the function returns; if it is `async`,
   * until its first `await`. If the channel is closed, nothing happens.
   *
   * *Errors:* an error that the function throws is an uncaught one. Later events arrive all the same.
   *
   * @param fn Gets the value of the handle that C sent, and the payload. Or `null`.
   * @throws {TypeError} If it is no function, or the channel is being iterated.
   */
  onEvent(fn: ((value: T, data: ChannelData) => unknown) | null): void {
    if (fn !== null && typeof fn !== "function") {
      throw new TypeError(`Cannot read a channel: expected a function or null, got ${typeof fn}`);
    }
    const consumer = this.#consumer;
    if (consumer.closed) return;
    if (consumer.iterated) throw new TypeError("Cannot read a channel: it is being iterated");
    consumer.fn = fn === null ? undefined : fn as EventFunction<unknown>;
    this.#hold();
    if (fn === null) consumed.delete(consumer);
    else consumer.consume();
  }

  /**
   * Iterates over the events in batches: arrays with at least one event each.
   *
   * A batch can be read until the next one is asked for, or the iteration ends. Leaving the loop doesn't close the
   * channel. Closing the channel ends the loop; the batch that was delivered can still be read. While the loop waits
   * for a batch, the channel keeps the event loop alive, unless {@linkcode Channel.unref} was called.
   *
   * ```ts
   * import { Channel } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const controller = new AbortController();
   * const channel = new Channel<{ name: string }>({ signal: controller.signal });
   * queueMicrotask(() => controller.abort()); // here, before C has sent anything
   * for await (const batch of channel) {
   *   for (const { value, data } of batch) console.log(value.name, data.getFloat64(0));
   * }
   * assert(channel.disposed);
   * ```
   *
   * @returns The iterator.
   * @throws {TypeError} If the channel has a function, or is being iterated.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<readonly ChannelEvent<T>[], undefined> {
    const consumer = this.#consumer;
    if (consumer.fn !== undefined || consumer.iterated) {
      throw new TypeError(
        `Cannot iterate a channel: ${consumer.iterated ? "it is being iterated" : "it has a function for its events"}`,
      );
    }
    consumer.iterated = true;
    let ended = false;
    let lease: Lease = { over: true };
    const endBatch = (): void => {
      lease.over = true;
      consumer.endBatch();
    };
    const end = (): void => {
      if (ended) return;
      ended = true;
      endBatch();
      consumer.iterated = false;
      const { wanting } = consumer;
      consumer.wanting = undefined;
      consumed.delete(consumer);
      this.#hold();
      wanting?.take(undefined);
    };
    const done = { done: true, value: undefined } as const;
    const iterator: AsyncIterableIterator<readonly ChannelEvent<T>[], undefined> = {
      next: () => {
        if (ended) return Promise.resolve(done);
        if (consumer.wanting !== undefined) {
          return Promise.reject(new TypeError("Cannot take a batch: the one before is still waited for"));
        }
        if (consumer.closed) {
          end();
          return Promise.resolve(done);
        }
        endBatch();
        lease = { over: false, owner: this };
        const batch = consumer.nextBatch(lease) as ChannelEvent<T>[] | undefined | null;
        if (batch) return Promise.resolve({ done: false, value: batch });
        return new Promise((resolve) => {
          const take = (batch: ChannelEvent<unknown>[] | undefined): void => {
            this.#hold();
            if (batch === undefined) end();
            resolve(batch === undefined ? done : { done: false, value: batch as ChannelEvent<T>[] });
          };
          consumer.wanting = { lease, take };
          this.#hold();
          consumer.consume(batch === undefined);
        });
      },
      return: () => {
        end();
        return Promise.resolve(done);
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /**
   * Gives the events as a stream, each with a copy of its payload, which stays.
   *
   * The stream takes from the channel only what is asked for, a batch at a time. Closing the channel ends it, after the
   * batch that it has. Cancelling it closes the channel. However slowly it is read, other events of the loop get their
   * turns.
   *
   * ```ts
   * import { Channel } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const channel = new Channel<string>();
   * const reader = channel.toReadableStream().getReader();
   * queueMicrotask(() => channel.close()); // here, before C has sent anything
   * const { done } = await reader.read();
   * assert(done);
   * ```
   *
   * @returns The stream.
   * @throws {TypeError} If the channel has a function, or is being iterated.
   */
  toReadableStream(): ReadableStream<ChannelEvent<T>> {
    const iterator = this[Symbol.asyncIterator]();
    // Who reads what is there is never given another turn of the loop. So it isn't given all at once.
    let copies: ChannelEvent<T>[] = [];
    let given = 0;
    return new ReadableStream<ChannelEvent<T>>({
      pull: async (controller) => {
        if (given === copies.length) {
          const { value: batch } = await iterator.next();
          if (batch === undefined) return controller.close();
          copies = batch.map(({ value, data }) => ({ value, data: ChannelData.detach(data) }));
          given = 0;
        } else if (sliceIsOver()) {
          await this.#pause();
        }
        const end = Math.min(given + mostInStream, copies.length);
        while (given < end) controller.enqueue(present(copies[given++]));
      },
      cancel: () => {
        this.close();
        return iterator.return?.().then(() => {});
      },
    }, { highWaterMark: 0 });
  }

  /**
   * Closes the channel: from now on C's sending answers false, and iterations and streams end.
   *
   * Events that wait in the ring are dropped. A batch that was delivered can be read until the iteration goes on. Doing
   * it again does nothing.
   */
  close(): void {
    this.#consumer.close();
    // What is being read stays until it isn't, or is dropped.
    if (this.#consumer.settled) this.#cleanup.stop();
  }

  /** Closes the channel at the end of a `using` block; see {@linkcode Channel.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Has the channel keep the event loop alive while it is read, as it does from the start. */
  ref(): void {
    this.#refed = true;
    this.#hold();
  }

  /** Lets the event loop end while the channel is read; undoes {@linkcode Channel.ref}. */
  unref(): void {
    this.#refed = false;
    this.#hold();
  }

  /** Other events have their turn before a stream goes on, also one of a closed channel. */
  async #pause(): Promise<void> {
    const holder = {};
    if (this.#refed) keepAlive(holder, this, lookNowAndThen);
    await laterTurn();
    letGo(holder);
  }

  #hold(): void {
    const consumer = this.#consumer;
    const read = consumer.fn !== undefined || consumer.wanting !== undefined;
    if (this.#refed && read && !consumer.closed) keepAlive(consumer, this, lookNowAndThen);
    else letGo(consumer);
  }
}

/** A channel that was dropped. */
function collected(consumer: Consumer): void {
  consumer.drop();
}

/** @throws {TypeError | RangeError} When an option is misspelled, of the wrong type, or out of its range. */
function checkedOptions(options: ChannelOptions): { capacity: number; signal: AbortSignal | undefined; name: string } {
  const { capacity = 2 ** 20, signal, name = "anonymous" } = ownOptions(
    "Cannot create a channel",
    options,
    ["capacity", "signal", "name"],
  );
  if (!Number.isInteger(capacity) || capacity < 64 || capacity > 2 ** 30) {
    throw new RangeError(
      `Cannot create a channel: capacity must be an integer from 64 to 2^30, got ${String(capacity)}`,
    );
  }
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.addEventListener !== "function") {
    throw new TypeError("Cannot create a channel: signal must be an AbortSignal");
  }
  if (typeof name !== "string") {
    throw new TypeError(`Cannot create a channel: name must be a string, got ${typeof name}`);
  }
  return { capacity, signal, name };
}
