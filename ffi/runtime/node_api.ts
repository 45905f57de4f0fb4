/**
 * The core as a Node-API module: it then can wake the event loop.
 *
 * @module
 */

import type { Address } from "./backend.ts";

/** What a runtime's `process` does with a Node-API module: its exports come to be those of `module`. */
export interface ModuleLoader {
  dlopen(
    module: {
      exports: { connect?(isolate: bigint, look: bigint, watch: boolean, callback: bigint): boolean };
    },
    path: string,
  ): void;
}

/** How a runtime wakes an event loop. */
export interface WakeOptions {
  /** Whether wakes that nobody answers are to be repeated, since the runtime loses some. */
  readonly watch: boolean;
  /** A callback of the runtime's own that any thread may call, where that is better than Node-API's thread-safe functions. */
  readonly callback?: Address;
}

/**
 * As {@linkcode Backend.connect}, where the runtime loads Node-API modules as Node does.
 *
 * @param look A callback of the runtime's.
 */
export function connectAsModule(
  loader: ModuleLoader,
  path: string,
  isolate: Address,
  look: Address,
  { watch, callback = 0n }: WakeOptions,
): boolean {
  const module: Parameters<ModuleLoader["dlopen"]>[0] = { exports: {} };
  loader.dlopen(module, path);
  return module.exports.connect?.(BigInt(isolate), BigInt(look), watch, BigInt(callback)) ?? false;
}
