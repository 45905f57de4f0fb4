/**
 * What comes of a function besides its result.
 *
 * @module
 */

import { configure, type Report } from "@belay/ffi";

/** What a function throws, whatever it is. */
export function caught(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Throws, where an expression is wanted. */
export function raise(error: unknown): never {
  throw error;
}

/** What is reported while a function runs. */
export function reportsOf(fn: () => void): Report[] {
  const reports: Report[] = [];
  configure({ onReport: (report) => reports.push(report) });
  try {
    fn();
  } finally {
    configure({ onReport: undefined });
  }
  return reports;
}
