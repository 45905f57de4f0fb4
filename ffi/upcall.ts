/**
 * C calls TypeScript. Every thunk ends in the isolate's one trampoline, the runtime's only native callback; the thunk's
 * number says which invoker it is for, and the invoker reads the arguments from the words that the core shares.
 *
 * A runtime's own callback converts each argument in native code, which costs more than the call; reading them from a
 * typed array here costs a nanosecond each. It also makes one native callback enough for every signature.
 *
 * @module
 */

import { argumentLayout } from "./abi.ts";
import { aside, postpone } from "./calls.ts";
import { type Core, core } from "./core.ts";
import { InvalidHandleError } from "./errors.ts";
import { handleTable } from "./handle.ts";
import { generate, nullable } from "./helpers.ts";
import { argumentClass, isNamedType, mismatch, readWord, typeName, writeResult } from "./marshal.ts";
import { report } from "./report.ts";
import { backend } from "./runtime.ts";
import { type RestingThunks, ThunkPool } from "./thunk_pool.ts";
import type { CallbackDefinition, Pointer } from "./types.ts";

/** A definition, worked out: what every callback of it shares. */
export interface Signature {
  /** What tells functions apart that C may not confuse. */
  readonly shape: string;
  readonly stackWords: number;
  /** Freed thunks that functions of this shape may use again. */
  readonly resting: RestingThunks;
  /** Makes what the trampoline calls for a function. */
  readonly makeInvoker: (upcall: Upcall) => () => void;
  /** What a fallback is as two 32-bit words. @throws {TypeError | RangeError} When it is not of the result's type. */
  readonly fallbackBits: (value: unknown, name: string) => { low: number; high: number };
}

/** One function behind one thunk. */
export interface Upcall {
  readonly name: string;
  readonly fn: (...parameters: never[]) => unknown;
  readonly fallbackLow: number;
  readonly fallbackHigh: number;
  readonly onError: ((error: unknown) => void) | undefined;
  /** Whether an invalid handle was reported; one report is enough. */
  handleReported: boolean;
}

/** Counts that `stats()` gives. */
export const upcallCounts = { staleCalls: 0, invalidHandles: 0, trampolines: 0, live: 0 };

const signatures = new Map<string, Signature>();
const byDefinition = new WeakMap<CallbackDefinition, Signature>();
const restingByShape = new Map<string, RestingThunks>();
const invokers: (() => void)[] = [];
let pool: ThunkPool | undefined;

/** The pool and the trampoline, made with the first callback. */
function upcalls(): { core: Core; pool: ThunkPool } {
  const native = core();
  if (pool === undefined) {
    const { u32 } = native.words;
    const thunk = native.thunkByteOffset / 4;
    native.setTrampoline(backend().createTrampoline(() => invokers[u32[thunk]]()));
    upcallCounts.trampolines += 1;
    pool = new ThunkPool(() => native.claimThunks());
  }
  return { core: native, pool };
}

/** Thunks that callbacks of this isolate stand behind. */
export function thunksInUse(): number {
  return pool?.inUse ?? 0;
}

/**
 * The signature of a definition.
 *
 * @throws {TypeError} When the definition is none, or uses a type that can't cross this way.
 */
export function signatureOf(definition: CallbackDefinition): Signature {
  const known = byDefinition.get(definition);
  if (known !== undefined) return known;
  validateCallback(definition);
  const key = `${definition.parameters.join()}:${definition.result}`;
  let signature = signatures.get(key);
  if (signature === undefined) signatures.set(key, signature = makeSignature(definition));
  byDefinition.set(definition, signature);
  return signature;
}

/**
 * Refuses what is no callback's definition.
 *
 * @throws {TypeError} That says what is wrong.
 */
export function validateCallback(definition: unknown): asserts definition is CallbackDefinition {
  if (typeof definition !== "object" || definition === null) {
    throw new TypeError(`Cannot define a callback: expected an object, got ${String(definition)}`);
  }
  const { parameters, result, ...rest } = definition as Record<string, unknown>;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    throw new TypeError(`Cannot define a callback: "${unknown}" is not a property of a callback's definition`);
  }
  if (!Array.isArray(parameters)) throw new TypeError("Cannot define a callback: parameters must be an array");
  parameters.forEach((type: unknown, index) => {
    if (typeof type === "object" && type !== null) {
      throw new TypeError(
        `Cannot define a callback: parameter ${index + 1} is a structure or a callback's definition; structures by ` +
          'value are not supported, and a function arrives as "function"',
      );
    }
    if (!isNamedType(type)) {
      throw new TypeError(`Cannot define a callback: parameter ${index + 1} has the unknown type ${String(type)}`);
    }
  });
  if (result === "buffer" || result === "cstring" || result === "handle*") {
    throw new TypeError(`Cannot define a callback: its result can't be a ${result}, whose memory nobody would keep`);
  }
  if (typeof result === "object") {
    throw new TypeError("Cannot define a callback: structures by value are not supported");
  }
  if (result !== "void" && !isNamedType(result)) {
    throw new TypeError(`Cannot define a callback: the unknown result type ${String(result)}`);
  }
}

/** What tells functions apart that C may not confuse: the classes of parameters and result, not their names. */
function shapeOf({ parameters, result }: CallbackDefinition): string {
  const shape = (type: CallbackDefinition["parameters"][number]): string => {
    const { byteLength, float } = argumentClass(type);
    return `${float ? "f" : "i"}${byteLength}`;
  };
  return `${parameters.map(shape).join()}:${result === "void" ? "" : shape(result)}`;
}

