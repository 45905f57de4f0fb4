/**
 * What is mapped into this process, as Linux tells it.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** Memory from `start` up to, not including, `end`. Addresses are below 2^47, so numbers hold them. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A mapping. */
export interface Mapping extends Range {
  readonly writable: boolean;
  readonly executable: boolean;
}

/** Every mapping that can be executed, by address; those of the kernel aside. */
export function executableMappings(): Mapping[] {
  const lines = readFileSync("/proc/self/maps", "utf8").trim().split("\n");
  return lines.flatMap((line) => {
    const [addresses, permissions] = line.split(" ");
    const [start, end] = addresses.split("-").map((address) => Number.parseInt(address, 16));
    if (permissions[2] !== "x" || line.endsWith("[vsyscall]")) return [];
    return [{ start, end, writable: permissions[1] === "w", executable: true }];
  });
}

/**
 * The parts of `ranges` that no range of `before` covers, neighbours as one. By address and not by line, since the kernel
 * joins and divides mappings as it likes.
 */
export function without(ranges: readonly Range[], before: readonly Range[]): Range[] {
  const left: Range[] = [];
  for (const range of ranges) {
    let { start } = range;
    for (const known of before.toSorted((a, b) => a.start - b.start)) {
      if (known.end <= start || known.start >= range.end) continue;
      if (known.start > start) left.push({ start, end: known.start });
      start = known.end;
    }
    if (start < range.end) left.push({ start, end: range.end });
  }
  const joined: Range[] = [];
  for (const range of left.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last !== undefined && last.end >= range.start) {
      joined[joined.length - 1] = { start: last.start, end: range.end };
    } else joined.push(range);
  }
  return joined;
}

/** How many bytes they are together. */
export function byteLengthOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
