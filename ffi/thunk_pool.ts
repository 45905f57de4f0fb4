/**
 * Which thunk stands behind which callback. The pool's policy is here; its memory is in the native core.
 *
 * A freed thunk rests: it is used again only for the same shape, first freed first, after 256 younger frees, or sooner
 * when many thunks are taken. So a pointer that C kept too long reaches a closed callback for a while, and no function of
 * another shape while its isolate lives.
 *
 * @module
 */

const restingFrees = 256;
/** An isolate that has taken so many thunks lets the rest be, for other shapes and isolates, while it has rested ones. */
const plenty = 1024;

/** The freed thunks of one shape, in the order in which they were freed. */
export interface RestingThunks {
  readonly entries: { readonly number: number; readonly freedAt: number }[];
  /** How many at the front were taken. */
  taken: number;
}

/** Hands out thunk numbers. */
export class ThunkPool {
  readonly #claim: () => number[];
  #fresh: number[] = [];
  #frees = 0;
  #inUse = 0;
  #taken = 0;

  /** @param claim Gives a chunk of fresh numbers, none when there are no more. */
  constructor(claim: () => number[]) {
    this.#claim = claim;
  }

  /** How many thunks are taken. */
  get inUse(): number {
    return this.#inUse;
  }

  /** A thunk for a shape. @throws {RangeError} When all are in use. */
  acquire(resting: RestingThunks): number {
    const patience = this.#taken < plenty ? restingFrees : 0;
    const number = this.#rested(resting, patience) ?? this.#nextFresh() ?? this.#rested(resting, 0);
    if (number === undefined) {
      throw new RangeError(
        `Cannot create a callback: no thunk is left for its shape (${this.#inUse} are in use by this isolate, the others ` +
          "have served other shapes or other isolates)",
      );
    }
    this.#inUse += 1;
    return number;
  }

  /** Gives a thunk back to rest. */
  release(number: number, resting: RestingThunks): void {
    this.#frees += 1;
    this.#inUse -= 1;
    resting.entries.push({ number, freedAt: this.#frees });
  }

  #nextFresh(): number | undefined {
    if (this.#fresh.length === 0) this.#fresh = this.#claim().reverse();
    const number = this.#fresh.pop();
    if (number !== undefined) this.#taken += 1;
    return number;
  }

  #rested(resting: RestingThunks, youngerFrees: number): number | undefined {
    const first = resting.entries[resting.taken];
    if (first === undefined || this.#frees - first.freedAt < youngerFrees) return undefined;
    resting.taken += 1;
    // The entries that were taken leave in bulk, so that taking one is cheap on average.
    if (resting.taken === 1024) {
      resting.entries.splice(0, resting.taken);
      resting.taken = 0;
    }
    return first.number;
  }
}
