/**
 * The errors that a program may want to catch, or whose fields it may want to read. A mistake in the shape of an
 * argument is a `TypeError`, one in its range a `RangeError`; everything else that belay throws is here.
 *
 * @module
 */

import { blameCaller } from "./blame.ts";

/**
 * What is wrong with a handle's id; {@linkcode InvalidHandleError} has it.
 *
 * - `"null"`: the id is zero, as a NULL `void *` is.
 * - `"stale"`: the handle has been deleted.
 * - `"unissued"`: the id has the form of an id of this isolate, but no handle has had it yet.
 * - `"other-isolate"`: the id has the form of an id of another isolate: another worker, or the main thread.
 * - `"malformed"`: the id can't be one at all. It is negative, a fraction, too large, no number, or has bits that no id
 *   has.
 */
export type InvalidHandleReason =
  | "null"
  | "stale"
  | "unissued"
  | "other-isolate"
  | "malformed";

const handleStates: Record<InvalidHandleReason, string> = {
  null: "it is the null handle",
  stale: "it has been deleted",
  unissued: "no such handle was issued",
  "other-isolate": "it belongs to another isolate",
  malformed: "it is not a handle",
};

const mostShown = 40;

/** A value in an error's message: what it is, in few words. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case "string": {
      const text = JSON.stringify(value.slice(0, mostShown));
      return value.length > mostShown ? `${text} and ${value.length - mostShown} characters more` : text;
    }
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value)
        ? `an array of ${value.length}`
        : `an object of ${value.constructor?.name || "no class"}${memoryState(value)}`;
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

/** What is peculiar about an array buffer, or that of a view. */
function memoryState(value: object): string {
  const isView = ArrayBuffer.isView(value);
  const buffer: object = isView ? value.buffer : value;
  if (!(buffer instanceof ArrayBuffer)) return "";
  const state = buffer.detached ? "is detached" : buffer.resizable ? "is resizable" : undefined;
  return state === undefined ? "" : isView ? `, whose ArrayBuffer ${state}` : ` that ${state}`;
}

/**
 * A value that is none of this package's, in an error's message: where its class has the name of one of ours, that is most
 * likely because another copy of the package has made it.
 *
 * @param classes The names of ours.
 */
export function shownStranger(value: unknown, classes: readonly string[]): string {
  const name = typeof value === "object" && value !== null ? value.constructor?.name : undefined;
  return name !== undefined && classes.includes(name)
    ? `${shown(value)}, which this copy of @belay/ffi didn't make`
    : shown(value);
}

/**
 * Thrown when an id names no live handle of this isolate. Nothing was changed.
 *
 * ```ts
 * import { Handle, InvalidHandleError } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const handle = Handle.create("value");
 * handle.delete();
 * const error = assertThrows(() => Handle.value(handle.id), InvalidHandleError);
 * assert(error.reason === "stale" && error.id === handle.id);
 * ```
 */
export class InvalidHandleError extends Error {
  /** The name of the class. */
  override readonly name = "InvalidHandleError";
  /** What is wrong with the id. */
  readonly reason: InvalidHandleReason;
  /** The id as it was given. */
  readonly id: unknown;

  /**
   * Made by belay.
   *
   * @param what What was being done, as the message begins: `Cannot read`.
   * @param id The id as it was given.
   * @param reason What is wrong with it.
   */
  constructor(what: string, id: unknown, reason: InvalidHandleReason) {
    const state = typeof id === "bigint" ? "an id is a number, and this is a bigint" : handleStates[reason];
    super(`${what} handle ${shown(id)}: ${state}`);
    this.reason = reason;
    this.id = id;
  }
}

/** A file that was tried for a library, and the loader's own words on why it did not load. */
export interface LibraryCandidate {
  /** What the loader was given: a path, or a bare file name that it looks for. */
  readonly path: string;
  /** Why it did not load. */
  readonly reason: string;
}

