/**
 * What the doctor found, row by row.
 *
 * @module
 */

import { mayUse } from "./surroundings.ts";

/** How a row is: `skipped` means that the doctor couldn't look. */
export type RowState = "ok" | "warning" | "failed" | "skipped";

/** One thing that the doctor found. */
export interface Row {
  readonly state: RowState;
  /** What was found: a version, a path, a sum. For a check it is what was done, or the message of its error. */
  readonly value: string;
  /** More about the value. */
  readonly detail?: string;
  /** How long a check took, in milliseconds. */
  readonly ms?: number;
  /** What to do about it. */
  readonly advice?: string;
  /** The flag of Deno's with which a skipped row is shown. */
  readonly flag?: string;
}

/** What belay runs on, what it may do, what works. */
export type RowGroup = "facts" | "permissions" | "checks";

/** What `--json` prints. */
export interface Diagnosis {
  /** Whether everything that belay needs works: no row failed. */
  readonly ok: boolean;
  readonly facts: Readonly<Record<string, Row>>;
  /** Empty where the runtime has no permissions. */
  readonly permissions: Readonly<Record<string, Row>>;
  readonly checks: Readonly<Record<string, Row>>;
}

/** The rows that were found so far. */
export class Rows {
  readonly #groups: Record<RowGroup, Record<string, Row>> = { facts: {}, permissions: {}, checks: {} };
  readonly #onRow: (group: RowGroup, name: string, row: Row) => void;

  /** @param onRow Gets each row as soon as it is found: if a check ends the process, the rows before it are printed. */
  constructor(onRow: (group: RowGroup, name: string, row: Row) => void) {
    this.#onRow = onRow;
  }

  add(group: RowGroup, name: string, row: Row): void {
    this.#groups[group][name] = row;
    this.#onRow(group, name, row);
  }

  get diagnosis(): Diagnosis {
    return { ok: this.all.every(([, { state }]) => state !== "failed"), ...this.#groups };
  }

  /** The rows with their names, in the order of the table. */
  get all(): [string, Row][] {
    return Object.values(this.#groups).flatMap((rows) => Object.entries(rows));
  }
}

/** What to do without the permission. */
export const allowFfi =
  "Start the program with --allow-ffi, without a list of paths: Deno makes callbacks with the whole permission only.";

/** A row of what is as it should be. */
export function ok(value: string): Row {
  return { state: "ok", value };
}

/** A row of what keeps belay from working. */
export function failed(value: string, advice: string): Row {
  return { state: "failed", value, advice };
}

/** A row of what the doctor couldn't look at without a permission. */
export function skipped(flag: string): Row {
  return { state: "skipped", value: `it needs ${flag}`, flag };
}

/** A row of what needs the core, which couldn't be opened. */
export function without(): Row {
  return mayUse("ffi") ? { state: "skipped", value: "it needs what failed above" } : skipped("--allow-ffi");
}

/** A row of an error; some say what to do better than the check can. */
export function failedBy(error: unknown, advice: string): Row {
  const { name, message } = error instanceof Error ? error : { name: "", message: String(error) };
  // Deno names the flag. The private folder takes others than that for FFI.
  const [flag = "--allow-ffi"] = /--allow-[a-z]+/.exec(message) ?? [];
  return failed(
    message,
    {
      NotCapable: flag === "--allow-ffi"
        ? allowFfi
        : `Start the program with ${flag}, too, for the folder that the core goes to.`,
      EvalError: "Leave out --disallow-code-generation-from-strings: belay makes a function for each C function.",
    }[name] ?? advice,
  );
}

/** A row of a fact; belay may work where one can't be found. */
export function attempt(find: () => string): Row {
  try {
    return ok(find());
  } catch (error) {
    const value = error instanceof Error ? error.message : String(error);
    // Deno names the flag: files of /proc need --allow-all.
    const [flag] = /--allow-[a-z]+/.exec(value) ?? [];
    return flag === undefined ? { state: "warning", value } : skipped(flag);
  }
}
