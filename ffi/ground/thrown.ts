/**
 * What was thrown, which may be anything.
 *
 * @module
 */

/** The message of an error; of what is none, its text. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Whether it is Deno's error for a permission that is missing. */
export function isDenied(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.name === "NotCapable";
}
