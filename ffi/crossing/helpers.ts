/**
 * The functions that generated code calls by name, and the way it is made.
 *
 * @module
 */

import { loads } from "../core/memory.ts";
import { none } from "../core/pending.ts";
import {
  bufferOf,
  isDetached,
  isResizable,
  isView,
  lengthOfBuffer,
  lengthOfTypedArray,
  rangeOfDataView,
} from "../ground/buffers.ts";
import { Handle, handleTable } from "../lifetime/handle.ts";
import { addressOf, isAddress, isNull, nullable, toAddress, toNumber } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { Pointer } from "../types/definitions.ts";
import { lent } from "./lent.ts";
import { asFunction } from "./function_types.ts";
import { knownFunction } from "./functions.ts";
import { shapeOf } from "./layout.ts";
import { callbackStateOf, pointerOf } from "./owners.ts";

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

/**
 * The address of a function argument that is not a function: `undefined` when it is nothing that C can call.
 *
 * @param shape What a callback's shape has to be, where the parameter's definition says so.
 */
export function functionAddress(value: unknown, shape?: string): Address | undefined {
  if (value === null) return toAddress(0);
  if (isAddress(value)) return value;
  const state = callbackStateOf(value);
  if (state === undefined && typeof value === "function") return addressOfFunction(value, shape);
  if (state === undefined || state.fn === null) return undefined;
  return shape === undefined || state.signature.shape === shape ? addressOf(state.pointer) : undefined;
}

/** Where a function of a library is, or one that C gave: for C to call. */
function addressOfFunction(value: object, shape: string | undefined): Address | undefined {
  const known = knownFunction(value);
  if (known === undefined || known.owner.closed) return undefined;
  return shape === undefined || shapeOf(known.definition) === shape ? known.address : undefined;
}

/** What generated code may name. */
export const helpers = {
  lent,
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
  asFunction,
} as const;
