/**
 * Options and definitions: objects whose properties a program names.
 *
 * @module
 */

import { TypeError } from "./blame.ts";
import { shown } from "./errors.ts";

/** What options are that were left out. */
export const noOptions: object = Object.freeze(Object.create(null) as object);

/**
 * Copies an object's own properties, each read once: a getter may answer otherwise the next time. What it inherits is
 * nothing that the program wrote here; something may have put it on `Object.prototype`.
 *
 * @param subject What an error begins with.
 * @param names The properties that there are.
 * @param kind What an error calls a property, and `whole` the object.
 * @param hint What an error says of a property that isn't one of them, in place of which there are; empty if nothing.
 * @returns An object without a prototype, so that what is left out is `undefined`.
 * @throws {TypeError} When it is no object, or has another property.
 */
export function ownOptions<T extends object>(
  subject: string,
  value: T,
  names: readonly (keyof T & string)[],
  kind = "an option",
  whole = "the options",
  hint: (key: string) => string = () => "",
): Partial<T> {
  if (value === noOptions) return value;
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${subject}: ${whole} must be an object, got ${shown(value)}`);
  }
  const own = Object.create(null) as Partial<T>;
  for (const key of Object.keys(value) as (keyof T & string)[]) {
    if (!names.includes(key)) {
      throw new TypeError(`${subject}: "${key}" is not ${kind}${hint(key) || `; these are: ${names.join(", ")}`}`);
    }
    own[key] = value[key];
  }
  return own;
}
