/**
 * What TypeScript would not let a program do, or can't know the types of.
 *
 * @module
 */

import { type Callback, callback, type Definitions, dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

/** A function whose arguments and result TypeScript doesn't check. */
export type Unchecked = (...args: unknown[]) => unknown;

/** Opens the test library with definitions that are made up at run time. */
export function openUnchecked(made: Record<string, unknown>): Disposable & { symbols: Record<string, Unchecked> } {
  return dlopen(testLibrary, made as Definitions) as unknown as ReturnType<typeof openUnchecked>;
}

/** Makes a callback whose definition, function and options TypeScript doesn't check. */
export const callbackUnchecked = callback as unknown as (
  definition: unknown,
  fn: unknown,
  options?: unknown,
) => Callback;
