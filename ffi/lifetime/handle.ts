/**
 * A `Handle` lets C hold a TypeScript value, after Go's `runtime/cgo.Handle`: C gets a number, never an object.
 *
 * In TypeScript:
 *
 * ```ts
 * import { Handle } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const handle = Handle.create({ name: "what C will give back" });
 * assert(Handle.value(handle.id) === handle.value);
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
 * The file is long because the table is a constant of the module that `Handle` is in: engines then compile its methods into
 * their callers.
 *
 * @module
 * @see https://pkg.go.dev/runtime/cgo#Handle
 */

import { blameCaller, RangeError } from "../ground/blame.ts";
import { InvalidHandleError, type InvalidHandleReason } from "../ground/errors.ts";
import { refuseNew } from "../ground/inside.ts";
import { present } from "../ground/present.ts";
import { onTrackingChange, track } from "./leaks.ts";

/** Where a table's ids are kept: an isolate that gets the tag of one that is gone goes on with them. */
export interface IdStore {
  /** How many slots have been used; kept up to date. */
  readonly used: Uint32Array<ArrayBuffer>;
  /** An array of `length` ids that begins with those that there are already. The array before must not be used again. */
  grow(length: number): Float64Array<ArrayBuffer>;
  /** The list of handles that C has released, where there is one: `native/src/core.h` says how it is laid out. */
  readonly releases?: {
    /** The first place of the list. Any thread writes it. */
    readonly head: Int32Array<ArrayBuffer>;
    /** The links of `length` slots, no more than `grow` was last asked for: two words each. Any thread writes them. */
    links(length: number): Int32Array<ArrayBuffer>;
  };
}

/** Calls that wait to be made, whose arguments may be handles that C has released since; see `belay_queued_mark`. */
export interface WaitingCalls {
  /** Marks what waits now, and answers whether anything does. */
  readonly mark: () => boolean;
  /** Whether some that were marked wait still. */
  readonly marked: () => boolean;
}

/** What a table is made of. */
export interface HandleTableOptions {
  /** Tells the isolates of a process apart: 1 to 255, so that zero is never an id. */
  readonly tag: number;
  /** Memory of the table's own by default. */
  readonly store?: IdStore;
  /** How many slots there are: 2^22, unless a test wants few. */
  readonly slotCount?: number;
  /** How many ids a slot issues: 2^22, unless a test wants few. */
  readonly generationCount?: number;
}

/** A store that nobody inherits. */
function ownStore(): IdStore {
  let ids = new Float64Array(0);
  return {
    used: new Uint32Array(1),
    grow(length) {
      const larger = new Float64Array(length);
      larger.set(ids);
      return ids = larger;
    },
  };
}

// An id, from the top: 22 bits of generation, 8 of tag, 22 of slot, one of parity. 53 bits, which a JavaScript number, a
// `uintptr_t` and a `void*` all hold exactly. Constants, since engines know how to calculate with them.
const maxSlots = 2 ** 22;
const maxGenerations = 2 ** 22;
const slotMask = maxSlots - 1;
const tagUnit = 2 * maxSlots;
const generationUnit = 256 * tagUnit;
/** Of a link: the place that comes next in the list of released handles, its slot and one. */
const placeMask = 2 * maxSlots - 1;

// As it was before the program could replace it.
const { Atomics } = globalThis;

let tracking = false;
onTrackingChange((on) => {
  tracking = on;
});

/** Stands in the place of a value where there is none. */
const free = Object.freeze({ free: true });

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
 * For each slot there is its value, or {@linkcode free}; its id, the live one or the one that comes next; and the next slot
 * of the free list. So an id is live if it is its slot's and the slot is not free.
 *
 * The parity bit is that of the slot's number. An id that differs from a live one in a single bit is then never live: with
 * another generation or tag it is not its slot's, and with another slot it has the wrong parity.
 */
export class HandleTable {
  #options: (() => HandleTableOptions) | undefined;
  /** 0 until the first handle is created. */
  #tag = 0;
  #slotCount = 0;
  #store = ownStore();
  #values: unknown[] = [free];
  #ids = new Float64Array(1).fill(NaN);
  #nextFree = new Int32Array(0);
  #firstFree = -1;
  #used = 0;
  /** Ids from this one on are the last of their slots. */
  #lastGenerationId = 0;
  /** Mapped when C first releases a handle. */
  #links = new Int32Array(0);

  /** @param options Asked for when the first handle is created. */
  constructor(options: () => HandleTableOptions) {
    this.#options = options;
    this.#values.length = 0;
  }

