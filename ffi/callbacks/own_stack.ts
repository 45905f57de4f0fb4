/**
 * What callbacks have to know that C calls on a stack of its own: there they may end with a call of C's, and return a promise
 * if the call suspends.
 *
 * @module
 */

import { freeBlock } from "../core/call_blocks.ts";
import { core } from "../core/core.ts";
import { depthMask } from "../core/pending.ts";
import { nativeCallWord, tailCallWord } from "../core/record.ts";
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
  suspended: Suspended | undefined;
}

/** The innermost call on a stack of its own. */
export const ownStack: {
  /** How many native calls are running, that one the innermost. */
  depth: number;
  /** It, if it suspends. */
  running: RunningCall | undefined;
  /** The block of the call with which its callback has ended, or -1. */
  tailIndex: number;
} = { depth: 0, running: undefined, tailIndex: -1 };

/** Thrown where a callback's function has ended otherwise than by a result: C waits for a promise, or goes on with another call. */
export const endedOtherwise: unique symbol = Symbol("ended otherwise");

/** Whether the callback that runs is one of the innermost call on a stack of its own. */
function isOnOwnStack(): boolean {
  return ownStack.depth !== 0 && ownStack.depth === (core().words.i32[nativeCallWord]! & depthMask);
}

/** Has C wait for a promise, if the callback is one of a suspending call; answers whether it is. */
export function suspend(bound: BoundFunction, promise: unknown): boolean {
  const { running } = ownStack;
  if (running === undefined || !isOnOwnStack()) return false;
  running.suspended = { bound, promise, given: [], resultAddress: undefined };
  return true;
}

/** What {@linkcode tailCall} gives: only a callback can do something with it. */
export class TailCall {
  readonly index: number;

  /** @param index The block with the arguments. */
  constructor(index: number) {
    this.index = index;
  }
}

/** Has C go on with a call in the place of the callback; answers whether it can. */
export function goOnWith({ index }: TailCall): boolean {
  if (!isOnOwnStack()) {
    freeBlock(index);
    return false;
  }
  core().words.u32[tailCallWord] = index + 1;
  ownStack.tailIndex = index;
  return true;
}

/** The core has begun the tail call: its block is free. */
export function takeTailCall(): void {
  freeBlock(ownStack.tailIndex);
  ownStack.tailIndex = -1;
}
