/**
 * Loading a C library.
 *
 * @module
 */

import { closeLibrary, librarySymbol, libraryVariable, openLibrary } from "../core/library.ts";
import { validate } from "../crossing/definition.ts";
import { TypeError } from "../ground/blame.ts";
import { type LibraryCandidate, LibraryLoadError, shown, SymbolNotFoundError } from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { noOptions, ownOptions } from "../ground/options.ts";
import { present } from "../ground/present.ts";
import { addCleanup, type Cleanup } from "../lifetime/cleanup.ts";
import { track, untrack } from "../lifetime/leaks.ts";
import { reportLeak } from "../lifetime/report.ts";
import type { Address, NativeLibrary } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { Definitions, FunctionDefinition, VariableDefinition } from "../types/definitions.ts";
import type { LibrarySymbols } from "../types/inference.ts";
import type { LibraryOwner } from "./arguments.ts";
import { makeBlockCall } from "./block_call.ts";
import { makeDirectCall, nativeSignature, needsBlock } from "./direct_call.ts";
import { displayName, libraryCandidates, type LibraryPath, ownPath, pathHint } from "./library_path.ts";
import { defineVariable } from "./variable.ts";

/** Options of {@linkcode dlopen}. */
export interface LibraryOptions {
  /**
   * Unmap the library when it is closed, unless somebody else has opened it. Unsafe: a function pointer of the library
   * that is still held somewhere, a thread that it started, an `atexit` handler or a thread-local destructor then ends the
   * process. Off by default: a library stays mapped until the process ends.
   */
  readonly unload?: boolean;
}

/** What is released when the owner is gone; it must not reach the owner. */
interface Held {
  /** What closing unloads, where it does. */
  native: NativeLibrary | undefined;
  library: Address | undefined;
  open: boolean;
  readonly birth: number;
}

/** A definition that was checked, by its name. */
type Entry = readonly [string, FunctionDefinition | VariableDefinition];

/** How many libraries of this isolate are open. */
export const libraryCounts = { open: 0 };

/** An opened C library; {@linkcode dlopen} gives it. */
export class Library<S extends Definitions = Definitions> {
  /** Its functions and variables. The functions may be taken out of it and passed around. */
  readonly symbols: LibrarySymbols<S>;
  readonly #owner: LibraryOwner;
  readonly #held: Held;
  readonly #cleanup: Cleanup;
  readonly #closers: readonly (() => void)[];

  /** Made by {@linkcode dlopen}. */
  constructor(
    token: typeof inside,
    symbols: LibrarySymbols<S>,
    owner: LibraryOwner,
    held: Held,
    closers: readonly (() => void)[],
  ) {
    if (token !== inside) refuseNew("Library", "dlopen()");
    this.symbols = symbols;
    this.#owner = owner;
    this.#held = held;
    this.#closers = closers;
    this.#cleanup = addCleanup(owner, dropped, held);
    // Programs that were written for a runtime's own library take it out of the object.
    Object.defineProperty(this, "close", { value: this.close.bind(this) });
    libraryCounts.open += 1;
  }

  /** Whether it was closed. */
  get disposed(): boolean {
    return this.#owner.closed;
  }

