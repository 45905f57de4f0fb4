/**
 * Errors that a mistake of the program's caused: their stack begins with the program's line, not with belay's functions.
 *
 * @module
 */

import { place } from "./place.ts";

// As they were before the program could replace them.
const { RangeError: EngineRangeError, TypeError: EngineTypeError } = globalThis;
const Error = globalThis.Error as ErrorConstructor & {
  captureStackTrace?: (error: object, below?: unknown) => void;
  stackTraceLimit?: number;
};
const { captureStackTrace } = Error;

/** The functions that programs call, by name; several classes may have a method of one name. */
let entrances: Map<string, unknown[]> | undefined;
const exported: (() => Readonly<Record<string, unknown>>)[] = [];

/** Adds functions and classes that programs can call. The first error has them looked through. */
export function addEntrances(all: () => Readonly<Record<string, unknown>>): void {
  exported.push(all);
  entrances = undefined;
}

/** Notes a function by its name. */
function note(name: string, value: unknown, found: Map<string, unknown[]>): void {
  if (typeof value !== "function") return;
  const known = found.get(name);
  if (known === undefined) found.set(name, [value]);
  else known.push(value);
}

/** Notes the methods, getters and setters of an object. */
function noteAll(holder: object, found: Map<string, unknown[]>): void {
  for (const key of Reflect.ownKeys(holder)) {
    const name = typeof key === "string" ? key : `[${key.description}]`;
    const { value, get, set } = Object.getOwnPropertyDescriptor(holder, key) as PropertyDescriptor;
    for (const fn of [value, get, set]) note(name, fn, found);
  }
}

function findEntrances(): Map<string, unknown[]> {
  const found = new Map<string, unknown[]>();
  const noteClass = (value: { prototype?: object }): void => {
    // With the classes that it extends, up to the engine's.
    for (let each = value; each !== Function.prototype; each = Object.getPrototypeOf(each)) {
      noteAll(each, found);
      if (each.prototype !== undefined) noteAll(each.prototype, found);
    }
  };
  for (const [name, value] of exported.flatMap((all) => Object.entries(all()))) {
    note(name, value, found);
    if (typeof value === "function" && value.prototype !== undefined) noteClass(value as { prototype?: object });
    else if (typeof value === "object" && value !== null) noteAll(value, found);
  }
  return found;
}

/** The line of generated code. */
const generated = /[( @]belay-[\w-]+\/[^:,)\s]*(:\d|, )/;
/** The line of a function of the engine's, such as `map`: its caller may be belay or the program. */
const engines = /\((<anonymous>|native(:\d+)*)\)$/;

function isOwn(line: string): boolean {
  return generated.test(line) || place().prefixes.some((prefix) => line.includes(prefix));
}

/** The lines of a stack, the text before them, and how many of the first lines are belay's. */
interface Frames {
  readonly head: string;
  readonly frames: readonly string[];
  readonly own: number;
}

function framesOf(stack: unknown, message: string): Frames | undefined {
  if (typeof stack !== "string") return undefined;
  const end = stack.indexOf("\n", Math.max(0, stack.indexOf(message)) + message.length);
  if (end < 0) return undefined;
  const frames = stack.slice(end + 1).split("\n");
  const other = frames.findIndex((line) => !isOwn(line) && !engines.test(line));
  return {
    head: stack.slice(0, end),
    frames,
    own: frames.slice(0, other < 0 ? undefined : other).findLastIndex(isOwn) + 1,
  };
}

/** A stack as text, without belay's lines at its beginning. */
export function withoutOwnFrames(stack: string, message: string): string {
  const made = framesOf(stack, message);
  if (made === undefined || made.own === made.frames.length) return stack;
  return [made.head, ...made.frames.slice(made.own)].join("\n");
}

/** A function's name in a line of a stack, without its class. */
const nameInLine = /([\w$]+|\[[\w.]+\])(?: \[as [^\]]+\])? \(/;

/**
 * Has an error's stack begin where the program called belay; answers the error.
 *
 * @param called The functions of which the program called one, where that is known. Without them the stack is formatted,
 * which takes Deno 50 µs.
 */
export function blameCaller<E extends Error>(error: E, ...called: readonly unknown[]): E {
  // What a program does with `Error`, or a stack that is used up, must not hide the error itself.
  try {
    if (!cutBelow(error, called)) leaveOutOwn(error);
  } catch {
    // Then the stack is as the engine made it.
  }
  return error;
}

/** Whether the program called a function that has not returned. Below another function, engines find no line or belay's. */
function isCalled(fn: unknown): boolean {
  const { stackTraceLimit } = Error;
  const probe = { stack: "" };
  try {
    Error.stackTraceLimit = 1;
    captureStackTrace?.(probe, fn);
    const [, line = ""] = probe.stack.split("\n");
    return line !== "" && !isOwn(line);
  } finally {
    Error.stackTraceLimit = stackTraceLimit as number;
  }
}

/** Has a stack begin below the one of some functions that the program called; answers whether it called one. */
function cutBelow(error: Error, functions: readonly unknown[]): boolean {
  const entrance = functions.length < 2 ? functions[0] : functions.find(isCalled);
  if (entrance === undefined || captureStackTrace === undefined) return false;
  captureStackTrace(error, entrance);
  return true;
}

/** Has a stack begin with its first line that isn't belay's. */
function leaveOutOwn(error: Error): void {
  const made = framesOf(error.stack, error.message);
  if (made === undefined || made.own === 0) return;
  entrances ??= findEntrances();
  // The program called the outermost of belay's functions.
  const [, name = ""] = nameInLine.exec(made.frames[made.own - 1] ?? "") ?? [];
  if (cutBelow(error, entrances.get(name) ?? [])) return;
  // The function may be a view's, whose class isn't exported. Or Bun, which compares names, took another function for it.
  // The source line that Deno shows of an uncaught error is belay's then.
  const rest = made.own < made.frames.length ? made.frames.slice(made.own) : made.frames;
  Object.defineProperty(error, "stack", {
    value: [made.head, ...rest].join("\n"),
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

/** A constructor of the engine's errors whose stack begins where the program called belay. */
function blaming<C extends TypeErrorConstructor | RangeErrorConstructor>(Engine: C): C {
  function Blaming(message?: string, options?: ErrorOptions): Error {
    return blameCaller(new Engine(message, options));
  }
  // For `instanceof`.
  Blaming.prototype = Engine.prototype;
  return Blaming as unknown as C;
}

/** Takes the place of the engine's `TypeError` in belay's modules. */
export const TypeError: TypeErrorConstructor = blaming(EngineTypeError);
/** Takes the place of the engine's `RangeError` in belay's modules. */
export const RangeError: RangeErrorConstructor = blaming(EngineRangeError);
