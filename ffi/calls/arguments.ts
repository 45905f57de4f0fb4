/**
 * What every kind of call of C shares: the checks of its arguments, and what becomes of its result.
 *
 * @module
 */

import { attentionWord, nativeCallWord } from "../core/record.ts";
import { lend, unbind } from "../callbacks/binding.ts";
import type { BoundFunction, Signature, TargetFunction } from "../callbacks/bound_function.ts";
import { lentSignature } from "../callbacks/signature.ts";
import { callsAfter } from "../core/pending.ts";
import { readerOf } from "../crossing/fields.ts";
import type { FunctionOwner } from "../crossing/functions.ts";
import { handleIn } from "../crossing/helpers.ts";
import { type Layout, layoutOf } from "../crossing/layout.ts";
import { checkArgument, isCallbackDefinition, isOut, mismatch, typeName } from "../crossing/marshal.ts";
import { checkUse, dangling, noteResult } from "../crossing/pointer_rules.ts";
import { blameCaller } from "../ground/blame.ts";
import { LibraryClosedError } from "../ground/errors.ts";
import { present } from "../ground/present.ts";
import { addressOf } from "../runtime/address.ts";
import type { NativeFunctionObject } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { FunctionDefinition, ParameterType } from "../types/definitions.ts";

/** What a library's functions share and keep alive. */
export interface LibraryOwner extends FunctionOwner {
  running: number;
  /** Called when the last running call has ended. */
  whenIdle: (() => void) | undefined;
  /** What gives up calls in which C waits. */
  readonly endings: (() => void)[];
}

/** A function of a library, and the way to end it. */
export interface LibraryCall {
  readonly call: NativeFunctionObject;
  readonly close: () => void;
  /** Gives up its calls in which C waits, when all functions of the library are closed. */
  readonly giveUp?: (() => void) | undefined;
}

/** What checks the arguments of a function, as source, and what that names. */
export interface ArgumentChecks {
  /** The parameters that take something. */
  readonly names: readonly string[];
  /** What is passed on for every parameter, when it has been checked: a variable for each. */
  readonly passed: readonly string[];
  /** The variables of functions that are lent to the call: `null` before the checks. */
  readonly lent: readonly string[];
  /** The variables of memory of JavaScript's that C has during the call. */
  readonly kept: readonly string[];
  /** Whether the checks look at what may refuse for reasons of its own: a closed library must not be the last to be named. */
  readonly early: boolean;
  /** What refuses more arguments than there are. */
  readonly surplus: string;
  /**
   * What makes each argument's variable what is passed on, or throws, in the order that this is done. Structures are checked when
   * they are written.
   */
  readonly checks: readonly string[];
  /**
   * An expression for what the function gives, from that of C's result. Where the error number is captured, `error` is one for
   * that; `views` is one for the list of `kept`, if it has a name. Pointers into that are remembered.
   */
  readonly value: (result: string, more?: { readonly error?: string | undefined; readonly views?: string }) => string;
  readonly scope: Readonly<Record<string, unknown>> & {
    readonly lendFunction: (index: number, fn: TargetFunction) => BoundFunction;
    readonly closed: () => never;
    /** The generated function, once it is there: what the program calls. */
    readonly entrance: { call: unknown };
  };
}

/**
 * Makes the checks that a function's arguments go through before C is entered. It is long because of the functions that
 * generated code names: each needs what was worked out of the definition.
 */