  /**
   * Ends every function of the library: from now on a call throws `LibraryClosedError`, also through a function that was
   * taken out of it. A call that is running finishes. Closing it again does nothing. `close` itself may be taken out, too.
   */
  close(): void {
    const owner = this.#owner;
    const held = this.#held;
    owner.closed = true;
    // Each step can be done again, should the stack end in the middle.
    if (!held.open) return;
    this.#cleanup.stop();
    for (const close of this.#closers) close();
    untrack(held.birth);
    if (owner.running === 0) release(held);
    else owner.whenIdle = () => release(held);
  }

  /** As {@linkcode Library.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function release(held: Held): void {
  if (!held.open) return;
  held.native?.close();
  held.native = undefined;
  if (held.library !== undefined) closeLibrary(held.library);
  held.library = undefined;
  held.open = false;
  libraryCounts.open -= 1;
}

function dropped(held: Held): void {
  release(held);
  reportLeak(untrack(held.birth), "closed");
}

/**
 * Opens a C library.
 *
 * Definitions are spelled as Deno spells them, and the types of arguments and results follow from them. Arguments are
 * checked before C is entered; the error names the function, the argument's position (from 1) and its type. 64-bit
 * integers take a bigint or a safe integer and give a bigint. A `"cstring"` argument is copied for the time of the call; a
 * `"cstring"` result is copied and not freed. A `"buffer"` argument stays where it is until the call returns. A parameter
 * whose type is a callback's definition takes a `Callback`, or a function that C may call until the call returns.
 *
 * *Ownership:* the library is open until it is closed, or it and all its functions are garbage-collected. Its code stays
 * mapped for as long as the process lives, unless `unload` is set.
 *
 * *Errors:* what a callback throws during a call is thrown by the call when C has returned. A pointer into an argument,
 * which `strchr` may return, is refused with a `PointerRuleError` when it is used after the call; one into a buffer that is
 * pinned isn't.
 *
 * *Threads:* functions run on the calling isolate's thread; with `nonblocking: true` on another one, while the promise
 * that they return waits. Each isolate opens the library for itself.
 *
 * ```ts
 * import { dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using zlib = dlopen({ name: "z", versions: ["1"] }, {
 *   zlibVersion: { parameters: [], result: "cstring" },
 *   crc32: { parameters: ["usize", "buffer", "u32"], result: "usize" },
 * });
 * const bytes = new TextEncoder().encode("belay");
 * assert(zlib.symbols.crc32(0, bytes, bytes.length) > 0n);
 * ```
 *
 * @param path Where it is; see {@linkcode LibraryPath}.
 * @param definitions Its functions and variables.
 * @throws {LibraryLoadError} When no candidate loads; it lists each with its reason.
 * @throws {SymbolNotFoundError} When symbols that are not optional are missing; it lists them all.
 * @throws {TypeError} When a definition is malformed.
 * @throws {RangeError} When arguments and result take more than 128 words beside the registers.
 */
export function dlopen<const S extends Definitions>(
  path: LibraryPath,
  definitions: S,
  options: LibraryOptions = noOptions,
): Library<S> {
  const where = ownPath(path);
  const candidates = libraryCandidates(where, backend().platform);
  const name = displayName(where);
  if (typeof definitions !== "object" || definitions === null) {
    throw new TypeError(`Cannot open "${name}": expected definitions of its symbols, got ${shown(definitions)}`);
  }
  const checked = Object.entries(definitions).map(([key, definition]): Entry => [key, validate(key, definition)]);
  const { unload = false } = ownOptions(`Cannot open "${name}"`, options, ["unload"]);
  const opened = openFirst(where, candidates, !unload);
  const addresses = new Map<string, Address | null>();
  for (const [key, definition] of checked) {
    const find = isFunction(definition) ? librarySymbol : libraryVariable;
    addresses.set(key, find(opened.library, definition.name ?? key));
  }
  const missing = checked
    .filter(([key, { optional }]) => addresses.get(key) === null && optional !== true)
    .map(([key, { name: symbol = key }]) => symbol);
  if (missing.length > 0) {
    closeLibrary(opened.library);
    throw new SymbolNotFoundError(name, missing);
  }
  return bindLibrary(name, checked, opened, addresses, unload);
}

/** Opens the first candidate that loads. */
function openFirst(
  wanted: LibraryPath,
  candidates: readonly string[],
  pinned: boolean,
): { path: string; library: Address } {
  const failures: LibraryCandidate[] = [];
  for (const path of candidates) {
    backend().requirePermission(path);
    const result = openLibrary(path, pinned);
    if ("library" in result) return { path, library: result.library };
    failures.push({ path, reason: result.reason });
  }
  const { platform, isFile } = backend();
  throw new LibraryLoadError(displayName(wanted), failures, pathHint(wanted, platform, isFile));
}

function bindLibrary<S extends Definitions>(
  name: string,
  definitions: readonly Entry[],
  { path, library }: { path: string; library: Address },
  addresses: ReadonlyMap<string, Address | null>,
  unload: boolean,
): Library<S> {
  const owner: LibraryOwner = { name, closed: false, counted: unload, running: 0, whenIdle: undefined };
  const functions = definitions.filter((entry): entry is [string, FunctionDefinition] =>
    isFunction(entry[1]) && addresses.get(entry[0]) !== null
  );
  // With a prototype: V8 looks up the properties of an object without one in a hash table.
  const symbols: Record<string, unknown> = {};
  const define = (key: string, value: unknown): void =>
    void Object.defineProperty(symbols, key, { value, enumerable: true });
  const closers: (() => void)[] = [];
  let native: NativeLibrary | undefined;
  try {
    const direct = functions.filter(([, definition]) => !needsBlock(definition));
    const opened = native = backend().open(
      path,
      direct.map(([key, definition]) => nativeSignature(definition.name ?? key, definition)),
    );
    let index = 0;
    for (const [key, definition] of functions) {
      const { call, close } = needsBlock(definition)
        ? makeBlockCall(key, definition, addresses.get(key) as Address, owner)
        : makeDirectCall(key, definition, present(opened.functions[index++]), owner);
      define(key, call);
      closers.push(close);
    }
  } catch (error) {
    native?.close();
    closeLibrary(library);
    throw error;
  }
  for (const [key, definition] of definitions) {
    const address = addresses.get(key);
    if (address === null || address === undefined) define(key, null);
    else if (!isFunction(definition)) defineVariable(symbols, key, definition, address, owner);
  }
  if (!unload) {
    native.release();
    closeLibrary(library);
  }
  const held: Held = {
    ...(unload ? { native, library } : { native: undefined, library: undefined }),
    open: true,
    birth: track("library", name),
  };
  return new Library(inside, Object.freeze(symbols) as LibrarySymbols<S>, owner, held, closers);
}

function isFunction(definition: FunctionDefinition | VariableDefinition): definition is FunctionDefinition {
  return (definition as Partial<FunctionDefinition>).parameters !== undefined;
}