  /**
   * How many handles are live, those that C has released not among them. They are counted when asked for, since handles
   * are created more often than that.
   */
  get live(): number {
    this.deleteReleased();
    let count = 0;
    for (const value of this.#values) if (value !== free) count += 1;
    for (const id of new Set([...this.#marked, ...this.#released])) if (this.has(id)) count -= 1;
    return count;
  }

  /** Stores a value and answers its id. @throws {RangeError} When every slot is taken. */
  create(value: unknown): number {
    const slot = this.#firstFree;
    if (slot < 0 || tracking) return this.#createUnusual(value);
    // What a free slot has is there, and a function that says so would be one more to inline in a caller.
    this.#firstFree = this.#nextFree[slot]!;
    this.#values[slot] = value;
    return this.#ids[slot]!;
  }

  /**
   * The value of a live handle.
   *
   * @param from The function or variable that gave the id, for the error's message.
   * @throws {InvalidHandleError}
   */
  value(id: number, from?: string): unknown {
    const slot = (id >> 1) & slotMask;
    if (this.#ids[slot] === id) {
      const value = this.#values[slot];
      if (value !== free) return value;
    }
    throw refusal(this, id, "Cannot read", from);
  }

  /** The value of a live handle, or `otherwise`. */
  valueOr(id: number, otherwise: unknown): unknown {
    const slot = (id >> 1) & slotMask;
    if (this.#ids[slot] !== id) return otherwise;
    const value = this.#values[slot];
    return value === free ? otherwise : value;
  }

  /** Whether an id names a live handle. */
  has(id: number): boolean {
    return this.valueOr(id, free) !== free;
  }

  /** Ends a handle: its id is stale from now on, its value no longer held. @throws {InvalidHandleError} */
  delete(id: number): void {
    const slot = (id >> 1) & slotMask;
    if (this.#ids[slot] !== id || this.#values[slot] === free) {
      throw refusal(this, id, "Cannot delete");
    }
    this.#values[slot] = free;
    // No call here, however rare: one would keep the engines from holding the table's fields in registers.
    if (id >= this.#lastGenerationId) {
      this.#ids[slot] = NaN;
      return;
    }
    this.#ids[slot] = id + generationUnit;
    this.#nextFree[slot] = this.#firstFree;
    this.#firstFree = slot;
  }

  /** How many times C has released what was deleted before JavaScript looked. */
  staleReleases = 0;

  /** Without it there are none. */
  #waitingCalls: WaitingCalls | undefined;
  /** Ids that C has released: those that stay until the marked calls were made, and those that came later. */
  #marked: number[] = [];
  #released: number[] = [];
  /** Where the rest of the list begins that is being taken, or 0. All of this goes on where it stopped if no stack was left. */
  #place = 0;

  /** Has handles that C has released stay for calls that wait. */
  onWaitingCalls(waiting: WaitingCalls): void {
    this.#waitingCalls = waiting;
  }

  /** Deletes the handles that C has released since this was last called, when no call that waits may have them. */
  deleteReleased(): void {
    this.#takeReleased();
    if (this.#marked.length > 0 && this.#waitingCalls?.marked() !== true) this.#deleteEach(this.#marked);
    if (this.#released.length === 0 || this.#marked.length > 0) return;
    // What a thread queued before it released these is in the queues by now.
    if (this.#waitingCalls?.mark() === true) [this.#marked, this.#released] = [this.#released, this.#marked];
    else this.#deleteEach(this.#released);
  }

  #deleteEach(ids: number[]): void {
    while (ids.length > 0) {
      const id = present(ids[ids.length - 1]);
      if (this.has(id)) this.delete(id);
      else this.staleReleases += 1;
      ids.length -= 1;
    }
  }

  #takeReleased(): void {
    const { releases } = this.#store;
    // Until the first handle is created there are only those of the isolate before, if any.
    if (this.#tag === 0 || releases === undefined) return;
    const ids = this.#ids;
    if (this.#place === 0) {
      if (Atomics.load(releases.head, 0) === 0) return;
      if (this.#links.length < ids.length * 2) this.#links = releases.links(ids.length);
      this.#place = Atomics.exchange(releases.head, 0, 0);
    }
    const links = this.#links;
    while (this.#place !== 0) {
      const slot = this.#place - 1;
      this.#place = Atomics.exchange(links, slot * 2, 0) & placeMask;
      // From here on another thread may list the slot again. The generation that is read now may already be that one's: it
      // is younger, so this one is stale, and that one will be when its turn comes. The counts come out the same.
      const generation = Atomics.load(links, slot * 2 + 1);
      const id = present(ids[slot]);
      if (Math.floor(id / generationUnit) === generation && this.#values[slot] !== free) this.#released.push(id);
      else this.staleReleases += 1;
    }
  }

  /** What is wrong with an id that names no live handle. */
  invalidReason(id: unknown): InvalidHandleReason {
    if (id === 0) return "null";
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return "malformed";
    const slot = (id >> 1) & slotMask;
    const tag = Math.floor((id % generationUnit) / tagUnit);
    if ((id & 1) !== parity(slot) || tag === 0) return "malformed";
    // Also where this isolate has issued none.
    if (tag !== this.#tag) return "other-isolate";
    if (id >= this.#lastGenerationId + generationUnit) return "malformed";
    if (slot >= this.#used) return "unissued";
    // NaN, when the slot is retired, is not above any id.
    return id >= present(this.#ids[slot]) ? "unissued" : "stale";
  }

  /** Takes a fresh slot when no other is free, and tracks. */
  #createUnusual(value: unknown): number {
    if (this.#options !== undefined) this.#begin(this.#options());
    if (this.#firstFree < 0) this.#addSlot();
    const slot = this.#firstFree;
    this.#firstFree = present(this.#nextFree[slot]);
    this.#values[slot] = value;
    const id = present(this.#ids[slot]);
    track("handle", String(id), () => {
      this.deleteReleased();
      return this.has(id);
    });
    return id;
  }

  #begin({ tag, store, slotCount = maxSlots, generationCount = maxGenerations }: HandleTableOptions): void {
    if (store !== undefined) this.#store = store;
    const inherited = present(this.#store.used[0]);
    // This may throw: nothing else of the table may have changed then.
    this.#grow(Math.min(maxSlots, Math.max(64, 2 ** Math.ceil(Math.log2(inherited + 1)))));
    this.#options = undefined;
    this.#tag = tag;
    this.#slotCount = slotCount;
    this.#lastGenerationId = (generationCount - 1) * generationUnit;
    // What a slot holds may be an id that the isolate before issued, or one that it didn't: nobody can say any more.
    for (let slot = 0; slot < inherited; slot++) {
      this.#values.push(free);
      const last = present(this.#ids[slot]);
      this.#ids[slot] = last >= this.#lastGenerationId ? NaN : last + generationUnit;
      if (!Number.isNaN(this.#ids[slot])) this.#free(slot);
    }
    this.#used = inherited;
  }

  #addSlot(): void {
    const slot = this.#used;
    if (slot === this.#slotCount || slot === this.#ids.length) {
      this.deleteReleased();
      if (this.#firstFree >= 0) return;
    }
    if (slot === this.#slotCount) {
      throw new RangeError(`Cannot create a handle: the table is full (${this.live} handles are live)`);
    }
    if (slot === this.#ids.length) this.#grow(this.#ids.length * 2);
    this.#used = slot + 1;
    this.#store.used[0] = this.#used;
    this.#ids[slot] = this.#tag * tagUnit + slot * 2 + parity(slot);
    this.#values.push(free);
    this.#free(slot);
  }

  #free(slot: number): void {
    this.#nextFree[slot] = this.#firstFree;
    this.#firstFree = slot;
  }

  #grow(length: number): void {
    this.#ids = this.#store.grow(length);
    this.#ids.fill(NaN, Math.max(this.#used, present(this.#store.used[0])));
    const nextFree = new Int32Array(length);
    nextFree.set(this.#nextFree);
    this.#nextFree = nextFree;
  }
}

let tableOptions: () => HandleTableOptions = () => ({ tag: 1 });

/** Has a function asked where this isolate's tag comes from: once, when the first handle is created. */
export function onFirstHandle(options: () => HandleTableOptions): void {
  tableOptions = options;
}

// Neither exported nor a variable: engines take it for a constant then, and compile its methods into their callers.
const table = new HandleTable(() => tableOptions());

/** This isolate's table. */
export function handleTable(): HandleTable {
  return table;
}

/**
 * A TypeScript value that C may hold, as a number: C gets the {@linkcode Handle.id}, never the value.
 *
 * C gets the id by value if the parameter's type is `"handle"`: the `void *` is the id. C gets it by address if the
 * type is `"handleAddress"`: the `void *` points to memory that holds the id. An id is a whole number above 0 and below
 * 2^53. It is never issued twice in a process.
 *
 * | you have | create | read | delete |
 * | --- | --- | --- | --- |
 * | a value | `Handle.create(value)` | | |
 * | a `Handle` | | `handle.value` | `handle.delete()`, or `using` |
 * | an id from C | | `Handle.value(id)` | `Handle.delete(id)` |
 *
 * *Ownership:* a handle keeps its value alive until it is deleted. The garbage collector never deletes one, since C may
 * hold it. To delete it when an object is gone, use `addCleanup(owner, Handle.delete, handle.id)`. If C has a
 * destructor for its user data, pass `native.releaseHandle`. A second handle of the same value has another id.
 *
 * *Errors:* an id that names no live handle throws an {@linkcode InvalidHandleError}.
 *
 * *Threads:* an id is good in the isolate that created it. Other isolates refuse it. C may end a handle from any
 * thread, with `native.releaseHandle`.
 *
 * ```ts
 * import { Handle, stats } from "@belay/ffi";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const handle = Handle.create(new Map([["answer", 42]]));
 * assert(handle.value.get("answer") === 42);
 * assert(Handle.value(handle.id) === handle.value);
 * handle.delete();
 * assertThrows(() => handle.value, Error, "it has been deleted");
 *
 * {
 *   using short = Handle.create("until the end of the block");
 *   assert(!short.disposed && stats().live.handles === 1);
 * }
 * assert(stats().live.handles === 0);
 * ```
 *
 * @typeParam T The type of the value.
 */
export class Handle<T = unknown> {
  /** What C gets: a whole number above 0 and below 2^53. */
  declare readonly id: number;

  private constructor() {
    refuseNew("Handle", "Handle.create()");
  }

  /**
   * Creates a handle, which keeps a value until it is deleted. The value may be `null` or `undefined`.
   *
   * @typeParam T The type of the value.
   * @param value The value that C is to hold.
   * @returns The handle.
   * @throws {RangeError} If all 4,194,304 slots hold live handles.
   */
  static create<T>(value: T): Handle<T> {
    return new MadeHandle(table.create(value)) as unknown as Handle<T>;
  }

  /**
   * Gives the value of an id that came from C.
   *
   * A parameter of type `"handle"` gives the value by itself. This is for C's `void *` that is declared as `"usize"`,
   * since it may be no handle.
   *
   * ```ts
   * import { dlopen, Handle } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * const compare = { parameters: ["usize", "pointer"], result: "i32" } as const;
   * using libc = dlopen({ name: "c", versions: ["6"] }, {
   *   bsearch: { parameters: ["handle", "buffer", "usize", "usize", compare], result: "pointer" },
   * });
   * using handle = Handle.create("user data");
   * libc.symbols.bsearch(handle, new Uint8Array(1), 1, 1, (id) => {
   *   assert(Handle.value(Number(id)) === "user data");
   *   return 0;
   * });
   * ```
   *
   * @param id The id, as a number. An id that arrived as a bigint needs `Number(id)`.
   * @returns The value that the handle was created with.
   * @throws {InvalidHandleError} If no live handle of this isolate has this id.
   */
  static value(id: number): unknown {
    if (typeof id !== "number") throw refusal(table, id, "Cannot read");
    return table.value(id);
  }

  /**
   * Deletes the handle of an id that came from C.
   *
   * @param id The id, as a number. An id that arrived as a bigint needs `Number(id)`.
   * @throws {InvalidHandleError} If no live handle of this isolate has this id. Nothing is changed then.
   */
  static delete(id: number): void {
    if (typeof id !== "number") throw refusal(table, id, "Cannot delete");
    table.delete(id);
  }

  /**
   * Whether the handle has been deleted, by TypeScript or by C.
   *
   * @returns `true` if its id is stale.
   */
  get disposed(): boolean {
    return !table.has(this.id);
  }

  /**
   * The value that the handle was created with.
   *
   * @throws {InvalidHandleError} If the handle has been deleted.
   */
  get value(): T {
    return table.value(this.id) as T;
  }

  /**
   * Deletes the handle: from now on its id is stale, and its value is no longer held.
   *
   * @throws {InvalidHandleError} If the handle has been deleted before.
   */
  delete(): void {
    table.delete(this.id);
  }

  /** Deletes the handle at the end of a `using` block, unless it has been deleted before. */
  [Symbol.dispose](): void {
    if (table.has(this.id)) table.delete(this.id);
  }
}

/**
 * What makes handles, as a class of its own: one that looks who calls its constructor costs V8 a third of create, value and
 * delete (it peels no loop into which a throw was inlined), and a function with the prototype of another a twelfth.
 */
class MadeHandle {
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }
}
Object.setPrototypeOf(MadeHandle.prototype, Handle.prototype);
Object.defineProperty(MadeHandle.prototype, "constructor", { value: Handle });

const { get: valueGetter } = Object.getOwnPropertyDescriptor(Handle.prototype, "value") as PropertyDescriptor;

/** Why an id is refused: an error whose stack begins where the program called one of the methods above. */
function refusal(table: HandleTable, id: unknown, what: string, from?: string): InvalidHandleError {
  const refused = from === undefined ? what : `${what} what "${from}" gave,`;
  return blameCaller(
    new InvalidHandleError(refused, id, table.invalidReason(id)),
    Handle.value,
    valueGetter,
    Handle.delete,
    Handle.prototype.delete,
  );
}
