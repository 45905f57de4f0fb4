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
  callStackByteOffset,
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
import { isRecord } from "../crossing/layout.ts";
import { argumentClass, parameterNativeType, resultNativeType } from "../crossing/marshal.ts";
import { RangeError } from "../ground/blame.ts";
import { onCallStackSize } from "../lifetime/settings.ts";
import type { Address, NativeSignature, NativeType } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { fitsBehindAddress, type ScalarClass } from "../types/calling_convention.ts";
import type { FunctionDefinition } from "../types/definitions.ts";

const functions = coreFunctions(() => ({
  start: signature("belay_stack_start", ["address", "u32"], "i32"),
  goOn: signature("belay_stack_go_on", ["address", "u32"], "i32"),
  resume: signature("belay_stack_resume", ["i32"], "i32"),
}));

type Step = (isolate: Address, index: number) => number;

/**
 * What starts a call on a stack of its own, and what goes on with it: functions of the isolate's address and a block's index, which
 * give a state. Where the arguments are passed, `resume` goes on, of the isolate's tag and the block's index in one.
 */
export interface StackSteps {
  readonly start: Step;
  readonly goOn: Step;
  readonly resume: (tagAndIndex: number) => number;
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

/** How a call on a stack of its own begins and goes on, as source. */
export interface OwnStackWay {
  /** Statements that begin it, and leave a state in the variable `state`. */
  readonly begin: string;
  /** An expression that goes on with it, and gives a state. */
  readonly goOn: string;
}

/** What is done with the block at `index`, which has the arguments. */
export const startWay: OwnStackWay = {
  begin: "let state = start(isolate, index);",
  goOn: "goOn(isolate, index)",
};

/**
 * What is done with C's function itself, which `native` is: the variable `result` has what it gives, if `left` is 0.
 *
 * @param passed The arguments.
 */
export function passingWay(passed: readonly string[]): OwnStackWay {
  return {
    begin: `const result = native(${["address", ...passed].join(", ")});
      const left = u32[b4 + ${callStackByteOffset / 4}];
      let state = left >= ${stackStateCallsBack} ? i32s[${callbackWord}] + ${stackStateCallsBack} : left;`,
    goOn: "resume(tagAndIndex)",
  };
}

/** What the runtime is told of a function that is called by {@linkcode passingWay}; `undefined` for others. */
export function passingSignature(
  { parameters, result, captureErrno, variadic, stackSize = 0 }: FunctionDefinition,
): NativeSignature | undefined {
  const { platform } = backend();
  if (platform.arch !== "x86_64" || platform.os === "windows") return undefined;
  if (captureErrno === true || variadic !== undefined || stackSize !== 0 || isRecord(result)) return undefined;
  const types: NativeType[] = ["address"];
  const classes: ScalarClass[] = [];
  for (const type of parameters) {
    if (isRecord(type)) return undefined;
    classes.push(argumentClass(type));
    types.push(parameterNativeType(type));
  }
  if (!fitsBehindAddress(platform, classes)) return undefined;
  return signature("belay_stack_call", types, resultNativeType(result));
}

/**
 * Statements that make a call at once, on a stack of its own: that of the block at `index`, of the function `key`. Each function
 * has them, since engines only make good code of calls to what is the same each time. They name {@linkcode ownStackScope}, and
 * `outside`, a variable.
 */
export function makeOwnStackCall({ begin }: OwnStackWay): string {
  return `outside = i32s[${nativeCallWord}];
      const low = i32s[${2 * resultWord}], high = i32s[${2 * resultWord + 1}];
      i32s[${nativeCallWord}] = outside + 1;
      ${begin}
      if (state >= ${stackStateCallsBack}) {
        const { depth, running } = ownStack;
        try {
          ownStack.running = undefined;
          ownStack.depth = (outside & ${depthMask}) + 1;
          state = callBack(state, index);
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
}

/** A function of a state and a block's index that calls back while C asks for it, and answers the last state. */
export function callBackFunction({ goOn }: OwnStackWay): string {
  return `const callBack = (state, index) => {
      for (;;) {
        const bound = boundFunctions[state - ${stackStateCallsBack}];
        if (bound !== undefined) {
          try { bound.invoke(bound); } catch (error) { raise(error, bound, 0); }
        }
        state = ${goOn};
        if (state < ${stackStateCallsBack}) return state;
      }
    };`;
}

/** What is done in any case when the call has been made: where JavaScript's stack ends, what steps may throw. */
export const endOwnStackCall = `if (outside !== -1) i32s[${nativeCallWord}] = ${ended};`;

/** What {@linkcode makeOwnStackCall} names, beside a block call's scope. */
export function ownStackScope(): Readonly<Record<string, unknown>> {
  return { ...stackSteps(), boundFunctions, ownStack, raise, refuse };
}