/**
 * Thrown when no candidate for a library could be loaded. Nothing stays open.
 *
 * ```ts
 * import { dlopen, LibraryLoadError } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => dlopen({ name: "no-such-library" }, {}), LibraryLoadError);
 * assert(error.library === "no-such-library" && error.candidates.length > 0);
 * for (const { path, reason } of error.candidates) console.log(path, reason);
 * ```
 */
export class LibraryLoadError extends Error {
  /** The name of the class. */
  override readonly name = "LibraryLoadError";
  /** The library as it was asked for. */
  readonly library: string;
  /** Everything that was tried, in order. */
  readonly candidates: readonly LibraryCandidate[];

  /**
   * Made by belay.
   *
   * @param library The library as it was asked for.
   * @param candidates Everything that was tried.
   * @param hint A sentence about what may have been meant.
   */
  constructor(library: string, candidates: readonly LibraryCandidate[], hint = "") {
    const tried = candidates.map(({ path, reason }) => `\n  ${path}: ${reason}`).join("");
    super(`Cannot open "${library}": no candidate could be loaded${tried}${hint && `\n${hint}`}`);
    this.library = library;
    this.candidates = candidates;
    blameCaller(this);
  }
}

/**
 * Thrown when a library lacks symbols that its definitions name. Nothing stays open.
 *
 * ```ts
 * import { dlopen, SymbolNotFoundError } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => {
 *   dlopen({ name: "c", versions: ["6"] }, { no_such_function: { parameters: [], result: "void" } });
 * }, SymbolNotFoundError);
 * assert(error.library === "c" && error.symbols.join() === "no_such_function");
 * ```
 */
export class SymbolNotFoundError extends Error {
  /** The name of the class. */
  override readonly name = "SymbolNotFoundError";
  /** Every missing symbol, in the order of the definitions. */
  readonly symbols: readonly string[];
  /** The library as it was asked for. */
  readonly library: string;

  /**
   * Made by belay.
   *
   * @param library The library as it was asked for.
   * @param symbols Every missing symbol.
   */
  constructor(library: string, symbols: readonly string[]) {
    const names = symbols.map((symbol) => `"${symbol}"`).join(", ");
    super(`Cannot open "${library}": it has no symbol${symbols.length > 1 ? "s" : ""} ${names}`);
    this.symbols = symbols;
    this.library = library;
    blameCaller(this);
  }
}

/**
 * Thrown when a function or variable of a library is used after the library was closed. C was not entered.
 *
 * ```ts
 * import { dlopen, LibraryClosedError } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const libc = dlopen({ name: "c", versions: ["6"] }, { abs: { parameters: ["i32"], result: "i32" } });
 * libc.close();
 * const error = assertThrows(() => libc.symbols.abs(-7), LibraryClosedError);
 * assert(error.symbol === "abs" && error.library === "c");
 * ```
 */
export class LibraryClosedError extends Error {
  /** The name of the class. */
  override readonly name = "LibraryClosedError";
  /** The function or variable, by the key of its definition. */
  readonly symbol: string;
  /** The library as it was asked for. */
  readonly library: string;

  /**
   * Made by belay.
   *
   * @param verb What was being done: `call`, `read` or `write`.
   * @param symbol The function or variable.
   * @param library The library as it was asked for.
   */
  constructor(verb: string, symbol: string, library: string) {
    super(`Cannot ${verb} "${symbol}": library "${library}" is closed`);
    this.symbol = symbol;
    this.library = library;
    blameCaller(this);
  }
}

/**
 * The id of a rule for pointers; {@linkcode PointerRuleError} says which was broken.
 *
 * - `"result"`: a callback returned a buffer for a pointer.
 * - `"buffer"`: a buffer was to be stored in C's memory.
 * - `"text"`: a string was to be stored as a pointer.
 * - `"function"`: a function was to be stored as a pointer.
 * - `"owner"`: an object was to be stored that has a `pointer`, and that belay hasn't made.
 * - `"temporary"`: a pointer into an argument of a call was used after the call.
 * - `"outstanding"`: memory was to be freed while a nonblocking or suspending call uses it.
 * - `"in-use"`: memory was to be freed while the runtime uses an array of its bytes.
 * - `"transferred"`: a buffer of {@linkcode NativeMemory.bytes} was transferred.
 * - `"pinned"`: a buffer was transferred while it was pinned.
 * - `"unpinned"`: a pin was used after it had been unpinned.
 */
