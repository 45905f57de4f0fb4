/**
 * Leak tracking: where the live handles, callbacks, channels and libraries were created. Off by default, since capturing a
 * stack costs microseconds, and formatting it ten times as much.
 *
 * @module
 */

import { withoutOwnFrames } from "../ground/blame.ts";

/** Something that was created while leaks were tracked, and is still alive; {@linkcode leaks} lists them. */
export interface Leak {
  /** What it is. */
  readonly kind: "handle" | "callback" | "channel" | "library" | "memory" | "pin";
  /** What it is called: a handle's id, the length of memory or of a pin, the name of anything else. */
  readonly name: string;
  /** The stack of its creation, formatted when it is first read. */
  readonly stack: string;
}

// As they were before the program could replace them.
const { Error, FinalizationRegistry } = globalThis;

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

/** A creation that is remembered. */
class Entry {
  readonly #kind: Leak["kind"];
  readonly #name: string;
  /** Asked where the end of a thing isn't told. */
  readonly isAlive: () => boolean;
  /** Until its stack is formatted. */
  #error: Error | undefined;
  #stack = "";
  #leak: Leak | undefined;

  constructor(kind: Leak["kind"], name: string, isAlive: () => boolean) {
    this.#kind = kind;
    this.#name = name;
    this.isAlive = isAlive;
    this.#error = new Error(this.#title);
  }

  get #title(): string {
    return `${this.#kind} ${this.#name} was created`;
  }

  get isFormatted(): boolean {
    return this.#error === undefined;
  }

  /** The text of the stack. */
  format(): string {
    if (this.#error !== undefined) {
      this.#stack = withoutOwnFrames(textOf(this.#error) ?? `Error: ${this.#title}`, this.#title);
      this.#error = undefined;
    }
    return this.#stack;
  }

  /** What programs get: an object of three properties, of which the stack is formatted when it is read. */
  get leak(): Leak {
    return this.#leak ??= this.#makeLeak();
  }

  #makeLeak(): Leak {
    const [kind, name, format] = [this.#kind, this.#name, (): string => this.format()];
    const leak = {
      kind,
      name,
      get stack(): string {
        return format();
      },
    };
    // A console would show that there is a getter.
    return Object.defineProperty(leak, Symbol.for("nodejs.util.inspect.custom"), {
      value: (): Leak => ({ kind, name, stack: format() }),
    });
  }
}

const formatterKey = "prepareStackTrace";

function textIn(error: Error): string | undefined {
  const stack: unknown = error.stack;
  return typeof stack === "string" ? stack : undefined;
}

/** An error's stack as the engine has it, without the program's own formatter; `undefined` when it has no text. */
function textOf(error: Error): string | undefined {
  const formatter = Object.getOwnPropertyDescriptor(Error, formatterKey);
  // Bun would see no later assignment if it were set and deleted.
  if (formatter === undefined) return textIn(error);
  // Bun sees nothing but assignments to it, so it is redefined only where it can't be assigned.
  const isAssigned = formatter.writable === true;
  if (isAssigned) Reflect.set(Error, formatterKey, undefined);
  else Reflect.defineProperty(Error, formatterKey, { value: undefined, configurable: true });
  try {
    return textIn(error);
  } catch {
    // It could not be switched off, as where `Error` is frozen, and threw.
    return undefined;
  } finally {
    if (isAssigned) Reflect.set(Error, formatterKey, formatter.value);
    else Reflect.defineProperty(Error, formatterKey, formatter);
  }
}

const entries = new Map<number, Entry>();
let lastBirth = 0;
let purgeAt = 1024;

/**
 * V8 keeps the receivers of a stack's functions alive as long as the error is there: what owns a callback would never be
 * collected. So the first garbage collection that finds errors has their stacks formatted; the next one can take the owners.
 */
const collections = new FinalizationRegistry<undefined>(formatSome);
let collectionIsAwaited = false;
/** Stacks that are formatted in one turn of the event loop: in 50 ms or so. */
const mostFormatted = 1000;

function awaitCollection(): void {
  if (collectionIsAwaited) return;
  collectionIsAwaited = true;
  collections.register({}, undefined);
}

function formatSome(): void {
  collectionIsAwaited = false;
  purge();
  let formatted = 0;
  for (const entry of entries.values()) {
    if (entry.isFormatted) continue;
    if (formatted === mostFormatted) return awaitCollection();
    entry.format();
    formatted += 1;
  }
}

/**
 * Remembers a creation and answers its birth, a number for {@linkcode untrack}; 0 while tracking is off.
 *
 * @param isAlive Tells whether the thing is still alive, for a thing whose end is too frequent to be told.
 */
export function track(kind: Leak["kind"], name: string, isAlive: () => boolean = () => true): number {
  if (!enabled) return 0;
  if (entries.size >= purgeAt) purge();
  lastBirth += 1;
  entries.set(lastBirth, new Entry(kind, name, isAlive));
  awaitCollection();
  return lastBirth;
}

/** Forgets a creation, and answers what was known of it. */
export function untrack(birth: number): Leak | undefined {
  const entry = entries.get(birth);
  entries.delete(birth);
  return entry?.leak;
}

function purge(): void {
  for (const [birth, entry] of entries) if (!entry.isAlive()) entries.delete(birth);
  purgeAt = Math.max(1024, entries.size * 2);
}

/**
 * Lists everything that was created while leaks were tracked and is still alive, oldest first.
 *
 * Each entry has the stack of its creation. Nothing is tracked until `configure({ trackLeaks: true })`.
 *
 * ```ts
 * import { configure, Handle, leaks } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * configure({ trackLeaks: true });
 * const handle = Handle.create("kept");
 * const [leak] = leaks();
 * assert(leak?.kind === "handle" && leak.stack !== "");
 * handle.delete();
 * assert(leaks().length === 0);
 * configure({ trackLeaks: false });
 * ```
 *
 * @returns The list, a new one with each call.
 */
export function leaks(): Leak[] {
  purge();
  return Array.from(entries.values(), ({ leak }) => leak);
}
