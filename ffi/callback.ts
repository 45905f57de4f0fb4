/**
 * TypeScript functions that C can call.
 *
 * @module
 */

import { addCleanup, type Cleanup } from "./cleanup.ts";
import { addressOf, nativeFunction, type NativeFunctionState } from "./helpers.ts";
import { report } from "./report.ts";
import { track, untrack } from "./tracking.ts";
import type { CallbackDefinition, CallbackFunction, CallbackResult, NativeFunction, Pointer } from "./types.ts";
import { bind, type BoundUpcall, signatureOf, unbind } from "./upcall.ts";

/** Options of {@linkcode callback}. */
export interface CallbackOptions<D extends CallbackDefinition> {
  /** What reports and errors call it. The function's own name by default. */
  readonly name?: string;
  /** What C gets when the function threw, or is gone. Zero, `false` or NULL by default. */
  readonly fallback?: D["result"] extends "void" ? undefined : CallbackResult<D["result"]>;
  /**
   * Called with an error that no native call of belay's is there to throw, because another binding or the event loop
   * entered C. Without it, such an error goes to the runtime's uncaught-error path.
   */
  readonly onError?: (error: unknown) => void;
}

interface Registered {
  readonly bound: BoundUpcall;
  readonly token: number;
}

/** A TypeScript function that C can call; {@linkcode callback} makes it. */
export class Callback<D extends CallbackDefinition = CallbackDefinition> implements NativeFunction<D> {
  /** The types of its parameters and result. */
  readonly definition: D;
  /** What C calls. It stays callable after the callback is gone, and answers with the fallback then. */
  readonly pointer: Pointer;
  readonly #shape: string;
  readonly #cleanup: Cleanup;
  /** Until it is disposed of: it holds the function. */
  #registered: Registered | undefined;

  /** Made by {@linkcode callback}. */
  constructor(definition: D, bound: BoundUpcall) {
    this.definition = definition;
    this.pointer = bound.pointer;
    this.#shape = bound.signature.shape;
    this.#registered = { bound, token: track("callback", bound.upcall.name) };
    this.#cleanup = addCleanup(this, collected, this.#registered);
  }

  /** Whether it was disposed of. */
  get disposed(): boolean {
    return this.#registered === undefined;
  }

  /** What a native call that gets it as an argument has to know. */
  get [nativeFunction](): NativeFunctionState {
    return { address: addressOf(this.pointer), shape: this.#shape, disposed: this.disposed };
  }

  /**
   * Ends the callback: the function is no longer held, and its C function may stand behind another callback of the same
   * shape after a while. A call that is running finishes. Doing it again does nothing.
   */
  dispose(): void {
    if (this.#registered === undefined) return;
    const { bound, token } = this.#registered;
    this.#registered = undefined;
    this.#cleanup.stop();
    untrack(token);
    unbind(bound);
  }

  /** As {@linkcode Callback.dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function collected({ bound, token }: Registered): void {
  unbind(bound);
  const leak = untrack(token);
  if (leak === undefined) return;
  const message = `callback "${leak.name}" was garbage-collected before it was disposed of; it has been released`;
  report("leak", message, leak.stack);
}

/**
 * Makes a TypeScript function callable from C.
 *
 * A parameter of type `"handle"` turns C's `void*` back into the value that its `Handle` was created with. However many
 * callbacks there are, the runtime has one native callback.
 *
 * *Ownership:* the callback lives until it is disposed of; one that is dropped is released after a garbage collection,
 * unless its own function can reach it, since the function is held for C's sake.
 * C may keep the pointer: calling it later is safe and answers with the fallback, is counted, and reported once. After a
 * while the pointer may stand behind a later callback of the same shape, so don't let C keep it on purpose.
 *
 * *Errors:* what the function throws never unwinds through C. C gets the fallback, further callbacks of the same native
 * call answer with theirs without running, and when the native call returns, it throws the error, the same object. A
 * result that is not of its type, or a promise, is such an error. A handle that is null or deleted gets the fallback and
 * is reported; the function does not run.
 *
 * *Threads:* the function runs on the isolate's own thread. A call from another thread gets the fallback and is counted.
 *
 * ```ts
 * import { callback, handle } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using onRow = callback(
 *   { parameters: [handle<string[]>(), "i32"], result: "i32" },
 *   (rows, index) => rows.push(`row ${index}`),
 *   { fallback: -1 },
 * );
 * assert(!onRow.disposed);
 * ```
 *
 * @throws {TypeError} When the definition uses a type that a callback can't have.
 * @throws {RangeError} When no thunk is left for its shape, of the 4,096 that the process has, or too many arguments would
 * arrive on the stack.
 */
export function callback<const D extends CallbackDefinition>(
  definition: D,
  fn: CallbackFunction<D>,
  options: CallbackOptions<D> = {},
): Callback<D> {
  if (typeof fn !== "function") throw new TypeError(`Cannot create a callback: expected a function, got ${typeof fn}`);
  const { name: _name, fallback: _fallback, onError, ...rest } = options;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new TypeError(`Cannot create a callback: "${unknown}" is not an option`);
  if (onError !== undefined && typeof onError !== "function") {
    throw new TypeError(`Cannot create a callback: onError must be a function, got ${typeof onError}`);
  }
  return new Callback(definition, bindFunction(definition, fn, options, fn.name || "anonymous"));
}

/** Puts a function behind a thunk, for a `Callback` or for the time of one native call. */
export function bindFunction(
  definition: CallbackDefinition,
  fn: (...parameters: never[]) => unknown,
  options: CallbackOptions<CallbackDefinition>,
  defaultName: string,
): BoundUpcall {
  const signature = signatureOf(definition);
  const { name = defaultName, fallback, onError } = options;
  const { low, high } = signature.fallbackBits(fallback, name);
  return bind(signature, {
    name,
    fn,
    fallbackLow: low,
    fallbackHigh: high,
    onError,
    handleReported: false,
  });
}
