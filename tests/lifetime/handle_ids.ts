/**
 * The ids of handles, taken apart, and what refuses those that are none.
 *
 * @module
 */

import { assertStrictEquals, assertThrows } from "@std/assert";
import { Handle, InvalidHandleError, type InvalidHandleReason, stats } from "@belay/ffi";
import { shown } from "../../ffi/ground/errors.ts";

/** What an id grows by with each generation of its slot. */
export const generationUnit = 2 ** 31;
/** The slot of an id. */
export const slotOf = (id: number): number => Math.floor(id / 2) % 2 ** 22;
/** An id, taken apart. */
export const parts = (id: number) => ({
  generation: Math.floor(id / generationUnit),
  tag: Math.floor(id / 2 ** 23) % 256,
  slot: slotOf(id),
});

const messages: Record<InvalidHandleReason, string> = {
  null: "it is the null handle",
  stale: "it has been deleted",
  unissued: "no such handle was issued",
  "other-isolate": "it belongs to another isolate",
  malformed: "it is not a handle",
};

/** Shows that a function throws the error that fits an id, whose message begins with what was being done. */
export function assertRefused(fn: () => unknown, what: string, id: unknown, reason: InvalidHandleReason): void {
  const error = assertThrows(fn, InvalidHandleError);
  const state = typeof id === "bigint" ? "an id is a number, and this is a bigint" : messages[reason];
  assertStrictEquals(error.message, `Cannot ${what} handle ${shown(id)}: ${state}`);
  assertStrictEquals(error.name, "InvalidHandleError");
  assertStrictEquals(error.reason, reason);
  assertStrictEquals(error.id, id);
}

/** What the message says of an argument that names no live handle. */
export const argumentOf = (name: string, type: string): string =>
  `call "${name}": argument 1 (${type}) must be a live Handle, its id or null, got`;

/** Shows that an id is refused everywhere, and that nothing changes. */
export function assertInvalid(id: unknown, reason: InvalidHandleReason): void {
  using witness = Handle.create("witness");
  const { handles: live } = stats().live;
  for (let i = 0; i < 2; i++) {
    assertRefused(() => Handle.value(id as number), "read", id, reason);
    assertRefused(() => Handle.delete(id as number), "delete", id, reason);
  }
  assertStrictEquals(stats().live.handles, live);
  assertStrictEquals(witness.value, "witness");
}
