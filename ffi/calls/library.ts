/**
 * Loading a C library.
 *
 * @module
 */

import { withoutList } from "../core/core.ts";
import { openDeepBind, openGlobal, openPinned } from "../core/record.ts";
import { closeLibrary, librarySymbol, libraryVariable, openLibrary } from "../core/library.ts";
import { type CheckedDefinition, validate } from "../crossing/definition.ts";
import { noteFunction } from "../crossing/functions.ts";
import { isRecord } from "../crossing/layout.ts";
import { isOut } from "../crossing/marshal.ts";
import { TypeError } from "../ground/blame.ts";
import {
  type LibraryCandidate,
  LibraryClosedError,
  LibraryLoadError,
  shown,
  SymbolNotFoundError,
} from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { noOptions, ownOptions } from "../ground/options.ts";
import { messageOf } from "../ground/thrown.ts";
import { addCleanup, type Cleanup } from "../lifetime/cleanup.ts";
import { track, untrack } from "../lifetime/leaks.ts";
import { reportLeak } from "../lifetime/report.ts";
import type { Address, NativeLibrary, NativeSignature } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { libraryFile } from "../runtime/library_file.ts";
import type { Definitions, FunctionDefinition, Pointer, VariableDefinition } from "../types/definitions.ts";
import type { LibrarySymbols } from "../types/inference.ts";
import type { LibraryOwner } from "./arguments.ts";
import { makeDirectCall, nativeSignature, needsBlock } from "./direct_call.ts";
import { makeCallAt } from "./function_at.ts";
import { displayName, libraryCandidates, type LibraryPath, ownPath, pathHint } from "./library_path.ts";
import { passingSignature } from "./own_stack.ts";
import { defineVariable } from "./variable.ts";

/** Options of {@linkcode dlopen}. */
export interface LibraryOptions {
  /**
   * Whether closing the library also unmaps its code; `false` by default, so that it stays mapped until the process
   * ends.
   *
   * The code is unmapped when no call runs any more and nothing else has opened the library. Unmapping is unsafe. If a
   * function pointer of the library, a thread that it started, an `atexit` handler or a thread-local destructor is used
   * afterwards, the process crashes.
   */
  readonly unload?: boolean;
  /**
   * Whether libraries that are opened later find this one's symbols (`RTLD_GLOBAL`); `false` by default. Plugins count on that
   * which are not linked with what they use, such as Python's extension modules. Windows has nothing like it.
   */
  readonly global?: boolean;
  /**
   * Whether the library finds its own symbols, and those of the libraries that it is linked with, before those of the program
   * (`RTLD_DEEPBIND`); `false` by default. It is for libraries of which the runtime has another copy inside: both runtimes export
   * the functions of libuv, say. Only glibc has it.
   */
  readonly deepBind?: boolean;
}

/** The options that are `true` or `false`, and what the core calls them. */
const flags = { global: openGlobal, deepBind: openDeepBind } as const;

/** What is released when the owner is gone; it must not reach the owner. */
interface Held {
  /** What closing unloads, where it does. */
  native: NativeLibrary | undefined;
  library: Address | undefined;
  open: boolean;
  readonly birth: number;
}

/** A definition that was checked. */
interface Entry extends CheckedDefinition {
  readonly key: string;
  /** Where it is; `null` when the library lacks it. */
  address: Address | null;
  /** Its index among the functions that the runtime calls; -1 for others. */
  direct: number;
}

/** How many libraries of this isolate are open. */
export const libraryCounts = { open: 0 };

/**
 * An opened C library with its functions and variables; {@linkcode dlopen} gives it.
 *
 * ```ts
 * import { dlopen, LibraryClosedError } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const libc = dlopen({ name: "c", versions: ["6"] }, { abs: { parameters: ["i32"], result: "i32" } });
 * const { abs } = libc.symbols;
 * assert(abs(-7) === 7);
 * libc.close();
 * assertThrows(() => abs(-7), LibraryClosedError);
 * ```
 *
 * @typeParam S The definitions of its functions and variables.
 */
export class Library<S extends Definitions = Definitions> {
  /**
   * The functions and variables of the library, by the keys of their definitions.
   *
   * Functions may be taken out of the object and passed around. Each is made when it is read for the first time, which
   * costs about 0.1 ms; from then on the property is that function. Each read of a variable reads C's memory. A symbol that
   * is `optional` and that the library lacks is `null`.
   */
  readonly symbols: LibrarySymbols<S>;
  readonly #owner: LibraryOwner;
  readonly #held: Held;
  readonly #cleanup: Cleanup;
  readonly #closers: readonly (() => void)[];
  readonly #variables: ReadonlyMap<string, Address>;

