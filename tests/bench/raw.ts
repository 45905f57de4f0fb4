/** The bare runtimes' own APIs, with just the types that the benchmarks use. */

import type { DenoNamespace } from "../../ffi/runtime/deno.ts";
import type { BunFfi, BunProcess } from "../../ffi/runtime/bun.ts";
import process from "node:process";
import { runtime } from "./harness.ts";

/** A call's types in the words that both runtimes understand: `"i32"`, `"u64"`. */
export interface RawDefinition {
  readonly parameters: readonly string[];
  readonly result: string;
  /** Deno's word for a call on another thread. */
  readonly nonblocking?: boolean;
}

type RawFunction = (...args: unknown[]) => unknown;

/** A library that the runtime opened. */
export interface RawLibrary {
  readonly symbols: Record<string, RawFunction>;
  close(): void;
}

const deno = (): DenoNamespace => (globalThis as unknown as { Deno: DenoNamespace }).Deno;
const bun = (): BunFfi => (process as unknown as BunProcess).getBuiltinModule("bun:ffi") as BunFfi;

/** The functions of {@linkcode rawLibrary}. */
export function rawOpen(path: string, definitions: Record<string, RawDefinition>): Record<string, RawFunction> {
  return rawLibrary(path, definitions).symbols;
}

/** `dlopen` of the runtime. */
export function rawLibrary(path: string, definitions: Record<string, RawDefinition>): RawLibrary {
  const entries = Object.entries(definitions);
  if (runtime === "deno") {
    const spelled = entries.map(([name, definition]) => [name, { name, ...definition }]);
    return deno().dlopen(path, Object.fromEntries(spelled)) as RawLibrary;
  }
  const pointer = (type: string): string => ["function", "pointer", "buffer"].includes(type) ? "ptr" : type;
  const spelled = entries.map(([name, { parameters, result }]) => [
    name,
    { args: parameters.map(pointer), returns: pointer(result) },
  ]);
  return bun().dlopen(path, Object.fromEntries(spelled)) as RawLibrary;
}

/** A function of two arguments at an address, in the runtime's own way. */
export function rawFunctionAt(address: unknown, { parameters, result }: RawDefinition): RawFunction {
  if (runtime === "bun") {
    const { CFunction } = bun() as unknown as { CFunction: (definition: object) => RawFunction };
    return CFunction({ args: parameters, returns: result, ptr: address });
  }
  const { UnsafeFnPointer, UnsafePointer } = deno() as unknown as {
    UnsafeFnPointer: new (pointer: object | null, definition: RawDefinition) => { call: RawFunction };
    UnsafePointer: DenoNamespace["UnsafePointer"];
  };
  const pointer = new UnsafeFnPointer(UnsafePointer.create(address as bigint), { parameters, result });
  return (a, b) => pointer.call(a, b);
}

/** Where the memory of a view is now. */
export function rawPointer(view: ArrayBufferView): bigint {
  if (runtime === "bun") return BigInt(bun().ptr(view));
  const { UnsafePointer } = deno();
  return UnsafePointer.value(UnsafePointer.of(view));
}

/** The zero-terminated string at a pointer as the runtime spells it. */
export const rawString: (pointer: unknown) => string = runtime === "deno"
  ? (pointer) => deno().UnsafePointerView.getCString(pointer as object)
  : ((CString) => (pointer: unknown) => new CString(pointer as number).toString())(bun().CString);

/** A callback of the runtime's own. */
export interface RawCallback {
  /** As the runtime spells it. */
  readonly pointer: unknown;
  close(): void;
}

/** Makes a callback of the runtime's own. */
export function rawCallback(definition: RawDefinition, fn: (...args: never[]) => unknown): RawCallback {
  if (runtime === "deno") {
    return new (deno() as unknown as { UnsafeCallback: DenoCallback }).UnsafeCallback(definition, fn);
  }
  const { JSCallback } = bun() as unknown as { JSCallback: BunCallback };
  const callback = new JSCallback(fn, { args: definition.parameters, returns: definition.result });
  return { pointer: callback.ptr, close: () => callback.close() };
}

/** A callback of the runtime's own that other threads may call: without a result on Bun, blocking the caller on Deno. */
export function rawThreadSafe(definition: RawDefinition, fn: (...args: never[]) => unknown): RawCallback {
  if (runtime === "deno") {
    const { UnsafeCallback } = deno() as unknown as {
      UnsafeCallback: DenoCallback & { threadSafe(...args: unknown[]): RawCallback };
    };
    return UnsafeCallback.threadSafe(definition, fn);
  }
  const { JSCallback } = bun() as unknown as { JSCallback: BunCallback };
  const made = new JSCallback(fn, { args: definition.parameters, returns: definition.result, threadsafe: true });
  return { pointer: made.ptr, close: () => made.close() };
}

type DenoCallback = new (definition: RawDefinition, fn: unknown) => RawCallback;
type BunCallback = new (
  fn: unknown,
  definition: { args: readonly string[]; returns: string; threadsafe?: boolean },
) => { readonly ptr: unknown; close(): void };
