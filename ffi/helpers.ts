/**
 * The functions that generated code calls by name, and the way it is made.
 *
 * @module
 */

import type { Address } from "./backend.ts";
import {
  bufferOf,
  isDetached,
  isResizable,
  isView,
  lengthOfBuffer,
  lengthOfTypedArray,
  rangeOfDataView,
} from "./buffers.ts";
import { calls, none } from "./calls.ts";
import { isNull } from "./core.ts";
import { loads } from "./core_memory.ts";
import { Handle, handleTable } from "./handle.ts";
import { backend } from "./runtime.ts";
import type { Pointer } from "./types.ts";

// As it was before the program could replace it.
const { Function } = globalThis;

/** Whether a value is an address of this runtime, as far as can be seen. */
export function isAddress(value: unknown): value is Address {
  const numbers = backend().addressKind === "number";
  // One address has one spelling, so that pointers can be compared.
  if (typeof value === "bigint") return BigInt.asUintN(64, value) === value && !(numbers && value < 2n ** 53n);
  return numbers && typeof value === "number" && value >= 0 && Number.isSafeInteger(value);
}

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
  return twoWords[0]! + twoWords[1]! * 2 ** 32;
}

/** An address as TypeScript's pointer. */
export function nullable(address: Address | null): Pointer | null {
  return isNull(address) ? null : address as unknown as Pointer;
}

/** A pointer as this runtime's address. */
export function addressOf(pointer: Pointer): Address {
  return pointer as unknown as Address;
}

/** What C gets for memory of no bytes: some runtimes would pass NULL. */
export const noBytes: Uint8Array<ArrayBuffer> = new Uint8Array(1);

/**
 * A buffer argument as a typed array whose memory stays where it is, or `undefined` when it is no memory that can stay: it
 * may be detached, or resizable, which gives pages back to the system when it shrinks.
 */
export function asView(value: unknown): ArrayBufferView | undefined {
  if (!isView(value)) {
    const byteLength = lengthOfBuffer(value);
    if (byteLength === undefined || isResizable(value as ArrayBufferLike)) return undefined;
    if (byteLength > 0) return new Uint8Array(value as ArrayBufferLike);
    return isDetached(value as ArrayBufferLike) ? undefined : backend().hold(noBytes);
  }
  // From here on the memory of a small array stays; see `hold` of the backends.
  const buffer = bufferOf(value);
  if (isResizable(buffer)) return undefined;
  let bytes = value;
  let byteLength = value instanceof DataView ? undefined : lengthOfTypedArray(value);
  if (byteLength === undefined) {
    // Runtimes take typed arrays; a DataView is one of its bytes.
    const range = rangeOfDataView(value);
    if (range === undefined) return undefined;
    byteLength = range.byteLength;
    bytes = new Uint8Array(buffer, range.byteOffset, byteLength);
  }
  if (byteLength > 0) return bytes;
  return isDetached(buffer) ? undefined : backend().hold(noBytes);
}

/** A string that was checked to have no NUL characters. */
function asString(text: string): Uint8Array<ArrayBuffer> {
  return backend().encode(text);
}

/** The id of a handle argument: 0 for null, `undefined` when it is none that is live. */
function handleId(value: unknown): number | undefined {
  if (value === null) return 0;
  // A proxy, or what a program has put in the place of `id`, may run anything: memory is looked at afterwards.
  const id = value instanceof Handle ? value.id : value;
  return typeof id === "number" && handleTable().has(id) ? id : undefined;
}

/** Memory that holds an id, for as long as a call lasts. */
function asCell(id: number): ArrayBufferView {
  return backend().hold(new BigUint64Array([BigInt(id)]));
}

function handleIdAt(address: Address | null): number {
  return isNull(address) ? 0 : Number(loads().u64(address, 0));
}

/** The address that is in memory. */
function pointerIn(view: DataView, byteOffset: number): Pointer | null {
  if (backend().addressKind === "bigint") return nullable(view.getBigUint64(byteOffset, true));
  const high = view.getUint32(byteOffset + 4, true);
  // An address beyond 2^53 is a bigint everywhere.
  return nullable(
    high < 2 ** 21 ? view.getUint32(byteOffset, true) + high * 2 ** 32 : view.getBigUint64(byteOffset, true),
  );
}

/**
 * The value of the handle that is in memory; `null` where there is none.
 *
 * @param from The function that has put it there, for the error's message.
 * @throws {InvalidHandleError} When it was deleted.
 */
export function handleIn(view: DataView, byteOffset: number, from?: string): unknown {
  const id = toNumber(pointerIn(view, byteOffset) as Address | null);
  return id === 0 ? null : handleTable().value(id, from);
}

/** Puts an address into memory. */
function setPointerIn(view: DataView, byteOffset: number, address: Address): void {
  if (typeof address === "bigint") return view.setBigUint64(byteOffset, address, true);
  view.setUint32(byteOffset, address, true);
  view.setUint32(byteOffset + 4, address / 2 ** 32, true);
}

/** The string at an address, copied. */
export function stringAt(address: Address | null): string | null {
  return isNull(address) ? null : backend().readString(address);
}

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

/** What a native call has to know of a `Callback`: that of its `Upcall`. */
export interface NativeFunctionState {
  readonly pointer: Pointer;
  readonly signature: { readonly shape: string };
  /** `null` when it was closed. */
  readonly fn: unknown;
}

/** What stands behind a callback; `undefined` for anything else, whatever it looks like. `callback.ts` knows. */
export const nativeFunctions: { stateOf: (value: unknown) => NativeFunctionState | undefined } = {
  stateOf: () => undefined,
};

/**
 * The address of a function argument that is not a function: `undefined` when it is nothing that C can call.
 *
 * @param shape What a callback's shape has to be, where the parameter's definition says so.
 */
function functionAddress(value: unknown, shape?: string): Address | undefined {
  if (value === null) return toAddress(0);
  if (isAddress(value)) return value;
  const state = nativeFunctions.stateOf(value);
  if (state === undefined || state.fn === null) return undefined;
  return shape === undefined || state.signature.shape === shape ? addressOf(state.pointer) : undefined;
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
  handles: handleTable(),
  stringAt,
  pointerIn,
  handleIn,
  setPointerIn,
  isAddress,
  pointerOf,
  functionAddress,
} as const;

let generated = 0;

/**
 * Makes a function from source. Every function that comes out is the engine's own, with type feedback of its own: a
 * closure shared by all signatures would make each native call one to an unknown target, which is 20 times slower. The
 * same source would be the same function to an engine's cache, so each gets a number. V8 never empties that cache, and a
 * function would stay in it for as long as the isolate lives. Source that has a tagged template doesn't go into it.
 *
 * @param source The body of a function whose parameters are the names; it returns what is wanted.
 * @param sourceUrl What stacks call it.
 */
export function generate(names: Readonly<Record<string, unknown>>, source: string, sourceUrl = "belay"): unknown {
  const scope = { ...helpers, ...names };
  generated += 1;
  try {
    const body = `"use strict"; false && calls\`\`; // ${generated}\n${source}\n//# sourceURL=${sourceUrl}`;
    return new Function(...Object.keys(scope), body)(...Object.values(scope));
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    throw new EvalError("Cannot bind C functions: belay generates code, and this program forbids it", { cause: error });
  }
}