  /** @ignore Made by {@linkcode dlopen}. */
  constructor(
    token: typeof inside,
    symbols: LibrarySymbols<S>,
    owner: LibraryOwner,
    held: Held,
    closers: readonly (() => void)[],
    variables: ReadonlyMap<string, Address>,
  ) {
    if (token !== inside) refuseNew("Library", "dlopen()");
    this.symbols = symbols;
    this.#owner = owner;
    this.#held = held;
    this.#closers = closers;
    this.#variables = variables;
    this.#cleanup = addCleanup(owner, dropped, held);
    // Programs that were written for a runtime's own library take it out of the object.
    Object.defineProperty(this, "close", { value: this.close.bind(this) });
    libraryCounts.open += 1;
  }

  /**
   * Gives the address of a function or a variable: where a pointer is wanted, such as that of a destructor.
   *
   * It needs no definition. Where the definitions have a variable of this name, it is that one's address, which can be another
   * library's: what the library's own code uses. The address stays good while the code is mapped, which is until the process
   * ends, unless the library was opened with `unload`.
   *
   * ```ts
   * import { dlopen } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * using libc = dlopen({ name: "c", versions: ["6"] }, {
   *   qsort: { parameters: ["buffer", "usize", "usize", "pointer"], result: "void" },
   * });
   * const numbers = Uint32Array.of(3, 1, 2);
   * // C's own function orders them: as bytes, which a little-endian machine has the lowest first.
   * libc.symbols.qsort(numbers, 3, 4, libc.address("strcmp"));
   * assert(numbers.join() === "1,2,3");
   * ```
   *
   * @param name The symbol's name, as C has it.
   * @returns Its address.
   * @throws {SymbolNotFoundError} If the library has no such symbol.
   * @throws {LibraryClosedError} If the library was closed.
   * @throws {TypeError} If the name is no string, or has NUL characters.
   */
  address(name: string): Pointer {
    const owner = this.#owner;
    if (typeof name !== "string" || name.includes("\0")) {
      throw new TypeError(`Cannot find a symbol: its name must be a string without NUL characters, got ${shown(name)}`);
    }
    const { library } = this.#held;
    if (owner.closed || library === undefined) throw new LibraryClosedError("find", name, owner.name);
    const address = this.#variables.get(name) ?? librarySymbol(library, name);
    if (address === null) throw new SymbolNotFoundError(owner.name, [name]);
    return address as unknown as Pointer;
  }

  /**
   * Whether the library was closed.
   *
   * @returns `true` once {@linkcode Library.close} was called.
   */
  get disposed(): boolean {
    return this.#owner.closed;
  }

