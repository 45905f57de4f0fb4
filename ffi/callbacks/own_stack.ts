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
import { inside, refuseNew } from "../ground/inside.ts";
import type { Address } from "../runtime/backend.ts";
import type { BoundFunction } from "./bound_function.ts";

/**
 * A suspending call that is being run until C has returned, or a callback has a promise: the last one's function, its promise,
 * the arguments that C gave, and where it wants a structure. A call may wait often, so nothing is made for each time.
 */
export interface RunningCall {
  bound: BoundFunction | undefined;
  promise: unknown;
  given: unknown[];
  resultAddress: Address | undefined;
}

/** The innermost call on a stack of its own. */
export const ownStack: {
  /** How many native calls are running, that one the innermost. */
  depth: number;
  /** It, if it suspends. */
  running: RunningCall | undefined;
} = { depth: 0, running: undefined };

/** The block of the last tail call, or -1. The core has made it before there is another one, so that frees it. */
let tailIndex = -1;

/** Whether the callback that runs is one of the innermost call on a stack of its own. */
function isOnOwnStack(): boolean {
  return ownStack.depth !== 0 && ownStack.depth === (core().words.i32[nativeCallWord]! & depthMask);
}

/** Whether C may wait for what the callback that runs returns. */
export function maySuspend(): boolean {
  return ownStack.running !== undefined && isOnOwnStack();
}

/** Has C wait for the promise of the callback that runs. */
export function suspend(
  bound: BoundFunction,
  promise: unknown,
  given: unknown[],
  resultAddress: Address | undefined,
): void {
  const running = ownStack.running as RunningCall;
  running.bound = bound;
  running.promise = promise;
  running.given = given;
  running.resultAddress = resultAddress;
}

/** What `tailCall()` gives: only a callback can do something with it. */
export class TailCall {
  readonly #fill: () => number;
  /** What C calls the function, and the type of its result. */
  readonly name: string;
  readonly result: unknown;

  /** @param fill Checks the arguments and puts them into a block, whose index it answers. */
  constructor(token: typeof inside, fill: () => number, name: string, result: unknown) {
    if (token !== inside) refuseNew("tail call", "tailCall()");
    this.#fill = fill;
    this.name = name;
    this.result = result;
    Object.freeze(this);
  }

  /** Has C make the call in the place of the callback that runs; answers whether it can. */
  make(): boolean {
    if (!isOnOwnStack()) return false;
    const index = this.#fill();
    if (tailIndex >= 0) freeBlock(tailIndex);
    tailIndex = index;
    core().words.u32[tailCallWord] = index + 1;
    return true;
  }
}