function makeSignature(definition: CallbackDefinition): Signature {
  const { words, resultByteOffset } = core();
  const { addressKind, platform } = backend();
  const { parameters, result } = definition;
  const { byteOffsets, stackWords } = argumentLayout(parameters.map(argumentClass), platform);
  const isHandle = (index: number): boolean => parameters[index] === "handle" || parameters[index] === "handle*";
  const names = parameters.map((_, index) => `a${index}`);
  const handles = names.filter((_, index) => isHandle(index));
  const low = resultByteOffset / 4;
  const fallback = `u32[${low}] = upcall.fallbackLow; u32[${low + 1}] = upcall.fallbackHigh; return;`;
  const scope = {
    ...words,
    badResult(upcall: Upcall, value: unknown): never {
      refusePromise(upcall, value);
      throw mismatch(result, value, `Cannot return from callback "${upcall.name}": the result (${typeName(result)})`);
    },
    refusePromise,
    failed: (upcall: Upcall, error: unknown) => postpone(error, upcall.onError),
    invalidHandle,
  };
  // All arguments are read before anything else runs: a callback inside this one uses the same words.
  const makeInvoker = generate(
    scope,
    `return function makeInvoker(upcall) {
      const fn = upcall.fn;
      return function invoke() {
        if (calls.pending !== none) { ${fallback} }
        ${names.map((name, i) => `let ${name} = ${readWord(parameters[i], byteOffsets[i], addressKind)};`).join("\n")}
        ${
      handles.map((name) =>
        `const ${name}id = ${name}; ${name} = handles.valueOr(${name}id, none);
         if (${name} === none) { invalidHandle(upcall, ${name}id, ${names.indexOf(name)}); ${fallback} }`
      ).join("\n")
    }
        try {
          let result = fn(${names.join(", ")});
          ${writeResult(result, "result", resultByteOffset, "badResult(upcall, result)", addressKind)}
        } catch (error) {
          failed(upcall, error);
          ${fallback}
        }
      };
    };`,
  ) as Signature["makeInvoker"];
  const badFallback = (upcall: { name: string }, value: unknown): never => {
    throw mismatch(result, value, `Cannot create callback "${upcall.name}": the fallback (${typeName(result)})`);
  };
  const writeFallback = generate(
    { ...scope, badResult: badFallback },
    `return function writeFallback(result, upcall) {
      ${writeResult(result, "result", resultByteOffset, "badResult(upcall, result)", addressKind)}
    };`,
  ) as (value: unknown, upcall: { name: string }) => void;
  const shape = shapeOf(definition);
  let resting = restingByShape.get(shape);
  if (resting === undefined) restingByShape.set(shape, resting = { entries: [], taken: 0 });
  const resultWord = new Uint32Array(words.u32.buffer, resultByteOffset, 2);
  return {
    shape,
    stackWords,
    resting,
    makeInvoker,
    fallbackBits(value, name) {
      // A callback may be running: its result word is put back.
      const [oldLow, oldHigh] = resultWord;
      resultWord.fill(0);
      try {
        if (value !== undefined) writeFallback(value, { name });
        return { low: resultWord[0], high: resultWord[1] };
      } finally {
        resultWord[0] = oldLow;
        resultWord[1] = oldHigh;
      }
    },
  };
}

function refusePromise({ name }: Upcall, value: unknown): void {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return;
  const then: unknown = (value as { then?: unknown }).then;
  if (typeof then !== "function") return;
  // Its rejection has been answered for: the error below says all there is to say.
  then.call(value, undefined, () => {});
  throw new TypeError(`Cannot return from callback "${name}": the result is a promise, and C can't wait for it`);
}

function invalidHandle(upcall: Upcall, id: number, index: number): void {
  upcallCounts.invalidHandles += 1;
  if (upcall.handleReported) return;
  upcall.handleReported = true;
  const error = new InvalidHandleError("use", id, handleTable().invalidReason(id));
  const what = `C called callback "${upcall.name}" with an invalid handle as parameter ${
    index + 1
  }, and got its fallback`;
  aside(() => report("invalid-handle", `${what}: ${error.message}`, error));
}

/** A function that C can call, until it is unbound. */
export interface BoundUpcall {
  readonly pointer: Pointer;
  readonly upcall: Upcall;
  readonly thunk: number;
  readonly signature: Signature;
}

/** Puts a function behind a thunk. @throws {RangeError} When every thunk is in use. */
export function bind(signature: Signature, upcall: Upcall): BoundUpcall {
  const { core: native, pool } = upcalls();
  const thunk = pool.acquire(signature.resting);
  native.describeThunk(thunk, signature.stackWords, upcall.fallbackLow, upcall.fallbackHigh);
  invokers[thunk] = signature.makeInvoker(upcall);
  upcallCounts.live += 1;
  const pointer = nullable(native.thunkAddress(thunk));
  if (pointer === null) throw new Error("Cannot create a callback: the core gave no thunk");
  return { pointer, upcall, thunk, signature };
}

/** Takes a function away from its thunk. What C may still hold of it answers with the fallback, and is counted. */
export function unbind({ upcall, thunk, signature }: BoundUpcall): void {
  invokers[thunk] = tombstone(upcall.name, upcall.fallbackLow, upcall.fallbackHigh);
  upcallCounts.live -= 1;
  upcalls().pool.release(thunk, signature.resting);
}

/** What the trampoline calls in the place of a function that is gone. It keeps nothing of the function alive. */
function tombstone(name: string, fallbackLow: number, fallbackHigh: number): () => void {
  const { words, resultByteOffset } = core();
  const low = resultByteOffset / 4;
  let reported = false;
  return () => {
    words.u32[low] = fallbackLow;
    words.u32[low + 1] = fallbackHigh;
    upcallCounts.staleCalls += 1;
    if (reported) return;
    reported = true;
    const what = `C called callback "${name}" after it was disposed of or collected, and got its fallback`;
    aside(() => report("stale-callback", what));
  };
}
