/**
 * Calls of C on stacks of their own. C gives way to JavaScript where it calls back, so no engine is entered from C. The core's
 * side of it is `native/src/stacks/`.
 *
 * A call switches to another stack and back as coroutines in C libraries do: those of QEMU, or Boost.Context.
 *
 * @module
 */

import { boundFunctions } from "../callbacks/bound_function.ts";
import { ownStack } from "../callbacks/own_stack.ts";
import { control, core, coreFunctions, coreIsAttached, signature } from "../core/core.ts";
import { callsAfter, depthMask, raise } from "../core/pending.ts";
import {
  callbackWord,
  nativeCallWord,
  operationResidentStacks,
  operationRestStacks,
  operationSizeStacks,
  operationStackCount,
  resultWord,
  stackStateCallsBack,
  stackStateNoMemory,
  stackStateReturned,
  stackStateShadowed,
} from "../core/record.ts";
import { RangeError } from "../ground/blame.ts";
import { onCallStackSize } from "../lifetime/settings.ts";
import type { Address } from "../runtime/backend.ts";

const functions = coreFunctions(() => ({
  start: signature("belay_stack_start", ["address", "u32"], "u32"),
  goOn: signature("belay_stack_go_on", ["address", "u32"], "u32"),
}));

type Step = (isolate: Address, index: number) => number;

/** What starts a call on a stack of its own, and what goes on with it: functions of the isolate's address and a block's index. */
export interface StackSteps {
  readonly start: Step;
  readonly goOn: Step;
}

let steps: StackSteps | undefined;

/** Those of the core. */
export function stackSteps(): StackSteps {
  if (steps !== undefined) return steps;
  onCallStackSize((bits) => void control(operationSizeStacks, { object: core().isolate, bits }));
  return steps = functions() as unknown as StackSteps;
}

/** How many calls have a stack of their own. */
export function ownStacks(): number {
  return coreIsAttached() ? Number(control(operationStackCount, { object: core().isolate })) : 0;
}

/** How many bytes of memory the stacks take: those of calls, and those that are kept for later ones. */
export function ownStackBytes(): number {
  return coreIsAttached() ? Number(control(operationResidentStacks, { object: core().isolate })) : 0;
}

/** Gives the system what calls have left in stacks that are kept for later ones. */
export function restStacks(): void {
  control(operationRestStacks, { object: core().isolate });
}

/** Says why C wasn't called. */
export function refuse(state: number, key: string): never {
  if (state === stackStateNoMemory) throw new RangeError(`Cannot call "${key}": no memory for a stack of its own`);
  const why = state === stackStateShadowed
    ? "this process has hardware shadow stacks, which belay can't switch: it can't have a stack of its own"
    : "belay has no stacks of their own for this processor and system";
  throw new Error(`Cannot call "${key}": ${why}`);
}

/** The word that counts native calls, when the call has ended. */
const ended = callsAfter("outside");

/**
 * Statements that make a call at once, on a stack of its own: that of the block at `index`, of the function `key`. Each function
 * has them, since engines only make good code of calls to what is the same each time. They name {@linkcode ownStackScope}, and
 * `outside`, a variable.
 */
export const makeOwnStackCall = `outside = i32s[${nativeCallWord}];
      const low = i32s[${2 * resultWord}], high = i32s[${2 * resultWord + 1}];
      i32s[${nativeCallWord}] = outside + 1;
      let state = start(isolate, index);
      if (state === ${stackStateCallsBack}) {
        const { depth, running } = ownStack;
        try {
          ownStack.running = undefined;
          ownStack.depth = (outside & ${depthMask}) + 1;
          state = callBack(index);
        } finally {
          ownStack.running = running;
          ownStack.depth = depth;
          i32s[${2 * resultWord}] = low;
          i32s[${2 * resultWord + 1}] = high;
        }
      }
      i32s[${nativeCallWord}] = ${ended};
      outside = -1;
      if (state !== ${stackStateReturned}) refuse(state, key);`;

/** A function that calls back while C asks for it. */
export const callBackFunction = `const callBack = (index) => {
      for (;;) {
        const bound = boundFunctions[i32s[${callbackWord}]];
        if (bound !== undefined) {
          try { bound.invoke(bound); } catch (error) { raise(error, bound, 0); }
        }
        const state = goOn(isolate, index);
        if (state !== ${stackStateCallsBack}) return state;
      }
    };`;

/** What is done in any case when the call has been made: where JavaScript's stack ends, what steps may throw. */
export const endOwnStackCall = `if (outside !== -1) i32s[${nativeCallWord}] = ${ended};`;

/** What {@linkcode makeOwnStackCall} names, beside a block call's scope. */
export function ownStackScope(): Readonly<Record<string, unknown>> {
  return { ...stackSteps(), boundFunctions, ownStack, raise, refuse };
}
