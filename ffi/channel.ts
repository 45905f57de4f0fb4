/**
 * Events from C libraries that are written for belay.
 *
 * C puts them into a ring of the channel's, without entering JavaScript; the core wakes the event loop, and JavaScript reads
 * them where they are, many at a time.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { RangeError, TypeError } from "./blame.ts";
import { look, lookNowAndThen } from "./calls.ts";
import { ChannelData, type Lease } from "./channel_data.ts";
import { addCheckedCleanup, type Cleanup } from "./cleanup.ts";
import { core, coreFunctions, isNull, signature } from "./core.ts";
import {
  attentionWord,
  channelBatchWord,
  channelByteLength,
  channelDroppedWord,
  channelIdWord,
  channelLengthWord,
  channelRingWord,
  eventHeaderWords,
} from "./core/record.ts";
import { InvalidHandleError } from "./errors.ts";
import { handleTable } from "./handle.ts";
import { addressOf } from "./helpers.ts";
import { inside } from "./inside.ts";
import { keepAlive, letGo } from "./keep_alive.ts";
import { noOptions, ownOptions } from "./options.ts";
import { pointerFrom } from "./pointer.ts";
import { present } from "./present.ts";
import { report, reportLeak, reportUncaught } from "./report.ts";
import { backend } from "./runtime.ts";
import { type Leak, track, untrack } from "./tracking.ts";
import type { Pointer } from "./types.ts";
import { connect, fitting, laterTurn, now, onWake, sliceIsOver, wake } from "./wake.ts";

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

/** What C has sent. */
export interface ChannelEvent<T> {
  /** The value of the handle that C sent along; `undefined` for NULL. */
  readonly value: T;
  /** The payload, as long as the batch lasts. */
  readonly data: ChannelData;
}

const functions = coreFunctions({
  create: signature("belay_channel_create", ["address", "u32"], "address"),
  take: signature("belay_channel_take", ["address", "u32"], "u32"),
  close: signature("belay_channel_close", ["address", "bool"], "u32"),
});

/** Events that are taken at once: for a function, which is also how many there are between two looks at the clock; for a batch. */
const mostAtOnce = 256;
const mostInBatch = 4096;
/** Events that a stream's queue has at most. */
const mostInStream = 32;

const stale: unique symbol = Symbol("stale");
const handles = handleTable();
// As they were before the program could replace them.
const { Promise, WeakRef } = globalThis;

type EventFunction<T> = (value: T, data: ChannelData) => unknown;

/** Counts that `stats()` gives, apart from what open channels have. */
const counts = { dropped: 0 };
/** Those whose rings are JavaScript's, and what they are the inside of. */
const open = new Map<Consumer, WeakRef<object>>();
/** Those that somebody reads. */
const consumed = new Set<Consumer>();
let served = false;

/** How many channels of this isolate are open, and how many events were dropped. */
export function channelCounts(): { channels: number; dropped: number } {
  let { dropped } = counts;
  let channels = 0;
  for (const consumer of open.keys()) {
    dropped += consumer.refused;
    if (!consumer.closed) channels += 1;
  }
  return { channels, dropped };
}

/** Serves every channel that somebody reads, and answers whether some have more. */
function serve(endMs: number): boolean {
  let more = false;
  for (const consumer of consumed) more = consumer.serve(endMs) || more;
  return more;
}

/** Who waits for a batch. */
interface Wanting {
  /** The batch's. */
  readonly lease: Lease;
  readonly take: (batch: ChannelEvent<unknown>[] | undefined) => void;
}

/** A channel's inside: what the core and the collector know of, and so nothing that leads to the {@linkcode Channel}. */
class Consumer {
  readonly channel: Address;
  readonly name: string;
  /** Called with each event. */
  fn: EventFunction<unknown> | undefined;
  /** Takes the next batch: somebody waits for it. */
  wanting: Wanting | undefined;
  /** Whether events go to an iteration, until that ends. */
  iterated = false;
  closed = false;
  /** Called when it is closed. */
  onClose: (() => void) | undefined;
  /** The core's words for the channel, and its ring in words of two widths. */
  #words: Uint32Array<ArrayBuffer>;
  #u32: Uint32Array<ArrayBuffer>;
  #f64: Float64Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  /** Of the batch that was taken: how many events are left, and where the next one is. */
  #left = 0;
  #place = 0;
  #lease: Lease = { over: true };
  /** Whether an iteration has a batch. */
  #lent = false;
  #data: ChannelData;
  #delivering = false;
  /** Whether all of closing is done, and whether the ring was given back. */
  #ended = false;
  #settled = false;
  #staleReported = false;
  readonly #token: number;

