/**
 * What an event of a channel carries: a view of memory that is used again, which ends when the event does.
 *
 * @module
 */

import { RangeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { utf8 } from "../types/text.ts";

/** What C has sent. */
export interface ChannelEvent<T> {
  /** The value of the handle that C sent along; `undefined` for NULL. */
  readonly value: T;
  /** The payload, as long as the batch lasts. */
  readonly data: ChannelData;
}

/** For how long what was read from a ring stays there. */
export interface Lease {
  over: boolean;
  /** The channel, which isn't collected, and its memory unmapped, while somebody may read a batch. */
  readonly owner?: object;
}

/**
 * The payload of an event, in place, with the getters of a `DataView`. Numbers are little-endian by default, as the
 * machines that belay runs on have them.
 *
 * *Ownership:* the memory is the channel's, and comes to hold other events. So each getter throws once the event is over:
 * when the function of {@linkcode Channel.onEvent} has returned, or the next batch has been asked for, or the iteration has
 * ended. Closing the channel doesn't end an event that was delivered. That function gets
 * the same object each time. Copy what is to stay: {@linkcode ChannelData.bytes}, {@linkcode ChannelData.text}. What comes out of a
 * {@linkcode Channel.toReadableStream} is a copy and stays.
 *
 * *Errors:* a getter throws a `RangeError` for what is not wholly within the payload, and an `Error` when the event is over.
 */
export class ChannelData {
  readonly #view: DataView<ArrayBuffer>;
  readonly #lease: Lease;
  #start: number;
  #length: number;

  /** Made by {@linkcode Channel}. */
  constructor(token: typeof inside, view: DataView<ArrayBuffer>, lease: Lease, start: number, length: number) {
    if (token !== inside) refuseNew("ChannelData", "a Channel");
    this.#view = view;
    this.#lease = lease;
    this.#start = start;
    this.#length = length;
  }

  /** Has the object stand for another event. */
  static move(token: typeof inside, data: ChannelData, start: number, length: number): void {
    if (token !== inside) refuseNew("ChannelData", "a Channel");
    data.#start = start;
    data.#length = length;
  }

  /** The same in memory of its own, which stays. */
  static detach(data: ChannelData): ChannelData {
    const bytes = data.bytes();
    return new ChannelData(inside, new DataView(bytes.buffer), { over: false }, 0, bytes.length);
  }

  /** How many bytes C sent. @throws {Error} When the event is over. */
  get byteLength(): number {
    if (this.#lease.over) this.#refuse(0, 0);
    return this.#length;
  }

  /** Reads a signed 8-bit integer. */
  getInt8(byteOffset: number): number {
    const at = this.#place(byteOffset, 1);
    return this.#view.getInt8(at);
  }

  /** Reads an unsigned 8-bit integer. */
  getUint8(byteOffset: number): number {
    const at = this.#place(byteOffset, 1);
    return this.#view.getUint8(at);
  }

  /** Reads a signed 16-bit integer. */
  getInt16(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 2);
    return this.#view.getInt16(at, littleEndian);
  }

  /** Reads an unsigned 16-bit integer. */
  getUint16(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 2);
    return this.#view.getUint16(at, littleEndian);
  }

  /** Reads a signed 32-bit integer. */
  getInt32(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 4);
    return this.#view.getInt32(at, littleEndian);
  }

  /** Reads an unsigned 32-bit integer. */
  getUint32(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 4);
    return this.#view.getUint32(at, littleEndian);
  }

  /** Reads a signed 64-bit integer. */
  getBigInt64(byteOffset: number, littleEndian = true): bigint {
    const at = this.#place(byteOffset, 8);
    return this.#view.getBigInt64(at, littleEndian);
  }

  /** Reads an unsigned 64-bit integer. */
  getBigUint64(byteOffset: number, littleEndian = true): bigint {
    const at = this.#place(byteOffset, 8);
    return this.#view.getBigUint64(at, littleEndian);
  }

  /** Reads a float. */
  getFloat32(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 4);
    return this.#view.getFloat32(at, littleEndian);
  }

  /** Reads a double. */
  getFloat64(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 8);
    return this.#view.getFloat64(at, littleEndian);
  }

  /** Copies the payload, or `byteLength` bytes of it from an offset on. */
  bytes(byteOffset = 0, byteLength: number = this.#length - byteOffset): Uint8Array<ArrayBuffer> {
    const areWhole = Number.isInteger(byteOffset) && Number.isInteger(byteLength);
    const isInside = areWhole && byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= this.#length;
    if (!isInside || this.#lease.over) this.#refuse(byteOffset, byteLength);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#start + byteOffset, byteLength).slice();
  }

  /** Copies the payload out and decodes it as UTF-8; what is none becomes U+FFFD. */
  text(): string {
    return utf8.decoder.decode(this.bytes());
  }

  /** Where a value is. What is no number is not asked for one, which could run anything: the event may be over after that. */
  #place(byteOffset: number, byteLength: number): number {
    const isInside = typeof byteOffset === "number" && byteOffset >= 0 && byteOffset <= this.#length - byteLength;
    if (!isInside || this.#lease.over) this.#refuse(byteOffset, byteLength);
    return this.#start + (byteOffset | 0);
  }

  #refuse(byteOffset: number, byteLength: number): never {
    if (this.#lease.over) throw new Error("Cannot read an event's data: the event is over, and its memory used again");
    throw new RangeError(
      `Cannot read ${shown(byteLength)} bytes at offset ${shown(byteOffset)}: the event has ${this.#length} bytes`,
    );
  }
}
