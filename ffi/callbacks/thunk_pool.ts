/**
 * Which thunk stands behind which callback. The pool's policy is here; its memory is in the native core.
 *
 * A freed thunk rests: it is used again only for the same shape, first freed first, and after 256 younger frees, or
 * sooner when the core has no more thunks. So a pointer that C kept too long reaches a closed callback for a while, and
 * never a function of another shape. What the pool takes from the core for a shape is at most the largest number of them
 * ever in use, 256 more that rest, and the rest of a chunk.
 *
 * @module
 */

const restingFrees = 256;
const nobody = -1;

/** The thunks of one shape. */
export interface ShapeThunks {
  /** The shape's name, the same in every isolate. */
  readonly name: string;
  /** The next one to be used for the first time, and the end of these. */
  fresh: number;
  freshEnd: number;
  /** The freed ones, first freed first: a list through the pool's `#next`. */
  firstFreed: number;
  lastFreed: number;
}

/** A shape that has no thunks yet. */
export function shapeThunks(name: string): ShapeThunks {
  return { name, fresh: 0, freshEnd: 0, firstFreed: nobody, lastFreed: nobody };
}

/** Hands out indices of thunks: dense numbers from 0, in the order in which the isolate claimed them. */
export class ThunkPool {
  readonly #claim: (shape: string) => number;
  /** By index: which of the same shape was freed next, and after how many frees it was freed itself. */
  readonly #next: number[] = [];
  readonly #freedAt: number[] = [];
  /** Modulo 2^32, so that it stays a small integer. */
  #frees = 0;
  #inUse = 0;

  /** @param claim Makes a chunk of fresh thunks for a shape, and answers how many it made: 0 when there are no more. */
  constructor(claim: (shape: string) => number) {
    this.#claim = claim;
  }

  /** How many thunks are in use. */
  get inUse(): number {
    return this.#inUse;
  }

  /** A thunk for a shape. @throws {RangeError} When none is left. */
  acquire(shape: ShapeThunks): number {
    const index = this.#freed(shape, restingFrees) ?? this.#fresh(shape) ?? this.#freed(shape, 0);
    if (index === undefined) {
      throw new RangeError(
        `Cannot create a callback: no thunk is left and no more can be mapped (${this.#inUse} are in use by this isolate)`,
      );
    }
    this.#inUse += 1;
    return index;
  }

  /** Gives a thunk back to rest. */
  release(index: number, shape: ShapeThunks): void {
    this.#frees = (this.#frees + 1) | 0;
    this.#inUse -= 1;
    this.#freedAt[index] = this.#frees;
    this.#next[index] = nobody;
    if (shape.firstFreed === nobody) shape.firstFreed = index;
    else this.#next[shape.lastFreed] = index;
    shape.lastFreed = index;
  }

  /** The shape's first freed thunk, unless fewer than `youngerFrees` came after it. */
  #freed(shape: ShapeThunks, youngerFrees: number): number | undefined {
    const index = shape.firstFreed;
    // Tests change this file and run it alone, so it has no helper for what is there.
    if (index === nobody || ((this.#frees - this.#freedAt[index]!) >>> 0) < youngerFrees) return undefined;
    shape.firstFreed = this.#next[index]!;
    return index;
  }

  #fresh(shape: ShapeThunks): number | undefined {
    if (shape.fresh === shape.freshEnd) {
      const start = this.#next.length;
      const count = this.#claim(shape.name);
      for (let i = 0; i < count; i++) {
        this.#next.push(nobody);
        this.#freedAt.push(0);
      }
      shape.fresh = start;
      shape.freshEnd = start + count;
      if (count === 0) return undefined;
    }
    return shape.fresh++;
  }
}
