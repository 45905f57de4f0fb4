/**
 * A `Handle` lets C hold a TypeScript value, after Go's `runtime/cgo.Handle`: C gets a number, never an object.
 *
 * In TypeScript:
 *
 * ```ts
 * import { Handle } from "@belay/ffi";
 *
 * const handle = Handle.create({ name: "what C will give back" });
 * console.assert(Handle.value(handle.id) === handle.value);
 * handle.delete();
 * ```
 *
 * and in C, where the number is a `void*` or a `uintptr_t`:
 *
 * ```c
 * void each_row(int count, int (*row)(void *user_data, int index), void *user_data) {
 *   for (int i = 0; i < count; i++) row(user_data, i);
 * }
 * ```
 *
 * @module
 * @see https://pkg.go.dev/runtime/cgo#Handle
 */

import { InvalidHandleError, type InvalidHandleReason } from "./errors.ts";
import { track, tracking, untrack } from "./tracking.ts";

/**
 * How a table's ids are made up, from the top: generation, tag, slot, one parity bit. The default is 22 + 8 + 22 + 1 =
 * 53 bits, which a JavaScript number, a `uintptr_t` and a `void*` all hold exactly.
 */
export interface HandleTableOptions {
  /** Tells the isolates of a process apart: 1 to 255, so that zero is never an id. */
  readonly tag: number;
  /** The first generation to issue: above all that an earlier isolate issued under this tag. 0 by default. */
  readonly firstGeneration?: number;
  /** One word that is kept at the highest generation issued, for whoever gets the tag next. */
  readonly generationWord?: Uint32Array<ArrayBuffer>;
  /** 22 by default. */
  readonly slotBits?: number;
  /** 22 by default. */
  readonly generationBits?: number;
  /** How far a slot's generation may run ahead while fresh slots are left. 4,096 by default. */
  readonly generationsAhead?: number;
}

const tagBits = 8;

/** The number of bits that are set in a 32-bit word, modulo 2. */
function parity(word: number): number {
  word ^= word >>> 16;
  word ^= word >>> 8;
  word ^= word >>> 4;
  return (0x6996 >>> (word & 15)) & 1;
}

/**
 * A slab of values, reached by ids that are never issued twice: parallel arrays, and nothing allocated for a handle.
 *
 * `#ids[slot]` is the live id, or minus the id that the slot will issue next, or NaN when its generations are used up. So
 * one comparison tells whether an id is live. The parity bit makes every id that differs from a live one in a single bit
 * an id that is never issued.
 */
export class HandleTable {
  readonly #tag: number;
  readonly #slotMask: number;
  readonly #generationUnit: number;
  readonly #perGeneration: number;
  readonly #generationEnd: number;
  readonly #firstGeneration: number;
  readonly #generationsAhead: number;
  readonly #generationWord: Uint32Array<ArrayBuffer>;
  #generationLimit: number;
  #ids = new Float64Array(64);
  // An object keeps the engines from choosing an array of small integers first.
  #values: unknown[] = [this];
  #free = new Uint32Array(64);
  #freeCount = 0;
  #aged: number[] = [];
  #used = 0;
  #live = 0;
  #tokens: number[] = [];

  constructor(options: HandleTableOptions) {
    const { tag, firstGeneration = 0, slotBits = 22, generationBits = 22, generationsAhead = 4096 } = options;
    this.#tag = tag;
    this.#slotMask = 2 ** slotBits - 1;
    this.#generationUnit = 2 ** (1 + slotBits + tagBits);
    this.#perGeneration = 1 / this.#generationUnit;
    this.#generationEnd = 2 ** generationBits;
    this.#firstGeneration = firstGeneration;
    this.#generationsAhead = generationsAhead;
    this.#generationLimit = Math.min(firstGeneration + generationsAhead, this.#generationEnd);
    this.#generationWord = options.generationWord ?? new Uint32Array(1);
    this.#generationWord[0] = firstGeneration;
    this.#values.length = 0;
  }

