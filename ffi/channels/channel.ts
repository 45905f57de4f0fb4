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
   * How many bytes of events may wait, from 64 to 2^30, rounded up to a power of two: 1 MiB by default. An event takes 16
   * bytes and its payload, rounded up to 8 bytes; none may take more than half of this.
   */
  readonly capacity?: number;
  /** Closes the channel when it is aborted. */
  readonly signal?: AbortSignal;
  /** What reports call it. */
  readonly name?: string;
}

/** Events that a stream's queue has at most. */
const mostInStream = 32;

// As it was before the program could replace it.
const { Promise } = globalThis;

let served = false;

/**
 * Events that a C library sends to TypeScript, from any thread: for libraries that are written for belay. C calls
 * `native.sendToChannel` with the channel, a handle and a few bytes, and goes on; it needs no lock, allocates nothing and never
 * waits. TypeScript reads the events where C has put them, thousands in one turn: with {@linkcode Channel.onEvent}, in a
 * `for await` loop, or as a stream. One reader at a time.
 *
 * In C (`belay.h` says more):
 *
 * ```c
 * bool sent = send(channel, handle, &sample, sizeof sample); // false: no space, or closed
 * ```
 *
 * *Values:* an event's value is that of the handle that C sent; for NULL it is `undefined`, so include that in `T` where C
 * passes NULL. The handle is looked up when the event is read: it has to be live until then. An event with one that isn't
 * is dropped, counted in `stats().counts.droppedEvents`, and reported once for each channel.
 *
 * *Backpressure:* while nobody reads, events wait. When the ring is full, sending answers false, which is counted as a
 * dropped event, and C decides what to do.
 *
 * *Ownership:* a channel lives until it is closed. One that is dropped is closed after a garbage collection, unless it is
 * being read and not `unref`'d, or its function can reach it. C may keep the pointer, which is no address but a number that
 * is never issued twice: sending to a channel that is closed, or whose isolate is gone, answers false and reaches no other.
 *
 * *Order:* events of one thread arrive in the order in which it sent them.
 *
 * *Threads:* the channel is used on its isolate's thread; C sends from any, but not from signal handlers.
 *
 * ```ts
 * import { Channel, native } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using channel = new Channel<{ name: string }>({ capacity: 2 ** 16 });
 * channel.onEvent((sensor, data) => console.log(sensor.name, data.getFloat64(0)));
 * // library.symbols.sensor_start(native.sendToChannel, channel.pointer, Handle.create(sensor));
 * assert(native.sendToChannel !== channel.pointer);
 * ```
 */
export class Channel<T = unknown> implements PointerOwner {
  /** @ignore */
  declare readonly [owner]?: true;
  /** What C sends to. */
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
   * @throws {TypeError} When an option is misspelled or of the wrong type.
   * @throws {RangeError} When the capacity is out of its range, or there is no memory for it.
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

  /** How many bytes of events may wait. */
  get capacity(): number {
    return this.#consumer.capacity;
  }

  /** Whether it was closed. */
  get disposed(): boolean {
    return this.#consumer.closed;
  }

  /**
   * Has a function called with each event, in turns of the event loop's own; another one takes its place, and `null` ends
   * that. While there is one the event loop is kept alive, unless {@linkcode Channel.unref} was called.
   *
   * The payload can be read until the function returns, the part before its first `await` where it is `async`. What it
   * throws goes to the runtime's uncaught-error path; later events arrive all the same. When the channel is closed
   * nothing happens.
   *
   * @throws {TypeError} When it is no function, or the channel is being iterated.
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
   * Iterates over the events, in batches: arrays of at least one event. A batch can be read until the next one is asked
   * for, or the iteration ends; closing the channel doesn't end it sooner. Of a closed channel there is no next batch.
   * Leaving the loop doesn't close the channel. While it
   * waits for a batch, the event loop is kept alive, unless {@linkcode Channel.unref} was called.
   *
   * @throws {TypeError} When the channel has a function, or is being iterated.
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
   * The events as a stream, each with a copy of its payload, which stays. It takes from the channel only what is asked for,
   * a batch at a time. It ends when the channel is closed, after that batch; cancelling it closes the channel. Other events
   * of the loop have their turns, however slowly it is read.
   *
   * @throws {TypeError} When the channel has a function, or is being iterated.
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
   * Ends the channel: from now on C's sending answers false, and iterations and streams end. Events that wait in the ring
   * are dropped. A batch that was delivered can be read until the iteration goes on. Doing it again does nothing.
   */
  close(): void {
    this.#consumer.close();
    // What is being read stays until it isn't, or is dropped.
    if (this.#consumer.settled) this.#cleanup.stop();
  }

  /** As {@linkcode Channel.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Has the channel keep the event loop alive while it is read, as it does from the start. */
  ref(): void {
    this.#refed = true;
    this.#hold();
  }

  /** Lets the program end while the channel is read. */
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
