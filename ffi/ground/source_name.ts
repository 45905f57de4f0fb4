/**
 * Names in the URLs of generated sources.
 *
 * @module
 */

// As it was before the program could replace it.
const { encodeURIComponent } = globalThis;

/** A name as a part of a URL. Surrogates that stand alone have no encoding: they become U+FFFD. */
export function inUrl(name: string): string {
  try {
    return encodeURIComponent(name);
  } catch {
    return encodeURIComponent(name.toWellFormed());
  }
}
