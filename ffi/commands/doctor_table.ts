/**
 * The doctor's table: plain text with a line for each row.
 *
 * @module
 */

import type { Row, RowGroup, Rows, RowState } from "./doctor_rows.ts";

const nameWidth = 13;
const stateWidth = 9;
const timeWidth = 11;
const colors: Readonly<Record<RowState, number>> = { ok: 32, warning: 33, failed: 31, skipped: 90 };

/** A row of the table, with what to do below it. */
function rowText(group: RowGroup, name: string, row: Row, colored: boolean): string {
  const { state, value, detail, ms, advice } = row;
  const padded = state.padEnd(stateWidth);
  const stateText = colored ? `\x1b[${colors[state]}m${padded}\x1b[0m` : padded;
  const time = group !== "checks" ? "" : (ms === undefined ? "" : `${ms.toFixed(2)} ms`).padStart(timeWidth - 2) + "  ";
  const indent = " ".repeat(nameWidth + stateWidth + (group === "checks" ? timeWidth : 0));
  const text = detail === undefined ? value : `${value}: ${detail}`;
  const lines = text.split("\n").join(`\n${indent}`);
  const below = advice === undefined ? "" : `\n${indent}→ ${advice}`;
  return `${name.padEnd(nameWidth)}${stateText}${time}${lines}${below}`;
}

/** Makes what prints each row as soon as it is found, with an empty line between groups. */
export function tablePrinter(colored: boolean): (group: RowGroup, name: string, row: Row) => void {
  let last: RowGroup | undefined;
  const advised = new Set<string>();
  return (group, name, { advice, ...row }) => {
    if (last !== undefined && group !== last) console.log();
    last = group;
    // One reason may fail many rows.
    const isNew = advice !== undefined && !advised.has(advice);
    console.log(rowText(group, name, isNew ? { ...row, advice } : row, colored));
    if (isNew) advised.add(advice);
  };
}

/** The table's last lines: what was skipped for want of a flag, and whether belay works. */
export function summary(rows: Rows): string {
  const hidden = new Map<string, string[]>();
  for (const [name, { flag }] of rows.all) {
    if (flag !== undefined) hidden.set(flag, [...hidden.get(flag) ?? [], name]);
  }
  const shown = Array.from(hidden, ([flag, names]) => `${flag} shows: ${names.join(", ")}`);
  const failed = rows.all.filter(([, { state }]) => state === "failed").map(([name]) => name);
  const verdict = failed.length === 0 ? "belay works here." : `belay doesn't work here: ${failed.join(", ")}.`;
  return [...shown, verdict].join("\n");
}