  /** How many handles are live. */
  get live(): number {
    return this.#live;
  }

  /** Stores a value and answers its id. @throws {RangeError} When every slot is taken. */
  create(value: unknown): number {
    let slot: number;
    let id: number;
    if (this.#freeCount !== 0) {
      slot = this.#free[--this.#freeCount];
      id = -this.#ids[slot];
      this.#values[slot] = value;
    } else if (this.#used <= this.#slotMask) {
      slot = this.#used++;
      if (slot === this.#ids.length) this.#grow();
      id = this.#firstId(slot);
      this.#values.push(value);
    } else {
      this.#refill();
      return this.create(value);
    }
    this.#ids[slot] = id;
    this.#live += 1;
    if (tracking.enabled) this.#tokens[slot] = track("handle", String(id));
    return id;
  }

  /** The value of a live handle. @throws {InvalidHandleError} */
  value(id: number): unknown {
    const slot = (id >>> 1) & this.#slotMask;
    if (this.#ids[slot] === id) return this.#values[slot];
    throw new InvalidHandleError("read", id, this.invalidReason(id));
  }

  /** The value of a live handle, or `otherwise`. */
  valueOr<T>(id: number, otherwise: T): unknown {
    const slot = (id >>> 1) & this.#slotMask;
    return this.#ids[slot] === id ? this.#values[slot] : otherwise;
  }

  /** Whether an id names a live handle. */
  has(id: number): boolean {
    return this.#ids[(id >>> 1) & this.#slotMask] === id;
  }

  /** Ends a handle: its id is stale from now on, its value no longer held. @throws {InvalidHandleError} */
  delete(id: number): void {
    const slot = (id >>> 1) & this.#slotMask;
    if (this.#ids[slot] !== id) throw new InvalidHandleError("delete", id, this.invalidReason(id));
    this.#values[slot] = undefined;
    this.#live -= 1;
    if (this.#tokens.length !== 0) this.#untrack(slot);
    const generation = (id * this.#perGeneration) | 0;
    const next = generation + 1;
    if (next < this.#generationLimit) {
      this.#setNext(slot, id, generation);
      this.#free[this.#freeCount++] = slot;
    } else if (next < this.#generationEnd) {
      this.#setNext(slot, id, generation);
      this.#aged.push(slot);
    } else {
      this.#ids[slot] = NaN;
    }
  }

  /** What is wrong with an id that names no live handle. */
  invalidReason(id: unknown): InvalidHandleReason {
    if (id === 0) return "null";
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return "malformed";
    const generation = Math.floor(id * this.#perGeneration);
    if (parity((id | 0) ^ Math.floor(id / 2 ** 32)) !== 0 || generation >= this.#generationEnd) return "malformed";
    const low = id % this.#generationUnit;
    if (Math.floor(low / (2 * (this.#slotMask + 1))) !== this.#tag) return "foreign";
    const slot = (id >>> 1) & this.#slotMask;
    if (generation < this.#firstGeneration) return "stale";
    if (slot >= this.#used) return "unissued";
    const known = this.#ids[slot];
    // Retired, or a generation below the one that is live or comes next.
    return Number.isNaN(known) || id < Math.abs(known) ? "stale" : "unissued";
  }

  #firstId(slot: number): number {
    const id = this.#firstGeneration * this.#generationUnit + (this.#tag * (this.#slotMask + 1) + slot) * 2;
    return id + parity((id | 0) ^ Math.floor(id / 2 ** 32));
  }

  /** Prepares a slot's next id: one generation on, with the parity that the changed bits ask for. */
  #setNext(slot: number, id: number, generation: number): void {
    const changedBits = 32 - Math.clz32(generation ^ (generation + 1));
    const oldParity = id & 1;
    const newParity = (oldParity ^ changedBits) & 1;
    this.#ids[slot] = -(id + this.#generationUnit + newParity - oldParity);
    if (generation >= this.#generationWord[0]) this.#generationWord[0] = generation + 1;
  }

  #grow(): void {
    const ids = new Float64Array(this.#ids.length * 2);
    ids.set(this.#ids);
    this.#ids = ids;
    const free = new Uint32Array(this.#free.length * 2);
    free.set(this.#free);
    this.#free = free;
  }

  /** Takes the slots back into use that had run ahead of the others. */
  #refill(): void {
    if (this.#aged.length === 0) {
      throw new RangeError(`Cannot create a handle: the table is full (${this.#live} handles are live)`);
    }
    this.#generationLimit = Math.min(this.#generationLimit + this.#generationsAhead, this.#generationEnd);
    for (const slot of this.#aged) this.#free[this.#freeCount++] = slot;
    this.#aged = [];
  }

  #untrack(slot: number): void {
    untrack(this.#tokens[slot] ?? 0);
    this.#tokens[slot] = 0;
  }
}

let tableOptions: () => HandleTableOptions = () => ({ tag: 1 });
let isolateTable: HandleTable | undefined;

/** Says where this isolate's tag comes from. Asked once, when the first handle is created or looked up. */
export function setHandleTableOptions(options: () => HandleTableOptions): void {
  tableOptions = options;
}

/** This isolate's table. */
export function handleTable(): HandleTable {
  return isolateTable ??= new HandleTable(tableOptions());
}

/**
 * A TypeScript value that C may hold, as a number.
 *
 * C gets the {@linkcode Handle.id}, by value: the id itself travels as the `void*` (parameter type `"handle"`); or by
 * address: the `void*` points to memory that holds the id (parameter type `"handle*"`). Ids are whole numbers between 0
 * and 2^53, never 0, and never issued twice in a process.
 *
 * *Ownership:* a handle keeps its value alive until it is deleted, as in Go. The garbage collector never deletes one: C
 * may hold it. To tie it to an object, use `addCleanup(owner, Handle.delete, handle.id)`. Creating one for the same value
 * again gives another id.
 *
 * *Threads:* an id is good in the isolate that created it. Elsewhere it is refused as another isolate's.
 *
 * ```ts
 * import { Handle } from "@belay/ffi";
 *
 * using handle = Handle.create(new Map([["answer", 42]]));
 * console.assert(handle.value.get("answer") === 42);
 * console.assert(Handle.value(handle.id) === handle.value);
 * ```
 */
export class Handle<T = unknown> {
  /** What C gets: a whole number between 0 and 2^53, never 0. */
  readonly id: number;

  private constructor(id: number) {
    this.id = id;
  }

  /** How many handles of this isolate are live. */
  static get live(): number {
    return handleTable().live;
  }

  /**
   * Stores a value, `null` and `undefined` included, until its handle is deleted.
   *
   * @throws {RangeError} When all 4,194,304 slots hold live handles.
   */
  static create<T>(value: T): Handle<T> {
    return new Handle<T>((isolateTable ?? handleTable()).create(value));
  }

  /**
   * The value of an id that came from C.
   *
   * @throws {InvalidHandleError} When no live handle of this isolate has this id.
   */
  static value(id: number): unknown {
    return (isolateTable ?? handleTable()).value(id);
  }

  /**
   * Deletes the handle of an id that came from C.
   *
   * @throws {InvalidHandleError} When no live handle of this isolate has this id; nothing is changed.
   */
  static delete(id: number): void {
    (isolateTable ?? handleTable()).delete(id);
  }

  /**
   * The value.
   *
   * @throws {InvalidHandleError} When the handle has been deleted.
   */
  get value(): T {
    return (isolateTable ?? handleTable()).value(this.id) as T;
  }

  /**
   * Ends the handle: its id is stale from now on, and its value no longer held.
   *
   * @throws {InvalidHandleError} When it has been deleted before.
   */
  delete(): void {
    (isolateTable ?? handleTable()).delete(this.id);
  }

  /** Deletes the handle, unless that was done before. */
  [Symbol.dispose](): void {
    if (handleTable().has(this.id)) this.delete();
  }
}
