/**
 * The errors that a program may want to catch, or whose fields it may want to read. A mistake in the shape of an
 * argument is a `TypeError`, one in its range a `RangeError`; everything else that belay throws is here.
 *
 * @module
 */

import { blameCaller } from "./blame.ts";

/** What is wrong with a handle's id; see {@linkcode InvalidHandleError}. */
export type InvalidHandleReason =
  /** It is zero, as a NULL `void*` is. */
  | "null"
  /** It was issued and has been deleted. */
  | "stale"
  /** It has the form of an id of this isolate, but none such was issued yet. */
  | "unissued"
  /** It has the form of an id of another isolate (another worker, or the main thread). */
  | "other-isolate"
  /** It can't be an id at all: negative, a fraction, too large, a wrong parity, not a number. */
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

/** An id that names no live handle of this isolate. Nothing was changed. */
export class InvalidHandleError extends Error {
  override readonly name = "InvalidHandleError";
  /** What is wrong with the id. */
  readonly reason: InvalidHandleReason;
  /** The id as it was given. */
  readonly id: unknown;

  /**
   * Made by belay.
   *
   * @param what What was being done.
   */
  constructor(what: string, id: unknown, reason: InvalidHandleReason) {
    const state = typeof id === "bigint" ? "an id is a number, and this is a bigint" : handleStates[reason];
    super(`${what} handle ${shown(id)}: ${state}`);
    this.reason = reason;
    this.id = id;
  }
}

/** One file that was tried for a library, and the loader's own words on why it did not load. */
export interface LibraryCandidate {
  /** What the loader was given: a path, or a bare file name that it looks for. */
  readonly path: string;
  /** Why it did not load. */
  readonly reason: string;
}

/** No candidate for a library could be loaded. Nothing stays open. */
export class LibraryLoadError extends Error {
  override readonly name = "LibraryLoadError";
  /** The library as it was asked for. */
  readonly library: string;
  /** Everything that was tried, in order. */
  readonly candidates: readonly LibraryCandidate[];

  /** Made by belay. */
  constructor(library: string, candidates: readonly LibraryCandidate[], hint = "") {
    const tried = candidates.map(({ path, reason }) => `\n  ${path}: ${reason}`).join("");
    super(`Cannot open "${library}": no candidate could be loaded${tried}${hint && `\n${hint}`}`);
    this.library = library;
    this.candidates = candidates;
    blameCaller(this);
  }
}

/** A library lacks symbols that its definitions name. Nothing stays open. */
export class SymbolNotFoundError extends Error {
  override readonly name = "SymbolNotFoundError";
  /** Every missing symbol, in the order of the definitions. */
  readonly symbols: readonly string[];
  /** The library as it was asked for. */
  readonly library: string;

  /** Made by belay. */
  constructor(library: string, symbols: readonly string[]) {
    const names = symbols.map((symbol) => `"${symbol}"`).join(", ");
    super(`Cannot open "${library}": it has no symbol${symbols.length > 1 ? "s" : ""} ${names}`);
    this.symbols = symbols;
    this.library = library;
    blameCaller(this);
  }
}

/** A function or variable of a library was used after the library was closed. C was not entered. */
export class LibraryClosedError extends Error {
  override readonly name = "LibraryClosedError";
  /** The function or variable, as its definition is called. */
  readonly symbol: string;
  /** The library as it was asked for. */
  readonly library: string;

  /** Made by belay. */
  constructor(verb: string, symbol: string, library: string) {
    super(`Cannot ${verb} "${symbol}": library "${library}" is closed`);
    this.symbol = symbol;
    this.library = library;
    blameCaller(this);
  }
}

/** One of the rules for pointers; {@linkcode PointerRuleError} says which was broken. */
export type PointerRule =
  /** A callback returned a buffer for a pointer. */
  | "result"
  /** A buffer was to be stored in C's memory. */
  | "buffer"
  /** A string was to be stored as a pointer. */
  | "text"
  /** A function was to be stored as a pointer. */
  | "function"
  /** An object was to be stored that has a `pointer`, and is none of belay's. */
  | "owner"
  /** A pointer into an argument of a call was used after the call. */
  | "temporary"
  /** Memory was to be freed while a nonblocking call uses it. */
  | "outstanding"
  /** Memory was to be freed while the runtime uses an array of its bytes. */
  | "in-use"
  /** A buffer of {@linkcode NativeMemory.bytes} was transferred. */
  | "transferred"
  /** A buffer was transferred while it was pinned. */
  | "pinned"
  /** A pin was used after it had been unpinned. */
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
    "memory is not freed while a nonblocking call uses it: wait for its promise",
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

/** One of the rules for pointers was broken; the message says which. Nothing was passed, stored or freed. */
export class PointerRuleError extends Error {
  override readonly name = "PointerRuleError";
  /** The rule. */
  readonly rule: PointerRule;

  /**
   * Made by belay.
   *
   * @param what What was being done, where more can be said than the rule does.
   */
  constructor(rule: PointerRule, what?: string) {
    const [cannot, sentence] = pointerRules[rule];
    super(`${what ?? cannot}: ${sentence}`);
    this.rule = rule;
    blameCaller(this);
  }
}

/**
 * Memory was used after it had been freed. Nothing was read or written. While leaks are tracked, its `cause` says where the
 * memory was freed, and the cause of that where it was made.
 */
export class MemoryFreedError extends Error {
  override readonly name = "MemoryFreedError";

  /**
   * Made by belay.
   *
   * @param which Which memory, where that is known.
   * @param cause Where it was freed, where that is known.
   */
  constructor(which?: string, cause?: Error) {
    super(`Cannot use memory: it has been freed${which === undefined ? "" : ` (${which})`}`, cause && { cause });
    blameCaller(this);
  }
}

/**
 * A thread of C's waited for a callback with `thread: "wait"` as long as `timeoutMs` says, and went on with the fallback: the
 * function had not begun.
 */
export class CallbackTimeoutError extends Error {
  override readonly name = "CallbackTimeoutError";
  /** The callback's name. */
  readonly callback: string;
  /** The native call that JavaScript was in, or came out of next, where that is known. */
  readonly call: string | undefined;
  /** How long the thread waited, in milliseconds. */
  readonly timeoutMs: number;

  /** Made by belay. */
  constructor(message: string, callback: string, call: string | undefined, timeoutMs: number) {
    super(message);
    this.callback = callback;
    this.call = call;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * A thread of C's called a callback with `thread: "same"` while JavaScript was in a native call, and went on with the
 * fallback: what the native call gave may be wrong.
 */
export class CallbackThreadError extends Error {
  override readonly name = "CallbackThreadError";
  /** The callback's name. */
  readonly callback: string;
  /** The native call that JavaScript was in. */
  readonly call: string;

  /** Made by belay. */
  constructor(message: string, callback: string, call: string) {
    super(message);
    this.callback = callback;
    this.call = call;
  }
}
