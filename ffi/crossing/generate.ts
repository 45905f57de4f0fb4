/**
 * What makes functions from source.
 *
 * @module
 */

import { inUrl } from "../ground/source_name.ts";
import { helpers } from "./helpers.ts";

// As it was before the program could replace it.
const { Function } = globalThis;

let generated = 0;

/** What stacks and debuggers call generated code: what it is, and the symbol, types or fields that it is for. */
export function sourceUrl(
  kind: "callback" | "nonblocking" | "suspending" | "tail-call" | "read" | "variable" | "view" | "write",
  of: string,
): string {
  return `belay-${kind}/${inUrl(of)}`;
}

/**
 * Makes a function from source. Every function that comes out is the engine's own, with type feedback of its own: a
 * closure shared by all signatures would make each native call one to an unknown target, which is 20 times slower. The
 * same source would be the same function to an engine's cache, so each gets a number. V8 never empties that cache, and a
 * function would stay in it for as long as the isolate lives. Source that has a tagged template doesn't go into it.
 *
 * @param source The body of a function whose parameters are the names; it returns what is wanted.
 * @param url What stacks call it: see {@linkcode sourceUrl}.
 */
export function generate(names: Readonly<Record<string, unknown>>, source: string, url: string): unknown {
  const scope = { ...helpers, ...names };
  generated += 1;
  try {
    const body = `"use strict"; false && none\`\`; // ${generated}\n${source}\n//# sourceURL=${url}`;
    return new Function(...Object.keys(scope), body)(...Object.values(scope));
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    throw new EvalError("Cannot bind C functions: belay generates code, and this program forbids it", { cause: error });
  }
}