  /**
   * Closes the library: from now on its functions and variables throw a {@linkcode LibraryClosedError}.
   *
   * Functions that were taken out of `symbols` throw as well. A call that is running finishes. Closing the library
   * again does nothing. `close` itself may be taken out of the object.
   */
  close(): void {
    const owner = this.#owner;
    const held = this.#held;
    owner.closed = true;
    // Each step can be done again, should the stack end in the middle.
    if (!held.open) return;
    this.#cleanup.stop();
    for (const close of this.#closers) close();
    for (const end of owner.endings) end();
    untrack(held.birth);
    if (owner.running === 0) release(held);
    else owner.whenIdle = () => release(held);
  }

  /** Closes the library at the end of a `using` block; see {@linkcode Library.close}. */
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
 * Opens a C library and gives its functions and variables, with TypeScript types that follow from their definitions.
 *
 * Definitions are spelled as Deno spells them. belay checks arguments before it enters C. An error names the function,
 * the argument's position (from 1) and its type.
 *
 * - A 64-bit integer takes a bigint or a safe integer, and gives a bigint.
 * - A `"cstring"` argument is copied for the time of the call. A `"cstring"` result is copied, and C's string isn't
 *   freed.
 * - A `"buffer"` argument stays where it is until the call returns.
 * - A `"pointer"` takes a `Pointer`, or what has one: `NativeMemory`, a `Pin`, a structure's view, a `Callback`, a
 *   `Channel`.
 * - A callback's definition takes a `Callback`, or a function that C may call until the call returns.
 *
 * *Ownership:* the library is open until you close it, or until it and all its functions have been garbage-collected.
 * Its code stays mapped until the process ends, unless `unload` is set.
 *
 * *Errors:* if a callback throws during a call, the call throws the same error when C has returned. If C returns a
 * pointer into an argument, as `strchr` does, using that pointer after the call throws a {@linkcode PointerRuleError}.
 * A pointer into a pinned buffer stays good.
 *
 * *Threads:* a function runs on the thread of the isolate that calls it. With `nonblocking: true` another thread makes
 * the call, and the function returns a promise. Each isolate opens the library for itself.
 *
 * ```ts
 * import { dlopen } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using zlib = dlopen({ name: "z", versions: ["1"] }, {
 *   zlibVersion: { parameters: [], result: "cstring" },
 *   crc32: { parameters: ["usize", "buffer", "u32"], result: "usize" },
 * });
 * const { zlibVersion, crc32 } = zlib.symbols;
 *
 * assert(zlibVersion()?.startsWith("1."));
 * const bytes = new TextEncoder().encode("belay");
 * assert(crc32(0, bytes, bytes.length) === 0x3dda753bn);
 * ```
 *
 * @typeParam S The type of the definitions, which TypeScript infers.
 * @param path Where the library is: a path, a URL, or a name as a linker takes it. `null` is the program itself, with all that it
 * is linked with, and the libraries that were opened with `global`.
 * @param definitions The functions and variables to find in it, by the names that they get in TypeScript.
 * @param options Whether closing unmaps the library; who finds its symbols, and which symbols it finds.
 * @returns The opened library.
 * @throws {LibraryLoadError} If no candidate loads; the error lists each with its reason.
 * @throws {SymbolNotFoundError} If symbols that aren't optional are missing; the error lists them all.
 * @throws {TypeError} If a definition, an option or the path is malformed.
 * @throws {RangeError} If a function's arguments and result take more than 128 words of 8 bytes beside the registers.
 * @throws {Error} Deno's `NotCapable`, if the program runs without plain `--allow-ffi`.
 */
export function dlopen<const S extends Definitions>(
  path: LibraryPath | null,
  definitions: S,
  options: LibraryOptions = noOptions,
): Library<S> {
  const where = path === null ? null : ownPath(path);
  const candidates = where === null ? [null] : libraryCandidates(where, backend().platform);
  const name = displayName(where);
  if (typeof definitions !== "object" || definitions === null) {
    throw new TypeError(`Cannot open "${name}": expected definitions of its symbols, got ${shown(definitions)}`);
  }
  const checked: Entry[] = [];
  for (const key of Object.keys(definitions)) {
    const { definition, plain } = validate(key, definitions[key]);
    checked.push({ key, definition, plain, address: null, direct: -1 });
  }
  const given = ownOptions(`Cannot open "${name}"`, options, ["unload", "global", "deepBind"]);
  const { unload = false } = given;
  let flag = unload ? 0 : openPinned;
  for (const [option, bit] of Object.entries(flags)) {
    const value = given[option as keyof typeof flags];
    if (value !== undefined && typeof value !== "boolean") {
      throw new TypeError(`Cannot open "${name}": ${option} must be a boolean, got ${shown(value)}`);
    }
    if (value === true) flag |= bit;
  }
  return bindLibrary(name, checked, openFirst(where, candidates, flag), unload);
}

/** Opens the first candidate that loads. */
function openFirst(
  wanted: LibraryPath | null,
  candidates: readonly (string | null)[],
  flags: number,
): { path: string | null; library: Address } {
  const failures: LibraryCandidate[] = [];
  for (const path of candidates) {
    let file: string | null = null;
    if (path !== null) {
      requirePermission(path);
      try {
        file = loadable(path);
      } catch (error) {
        failures.push({ path, reason: messageOf(error) });
        continue;
      }
    }
    const result = openLibrary(file, flags);
    if ("library" in result) return { path: file, library: result.library };
    failures.push({ path: displayName(path), reason: result.reason });
  }
  const { platform, isFile } = backend();
  throw new LibraryLoadError(displayName(wanted), failures, wanted === null ? "" : pathHint(wanted, platform, isFile));
}

/** @throws {Error} Deno's `NotCapable`, if the program may not load this library. */
function requirePermission(path: string): void {
  try {
    backend().requirePermission(path);
  } catch (error) {
    throw withoutList(error, `"${path}"`);
  }
}

/** The path of a file that the loader finds: this one, or one that is made of what the executable has there. */
function loadable(path: string): string {
  const bytes = backend().inExecutable?.(path);
  return bytes === undefined ? path : fileOf(bytes, path);
}

function fileOf(bytes: Uint8Array<ArrayBuffer>, path: string): string {
  // One executable has one file of this path.
  const name = path.replaceAll(/[^\w.-]+/g, "_").slice(-150);
  return libraryFile(backend(), `${bytes.length}-${name}`, () => bytes).path;
}

function bindLibrary<S extends Definitions>(
  name: string,
  entries: readonly Entry[],
  { path, library }: { path: string | null; library: Address },
  unload: boolean,
): Library<S> {
  const owner: LibraryOwner = { name, closed: false, counted: unload, running: 0, whenIdle: undefined, endings: [] };
  // With a prototype: V8 looks up the properties of an object without one in a hash table.
  const symbols: Record<string, unknown> = {};
  const closers: (() => void)[] = [];
  /** The functions that the runtime calls, as it is told of them: the arguments of others are put where C expects them. */
  const signatures: NativeSignature[] = [];
  const missing: string[] = [];
  for (const entry of entries) {
    const { definition } = entry;
    const symbol = definition.name ?? entry.key;
    const address = isFunction(definition) ? librarySymbol(library, symbol) : libraryVariable(library, symbol);
    entry.address = address;
    if (address === null) {
      if (definition.optional !== true) missing.push(symbol);
    } else if (path !== null && isFunction(definition) && (entry.plain || !needsBlock(definition))) {
      entry.direct = signatures.push(nativeSignature(symbol, definition, address)) - 1;
    }
  }
  let native: NativeLibrary | undefined;
  try {
    if (missing.length > 0) throw new SymbolNotFoundError(name, missing);
    const opened = native = path === null ? undefined : backend().open(path, signatures);
    for (const entry of entries) {
      const { key, definition, address } = entry;
      if (address === null) define(symbols, key, null);
      else if (!isFunction(definition)) defineVariable(symbols, key, definition, address, owner);
      else if (!entry.plain && (mayBeRefused(definition) || opensCore(definition))) {
        define(symbols, key, makeFunction(entry, opened, owner, closers));
      } else defineLate(symbols, key, () => makeFunction(entry, opened, owner, closers));
    }
  } catch (error) {
    native?.close();
    closeLibrary(library);
    throw error;
  }
  if (!unload) native?.release();
  const held: Held = {
    native: unload ? native : undefined,
    library,
    open: true,
    birth: track("library", name),
  };
  const variables = new Map<string, Address>();
  for (const { definition, key, address } of entries) {
    if (!isFunction(definition) && address !== null) variables.set(definition.name ?? key, address);
  }
  return new Library(inside, Object.preventExtensions(symbols) as LibrarySymbols<S>, owner, held, closers, variables);
}

/** Makes a function that the library has, and notes how it is closed. */
function makeFunction(
  { key, definition, address, direct }: Entry,
  native: NativeLibrary | undefined,
  owner: LibraryOwner,
  closers: (() => void)[],
): unknown {
  const fn = definition as FunctionDefinition;
  const place = address as Address;
  const { call, close, giveUp } = direct < 0 || native === undefined
    ? makeCallAt(key, fn, place, owner)
    : makeDirectCall(key, fn, native.functionAt(direct), owner);
  noteFunction(call, { key, definition: fn, address: place, owner });
  closers.push(close);
  if (giveUp !== undefined) owner.endings.push(giveUp);
  if (owner.closed) close();
  return call;
}

/** Whether making a function opens the core by name: the program may give up its permission to do so. */
function opensCore(definition: FunctionDefinition): boolean {
  return backend().calledAt === undefined && definition.stack === "own" && passingSignature(definition) !== undefined;
}

/** Whether making a function may throw because of its definition, which {@linkcode dlopen} has to do. */
function mayBeRefused({ parameters, result }: FunctionDefinition): boolean {
  if (parameters.length > 32 || isRecord(result)) return true;
  for (const type of parameters) if (typeof type !== "string" && !isOut(type)) return true;
  return false;
}

function define(symbols: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(symbols, key, { value, enumerable: true, configurable: false });
}

/**
 * Defines a function that is made when the property is read for the first time: programs use a few of the many functions that
 * they define. From then on it is a property with a value, which engines take as a constant.
 */
function defineLate(symbols: Record<string, unknown>, key: string, make: () => unknown): void {
  let value: unknown;
  Object.defineProperty(symbols, key, {
    enumerable: true,
    configurable: true,
    get() {
      if (value !== undefined) return value;
      value = make();
      // Not if the program has frozen the object: then it stays as it is.
      if (Object.getOwnPropertyDescriptor(symbols, key)?.configurable === true) define(symbols, key, value);
      return value;
    },
  });
}

function isFunction(definition: FunctionDefinition | VariableDefinition): definition is FunctionDefinition {
  return (definition as Partial<FunctionDefinition>).parameters !== undefined;
}
