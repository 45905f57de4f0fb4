/** Holds what `ffi/runtime/deno.ts` says of Deno against Deno's own types; only Deno checks this file. */

import type { DenoNamespace } from "../../ffi/runtime/deno.ts";

type Loose<T> = T extends (...args: infer _) => infer R ? (...args: never[]) => R : T;

/** Each member that is used exists and gives what is expected of it. */
export const build: DenoNamespace["build"] = Deno.build;
export const querySync: Loose<DenoNamespace["permissions"]["querySync"]> = Deno.permissions.querySync;
export const create: DenoNamespace["UnsafePointer"]["create"] = Deno.UnsafePointer.create;
export const value: Loose<DenoNamespace["UnsafePointer"]["value"]> = Deno.UnsafePointer.value;
export const getArrayBuffer: Loose<DenoNamespace["UnsafePointerView"]["getArrayBuffer"]> =
  Deno.UnsafePointerView.getArrayBuffer;
export const getCString: Loose<DenoNamespace["UnsafePointerView"]["getCString"]> = Deno.UnsafePointerView.getCString;