export type PointerRule =
  | "result"
  | "buffer"
  | "text"
  | "function"
  | "owner"
  | "temporary"
  | "outstanding"
  | "in-use"
  | "transferred"
  | "pinned"
  | "unpinned";

/** What can't be done, and the rule. */
const pointerRules: Record<PointerRule, readonly [string, string]> = {
  result: [
    "Cannot return a buffer",
    "a callback returns a pointer to C's memory or that of a pin, never a buffer: nobody would keep it for C",
  ],
  buffer: [
    "Cannot store a buffer",
    "a buffer is pinned before C's memory points to it: pin() it and store the pin",
  ],
  text: [
    "Cannot store a string",
    "C's memory points to C's strings: make one with cstring() of an Arena and store that",
  ],
  function: ["Cannot store a function", "a function is stored as a callback(): make one, and store that"],
  owner: [
    "Cannot store an object",
    "what is stored is a pointer, or what belay has made that has one: NativeMemory, a Pin, a view, a Callback or a Channel",
  ],
  temporary: [
    "Cannot use the pointer",
    "a pointer into an argument is not used after the call: pin() the buffer, or give C memory of an Arena",
  ],
  outstanding: [
    "Cannot free the memory",
    "memory is not freed while a nonblocking or suspending call uses it: wait for its promise",
  ],
  "in-use": [
    "Cannot free the memory",
    "memory is not freed while the runtime itself uses an array of its bytes(): wait for the operation, then free it",
  ],
  transferred: [
    "Cannot use the memory",
    "what NativeMemory.bytes() gives is not transferred: copy it with slice() first",
  ],
  pinned: ["Cannot use the pin", "a buffer is not transferred while it is pinned"],
  unpinned: ["Cannot use the pin", "a pin's pointer is used until it is unpinned, and no longer"],
};

/**
 * Thrown when one of the rules for pointers is broken. Nothing was passed, stored or freed.
 *
 * The message says which rule it is, and what to do instead.
 *
 * ```ts
 * import { NativeMemory, pin, PointerRuleError } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * using memory = NativeMemory.alloc(8);
 * const samples = new Float32Array(4);
 * const error = assertThrows(() => memory.setPointer(0, samples as never), PointerRuleError);
 * assert(error.rule === "buffer");
 *
 * using pinned = pin(samples); // the cure
 * memory.setPointer(0, pinned);
 * ```
 */
export class PointerRuleError extends Error {
  /** The name of the class. */
  override readonly name = "PointerRuleError";
  /** The id of the rule. */
  readonly rule: PointerRule;

  /**
   * Made by belay.
   *
   * @param rule The id of the rule.
   * @param what What was being done, if more can be said than the rule does.
   */
  constructor(rule: PointerRule, what?: string) {
    const [cannot, sentence] = pointerRules[rule];
    super(`${what ?? cannot}: ${sentence}`);
    this.rule = rule;
    blameCaller(this);
  }
}

/**
 * Thrown when memory is used after it was freed. Nothing was read or written.
 *
 * While leaks are tracked, its `cause` says where the memory was freed. The cause of that says where the memory was
 * made.
 *
 * ```ts
 * import { MemoryFreedError, NativeMemory } from "@belay/ffi";
 * import { assertThrows } from "@std/assert";
 *
 * const memory = NativeMemory.alloc(16);
 * memory.free();
 * assertThrows(() => memory.getUint8(0), MemoryFreedError);
 * ```
 */
export class MemoryFreedError extends Error {
  /** The name of the class. */
  override readonly name = "MemoryFreedError";

