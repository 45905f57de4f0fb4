/**
 * The cores that the package carries inside its modules. A checkout has none: its cores are files. What is published has another
 * module in the place of this one, which `scripts/pack.ts` writes.
 *
 * @module
 */

/** A core as a module has it. */
export interface EmbeddedCore {
  /** Its bytes in base64. */
  readonly base64: string;
  /**
   * Where the bytes are among those of all systems' cores for the processor, which are compressed together (Zstandard, RFC
   * 8878). They are much alike.
   */
  readonly among?: { readonly start: number; readonly end: number };
  /** The bytes' SHA-256 sum, in hexadecimal digits. */
  readonly sum: string;
}

/** Where this module is: in a bundle, in the program's file. What npm's package has says whether a bundler has been there. */
export const embeddedUrl: string | undefined = import.meta.url;

/** A platform's core, by the name of its folder; `undefined` when the package carries none. */
export function embeddedCore(_platform: string): EmbeddedCore | undefined {
  return undefined;
}
