/**
 * C's strings as JavaScript's.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { noOptions, ownOptions } from "../ground/options.ts";

/** Options of the functions that read a string from C's memory. */
export interface TextOptions {
  /** Whether ill-formed text throws a `TypeError`; `false` by default, so that it becomes U+FFFD. */
  readonly fatal?: boolean;
}

/** How text stands in memory. */
export interface Encoding {
  readonly name: string;
  readonly decoder: TextDecoder;
  readonly unitByteLength: 1 | 2;
  /** What a string is made of, one element for each unit. */
  readonly units: (text: string) => ArrayLike<number>;
  /** Bytes as units. */
  readonly unitsOf: (bytes: Uint8Array<ArrayBuffer>) => ArrayLike<number>;
}

const encoder = new TextEncoder();

// A byte order mark is text like any other to C.

/** C's usual encoding. */
export const utf8: Encoding = {
  name: "UTF-8",
  decoder: new TextDecoder("utf-8", { ignoreBOM: true }),
  unitByteLength: 1,
  units: (text) => encoder.encode(text),
  unitsOf: (bytes) => bytes,
};

/** That of Windows and ICU, with the machine's byte order. */
export const utf16: Encoding = {
  name: "UTF-16",
  decoder: new TextDecoder("utf-16le", { ignoreBOM: true }),
  unitByteLength: 2,
  units: (text) => utf16Units(text),
  unitsOf: (bytes) => new Uint16Array(bytes.slice().buffer),
};

/** A string as it is: surrogates that stand alone stay so. */
export function utf16Units(text: string): Uint16Array<ArrayBuffer> {
  return Uint16Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
}

/** Whether text that is not of its encoding is an error. @throws {TypeError} When the options have others. */
export function isFatal(options: TextOptions): boolean {
  if (options === noOptions) return false;
  const { fatal = false } = ownOptions("Cannot read a string", options, ["fatal"]);
  if (typeof fatal !== "boolean") {
    throw new TypeError(`Cannot read a string: fatal must be a boolean, got ${shown(fatal)}`);
  }
  return fatal;
}

/**
 * Decodes bytes, all of them.
 *
 * @param subject What is read, and where it is, for an error to say.
 * @throws {TypeError} When it is not of the encoding, and this is to be fatal.
 */
export function decode(
  { name, decoder, units, unitsOf, unitByteLength }: Encoding,
  bytes: Uint8Array<ArrayBuffer>,
  options: TextOptions,
  subject: () => string,
): string {
  const fatal = isFatal(options);
  const text = decoder.decode(bytes);
  if (!fatal || !text.includes("\ufffd")) return text;
  // Text that has U+FFFD of its own comes out as it was.
  const [there, decoded] = [unitsOf(bytes), units(text)];
  let index = 0;
  while (index < there.length && there[index] === decoded[index]) index += 1;
  if (index === decoded.length) return text;
  throw new TypeError(`Cannot read ${subject()}: it is no ${name} from byte ${index * unitByteLength} on`);
}

const { fromCharCode } = String;

/** The first bytes of an array, which are there, as UTF-8. V8 makes a short string of ASCII characters in half the time that a decoder takes. */
export function shortText(bytes: Uint8Array<ArrayBuffer>, length: number): string {
  let all = length > 48 ? 0x80 : 0;
  for (let i = 0; i < length && all < 0x80; i++) all |= bytes[i]!;
  if (all >= 0x80) return utf8.decoder.decode(bytes.subarray(0, length));
  let text = "";
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    text += fromCharCode(
      bytes[i]!,
      bytes[i + 1]!,
      bytes[i + 2]!,
      bytes[i + 3]!,
      bytes[i + 4]!,
      bytes[i + 5]!,
      bytes[i + 6]!,
      bytes[i + 7]!,
    );
  }
  for (; i < length; i++) text += fromCharCode(bytes[i]!);
  return text;
}

/** Where the zero is that ends a string, or -1 when there is none. */
export function zeroIndex({ unitByteLength }: Encoding, bytes: Uint8Array): number {
  if (unitByteLength === 1) return bytes.indexOf(0);
  for (let index = 0; index + 1 < bytes.length; index += 2) {
    if (bytes[index] === 0 && bytes[index + 1] === 0) return index;
  }
  return -1;
}
