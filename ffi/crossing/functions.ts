/**
 * What is known of libraries' functions: for callbacks that have C call them in JavaScript's stead.
 *
 * @module
 */

import type { Address } from "../runtime/backend.ts";
import type { FunctionDefinition } from "../types/definitions.ts";

/** A function of a library. */
export interface KnownFunction {
  readonly key: string;
  readonly definition: FunctionDefinition;
  readonly address: Address;
  readonly owner: FunctionOwner;
}

/** What closing a library ends. */
export interface FunctionOwner {
  readonly name: string;
  closed: boolean;
  /** Whether running calls are counted: only where closing unloads the code that they return to. */
  readonly counted: boolean;
}

const functions = new WeakMap<object, KnownFunction>();

/** Notes a function that programs get, and what it calls. */
export function noteFunction(call: object, known: KnownFunction): void {
  functions.set(call, known);
}

/** What is known of a function; `undefined` if it is no library's. */
export function knownFunction(call: object): KnownFunction | undefined {
  return functions.get(call);
}
