/**
 * Memory of JavaScript's that native calls have now.
 *
 * @module
 */

import { lengthOfTypedArray } from "../ground/buffers.ts";
import { reportUncaught } from "../lifetime/report.ts";
import { toNumber } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";

/** Memory of JavaScript's that a call has as its argument, a typed array; `null` for NULL. */
export type LentView = ArrayBufferView | null;

/** What a nonblocking call has until it has ended. */
export interface Loan {
  /** Memory of JavaScript's. */
  readonly kept: readonly LentView[] | undefined;
  /** Pointers that it has as arguments. */
  readonly pointers: readonly Address[] | undefined;
}

/** What a synchronous call has that is running. */
interface RunningLoan {
  readonly outer: RunningLoan | null;
  /** A list of views, or the one. An array for one costs a twentieth of the call. */
  readonly values: unknown;
}

/** Memory that native calls of an isolate have. */
export class LentMemory {
  /** What running synchronous calls have, innermost first. Generated code reads and writes it. */
  running: RunningLoan | null = null;
  /** By the call's index: engines look a map up in ten times as long. */
  readonly #outstanding: (Loan | undefined)[] = [];
  #count = 0;
  #putOff: (() => void)[] = [];

  /** A nonblocking call has something from now on. */
  lend(call: number, loan: Loan): void {
    while (this.#outstanding.length <= call) this.#outstanding.push(undefined);
    this.#outstanding[call] = loan;
    this.#count += 1;
  }

  /** A nonblocking call was not made after all. What waits for one to end waits on: there may be no stack left for it. */
  takeBack(call: number): void {
    // Not beyond the end of the array, where engines look more slowly.
    if (this.#count === 0 || call >= this.#outstanding.length || this.#outstanding[call] === undefined) return;
    this.#outstanding[call] = undefined;
    this.#count -= 1;
  }

  /** A nonblocking call has ended. */
  giveBack(call: number): void {
    this.takeBack(call);
    if (this.#putOff.length > 0) this.#runPutOff();
  }

  /** Whether a call has memory at an address: its callbacks may use pointers into it. */
  has(address: Address): boolean {
    for (let loan = this.running; loan !== null; loan = loan.outer) {
      const { values } = loan;
      const views = (Array.isArray(values) ? values : [values]) as readonly LentView[];
      if (views.some((view) => isWithin(view, address))) return true;
    }
    return this.#count > 0 &&
      this.#outstanding.some((loan) => loan?.kept?.some((view) => isWithin(view, address)) === true);
  }

  /** Whether a nonblocking call uses memory of so many bytes: as one of its pointers, or of its views. */
  isUsed(address: Address, byteLength: number): boolean {
    if (this.#count === 0) return false;
    const begin = toNumber(address);
    const isInside = (other: Address): boolean => {
      const byteOffset = toNumber(other) - begin;
      return byteOffset >= 0 && byteOffset < Math.max(byteLength, 1);
    };
    const isInsideView = (view: LentView): boolean =>
      view !== null && lengthOfTypedArray(view) !== 0 && isInside(backend().viewAddress(view));
    return this.#outstanding.some((loan) =>
      loan?.pointers?.some(isInside) === true || loan?.kept?.some(isInsideView) === true
    );
  }

  /** Has a function called when the next nonblocking call has ended. */
  afterCall(fn: () => void): void {
    this.#putOff.push(fn);
  }

  #runPutOff(): void {
    const due = this.#putOff;
    this.#putOff = [];
    for (const fn of due) {
      try {
        fn();
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}

/** What calls of this isolate have. */
export const lent: LentMemory = new LentMemory();

/** Whether an address is within a view's memory. */
export function isWithin(view: LentView, address: Address): view is ArrayBufferView {
  // One that is detached has no address.
  const byteLength = view === null ? 0 : lengthOfTypedArray(view) ?? 0;
  if (view === null || byteLength === 0) return false;
  const byteOffset = toNumber(address) - toNumber(backend().viewAddress(view));
  return byteOffset >= 0 && byteOffset < byteLength;
}
