/**
 * What reads the ring of a channel.
 *
 * @module
 */

import {
  attentionWord,
  channelBatchWord,
  channelByteLength,
  channelDroppedWord,
  channelIdWord,
  channelLengthWord,
  channelRingWord,
  eventHeaderWords,
} from "../core/record.ts";
import { core, coreFunctions, signature } from "../core/core.ts";
import { look } from "../core/pending.ts";
import { fitting, now, sliceIsOver, wake } from "../core/wake.ts";
import { RangeError } from "../ground/blame.ts";
import { InvalidHandleError } from "../ground/errors.ts";
import { inside } from "../ground/inside.ts";
import { present } from "../ground/present.ts";
import { handleTable } from "../lifetime/handle.ts";
import { letGo } from "../lifetime/keep_alive.ts";
import { type Leak, track, untrack } from "../lifetime/leaks.ts";
import { report, reportLeak, reportUncaught } from "../lifetime/report.ts";
import { pointerFrom } from "../memory/pointer.ts";
import { addressOf, isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { Pointer } from "../types/definitions.ts";
import { ChannelData, type ChannelEvent, type Lease } from "./channel_data.ts";

const functions = coreFunctions(() => ({
  create: signature("belay_channel_create", ["address", "u32"], "address"),
  take: signature("belay_channel_take", ["address", "u32"], "u32"),
  close: signature("belay_channel_close", ["address", "bool"], "u32"),
}));

// The fields of a `belay_channel_words`: places in 64-bit and in 32-bit words.

/** Events that are taken at once: for a function, which is also how many there are between two looks at the clock; for a batch. */
const mostAtOnce = 256;
const mostInBatch = 4096;

const stale: unique symbol = Symbol("stale");
const handles = handleTable();

// As it was before the program could replace it.
const { WeakRef } = globalThis;

export type EventFunction<T> = (value: T, data: ChannelData) => unknown;

/** Counts that `stats()` gives, apart from what open channels have. */
const counts = { dropped: 0 };
/** Those whose rings are JavaScript's, and what they are the inside of. */
const open = new Map<Consumer, WeakRef<object>>();
/** Those that somebody reads. */
export const consumed = new Set<Consumer>();

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
export function serve(endMs: number): boolean {
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
export class Consumer {
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
  readonly #birth: number;

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
    this.#birth = track("channel", name);
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
    const leak = untrack(this.#birth);
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