export function argumentChecks(key: string, definition: FunctionDefinition, owner: LibraryOwner): ArgumentChecks {
  const { parameters } = definition;
  const { addressKind } = backend();
  const lentName = (index: number): string => `argument ${index + 1} of ${key}`;
  const signatures: (Signature | undefined)[] = [];
  const shapes: (string | undefined)[] = [];
  const outReaders: (ReturnType<typeof readerOf> | undefined)[] = [];
  const checkOf = (type: ParameterType, name: string, index: number, out: Layout | undefined): string => {
    const bad = `bad(${index}, ${name})`;
    if (out !== undefined) return `const ${name} = outCell(${out.byteLength});`;
    // Afterwards: what has a pointer is an address by then.
    const use = type === "pointer" ? ` if (dangling.some) checkPointer(${name});` : "";
    if (typeof type === "string") return checkArgument(type, name, bad, addressKind) + use;
    return isCallbackDefinition(type) ? checkFunction(index, name, bad) : "";
  };
  const names: string[] = [];
  const passed: string[] = [];
  const lent: string[] = [];
  const kept: string[] = [];
  const texts: boolean[] = [];
  // Looking at a handle may run the program's code, and nothing else does: what that may end is looked at afterwards.
  const handleChecks: string[] = [];
  const otherChecks: string[] = [];
  // A list for each: engines that compile when a function is first called are asked for few of their own.
  for (const type of parameters) {
    const index = passed.length;
    const out = isOut(type) ? layoutOf(type.out, "an out-parameter") : undefined;
    const name = `${out === undefined ? "a" : "out"}${index}`;
    passed.push(name);
    if (out === undefined) names.push(name);
    outReaders.push(out && outReaderOf(out, key));
    const signature = isCallbackDefinition(type) ? lentSignature(type, lentName(index)) : undefined;
    if (signature !== undefined) lent.push(`lent_${name}`);
    signatures.push(signature);
    shapes.push(signature?.shape);
    if (ownsMemory(type)) {
      kept.push(name);
      texts.push(type === "cstring");
    }
    const checks = type === "handle" || type === "handleAddress" ? handleChecks : otherChecks;
    checks.push(checkOf(type, name, index, out));
  }
  const entrance: { call: unknown } = { call: undefined };
  const closed = (): never => {
    throw blameCaller(new LibraryClosedError("call", key, owner.name), entrance.call);
  };
  const takesOptions = definition.suspends === true;
  const scope = {
    key,
    entrance,
    owner,
    unbind,
    outCell,
    outReaders,
    lendFunction: (index: number, fn: TargetFunction): BoundFunction =>
      lend(signatures[index] as Signature, fn, lentName(index)),
    lentAddress: (bound: BoundFunction) => addressOf(bound.pointer),
    shapes,
    dangling,
    noteResult,
    texts,
    checkPointer(pointer: unknown): void {
      if (owner.closed) closed();
      try {
        checkUse(pointer);
      } catch (error) {
        throw blameCaller(error as Error, entrance.call);
      }
    },
    bad(index: number, value: unknown): never {
      if (owner.closed) closed();
      const type = present(parameters[index]);
      const error = mismatch(type, value, `Cannot call "${key}": argument ${index + 1} (${typeName(type)})`);
      throw blameCaller(error, entrance.call);
    },
    surplus(count: number): never {
      if (owner.closed) closed();
      const expected = `${names.length} argument${names.length === 1 ? "" : "s"}${takesOptions ? " and options" : ""}`;
      throw blameCaller(new TypeError(`Cannot call "${key}": expected ${expected}, got ${count}`), entrance.call);
    },
    // Together with this one, every function keeps its library's owner alive.
    closed,
  };
  const noted = (type: unknown, value: string, views?: string): string =>
    kept.length > 0 && (type === "pointer" || type === "buffer")
      ? `noteResult(${value}, ${views ?? list(kept)}, texts)`
      : value;
  return {
    names,
    passed,
    lent,
    kept,
    early: lent.length + kept.length + handleChecks.length > 0,
    // Asking for the length twice takes V8 3 ns.
    surplus: `const given = arguments.length; if (given > ${names.length + (takesOptions ? 1 : 0)}) surplus(given);`,
    checks: handleChecks.concat(otherChecks),
    value(source, { error, views } = {}) {
      const values = [noted(definition.result, source, views)];
      let index = 0;
      for (const type of parameters) {
        // As `strtol` does it: it may point into a string.
        if (isOut(type)) {
          values.push(noted(type.out, `outReaders[${index}](new DataView(out${index}.buffer), 0)`, views));
        }
        index += 1;
      }
      if (error !== undefined) values.push(error);
      return values.length === 1 ? present(values[0]) : `[${values.join(", ")}]`;
    },
    scope,
  };
}

/** A statement that lends a function to the call, or takes what has a function pointer. */
function checkFunction(index: number, name: string, bad: string): string {
  return `if (typeof ${name} === "function") { lent_${name} = lendFunction(${index}, ${name}); ${name} = lentAddress(lent_${name}); }
      else { const address = functionAddress(${name}, shapes[${index}]); if (address === undefined) ${bad}; ${name} = address; }`;
}

/** What reads what an out-parameter of a function gives. */
function outReaderOf(layout: Layout, key: string): ReturnType<typeof readerOf> {
  const isHandle = layout.kind === "scalar" && layout.type === "handle";
  return isHandle ? (view, byteOffset) => handleIn(view, byteOffset, key) : readerOf(layout);
}

/** Memory for what an out-parameter gives. */
function outCell(byteLength: number): ArrayBufferView {
  return backend().hold(new Uint8Array(byteLength));
}

/** A call that was counted in `running` has ended. */
export function callEnds(owner: LibraryOwner): void {
  owner.running -= 1;
  if (owner.running > 0) return;
  owner.whenIdle?.();
  owner.whenIdle = undefined;
}

/**
 * Statements that make a native call and throw what its callbacks threw. JavaScript counts the call meanwhile, so that errors
 * know where they belong. Without `finally`, which takes longer than the call: C doesn't throw.
 */
export function duringCall(i32: string, makeCall: string): string {
  const word = `${i32}[${nativeCallWord}]`;
  return `const running = ${word};
      ${word} = running + 1;
      ${makeCall}
      ${word} = ${callsAfter("running")};
      ${afterCall(i32, "")}`;
}

/** Statements that make a native call, which counts itself, and throw what its callbacks threw. */
export function afterCall(i32: string, makeCall: string): string {
  return `${makeCall}
      if (${i32}[${attentionWord}] !== 0 && errorIsDue(key)) throw takeError();`;
}

/**
 * A function's source as an expression that gives the function a name, which isn't visible inside it. Bun's console shows no
 * other name.
 */
export function named(name: string, source: string): string {
  const key = JSON.stringify(name);
  // Otherwise that would be the prototype.
  return name === "__proto__" ? `({ [${key}]: ${source} })[${key}]` : `({ ${key}: ${source} })[${key}]`;
}

/** An expression for a list of variables; `undefined` where there are none. */
export function list(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : `[${names.join(", ")}]`;
}

/** Whether an argument of a type is memory of JavaScript's, which C has during the call. */
export function ownsMemory(type: ParameterType): boolean {
  return type === "buffer" || type === "cstring" || type === "handleAddress" || isOut(type);
}
