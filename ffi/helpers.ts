/**
 * The functions that generated code calls by name, and the way it is made.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import { calls, none } from "./calls.ts";
import { core, zeroTerminated } from "./core.ts";
import { Handle, handleTable } from "./handle.ts";
import { backend } from "./runtime.ts";
import type { NativeFunction, Pointer } from "./types.ts";

const isAddress = (value: unknown): value is Address =>
  backend().addressKind === "bigint" ? typeof value === "bigint" : typeof value === "number";

/** A number as this runtime's address. */
export function toAddress(number: number): Address {
  return backend().addressKind === "bigint" ? BigInt(number) : number;
}

const oneBigInt = new BigUint64Array(1);
const twoWords = new Uint32Array(oneBigInt.buffer);

/** This runtime's address as a number; NULL is 0. By way of memory, since V8 takes ten times longer for `Number(bigint)`. */
export function toNumber(address: Address | null): number {
  if (typeof address !== "bigint") return address ?? 0;
  oneBigInt[0] = address;
  return twoWords[0] + twoWords[1] * 2 ** 32;
}

/** An address as TypeScript's pointer. */
export function nullable(address: Address | null): Pointer | null {
  return address === null || address === 0 || address === 0n ? null : address as unknown as Pointer;
}

/** A pointer as this runtime's address. */
export function addressOf(pointer: Pointer): Address {
  return pointer as unknown as Address;
}

/** A buffer argument as a view whose memory stays where it is, or `undefined` when it is no memory. */
function asView(value: unknown): ArrayBufferView | undefined {
  if (ArrayBuffer.isView(value)) {
    // Runtimes take typed arrays; a DataView is one of its bytes.
    if (!(value instanceof DataView)) return backend().hold(value);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value);
  return undefined;
}

function asString(text: string): Uint8Array<ArrayBuffer> {
  return backend().hold(zeroTerminated(text));
}

/** The id of a handle argument: 0 for null, `undefined` when it is none that is live. */
function handleId(value: unknown): number | undefined {
  if (value === null) return 0;
  const id = value instanceof Handle ? value.id : value;
  if (typeof id !== "number") return undefined;
  // Throws an error that says what is wrong with it.
  if (!handleTable().has(id)) handleTable().value(id);
  return id;
}

/** Memory that holds an id, for as long as a call lasts. */
function asCell(id: number): ArrayBufferView {
  return backend().hold(new BigUint64Array([BigInt(id)]));
}

function handleIdAt(address: Address | null): number {
  return address === null || address === 0 || address === 0n ? 0 : Number(core().load.u64(address, 0));
}

function stringAt(address: Address): string | null {
  return address === 0 || address === 0n ? null : backend().readString(address);
}

/** Whether a value has a C function pointer. */
export function isNativeFunction(value: unknown): value is NativeFunction {
  return typeof value === "object" && value !== null && "definition" in value && "pointer" in value;
}

/** The address of a function argument that is not a function: `undefined` when it is nothing that C can call. */
export function functionAddress(value: unknown): Address | undefined {
  if (value === null) return toAddress(0);
  if (isAddress(value)) return value;
  return isNativeFunction(value) ? addressOf(value.pointer) : undefined;
}

/** What generated code may name. */
export const helpers = {
  calls,
  none,
  toAddress,
  toNumber,
  nullable,
  asView,
  asString,
  handleId,
  asCell,
  handleIdAt,
  handleValue: (id: number): unknown => handleTable().value(id),
  stringAt,
  functionAddress,
} as const;

let generated = 0;

/**
 * Makes a function from source. Every function that comes out is the engine's own, with type feedback of its own: a
 * closure shared by all signatures would make each native call one to an unknown target, which is 20 times slower. The
 * same source would be the same function to V8's cache, so each gets a number.
 *
 * @param source The body of a function whose parameters are the names; it returns what is wanted.
 */
export function generate(names: Readonly<Record<string, unknown>>, source: string): unknown {
  const scope = { ...helpers, ...names };
  generated += 1;
  try {
    return new Function(...Object.keys(scope), `"use strict"; // ${generated}\n${source}`)(...Object.values(scope));
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    throw new EvalError("Cannot bind C functions: belay generates code, and this program forbids it", { cause: error });
  }
}
