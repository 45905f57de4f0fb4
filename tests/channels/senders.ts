/**
 * C functions that send events to channels, and what collects and reports them.
 *
 * @module
 */

import { type Channel, configure, dlopen, native, type Pointer, type Report } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

/** C functions that send, of a library that stays open. */
export const { symbols } = dlopen(testLibrary, {
  send_bytes: { parameters: ["function", "pointer", "usize", "buffer", "u32"], result: "bool" },
  send_numbers: { parameters: ["function", "pointer", "buffer", "u32", "u32", "u32"], result: "u32" },
  start_senders: { parameters: ["function", "pointer", "u64", "u32", "u32", "u32"], result: "bool" },
  stop_senders: { parameters: [], result: "void" },
});

/** Has C send an event. */
export function send(
  channel: { readonly pointer: Pointer },
  handle: number | bigint,
  bytes: Uint8Array | null,
): boolean {
  return symbols.send_bytes(native.sendToChannel, channel.pointer, handle, bytes, bytes?.length ?? 0);
}

/** Has C send events of one number each, from `first` on. */
export function sendNumbers(
  channel: Channel<never> | Channel,
  count: number,
  first = 0,
  ids: readonly number[] = [0],
): number {
  return symbols.send_numbers(
    native.sendToChannel,
    channel.pointer,
    BigUint64Array.from(ids, BigInt),
    ids.length,
    first,
    count,
  );
}

/** Collects what a channel's function gets, as it was then; `until` so many came. */
export function collector<T>(
  channel: Channel<T>,
): { events: [unknown, number][]; until: (count: number) => Promise<void> } {
  const events: [unknown, number][] = [];
  let wanted = Infinity;
  let resolve = (): void => {};
  channel.onEvent((value, data) => {
    events.push([value, data.byteLength === 8 ? data.getFloat64(0) : data.byteLength]);
    if (events.length >= wanted) resolve();
  });
  return {
    events,
    until(count) {
      wanted = count;
      return events.length >= count ? Promise.resolve() : new Promise((resolved) => resolve = resolved);
    },
  };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What is reported while a function runs. */
export async function reports(fn: () => Promise<void>): Promise<Report[]> {
  const reported: Report[] = [];
  configure({ onReport: (report) => reported.push(report) });
  try {
    await fn();
  } finally {
    configure({ onReport: undefined });
  }
  return reported;
}
