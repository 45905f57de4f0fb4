/**
 * How often something is tried that may be in vain.
 *
 * @module
 */

const mostSkipped = 64;

/** Tries are left out the more often the more often they were in vain: the next 1, 3, 7 times, and so on. */
export class BackOff {
  #skipped = 0;
  #toSkip = 0;

  /** Whether this time is left out. */
  skips(): boolean {
    if (this.#toSkip === 0) return false;
    this.#toSkip -= 1;
    return true;
  }

  /** Notes whether a try was worth it. */
  note(worthIt: boolean): void {
    this.#skipped = worthIt ? 0 : Math.min(2 * this.#skipped + 1, mostSkipped);
    this.#toSkip = this.#skipped;
  }
}