  /** @throws {RangeError} When the core can make none. */
  constructor(owner: object, capacity: number, name: string) {
    const words = createWords(capacity);
    const { map } = backend();
    this.name = name;
    this.#words = new Uint32Array(map(words, channelByteLength));
    const wide = new BigUint64Array(this.#words.buffer);
    this.channel = addressOf(pointerFrom(present(wide[channelIdWord])) as Pointer);
    const ring = map(present(wide[channelRingWord]), present(this.#words[channelLengthWord]) * 8);
    this.#u32 = new Uint32Array(ring);
    this.#f64 = new Float64Array(ring);
    this.#view = new DataView(ring);
    this.#data = new ChannelData(inside, this.#view, this.#lease, 0, 0);
    open.set(this, new WeakRef(owner));
    this.#token = track("channel", name);
  }

  get capacity(): number {
    return this.#f64.byteLength;
  }

  /** Whether it is closed and nobody reads what came before. */
  get settled(): boolean {
    return !open.has(this);
  }

  /** How many events found no space. */
  get refused(): number {
    return present(this.#words[channelDroppedWord]);
  }

  #take(most: number): boolean {
    // Handles that C has released are gone.
    if (core().words.u32[attentionWord] !== 0) look();
    this.#left = functions().take(this.channel, most) as number;
    this.#place = present(this.#words[channelBatchWord]);
    return this.#left > 0;
  }

  /** Gives what has come to who reads, and answers whether there may be more. */
  serve(endMs: number): boolean {
    const { wanting } = this;
    if (wanting !== undefined) {
      const batch = this.#takeBatch(wanting.lease);
      if (batch === undefined) return false;
      this.wanting = undefined;
      consumed.delete(this);
      wanting.take(batch);
      return false;
    }
    const startMs = now();
    let nowMs = startMs;
    let most = 1;
    let count = 0;
    do {
      if (this.fn === undefined) return false;
      if (this.#left === 0 && !this.#take(mostAtOnce)) return false;
      most = Math.min(most, this.#left);
      this.#deliver(this.fn, most);
      count += most;
      nowMs = now();
      most = fitting(count, startMs, nowMs, endMs, mostAtOnce);
    } while (nowMs < endMs);
    return true;
  }

  /** Calls a function with so many events of the batch, unless it throws, or another function takes its place. */
  #deliver(fn: EventFunction<unknown>, most: number): void {
    const stop = this.#left - most;
    const u32 = this.#u32;
    const f64 = this.#f64;
    const data = this.#data;
    this.#delivering = true;
    this.#lease.over = false;
    try {
      while (this.#left > stop && this.fn === fn) {
        const place = this.#place;
        // They are there, and a function that says so would be one more to inline in this loop.
        const length = u32[place << 1]!;
        const id = f64[place + 1]!;
        this.#place = place + eventHeaderWords + ((length + 7) >>> 3);
        this.#left -= 1;
        const value = id === 0 ? undefined : handles.valueOr(id, stale);
        if (value === stale) {
          this.#dropStale(id);
          continue;
        }
        ChannelData.move(inside, data, (place + eventHeaderWords) << 3, length);
        fn(value, data);
      }
    } catch (error) {
      // Later events arrive all the same.
      reportUncaught(error);
    } finally {
      this.#lease.over = true;
      this.#delivering = false;
      this.#settle();
    }
  }

  /** The next batch for an iteration; `undefined` when there is none. */
  #takeBatch(lease: Lease): ChannelEvent<unknown>[] | undefined {
    while (this.#left > 0 || this.#take(mostInBatch)) {
      const batch: ChannelEvent<unknown>[] = [];
      while (this.#left > 0) {
        const place = this.#place;
        const length = present(this.#u32[place << 1]);
        const id = present(this.#f64[place + 1]);
        this.#place = place + eventHeaderWords + ((length + 7) >>> 3);
        this.#left -= 1;
        const value = id === 0 ? undefined : handles.valueOr(id, stale);
        if (value === stale) this.#dropStale(id);
        else {batch.push({
            value,
            data: new ChannelData(inside, this.#view, lease, (place + eventHeaderWords) << 3, length),
          });}
      }
      if (batch.length === 0) continue;
      this.#lent = true;
      return batch;
    }
    return undefined;
  }

  /** The batch is over that an iteration was given. */
  endBatch(): void {
    this.#lent = false;
    this.#settle();
  }

  /**
   * A batch that is there already: `undefined` when there is none, `null` when other events of the loop should have their
   * turn before anybody looks.
   */
  nextBatch(lease: Lease): ChannelEvent<unknown>[] | undefined | null {
    return this.#delivering || sliceIsOver() ? null : this.#takeBatch(lease);
  }

  #dropStale(id: number): void {
    counts.dropped += 1;
    if (this.#staleReported) return;
    this.#staleReported = true;
    const cause = new InvalidHandleError("Cannot read", id, handles.invalidReason(id));
    report("invalid-handle", `channel "${this.name}" dropped an event: ${cause.message}`, cause);
  }

  /** Has events read when they come; those that may be there already, too, unless somebody has just looked. */
  consume(looked = false): void {
    consumed.add(this);
    if (!looked) wake();
  }

  /** Closes the channel, and answers what is known of its creation while leaks are tracked. */
  close(): Leak | undefined {
    if (this.#ended) return undefined;
    // Each step can be done again, should the stack end in the middle.
    this.closed = true;
    const leak = untrack(this.#token);
    functions().close(this.channel, false);
    this.fn = undefined;
    consumed.delete(this);
    letGo(this);
    this.#settle();
    const { wanting, onClose } = this;
    this.wanting = this.onClose = undefined;
    this.#ended = true;
    onClose?.();
    wanting?.take(undefined);
    return leak;
  }

  /** Closes the channel that was dropped, with the batch that nobody can read any more. */
  drop(): void {
    reportLeak(this.close(), "closed");
    this.endBatch();
  }

  /** Gives the ring of a closed channel back, when nobody reads it any more. */
  #settle(): void {
    if (!this.closed || this.#delivering || this.#lent || this.#settled) return;
    if (open.has(this)) {
      const nothing = new ArrayBuffer(0);
      const u32 = new Uint32Array(nothing);
      const f64 = new Float64Array(nothing);
      const view = new DataView(nothing);
      const data = new ChannelData(inside, view, this.#lease, 0, 0);
      const { refused } = this;
      open.delete(this);
      counts.dropped += refused + this.#left;
      this.#left = 0;
      this.#words = this.#u32 = u32;
      this.#f64 = f64;
      this.#view = view;
      this.#data = data;
    }
    const unread = functions().close(this.channel, true) as number;
    this.#settled = true;
    counts.dropped += unread;
  }
}

/**
 * Events that a C library sends to TypeScript, from any thread: for libraries that are written for belay. C calls
 * `native.channelSend` with the channel, a handle and a few bytes, and goes on; it needs no lock, allocates nothing and never
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
 * is dropped, counted in `stats().droppedEvents`, and reported once for each channel.
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
 * // library.symbols.sensor_start(native.channelSend, channel.pointer, Handle.create(sensor));
 * assert(native.channelSend !== channel.pointer);
 * ```
 */
export class Channel<T = unknown> {
  /** What C sends to. */
  readonly pointer: Pointer;
  readonly #consumer: Consumer;
  readonly #cleanup: Cleanup;
  #refed = true;

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
  get closed(): boolean {
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

/** The core's words of a new channel, after a garbage collection if need be. @throws {RangeError} When it can make none. */
function createWords(capacity: number): Address {
  const create = (): Address | null => functions().create(core().isolate, capacity) as Address | null;
  const words = create();
  if (!isNull(words)) return words;
  backend().collect();
  for (const [consumer, owner] of open) if (owner.deref() === undefined) consumer.drop();
  const again = create();
  if (!isNull(again)) return again;
  throw new RangeError(
    `Cannot create a channel: no memory for a capacity of ${capacity} bytes, or the process has 16,384 channels; ` +
      `${open.size} of this isolate are open. Close those that nobody reads`,
  );
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
