/**
 * What an event of a channel carries: a view of memory that is used again, which ends when the event does.
 *
 * @module
 */

import { RangeError } from "./blame.ts";
import { utf8 } from "./text.ts";

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
  constructor(view: DataView<ArrayBuffer>, lease: Lease, start: number, length: number) {
    this.#view = view;
    this.#lease = lease;
    this.#start = start;
    this.#length = length;
  }

  /** Has the object stand for another event. */
  static move(data: ChannelData, start: number, length: number): void {
    data.#start = start;
    data.#length = length;
  }

  /** The same in memory of its own, which stays. */
  static detach(data: ChannelData): ChannelData {
    const bytes = data.bytes();
    return new ChannelData(new DataView(bytes.buffer), { over: false }, 0, bytes.length);
  }

  /** How many bytes C sent. @throws {Error} When the event is over. */
  get byteLength(): number {
    if (this.#lease.over) this.#refuse(0, 0);
    return this.#length;
  }

  /** Reads a signed 8-bit integer. */
  getInt8(byteOffset: number): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 1) || this.#lease.over) this.#refuse(byteOffset, 1);
    return this.#view.getInt8(this.#start + (byteOffset | 0));
  }

  /** Reads an unsigned 8-bit integer. */
  getUint8(byteOffset: number): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 1) || this.#lease.over) this.#refuse(byteOffset, 1);
    return this.#view.getUint8(this.#start + (byteOffset | 0));
  }

  /** Reads a signed 16-bit integer. */
  getInt16(byteOffset: number, littleEndian = true): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 2) || this.#lease.over) this.#refuse(byteOffset, 2);
    return this.#view.getInt16(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads an unsigned 16-bit integer. */
  getUint16(byteOffset: number, littleEndian = true): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 2) || this.#lease.over) this.#refuse(byteOffset, 2);
    return this.#view.getUint16(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads a signed 32-bit integer. */
  getInt32(byteOffset: number, littleEndian = true): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 4) || this.#lease.over) this.#refuse(byteOffset, 4);
    return this.#view.getInt32(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads an unsigned 32-bit integer. */
  getUint32(byteOffset: number, littleEndian = true): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 4) || this.#lease.over) this.#refuse(byteOffset, 4);
    return this.#view.getUint32(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads a signed 64-bit integer. */
  getBigInt64(byteOffset: number, littleEndian = true): bigint {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 8) || this.#lease.over) this.#refuse(byteOffset, 8);
    return this.#view.getBigInt64(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads an unsigned 64-bit integer. */
  getBigUint64(byteOffset: number, littleEndian = true): bigint {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 8) || this.#lease.over) this.#refuse(byteOffset, 8);
    return this.#view.getBigUint64(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads a float. */
  getFloat32(byteOffset: number, littleEndian = true): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 4) || this.#lease.over) this.#refuse(byteOffset, 4);
    return this.#view.getFloat32(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Reads a double. */
  getFloat64(byteOffset: number, littleEndian = true): number {
    if (!(byteOffset >= 0 && byteOffset <= this.#length - 8) || this.#lease.over) this.#refuse(byteOffset, 8);
    return this.#view.getFloat64(this.#start + (byteOffset | 0), littleEndian);
  }

  /** Copies the payload, or `byteLength` bytes of it from an offset on. */
  bytes(byteOffset = 0, byteLength: number = this.#length - byteOffset): Uint8Array<ArrayBuffer> {
    const fits = byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= this.#length;
    const whole = Number.isInteger(byteOffset) && Number.isInteger(byteLength);
    if (!(fits && whole) || this.#lease.over) this.#refuse(byteOffset, byteLength);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#start + byteOffset, byteLength).slice();
  }

  /** Copies the payload out and decodes it as UTF-8; what is none becomes U+FFFD. */
  text(): string {
    return utf8.decoder.decode(this.bytes());
  }

  #refuse(byteOffset: number, byteLength: number): never {
    if (this.#lease.over) throw new Error("Cannot read an event's data: the event is over, and its memory used again");
    throw new RangeError(
      `Cannot read ${byteLength} bytes at offset ${byteOffset}: the event has ${this.#length} bytes`,
    );
  }
}
