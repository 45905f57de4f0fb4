/**
 * Strings as C has them.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { shown } from "../ground/errors.ts";
import { utf16Units } from "./text.ts";

const encoder = new TextEncoder();

/** A string as C reads it. @throws {TypeError} When C would read only a part of it. */
export function zeroTerminated(text: string): Uint8Array<ArrayBuffer> {
  refuseNul(text);
  return encoder.encode(`${text}\0`);
}

/** The same in UTF-16. @throws {TypeError} When C would read only a part of it. */
export function zeroTerminatedUtf16(text: string): Uint8Array<ArrayBuffer> {
  refuseNul(text);
  return new Uint8Array(utf16Units(`${text}\0`).buffer);
}

function refuseNul(text: string): void {
  if (typeof text !== "string") throw new TypeError(`Cannot pass ${shown(text)} to C as a string`);
  if (text.includes("\0")) throw new TypeError(`Cannot pass ${shown(text)} to C: it contains a NUL character`);
}
