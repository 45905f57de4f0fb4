/**
 * What a program can set.
 *
 * @module
 */

import { RangeError, TypeError } from "../ground/blame.ts";
import { ownOptions } from "../ground/options.ts";
import { setTracking } from "./leaks.ts";
import { type Report, setReportListener } from "./report.ts";

/** Options of {@linkcode configure}. */
export interface ConfigureOptions {
  /** Keep the creation stack of each handle, callback, channel, library, memory and pin, for `leaks()`. Off by default. */
  readonly trackLeaks?: boolean;
  /** Who is told of reports. `undefined` restores the default, which prints them with `console.warn`. */
  readonly onReport?: ((report: Report) => void) | undefined;
  /**
   * How many threads may make nonblocking calls: 64 by default, from 1 to 1,024. They are the process's, so what was set
   * last counts for all isolates; where an isolate sets it before its first nonblocking call, it counts from then on.
   */
  readonly callThreads?: number;
  /**
   * Whether pointers are held against the rules: what a callback returns, what is stored in C's memory, pointers into
   * arguments of calls that have returned, memory that is freed under a nonblocking call. On by default; what breaks a
   * rule is a {@linkcode PointerRuleError}. Off, it isn't looked for, and may end the process.
   */
  readonly pointerChecks?: boolean;
}

/** Whether pointers are held against the rules. */
export const pointerSettings = { checks: true };

/** How many threads may make nonblocking calls, if that was set, and who is told when it is. */
let mostCallThreads: number | undefined;
let setCallThreads: ((count: number) => void) | undefined;

/** Has a function called with how many threads may make nonblocking calls: now, if that was set, and when it is. */
export function onCallThreads(set: (count: number) => void): void {
  setCallThreads = set;
  if (mostCallThreads !== undefined) set(mostCallThreads);
}

const mostThreads = 1024;
const settingNames = ["trackLeaks", "onReport", "callThreads", "pointerChecks"] as const;

/**
 * Changes belay's settings for this isolate. What is left out stays as it is.
 *
 * ```ts
 * import { configure } from "@belay/ffi";
 *
 * configure({ onReport: (report) => console.error(report.kind, report.message) });
 * configure({ onReport: undefined });
 * ```
 */
export function configure(options: ConfigureOptions): void {
  const own = ownOptions("Cannot configure belay", options, settingNames, "a setting", "the configuration");
  const { onReport, trackLeaks, callThreads, pointerChecks } = own;
  if (onReport !== undefined && typeof onReport !== "function") {
    throw new TypeError(`Cannot configure "onReport": expected a function or undefined, got ${String(onReport)}`);
  }
  if (pointerChecks !== undefined && typeof pointerChecks !== "boolean") {
    throw new TypeError(`Cannot configure "pointerChecks": expected a boolean, got ${String(pointerChecks)}`);
  }
  if (callThreads !== undefined) {
    const what = `Cannot configure "callThreads": expected an integer from 1 to ${mostThreads}, got ${
      String(callThreads)
    }`;
    if (typeof callThreads !== "number") throw new TypeError(what);
    if (!Number.isInteger(callThreads) || callThreads < 1 || callThreads > mostThreads) throw new RangeError(what);
    mostCallThreads = callThreads;
    setCallThreads?.(callThreads);
  }
  if (pointerChecks !== undefined) pointerSettings.checks = pointerChecks;
  if (trackLeaks !== undefined) setTracking(trackLeaks);
  if ("onReport" in own) setReportListener(onReport);
}
