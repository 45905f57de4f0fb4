/**
 * What a program may do with pointers, after cgo's rules. What can be seen of a broken rule from here is thrown as a
 * `PointerRuleError`, before C sees the pointer or memory is freed under it.
 *
 * @module
 * @see https://pkg.go.dev/cmd/cgo#hdr-Passing_pointers
 */

import { bufferOf, isDetached, isView, lengthOfBuffer, lengthOfTypedArray } from "../ground/buffers.ts";
import { type PointerRule, PointerRuleError } from "../ground/errors.ts";
import { addCheckedCleanup } from "../lifetime/cleanup.ts";
import { pointerSettings } from "../lifetime/settings.ts";
import { addressOf } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import type { Pointer } from "../types/definitions.ts";
import { noBytes } from "./helpers.ts";
import { knownFunction } from "./functions.ts";
import { isWithin, lent, type LentView } from "./lent.ts";
import { callbackStateOf } from "./owners.ts";

/**
 * What keeps an address from being anything else's: the buffer that it points into. Of a copied string it is the view: Bun
 * keeps it in the engine's heap, and moves it when somebody asks for its buffer.
 */
interface Target {
  readonly owner: object;
  readonly isText: boolean;
}

/**
 * Pointers that calls have returned, into memory that was lent to these calls; no other memory has the address while its owner
 * is there. Engines keep what a `WeakRef` is made of to the end of the turn, which in a long loop is all of it. So the owners
 * are held first, and only made weak when a garbage collection was seen.
 */
const held = new Map<unknown, Target & { readonly byteLength: number }>();
const aged = new Map<unknown, { readonly owner: WeakRef<object>; readonly isText: boolean }>();
const mostEntries = 1024;
const mostHeldByteLength = 2 ** 20;
let heldByteLength = 0;
let waitsForCollection = false;
/** Whether any pointer is remembered: generated code looks here before it calls {@linkcode checkUse}. */
export const dangling = { some: false };

/** How often each buffer is pinned. */
const pins = new WeakMap<ArrayBufferLike, number>();

/** What it makes is what it is given: a class that extends it puts its private fields into that. */
export class Returned {
  constructor(given: object) {
    return given;
  }
}

/**
 * An array buffer that is mapped onto memory of C's, and what keeps that memory: a field of the buffer, since a `WeakMap` takes
 * as long as mapping does.
 */
export class MappedBuffer extends Returned {
  readonly #memory: object;

  private constructor(buffer: ArrayBuffer, memory: object) {
    super(buffer);
    this.#memory = memory;
  }

  /** Keeps `memory` for as long as somebody has the buffer. */
  static hold(buffer: ArrayBuffer, memory: object): ArrayBuffer {
    return new MappedBuffer(buffer, memory) as unknown as ArrayBuffer;
  }

  /** Whether it is one. */
  static is(buffer: object): boolean {
    return #memory in buffer;
  }

  /** What a buffer keeps, if it is one. */
  static memoryOf(buffer: object): object | undefined {
    return #memory in buffer ? buffer.#memory : undefined;
  }
}

/** Counts a pin of a buffer. */
export function countPin(buffer: ArrayBufferLike): void {
  pins.set(buffer, (pins.get(buffer) ?? 0) + 1);
}

/** Ends what {@linkcode countPin} began. */
export function uncountPin(buffer: ArrayBufferLike): void {
  const count = pins.get(buffer) ?? 0;
  if (count > 1) pins.set(buffer, count - 1);
  else pins.delete(buffer);
}

/**
 * Remembers the pointer that a call has returned, if it points into what was lent to the call; answers it.
 *
 * @param texts Which of the views are copied strings.
 */
export function noteResult(
  pointer: Pointer | null,
  views: readonly LentView[],
  texts: readonly boolean[],
): Pointer | null {
  if (pointer === null || !pointerSettings.checks) return pointer;
  const address = addressOf(pointer);
  for (const [index, view] of views.entries()) {
    // What stands for buffers of no bytes stays for ever.
    if (view !== noBytes && isWithin(view, address)) remember(address, view, texts[index] === true);
  }
  return pointer;
}

