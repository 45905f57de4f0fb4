/**
 * TypeScript calls C. For each function of a library a function is generated that checks the arguments before C is
 * entered, makes the call, and throws what a callback threw meanwhile.
 *
 * @module
 */

import { isRecord, type Layout, layoutOf, readerOf } from "./aggregate.ts";
import type { NativeFunctionObject, NativeSignature } from "./backend.ts";
import { blameCaller } from "./blame.ts";
import { depthMask, errorIsDue, nativeCallUrl, outermostEnded, takeError } from "./calls.ts";
import { core } from "./core.ts";
import { attentionWord, nativeCallWord } from "./core/record.ts";
import { lend } from "./callback.ts";
import { LibraryClosedError } from "./errors.ts";
import { addressOf, generate, handleIn } from "./helpers.ts";
import {
  checkArgument,
  fromResult,
  isCallbackDefinition,
  isOut,
  mismatch,
  parameterNativeType,
  resultNativeType,
  typeName,
} from "./marshal.ts";
import { checkUse, dangling, noteResult } from "./pointer_rules.ts";
import { present } from "./present.ts";
import { backend } from "./runtime.ts";
import type { FunctionDefinition, ParameterType } from "./types.ts";
import { type Signature, signatureOf, unbind, type Upcall, type UpcallFunction } from "./upcall.ts";

/** What a library's functions share and keep alive. */
export interface LibraryOwner {
  readonly name: string;
  closed: boolean;
  /** Whether running calls are counted: only where closing unloads the code that they return to. */
  readonly counted: boolean;
  running: number;
  /** Called when the last running call has ended. */
  whenIdle: (() => void) | undefined;
}

/** A function of a library, and the way to end it. */
export interface Downcall {
  readonly call: NativeFunctionObject;
  readonly close: () => void;
}

/** What the runtime is told of a function. */
export function nativeSignature(symbol: string, { parameters, result }: FunctionDefinition): NativeSignature {
  return { name: symbol, parameters: parameters.map(parameterNativeType), result: resultNativeType(result) };
}

/** What checks the arguments of a function, as source, and what that names. */
interface ArgumentChecks {
  /** The parameters that take something. */
  readonly names: readonly string[];
  /** What is passed on for every parameter, when it has been checked: a variable for each. */
  readonly passed: readonly string[];
  /** The variables of functions that are lent to the call: `null` before the checks. */
  readonly lent: readonly string[];
  /** The variables of memory of JavaScript's that C has during the call. */
  readonly kept: readonly string[];
  /**
   * What refuses more arguments than there are, and what makes each argument's variable what is passed on, or throws, in the
   * order that this is done. Structures are checked when they are written.
   */
  readonly checks: readonly string[];
  /**
   * An expression for what the function gives, from that of C's result. Where the error number is captured, `error` is one for
   * that; `views` is one for the list of `kept`, if it has a name. Pointers into that are remembered.
   */
  readonly value: (result: string, more?: { readonly error?: string | undefined; readonly views?: string }) => string;
  readonly scope: Readonly<Record<string, unknown>> & {
    readonly lendFunction: (index: number, fn: UpcallFunction) => Upcall;
    readonly closed: () => never;
    /** The generated function, once it is there: what the program calls. */
    readonly entrance: { call: unknown };
  };
}

