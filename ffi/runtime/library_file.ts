/**
 * A library that is bytes, as a file that the loader can open.
 *
 * @module
 */

import { isDenied, messageOf } from "../ground/thrown.ts";
import type { Backend } from "./backend.ts";
import { memoryFile } from "./memory_file.ts";
import { privateFile } from "./private_file.ts";

/** A file that was made of bytes. */
export interface LibraryFile {
  readonly path: string;
  /** Makes another one, for when the loader refuses the first; it throws what {@linkcode privateFile} throws. */
  readonly other?: () => string;
}

/**
 * Makes a file of a library's bytes: in memory where the system has that, in a private folder elsewhere.
 *
 * @param name The file's name; it says what the bytes are.
 * @throws {Error} When there is no place for it. The message says why.
 */
export function libraryFile(runtime: Backend, name: string, bytes: () => Uint8Array<ArrayBuffer>): LibraryFile {
  const inFolder = (): string => privateFile(runtime, name, bytes());
  if (runtime.platform.os !== "linux") return { path: inFolder() };
  const made = memoryFile(runtime, name, bytes);
  if ("path" in made) return { path: made.path, other: inFolder };
  try {
    return { path: inFolder() };
  } catch (error) {
    const message = `${messageOf(error)}; and no file in memory could be made: ${made.reason}`;
    // Deno's error about a permission stays one.
    const AnyError = (isDenied(error) ? error.constructor : Error) as ErrorConstructor;
    throw new AnyError(message, { cause: error });
  }
}