function remember(address: Address, view: ArrayBufferView, isText: boolean): void {
  const owner = isText ? view : bufferOf(view);
  if (targetAt(address)?.owner === owner) return;
  forget(address);
  const byteLength = (isText ? lengthOfTypedArray(view) : lengthOfBuffer(owner)) ?? 0;
  held.set(address, { owner, isText, byteLength });
  heldByteLength += byteLength;
  if (held.size + aged.size > mostEntries) forgetOldest(aged.size > 0 ? aged : held);
  while (heldByteLength > mostHeldByteLength && held.size > 1) forgetOldest(held);
  dangling.some = true;
  if (!waitsForCollection) waitForCollection();
}

function targetAt(address: unknown): Target | undefined {
  const weak = aged.get(address);
  const owner = weak?.owner.deref();
  return weak !== undefined && owner !== undefined ? { owner, isText: weak.isText } : held.get(address);
}

function forget(address: unknown): void {
  heldByteLength -= held.get(address)?.byteLength ?? 0;
  held.delete(address);
  aged.delete(address);
  dangling.some = held.size + aged.size > 0;
}

function forgetOldest(entries: ReadonlyMap<unknown, unknown>): void {
  const [oldest] = entries.keys();
  forget(oldest);
}

function waitForCollection(): void {
  waitsForCollection = true;
  addCheckedCleanup({}, age, undefined);
}

/** There was a garbage collection: forgets what it took, and lets the next one take what was held. */
function age(): void {
  for (const [address, { owner }] of aged) if (owner.deref() === undefined) aged.delete(address);
  for (const [address, { owner, isText }] of held) aged.set(address, { owner: new WeakRef(owner), isText });
  held.clear();
  heldByteLength = 0;
  waitsForCollection = dangling.some = aged.size > 0;
  if (waitsForCollection) waitForCollection();
}

/**
 * Refuses a pointer into what was an argument of a call that has returned.
 *
 * @throws {PointerRuleError}
 */
export function checkUse(pointer: unknown): void {
  if (!dangling.some) return;
  const target = targetAt(pointer);
  if (target === undefined || !pointerSettings.checks) return;
  const { owner, isText } = target;
  // Its memory is another buffer's now, or nobody's.
  if (!isText && isDetached(owner as ArrayBuffer)) return forget(pointer);
  const isPinned = !isText && (MappedBuffer.is(owner) || pins.has(owner as ArrayBuffer));
  if (!isPinned && !lent.has(pointer as Address)) throw new PointerRuleError("temporary");
}

/**
 * Refuses what C's memory can't point to: a buffer, a string, a function, what merely has a pointer, and what
 * {@linkcode checkUse} refuses. Other values that are no pointers are left to who asks.
 *
 * @throws {PointerRuleError}
 */
export function checkStored(value: unknown, what?: string): void {
  const rule = brokenByStoring(value);
  if (rule === undefined) checkUse(value);
  else if (pointerSettings.checks) throw new PointerRuleError(rule, what);
}

function brokenByStoring(value: unknown): PointerRule | undefined {
  switch (typeof value) {
    case "string":
      return "text";
    case "function":
      // C's own is an address.
      return knownFunction(value) === undefined ? "function" : undefined;
    case "object":
      if (isBuffer(value)) return "buffer";
      // A callback that was closed has a pointer, and is belay's: that it was closed is what there is to say.
      if (value === null || callbackStateOf(value) !== undefined) return undefined;
      return "pointer" in value ? "owner" : undefined;
  }
  return undefined;
}

/** Refuses a buffer as what a callback returns for a pointer. @throws {PointerRuleError} */
export function checkReturned(value: unknown): void {
  if (pointerSettings.checks && isBuffer(value)) throw new PointerRuleError("result");
}

function isBuffer(value: unknown): boolean {
  return isView(value) || lengthOfBuffer(value) !== undefined;
}

/** Refuses to free memory that a call uses. @throws {PointerRuleError} */
export function checkFreed(isUsed: boolean): void {
  if (isUsed && pointerSettings.checks) throw new PointerRuleError("outstanding");
}
