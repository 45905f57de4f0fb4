/**
 * What belay has made that stands for a pointer, or for a C function. Each class says how its objects are known.
 *
 * @module
 */

import type { Address } from "../runtime/backend.ts";
import type { Pointer } from "../types/definitions.ts";

const pointerOwners: ((value: object) => Address | undefined)[] = [];

/**
 * Has what a class of belay's makes taken as its pointer. The function answers `undefined` for anything else, whatever that
 * looks like: it asks a private field, since a forged object must not lead C anywhere.
 */
export function onPointerOf(addressIn: (value: object) => Address | undefined): void {
  pointerOwners.push(addressIn);
}

/**
 * Where what is no address points to, if belay has made it: memory, a pin, a view, a callback, a channel.
 *
 * @throws {MemoryFreedError | PointerRuleError} When its memory has been freed; when it has been unpinned.
 */
export function pointerOf(value: unknown): Address | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const addressIn of pointerOwners) {
    const address = addressIn(value);
    if (address !== undefined) return address;
  }
  return undefined;
}

/** What a native call has to know of a `Callback`: that of its `BoundFunction`. */
export interface NativeFunctionState {
  readonly pointer: Pointer;
  readonly signature: { readonly shape: string };
  /** `null` when it was closed. */
  readonly fn: unknown;
}

let callbackState: (value: object) => NativeFunctionState | undefined = () => undefined;

/** Has callbacks known by a function that answers `undefined` for anything else, whatever that looks like. */
export function onCallbackState(stateIn: (value: object) => NativeFunctionState | undefined): void {
  callbackState = stateIn;
}

/** What stands behind a callback; `undefined` for anything else. */
export function callbackStateOf(value: unknown): NativeFunctionState | undefined {
  return typeof value === "object" && value !== null ? callbackState(value) : undefined;
}
