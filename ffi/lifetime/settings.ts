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
  /**
   * Whether belay keeps the stack of the creation of each handle, callback, channel, library, memory and pin, for
   * {@linkcode leaks}; `false` by default.
   */
  readonly trackLeaks?: boolean;
  /**
   * The function that gets reports. `undefined` restores the default, which prints them with `console.warn`.
   *
   * An error that the function throws is an uncaught one.
   */
  readonly onReport?: ((report: Report) => void) | undefined;
  /**
   * How many threads may make nonblocking calls: 1 to 1,024, 64 by default.
   *
   * All isolates of the process share the threads, so the last value set counts for all of them. A value that an
   * isolate sets before its first nonblocking call counts from that call on.
   */
  readonly callThreads?: number;
  /**
   * How many bytes of addresses a stack of C's own takes, for functions with `stack: "own"` or `suspends`: from 128 KiB to
   * 1 GiB. By default it is as much as a main thread has: 8 MiB, on Windows 1 MiB. Memory is taken as it is used. It counts for stacks that are made from then on.
   *
   * C that uses more than its stack ends the process, as it does on any other.
   */
  readonly callStackSize?: number;
  /**
   * Whether belay checks the rules for pointers; `true` by default.
   *
   * A broken rule is a {@linkcode PointerRuleError}. belay checks what callbacks return and what is stored in C's
   * memory. It checks pointers into arguments of calls that have returned, and memory that is freed under a nonblocking
   * call. Without the checks, a program that breaks a rule may crash.
   */
  readonly pointerChecks?: boolean;
  /**
   * The path or the `file:` URL of the native core to open, in place of the one that the package brings.
   *
   * It must be set before belay opens anything, and the same in every isolate of the process. Without it, belay opens the
   * file beside its own modules, or what they or your bundle carry of it.
   */
  readonly core?: string | URL;
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

/** How large stacks of C's own are, if that was set, and who is told when it is. */
let callStackByteLength: number | undefined;
let setCallStack: ((byteLength: number) => void) | undefined;

/** Has a function called with how large stacks of C's own are: now, if that was set, and when it is. */
export function onCallStackSize(set: (byteLength: number) => void): void {
  setCallStack = set;
  if (callStackByteLength !== undefined) set(callStackByteLength);
}

let corePath: string | URL | undefined;
let setCorePath: ((path: string | URL) => void) | undefined;

/** Has a function called with the path of the core, when the program has set one. */
export function onCorePath(set: (path: string | URL) => void): void {
  setCorePath = set;
  if (corePath !== undefined) set(corePath);
}

const mostThreads = 1024;
/** How many bytes of addresses a stack of C's own may take. */
export const smallestStack = 128 * 1024;
export const largestStack = 2 ** 30;
const settingNames = ["trackLeaks", "onReport", "callThreads", "callStackSize", "pointerChecks", "core"] as const;

/**
 * Changes belay's settings for this isolate. A setting that you leave out stays as it is.
 *
 * ```ts
 * import { configure, type Report } from "@belay/ffi";
 *
 * const reports: Report[] = [];
 * configure({ onReport: (report) => reports.push(report), trackLeaks: true });
 * // the program, or one of its tests
 * configure({ onReport: undefined, trackLeaks: false });
 * ```
 *
 * @param options The settings to change.
 * @throws {TypeError} If an option is misspelled or of the wrong type. Nothing is changed then.
 * @throws {TypeError} If `core` is set when belay has opened another one. Nothing is changed then.
 * @throws {RangeError} If `callThreads` or `callStackSize` is out of its range. Nothing is changed then.
 */
export function configure(options: ConfigureOptions): void {
  const own = ownOptions("Cannot configure belay", options, settingNames, "a setting", "the configuration");
  const { onReport, trackLeaks, callThreads, callStackSize, pointerChecks, core } = own;
  if (onReport !== undefined && typeof onReport !== "function") {
    throw new TypeError(`Cannot configure "onReport": expected a function or undefined, got ${String(onReport)}`);
  }
  if (pointerChecks !== undefined && typeof pointerChecks !== "boolean") {
    throw new TypeError(`Cannot configure "pointerChecks": expected a boolean, got ${String(pointerChecks)}`);
  }
  if (
    core !== undefined && !(core instanceof URL) && (typeof core !== "string" || core === "" || core.includes("\0"))
  ) {
    throw new TypeError('Cannot configure "core": expected the path of a file');
  }
  checkInteger("callThreads", callThreads, 1, mostThreads);
  checkInteger("callStackSize", callStackSize, smallestStack, largestStack);
  if (core !== undefined) {
    setCorePath?.(core);
    corePath = core;
  }
  if (callThreads !== undefined) {
    mostCallThreads = callThreads;
    setCallThreads?.(callThreads);
  }
  if (callStackSize !== undefined) {
    callStackByteLength = callStackSize;
    setCallStack?.(callStackSize);
  }
  if (pointerChecks !== undefined) pointerSettings.checks = pointerChecks;
  if (trackLeaks !== undefined) setTracking(trackLeaks);
  if ("onReport" in own) setReportListener(onReport);
}

/** @throws {TypeError | RangeError} When a setting is there and no integer of its range. */
function checkInteger(name: string, value: unknown, least: number, most: number): void {
  if (value === undefined) return;
  const what = `Cannot configure "${name}": expected an integer from ${least} to ${most}, got ${String(value)}`;
  if (typeof value !== "number") throw new TypeError(what);
  if (!Number.isInteger(value) || value < least || value > most) throw new RangeError(what);
}