  /**
   * Made by belay.
   *
   * @param which Which memory, if that is known.
   * @param cause Where it was freed, if that is known.
   */
  constructor(which?: string, cause?: Error) {
    super(`Cannot use memory: it has been freed${which === undefined ? "" : ` (${which})`}`, cause && { cause });
    blameCaller(this);
  }
}

/**
 * Thrown, or reported, when a thread of C's waited too long for a callback with `thread: "wait"`.
 *
 * The function had not begun, and the thread went on with the fallback. The native call that JavaScript was in throws
 * the error, or else a report has it.
 *
 * ```ts
 * import { callback, CallbackTimeoutError, dlopen } from "@belay/ffi";
 *
 * const start = { parameters: ["pointer"], result: "pointer" } as const;
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   pthread_create: { parameters: ["buffer", "pointer", start, "pointer"], result: "i32" },
 *   pthread_join: { parameters: ["usize", "pointer"], result: "i32" }, // it lacks nonblocking: true
 * });
 * using begin = callback(start, () => null, { name: "begin", thread: "wait", timeoutMs: 100 });
 * const thread = new BigUint64Array(1);
 * libc.symbols.pthread_create(thread, null, begin, null);
 * try {
 *   libc.symbols.pthread_join(thread[0], null); // waits for the thread, which waits for JavaScript
 * } catch (error) {
 *   if (!(error instanceof CallbackTimeoutError)) throw error;
 *   console.log(error.callback, error.call, error.timeoutMs); // begin pthread_join 100
 * }
 * ```
 */
export class CallbackTimeoutError extends Error {
  /** The name of the class. */
  override readonly name = "CallbackTimeoutError";
  /** The callback's name. */
  readonly callback: string;
  /** The native call that JavaScript was in, or came out of next; `undefined` if belay doesn't know of one. */
  readonly call: string | undefined;
  /** How long the thread waited, in milliseconds. */
  readonly timeoutMs: number;

  /**
   * Made by belay.
   *
   * @param message The message.
   * @param callback The callback's name.
   * @param call The native call that JavaScript was in.
   * @param timeoutMs How long the thread waited, in milliseconds.
   */
  constructor(message: string, callback: string, call: string | undefined, timeoutMs: number) {
    super(message);
    this.callback = callback;
    this.call = call;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * Thrown when a thread of C's called a callback with `thread: "same"` while JavaScript was in a native call.
 *
 * The thread went on with the fallback, so what the native call gave may be wrong. Declare the call with
 * `nonblocking: true`, and the callback with `thread: "wait"` or `"post"`. If JavaScript was in no native call, there
 * is a report instead, of the kind `misplaced-call`.
 *
 * ```ts
 * import { callback, CallbackThreadError, dlopen } from "@belay/ffi";
 *
 * const start = { parameters: ["pointer"], result: "pointer" } as const;
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   pthread_create: { parameters: ["buffer", "pointer", start, "pointer"], result: "i32" },
 *   pthread_join: { parameters: ["usize", "pointer"], result: "i32" }, // it lacks nonblocking: true
 * });
 * using begin = callback(start, () => null, { name: "begin" }); // it lacks thread: "wait"
 * try {
 *   const thread = new BigUint64Array(1);
 *   libc.symbols.pthread_create(thread, null, begin, null);
 *   libc.symbols.pthread_join(thread[0], null);
 * } catch (error) {
 *   if (!(error instanceof CallbackThreadError)) throw error;
 *   console.log(error.callback, error.call); // begin pthread_join
 * }
 * ```
 */
export class CallbackThreadError extends Error {
  /** The name of the class. */
  override readonly name = "CallbackThreadError";
  /** The callback's name. */
  readonly callback: string;
  /** The native call that JavaScript was in. */
  readonly call: string;

  /**
   * Made by belay.
   *
   * @param message The message.
   * @param callback The callback's name.
   * @param call The native call that JavaScript was in.
   */
  constructor(message: string, callback: string, call: string) {
    super(message);
    this.callback = callback;
    this.call = call;
  }
}
