/**
 * A function behind a thunk, and who stands behind which.
 *
 * @module
 */

import { thunkPointers } from "../core/thunks.ts";
import { present } from "../ground/present.ts";
import type { Address } from "../runtime/backend.ts";
import type { CallbackDefinition, Pointer } from "../types/definitions.ts";
import type { ShapeThunks } from "./thunk_pool.ts";

/** Any function that can stand behind a callback. */
export type TargetFunction = (...parameters: never[]) => unknown;

/** A definition, worked out: what every callback of it shares. */
export interface Signature {
  /** What was checked of the definition: the program may change its own. */
  readonly definition: CallbackDefinition;
  /** What tells functions apart that C may not confuse. */
  readonly shape: string;
  readonly thunks: ShapeThunks;
  /** Where the arguments are, and which of the words they take are strings; see `belay_thunk`. */
  readonly layout: number;
  readonly strings: bigint;
  /** The first parameter, from 1, that is a string behind the words that `strings` can tell of. */
  readonly lateString: number | undefined;
  /** What a thunk has in place of the fallback: how many bytes a structure has that is returned in memory, what is fetched. */
  readonly slotBits: ((fallback: bigint) => bigint) | undefined;
  /** What C knows of it, where that is another one: arguments are fetched, or the result goes to a function of C's. */
  readonly outer: Signature | undefined;
  /** Whether a function of C's gets the result. */
  readonly answers: boolean;
  /** Whether structures are among what it takes and returns. */
  readonly hasStructures: boolean;
  /** What the trampoline calls for its callbacks: {@linkcode invokeFirst} before the code is there. */
  invoke: (bound: BoundFunction) => void;
  /** Generated when it is first asked for. */
  readonly code: SignatureCode;
}

/** What is generated for a signature. */
export interface SignatureCode {
  /** Reads the arguments, calls the function, writes the result. */
  readonly invoke: (bound: BoundFunction) => void;
  /** Writes what a callback's promise was fulfilled with as the result. @throws {TypeError | RangeError} As the next one does. */
  readonly writeLater: (value: unknown, bound: BoundFunction, resultAddress: Address | undefined) => void;
  /**
   * Writes what `onError` answered as the result. @throws {TypeError | RangeError} When it is not of the result's type.
   *
   * @param resultAddress Where C wants a structure, if that is in memory.
   */
  readonly writeAnswer: (value: unknown, bound: BoundFunction, resultAddress: Address | undefined) => void;
  /** The bits of the result register for a fallback. @throws {TypeError | RangeError} When it is not of the result's type. */
  readonly fallbackBits: (value: unknown, name: string) => bigint;
}

/** What a callback has called with an error, and with the arguments that C gave. It answers C. */
export type ErrorFunction = (error: unknown, ...parameters: never[]) => unknown;

/** What becomes of calls of a callback from other threads; `queued.ts` makes it. */
export interface Contract {
  readonly thread: "post" | "wait";
  readonly timeoutMs: number;
  /** Ends what waits: the callback is about to go. */
  readonly end: () => void;
  /** Reports what was dropped with it. */
  readonly tell: () => void;
}

/** One function behind one thunk. It keeps the function alive, and stays behind as a tombstone when that is gone. */
export class BoundFunction {
  readonly signature: Signature;
  /** What the trampoline calls. */
  invoke: (bound: BoundFunction) => void;
  /** The index of its thunk. */
  readonly thunk: number;
  /** `null` from when it was unbound. */
  fn: TargetFunction | null;
  onError: ErrorFunction | undefined;
  /** How often C has called it, until that is often enough for an invoker of its own. */
  calls = 0;
  /** Whether it runs although an error waits for the native call. */
  always = false;
  /** What becomes of calls from other threads, if not the fallback. */
  contract: Contract | undefined;
  /** Whether it is a function that was passed to one native call. */
  lent = false;
  /** The token of that call, if it is a nonblocking one; else 0. */
  callToken = 0;
  /** Whether the collector took its callback, rather than `close()`. */
  collected = false;
  /** One report of a kind is enough. */
  staleReported = false;
  handleReported = false;
  misplacedReported = false;
  droppedReported = false;
  /** How many calls from other threads were thrown by the native calls in which they were refused. */
  thrownCalls = 0;
  #name: string | TargetFunction;

  /**
   * Made by {@linkcode bind}.
   *
   * @param name What reports call it, or the function whose name that is.
   */
  constructor(signature: Signature, thunk: number, name: string | TargetFunction, fn: TargetFunction) {
    this.signature = signature;
    this.invoke = signature.invoke;
    this.thunk = thunk;
    this.#name = name;
    this.fn = fn;
    this.onError = undefined;
    this.contract = undefined;
  }

  /** What reports and errors call it. Asking a function costs more than making a callback: it is done when need be. */
  get name(): string {
    if (typeof this.#name === "function") this.#name = functionName(this.#name);
    return this.#name;
  }

  /** What C calls. It stays callable for ever. */
  get pointer(): Pointer {
    return present(thunkPointers[this.thunk]);
  }
}

/** What a function calls itself, whatever a program has put in the place of its `name`. */
export function functionName(fn: TargetFunction): string {
  try {
    const { name } = fn;
    return typeof name === "string" && name !== "" ? name : "anonymous";
  } catch {
    return "anonymous";
  }
}

/** By the index of the thunk: who is behind it, or was last. */
export const boundFunctions: (BoundFunction | undefined)[] = [];
