/**
 * What an event of a channel carries: a view of memory that is used again, which ends when the event does.
 *
 * @module
 */

import { RangeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { utf8 } from "../types/text.ts";

/**
 * An event of a {@linkcode Channel}: what C has sent.
 *
 * @typeParam T The type of the value.
 */
export interface ChannelEvent<T> {
  /** The value of the handle that C sent; `undefined` for NULL. */
  readonly value: T;
  /** The bytes that C sent. They can be read for as long as the batch lasts. */
  readonly data: ChannelData;
}

/** For how long what was read from a ring stays there. */
export interface Lease {
  over: boolean;
  /** The channel, which isn't collected, and its memory unmapped, while somebody may read a batch. */
  readonly owner?: object;
}

/**
 * The payload of an event, where C has put it, with the getters of a `DataView`.
 *
 * Numbers are little-endian by default, as the machines are that belay runs on.
 *
 * *Ownership:* the memory is the channel's, and comes to hold other events. An event is over when the function of
 * {@linkcode Channel.onEvent} has returned, the next batch has been asked for, or the iteration has ended. Closing the
 * channel doesn't end an event that was delivered. That function gets the same object each time. To keep the payload,
 * copy it by {@linkcode ChannelData.bytes} or {@linkcode ChannelData.text}. The events of
 * {@linkcode Channel.toReadableStream} have copies, which stay.
 *
 * *Errors:* each getter throws a `RangeError` for bytes that aren't wholly within the payload. It throws an `Error`
 * when the event is over.
 *
 * ```ts
 * import { Channel, type ChannelData } from "@belay/ffi";
 *
 * const samples: number[] = [];
 * const messages: string[] = [];
 * function read(kind: "sample" | "message", data: ChannelData) {
 *   if (kind === "sample") samples.push(data.getFloat64(0));
 *   else messages.push(data.text()); // a copy, which stays
 * }
 *
 * using channel = new Channel<"sample" | "message">();
 * channel.onEvent(read);
 * ```
 */
export class ChannelData {
  readonly #view: DataView<ArrayBuffer>;
  readonly #lease: Lease;
  #start: number;
  #length: number;

  /** @ignore Made by {@linkcode Channel}. */
  constructor(token: typeof inside, view: DataView<ArrayBuffer>, lease: Lease, start: number, length: number) {
    if (token !== inside) refuseNew("ChannelData", "a Channel");
    this.#view = view;
    this.#lease = lease;
    this.#start = start;
    this.#length = length;
  }

  /** @ignore Has the object stand for another event. */
  static move(token: typeof inside, data: ChannelData, start: number, length: number): void {
    if (token !== inside) refuseNew("ChannelData", "a Channel");
    data.#start = start;
    data.#length = length;
  }

  /** @ignore Copies the payload into memory of its own, which stays. */
  static detach(data: ChannelData): ChannelData {
    const bytes = data.bytes();
    return new ChannelData(inside, new DataView(bytes.buffer), { over: false }, 0, bytes.length);
  }

  /**
   * How many bytes C sent.
   *
   * @throws {Error} If the event is over.
   */
  get byteLength(): number {
    if (this.#lease.over) this.#refuse(0, 0);
    return this.#length;
  }

  /**
   * Reads a signed 8-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getInt8(byteOffset: number): number {
    const at = this.#place(byteOffset, 1);
    return this.#view.getInt8(at);
  }

  /**
   * Reads an unsigned 8-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @returns The integer.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getUint8(byteOffset: number): number {
    const at = this.#place(byteOffset, 1);
    return this.#view.getUint8(at);
  }

  /**
   * Reads a signed 16-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The integer.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getInt16(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 2);
    return this.#view.getInt16(at, littleEndian);
  }

  /**
   * Reads an unsigned 16-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The integer.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getUint16(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 2);
    return this.#view.getUint16(at, littleEndian);
  }

  /**
   * Reads a signed 32-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The integer.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getInt32(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 4);
    return this.#view.getInt32(at, littleEndian);
  }

  /**
   * Reads an unsigned 32-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The integer.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getUint32(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 4);
    return this.#view.getUint32(at, littleEndian);
  }

  /**
   * Reads a signed 64-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The integer, as a bigint.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getBigInt64(byteOffset: number, littleEndian = true): bigint {
    const at = this.#place(byteOffset, 8);
    return this.#view.getBigInt64(at, littleEndian);
  }

  /**
   * Reads an unsigned 64-bit integer.
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The integer, as a bigint.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getBigUint64(byteOffset: number, littleEndian = true): bigint {
    const at = this.#place(byteOffset, 8);
    return this.#view.getBigUint64(at, littleEndian);
  }

  /**
   * Reads a float (32 bits).
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The number.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getFloat32(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 4);
    return this.#view.getFloat32(at, littleEndian);
  }

  /**
   * Reads a double (64 bits).
   *
   * @param byteOffset Where to read: an offset in bytes.
   * @param littleEndian Whether the number is little-endian; `true` by default.
   * @returns The number.
   * @throws {RangeError} If it isn't within the payload.
   * @throws {Error} If the event is over.
   */
  getFloat64(byteOffset: number, littleEndian = true): number {
    const at = this.#place(byteOffset, 8);
    return this.#view.getFloat64(at, littleEndian);
  }

  /**
   * Copies the payload, or a part of it.
   *
   * @param byteOffset Where the part begins: an offset in bytes, 0 by default.
   * @param byteLength How many bytes; by default all up to the end of the payload.
   * @returns The copy, which stays.
   * @throws {RangeError} If the bytes aren't within the payload.
   * @throws {Error} If the event is over.
   */
  bytes(byteOffset = 0, byteLength: number = this.#length - byteOffset): Uint8Array<ArrayBuffer> {
    const areWhole = Number.isInteger(byteOffset) && Number.isInteger(byteLength);
    const isInside = areWhole && byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= this.#length;
    if (!isInside || this.#lease.over) this.#refuse(byteOffset, byteLength);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#start + byteOffset, byteLength).slice();
  }

  /**
   * Copies the payload out and decodes it as UTF-8. Invalid UTF-8 becomes U+FFFD.
   *
   * @returns The text.
   * @throws {Error} If the event is over.
   */
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
