/**
 * What a callback of a suspending call has to know: its function may return a promise, and C waits for that.
 *
 * @module
 */

import { core } from "../core/core.ts";
import { depthMask } from "../core/pending.ts";
import { nativeCallWord } from "../core/record.ts";
import type { Address } from "../runtime/backend.ts";
import type { BoundFunction } from "./bound_function.ts";

/** What becomes of a callback whose function has returned a promise. */
export interface Suspended {
  readonly bound: BoundFunction;
  readonly promise: unknown;
  /** The arguments that C gave, and where it wants a structure: the last of what is known. */
  given: unknown[];
  resultAddress: Address | undefined;
}

/** A suspending call that is being run until C has returned, or a callback has a promise. */
export interface RunningCall {
  /** How many native calls are running, this one the innermost. */
  readonly depth: number;
  suspended: Suspended | undefined;
}

/** The innermost one. */
export const suspension: { running: RunningCall | undefined } = { running: undefined };

/** Thrown where a callback's function has returned a promise that C waits for. */
export const isSuspended: unique symbol = Symbol("suspended");

/** Has C wait for a promise, if the callback is one of a suspending call; answers whether it is. */
export function suspend(bound: BoundFunction, promise: unknown): boolean {
  const { running } = suspension;
  if (running === undefined || running.depth !== (core().words.i32[nativeCallWord]! & depthMask)) return false;
  running.suspended = { bound, promise, given: [], resultAddress: undefined };
  return true;
}