/** Makes the checks that a function's arguments go through before C is entered. */
export function argumentChecks(key: string, definition: FunctionDefinition, owner: LibraryOwner): ArgumentChecks {
  const { parameters } = definition;
  const passed = parameters.map((type, index) => `${isOut(type) ? "out" : "a"}${index}`);
  const { addressKind } = backend();
  const lentName = (index: number): string => `argument ${index + 1} of ${key}`;
  // A program may change the definition later.
  const signatures = parameters.map((type, index) =>
    isCallbackDefinition(type) ? signatureOf(type, lentName(index)) : undefined
  );
  const outs = parameters.map((type) => isOut(type) ? layoutOf(type.out, "an out-parameter") : undefined);
  const checkOf = (name: string, index: number): string => {
    const type = present(parameters[index]);
    const bad = `bad(${index}, ${name})`;
    if (isOut(type)) return `const ${name} = outCell(${outs[index]?.byteLength});`;
    const use = type === "pointer" ? `if (dangling.some) checkPointer(${name}); ` : "";
    if (typeof type === "string") return use + checkArgument(type, name, bad, addressKind);
    if (!isCallbackDefinition(type)) return "";
    return `if (typeof ${name} === "function") { lent_${name} = lendFunction(${index}, ${name}); ${name} = lentAddress(lent_${name}); }
      else { const address = functionAddress(${name}, shapes[${index}]); if (address === undefined) ${bad}; ${name} = address; }`;
  };
  // Looking at a handle may run the program's code, and nothing else does: what that may end is looked at afterwards.
  const isHandle = (index: number): boolean => parameters[index] === "handle" || parameters[index] === "handle*";
  const indices = [...passed.keys()];
  const inOrder = [...indices.filter(isHandle), ...indices.filter((index) => !isHandle(index))]
    .map((index) => checkOf(present(passed[index]), index));
  const entrance: { call: unknown } = { call: undefined };
  const closed = (): never => {
    throw blameCaller(new LibraryClosedError("call", key, owner.name), entrance.call);
  };
  const names = passed.filter((_, index) => outs[index] === undefined);
  const memory = [...passed.keys()].filter((index) => ownsMemory(present(parameters[index])));
  const kept = memory.map((index) => present(passed[index]));
  const scope = {
    key,
    entrance,
    owner,
    unbind,
    outCell,
    outReaders: outs.map((layout) => layout === undefined ? undefined : outReaderOf(layout, key)),
    lendFunction: (index: number, fn: UpcallFunction): Upcall =>
      lend(signatures[index] as Signature, fn, lentName(index)),
    lentAddress: (upcall: Upcall) => addressOf(upcall.pointer),
    shapes: signatures.map((signature) => signature?.shape),
    dangling,
    noteResult,
    texts: memory.map((index) => parameters[index] === "cstring"),
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
      const expected = `${names.length} argument${names.length === 1 ? "" : "s"}`;
      throw blameCaller(new TypeError(`Cannot call "${key}": expected ${expected}, got ${count}`), entrance.call);
    },
    // Together with this one, every function keeps its library's owner alive.
    closed,
  };
  const noted = (type: unknown, value: string, views = list(kept)): string =>
    kept.length > 0 && (type === "pointer" || type === "buffer") ? `noteResult(${value}, ${views}, texts)` : value;
  return {
    names,
    passed,
    lent: passed.filter((_, index) => isCallbackDefinition(present(parameters[index]))).map((name) => `lent_${name}`),
    kept,
    // Asking for the length twice takes V8 3 ns.
    checks: [`const given = arguments.length; if (given > ${names.length}) surplus(given);`, ...inOrder],
    value(source, { error, views } = {}) {
      const result = noted(definition.result, source, views);
      const outValues = passed.flatMap((name, index) => {
        const type = present(parameters[index]);
        // As `strtol` does it: it may point into a string.
        return isOut(type) ? [noted(type.out, `outReaders[${index}](new DataView(${name}.buffer), 0)`, views)] : [];
      });
      const further = error === undefined ? outValues : [...outValues, error];
      return further.length === 0 ? result : `[${[result, ...further].join(", ")}]`;
    },
    scope,
  };
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
 * Generates the function.
 *
 * @param owner What the function keeps alive: its library's record.
 */
export function makeDowncall(
  key: string,
  definition: FunctionDefinition,
  native: NativeFunctionObject,
  owner: LibraryOwner,
): Downcall {
  const { parameters, result } = definition;
  const { i32 } = core().words;
  const { names, passed, lent, kept, checks, value, scope } = argumentChecks(key, definition, owner);
  // Handles, memory and functions are looked at before the callee is: a closed library must not be the last to be named.
  const guard = parameters.some((type) => isCallbackDefinition(type) || ownsMemory(type) || type === "handle");
  const body = `
      ${guard ? "if (owner.closed) closed();" : ""}
      ${checks.join("\n")}
      ${
    kept.length > 0 ? `calls.kept = { outer: keptOutside, values: ${kept.length === 1 ? kept[0] : list(kept)} };` : ""
  }
      ${duringCall("i32", `const r = native(${passed.join(", ")});`)}
      return ${value(fromResult(result, "r"))};`;
  const before = lent.map((name) => `let ${name} = null;`);
  const after = lent.map((name) => `if (${name} !== null) unbind(${name});`);
  if (kept.length > 0) {
    before.push("const keptOutside = calls.kept;");
    after.push("calls.kept = keptOutside;");
  }
  if (owner.counted) {
    before.push("owner.running += 1;");
    after.push("callEnds(owner);");
  }
  const source = `
    let native = open;
    const call = ${
    named(
      key,
      `function (${names.join(", ")}) {
      ${after.length === 0 ? body : `${before.join(" ")} try { ${body} } finally { ${after.join(" ")} }`}
    }`,
    )
  };
    return { call, close() { native = () => { i32[${nativeCallWord}] -= 1; closed(); }; } };`;
  const made = generate(
    { ...scope, stringOf: backend().stringOf, open: native, i32, errorIsDue, takeError, callEnds },
    source,
    nativeCallUrl(key),
  ) as Downcall;
  scope.entrance.call = made.call;
  return made;
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
      ${word} = (running & ${depthMask}) === 0 ? (running + ${outermostEnded}) | 0 : running;
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
  return type === "buffer" || type === "cstring" || type === "handle*" || isOut(type);
}

/** Whether a function's arguments have to be put where C expects them: the runtime doesn't do all that is wanted of it. */
export function needsBlock({ parameters, result, nonblocking, captureErrno, variadic }: FunctionDefinition): boolean {
  return nonblocking === true || captureErrno === true || variadic !== undefined || isRecord(result) ||
    parameters.some(isRecord) || parameters.length > backend().mostParameters;
}
