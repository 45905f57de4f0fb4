/**
 * This version of belay, for what commands write and print: they can read no manifest beside them.
 *
 * @module
 */

/** As in package.json and deno.json. */
export const version = "0.1.0";
