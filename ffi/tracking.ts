/**
 * Leak tracking: where the live handles, callbacks, channels and libraries were created. Off by default, since a stack costs
 * microseconds.
 *
 * @module
 */

/** Something that was created while tracking was on and is still alive. */
export interface Leak {
  /** What it is. */
  readonly kind: "handle" | "callback" | "channel" | "library" | "memory" | "pin";
  /** A handle's id, the name of anything else. */
  readonly name: string;
  /** The stack of its creation. */
  readonly stack: string;
}

let enabled = false;
const listeners: ((enabled: boolean) => void)[] = [];

/** Turns tracking on or off. */
export function setTracking(on: boolean): void {
  enabled = on;
  for (const listener of listeners) listener(on);
}

/** Whether it is on. */
export function tracking(): boolean {
  return enabled;
}

/** Has a function told of each change: for a hot path that can't afford to ask. */
export function onTrackingChange(listener: (enabled: boolean) => void): void {
  listeners.push(listener);
}

interface Entry {
  readonly leak: Leak;
  /** Asked where the end of a thing isn't told. */
  readonly isAlive: () => boolean;
}

const entries = new Map<number, Entry>();
let lastToken = 0;
let purgeAt = 1024;

/**
 * Remembers a creation and answers a token for {@linkcode untrack}; 0 while tracking is off.
 *
 * @param isAlive Tells whether the thing is still alive, for a thing whose end is too frequent to be told.
 */
export function track(kind: Leak["kind"], name: string, isAlive: () => boolean = () => true): number {
  if (!enabled) return 0;
  if (entries.size >= purgeAt) purge();
  lastToken += 1;
  const stack = new Error(`${kind} ${name} was created`).stack ?? "";
  entries.set(lastToken, { leak: { kind, name, stack }, isAlive });
  return lastToken;
}

/** Forgets a creation, and answers what was known of it. */
export function untrack(token: number): Leak | undefined {
  const entry = entries.get(token);
  entries.delete(token);
  return entry?.leak;
}

function purge(): void {
  for (const [token, { isAlive }] of entries) if (!isAlive()) entries.delete(token);
  purgeAt = Math.max(1024, entries.size * 2);
}

/**
 * Everything that was created while leak tracking was on and is still alive, oldest first, with the stack of its
 * creation. Tracking is off until `configure({ trackLeaks: true })`.
 *
 * ```ts
 * import { configure, Handle, leaks } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * configure({ trackLeaks: true });
 * const handle = Handle.create("kept");
 * assert(leaks().length === 1);
 * handle.delete();
 * assert(leaks().length === 0);
 * configure({ trackLeaks: false });
 * ```
 */
export function leaks(): Leak[] {
  purge();
  return Array.from(entries.values(), ({ leak }) => leak);
}
