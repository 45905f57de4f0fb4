/**
 * C calls TypeScript. Every thunk ends in the isolate's one trampoline, the runtime's only native callback; the thunk's
 * index says which function it is for, whose signature's invoker reads the arguments from the words that the core shares.
 *
 * A runtime's own callback converts each argument in native code, which costs more than the call; reading them from a
 * typed array here costs a nanosecond each. It also makes one native callback enough for every signature.
 *
 * @module
 */

import {
  type ArgumentClass,
  type ArgumentLayout,
  argumentLayout,
  isStructureClass,
  type ResultPlace,
  type StructurePlace,
  wordIndex,
} from "./abi.ts";
import {
  Aggregate,
  classOf,
  functionShapes,
  isAggregate,
  isRecord,
  movePieces,
  readerOf,
  structureClass,
  writerOf,
} from "./aggregate.ts";
import {
  aside,
  callHasFailed,
  errorWaitsHere,
  type InVain,
  look,
  lookAtEnd,
  onForeignCall,
  raise,
  someCallHasFailed,
  takeCallInVain,
  throwInVain,
} from "./calls.ts";
import { core } from "./core.ts";
import { attentionWord, callbackWord, liveWord, overflowWord, resultsByteOffset, resultWord } from "./core/record.ts";
import { copyIn, copyOut } from "./core_memory.ts";
import type { RecordType } from "./data_type.ts";
import { claimThunks, describeThunk, setTrampoline, takeNoted, thunkNotes, thunkPointers } from "./core_thunks.ts";
import { CallbackThreadError, CallbackTimeoutError, InvalidHandleError } from "./errors.ts";
import { handleTable } from "./handle.ts";
import { generate } from "./helpers.ts";
import { isNamedType, mismatch, readWord, typeName, writeResult } from "./marshal.ts";
import { ownOptions } from "./options.ts";
import { checkReturned, checkUse, dangling } from "./pointer_rules.ts";
import { present } from "./present.ts";
import { report, reportUncaught } from "./report.ts";
import { backend } from "./runtime.ts";
import type { Address } from "./backend.ts";
import { blameCaller, RangeError, TypeError } from "./blame.ts";
import { keyHint, unknownType } from "./spellings.ts";
import { type ShapeThunks, shapeThunks, ThunkPool } from "./thunk_pool.ts";
import type { CallbackDefinition, Pointer } from "./types.ts";

// A program may replace it for a while (fake timers): what is put off here would never come.
const { queueMicrotask } = globalThis;

/** Any function that can stand behind a callback. */
export type UpcallFunction = (...parameters: never[]) => unknown;

/** A definition, worked out: what every callback of it shares. */
export interface Signature {
  /** What was checked of the definition: the program may change its own. */
  readonly definition: CallbackDefinition;
  /** What tells functions apart that C may not confuse. */
  readonly shape: string;
  readonly thunks: ShapeThunks;
  /** Where the arguments are, and which of the words they take are strings; see `belay_thunk`. */
  readonly layout: number;
  readonly strings: bigint;
  /** The first parameter, from 1, that is a string behind the words that `strings` can tell of. */
  readonly lateString: number | undefined;
  /** How many bytes a structure has that is returned in memory, or 0. */
  readonly resultByteLength: number;
  /** Whether structures are among what it takes and returns. */
  readonly hasStructures: boolean;
  /** What the trampoline calls for its callbacks: {@linkcode invokeFirst} before the code is there. */
  invoke: (upcall: Upcall) => void;
  /** Generated when it is first asked for. */
  readonly code: SignatureCode;
}

functionShapes.of = (definition) => signatureOf(definition).shape;

/** What is generated for a signature. */
interface SignatureCode {
  /** Reads the arguments, calls the function, writes the result. */
  readonly invoke: (upcall: Upcall) => void;
  /**
   * Writes what `onError` answered as the result. @throws {TypeError | RangeError} When it is not of the result's type.
   *
   * @param resultAddress Where C wants a structure, if that is in memory.
   */
  readonly writeAnswer: (value: unknown, upcall: Upcall, resultAddress: Address | undefined) => void;
  /** The bits of the result register for a fallback. @throws {TypeError | RangeError} When it is not of the result's type. */
  readonly fallbackBits: (value: unknown, name: string) => bigint;
}

/** What a callback has called with an error, and with the arguments that C gave. It answers C. */
export type ErrorFunction = (error: unknown, ...parameters: never[]) => unknown;

/** What becomes of calls of a callback from other threads; `contracts.ts` makes it. */
export interface Contract {
  readonly thread: "post" | "wait";
  readonly timeoutMs: number;
  /** Ends what waits: the callback is about to go. */
  readonly end: () => void;
  /** Reports what was dropped with it. */
  readonly tell: () => void;
}

/** One function behind one thunk. It keeps the function alive, and stays behind as a tombstone when that is gone. */
export class Upcall {
  readonly signature: Signature;
  /** What the trampoline calls. */
  invoke: (upcall: Upcall) => void;
  /** The index of its thunk. */
  readonly thunk: number;
  /** `null` from when it was unbound. */
  fn: UpcallFunction | null;
  onError: ErrorFunction | undefined;
  /** Whether it runs although an error waits for the native call. */
  always = false;
  /** What becomes of calls from other threads, if not the fallback. */
  contract: Contract | undefined;
  /** Whether it is a function that was passed to one native call. */
  lent = false;
  /** The token of that call, if it is a nonblocking one; else 0. */
  lentTo = 0;
  /** Whether the collector took its callback, rather than `dispose()`. */
  collected = false;
  /** One report of a kind is enough. */
  staleReported = false;
  handleReported = false;
  foreignReported = false;
  droppedReported = false;
  /** How many calls from other threads were thrown by the native calls in which they were refused. */
  thrownCalls = 0;
  #name: string | UpcallFunction;

  /**
   * Made by {@linkcode bind}.
   *
   * @param name What reports call it, or the function whose name that is.
   */
  constructor(signature: Signature, thunk: number, name: string | UpcallFunction, fn: UpcallFunction) {
    this.signature = signature;
    this.invoke = signature.invoke;
    this.thunk = thunk;
    this.#name = name;
    this.fn = fn;
    this.onError = undefined;
    this.contract = undefined;
  }

  /** What reports and errors call it. Asking a function costs more than making a callback: it is done when need be. */
  get name(): string {
    if (typeof this.#name === "function") this.#name = functionName(this.#name);
    return this.#name;
  }

  /** What C calls. It stays callable for ever. */
  get pointer(): Pointer {
    return present(thunkPointers[this.thunk]);
  }
}

/** What a function calls itself, whatever a program has put in the place of its `name`. */
export function functionName(fn: UpcallFunction): string {
  try {
    const { name } = fn;
    return typeof name === "string" && name !== "" ? name : "anonymous";
  } catch {
    return "anonymous";
  }
}

/** Counts that `stats()` gives. */
export const upcallCounts = { staleCalls: 0, invalidHandles: 0, trampolines: 0, live: 0 };

const signatures = new Map<string, Signature>();
/** Those with structures, by the first of them: they go when it does. */
const signaturesOf = new WeakMap<RecordType, Map<string, Signature>>();
const byDefinition = new WeakMap<CallbackDefinition, Signature>();
const recordNumbers = new WeakMap<RecordType, number>();
let records = 0;
const thunksByShape = new Map<string, ShapeThunks>();
/** By the index of the thunk: who is behind it, or was last. */
const upcalls: (Upcall | undefined)[] = [];
let pool: ThunkPool | undefined;

/** The pool and the trampoline, made with the first callback. */
function thunkPool(): ThunkPool {
  return pool ??= makeThunkPool();
}

function makeThunkPool(): ThunkPool {
  const { i32 } = core().words;
  invokeCalled = () => {
    const upcall = upcalls[i32[callbackWord]!];
    if (upcall !== undefined) upcall.invoke(upcall);
  };
  setTrampoline(backend().createTrampoline(invokeCalled));
  upcallCounts.trampolines += 1;
  onForeignCall(reportNoted);
  // The last chance to tell of calls from elsewhere.
  backend().onExit(lookAtEnd);
  return new ThunkPool((shape) => {
    const count = claimThunks(shape);
    // Without holes, which engines look up more slowly.
    for (let i = 0; i < count; i++) {
      upcalls.push(undefined);
      isFresh.push(false);
    }
    return count;
  });
}

/** Makes the call that the core has put into the words: the trampoline's function, there since the first callback. */
export let invokeCalled: () => void = () => {};

/** Makes the queued call that the core has put into the words, unless callbacks of its native call have thrown. */
export function invokeQueued(): void {
  if (someCallHasFailed()) {
    const upcall = upcalls[core().words.u32[callbackWord]!];
    if (upcall !== undefined && !upcall.always && callHasFailed(upcall.lentTo, upcall.contract?.thread === "wait")) {
      return;
    }
  }
  invokeCalled();
}

/** Thunks that callbacks of this isolate stand behind. */
export function thunksInUse(): number {
  return pool?.inUse ?? 0;
}

/**
 * The signature of a definition.
 *
 * @param name What errors call the callback, or the function whose name that is.
 * @throws {TypeError} When the definition is none, or uses a type that can't cross this way.
 * @throws {RangeError} When arguments and result take too many words.
 */
export function signatureOf(definition: CallbackDefinition, name?: string | UpcallFunction): Signature {
  const known = byDefinition.get(definition);
  if (known !== undefined) return known;
  const checked = validateCallback(definition);
  const types = [...checked.parameters, checked.result];
  const key = types.map(keyOf).join();
  const same = signaturesWith(types.find(isRecord));
  let signature = same.get(key);
  if (signature === undefined) same.set(key, signature = makeSignature(checked, name));
  byDefinition.set(definition, signature);
  return signature;
}

function signaturesWith(type: RecordType | undefined): Map<string, Signature> {
  if (type === undefined) return signatures;
  let known = signaturesOf.get(type);
  if (known === undefined) signaturesOf.set(type, known = new Map());
  return known;
}

/**
 * Refuses what is no callback's definition, and answers what was checked: getters may answer otherwise the next time.
 *
 * @throws {TypeError} That says what is wrong.
 */
export function validateCallback(definition: unknown): CallbackDefinition {
  const { parameters, result }: Record<string, unknown> = ownOptions(
    "Cannot define a callback",
    definition as CallbackDefinition,
    ["parameters", "result"],
    "a property of a callback's definition",
    "its definition",
    keyHint,
  );
  if (!Array.isArray(parameters)) throw new TypeError("Cannot define a callback: parameters must be an array");
  const types: unknown[] = [...parameters as unknown[]];
  for (const [index, type] of types.entries()) {
    if (isRecord(type)) continue;
    if (typeof type === "object" && type !== null) {
      const what = isAggregate(type)
        ? "an array, which C passes as a pointer"
        : 'no type of a callback; a function arrives as "function", a structure as what struct() gives';
      throw new TypeError(`Cannot define a callback: parameter ${index + 1} is ${what}`);
    }
    if (!isNamedType(type)) {
      throw new TypeError(`Cannot define a callback: parameter ${index + 1} has the unknown type ${unknownType(type)}`);
    }
  }
  if (result === "buffer" || result === "cstring" || result === "handle*") {
    throw new TypeError(`Cannot define a callback: its result can't be a ${result}, whose memory nobody would keep`);
  }
  if (result !== "void" && !isRecord(result) && !isNamedType(result)) {
    const what = result === undefined
      ? 'it has no result; without one it is "void"'
      : `the unknown result type ${unknownType(result)}`;
    throw new TypeError(`Cannot define a callback: ${what}`);
  }
  return { parameters: types, result } as CallbackDefinition;
}

/** What tells a type from others: its name, or the number of a structure. */
function keyOf(type: CallbackDefinition["parameters"][number] | "void"): string | number {
  if (!isRecord(type)) return type;
  const known = recordNumbers.get(type);
  if (known !== undefined) return known;
  recordNumbers.set(type, ++records);
  return records;
}

function makeSignature(definition: CallbackDefinition, name?: string | UpcallFunction): Signature {
  const { parameters, result } = definition;
  const classes = parameters.map(classOf);
  let shape = "";
  for (const type of classes) shape += shapeOfClass(type);
  if (result !== "void") shape += `:${shapeOfClass(classOf(result))}`;
  core(shape);
  const returned = isRecord(result) ? structureClass(result) : undefined;
  const layout = argumentLayout(classes, backend().platform, {
    what: () =>
      name === undefined ? "a callback" : `callback "${typeof name === "string" ? name : functionName(name)}"`,
    result: returned,
  });
  let strings = 0n;
  let lateString: number | undefined;
  for (const [index, type] of parameters.entries()) {
    if (type !== "cstring") continue;
    const word = wordIndex(layout, present(layout.byteOffsets[index]));
    if (word < 64) strings |= 1n << BigInt(word);
    else lateString ??= index + 1;
  }
  let thunks = thunksByShape.get(shape);
  if (thunks === undefined) thunksByShape.set(shape, thunks = shapeThunks(shape));
  let code: SignatureCode | undefined;
  return {
    definition,
    shape,
    thunks,
    layout: layout.bits,
    strings,
    lateString,
    resultByteLength: returned !== undefined && layout.result?.memory === true ? returned.byteLength : 0,
    hasStructures: returned !== undefined || classes.some(isStructureClass),
    invoke: invokeFirst,
    get code() {
      return code ??= makeCode(parameters, result, layout);
    },
  };
}

/** What tells functions apart that C may not confuse: the classes of parameters and result, not their names. */
function shapeOfClass(type: ArgumentClass): string {
  if (isStructureClass(type)) {
    const leaves = type.leaves.map((leaf) => `${leaf.byteOffset}.${shapeOfClass(leaf)}`);
    return `(${type.byteLength} ${leaves.join()})`;
  }
  const { byteLength, float } = type;
  return float ? (byteLength === 4 ? "f" : "d") : `${byteLength}`;
}

function makeCode(
  parameters: CallbackDefinition["parameters"],
  result: CallbackDefinition["result"],
  { byteOffsets, structures, result: resultPlace }: ArgumentLayout,
): SignatureCode {
  const { words } = core();
  const { addressKind } = backend();
  const names: string[] = [];
  let reads = "";
  let copies = "";
  let values = "";
  const passed: (Passed | undefined)[] = [];
  for (const [index, type] of parameters.entries()) {
    const name = `a${index}`;
    names.push(name);
    passed.push(isRecord(type) ? new Passed(type) : undefined);
    if (isRecord(type)) {
      reads += `let ${name};\n`;
      copies += `${name} = ${readStructure(index, structures[index] as StructurePlace)};\n`;
      continue;
    }
    reads += `let ${name} = ${readWord(type, present(byteOffsets[index]), addressKind)};\n`;
    if (type !== "handle" && type !== "handle*") continue;
    values += `const ${name}id = ${name}; ${name} = handles.valueOr(${name}id, none);
      if (${name} === none) { invalidHandle(upcall, ${name}id, ${index}); return; }\n`;
  }
  const refuse = (upcall: Upcall, value: unknown, subject: string): never => {
    refusePromise(upcall, value);
    if (result === "pointer") checkReturned(value);
    throw mismatch(result, value, `${subject} (${typeName(result)})`);
  };
  const scope = {
    ...words,
    badResult: (upcall: Upcall, value: unknown): never =>
      refuse(upcall, value, `Cannot return from callback "${upcall.name}": the result`),
    badAnswer: (upcall: Upcall, value: unknown): never =>
      refuse(upcall, value, `Cannot answer C for callback "${upcall.name}": what onError gave`),
    badFallback(upcall: { name: string }, value: unknown): never {
      if (result === "pointer") checkReturned(value);
      throw blameCaller(
        mismatch(result, value, `Cannot create callback "${upcall.name}": the fallback (${typeName(result)})`),
      );
    },
    dangling,
    checkUse,
    refusePromise,
    stale,
    interrupted,
    tooDeep,
    failed,
    invalidHandle,
    structures: passed,
    returned: isRecord(result) ? new Passed(result) : undefined,
  };
  const checkResult = result === "pointer" ? "if (dangling.some) checkUse(result); " : "";
  // Where the arguments are given, what a promise is rejected with goes to `onError`.
  const write = (bad: string, given = "undefined"): string =>
    isRecord(result)
      ? writeStructure(resultPlace as ResultPlace, `Cannot return from callback "\${upcall.name}": the result`)
      : result === "void"
      ? `if (result !== undefined) refusePromise(upcall, result, ${given});`
      : checkResult + writeResult(result, "result", resultWord * 8, `${bad}(upcall, result)`, addressKind);
  const given = `[${names.join(", ")}]`;
  const structureReads = copies === "" ? "" : `try { ${copies} } catch (error) {
        if (i32[${attentionWord}] === 0 || interrupted(upcall) !== ${skips}) failed(upcall, error, ${given}, resultAddress);
        return;
      }`;
  const resultAddress = resultPlace?.memory === true
    ? readWord("pointer", resultsByteOffset, addressKind)
    : "undefined";
  // The core has put the fallback where the result goes: leaving is answering with it. All arguments are read before
  // anything else runs, a report's listener among it, since a callback inside this one uses the same words.
  const invoke = `
    function invoke(upcall) {
      const fn = upcall.fn;
      if (fn === null) { stale(upcall); return; }
      const resultAddress = ${resultAddress};
      ${reads}
      ${structureReads}
      let state = ${runs};
      if (i32[${attentionWord}] !== 0 && (state = interrupted(upcall)) === ${skips}) return;
      ${values}
      try {
        if (state === ${overflows}) throw tooDeep(upcall);
        let result = fn(${names.join(", ")});
        ${write("badResult", given)}
      } catch (error) {
        failed(upcall, error, ${given}, resultAddress);
      }
    }`;
  const writer = (bad: string): (value: unknown, upcall: { name: string }, resultAddress?: Address) => void =>
    generate(scope, `return (result, upcall, resultAddress) => { ${write(bad)} };`) as ReturnType<typeof writer>;
  const invoker = generate(scope, `return (${invoke});`) as SignatureCode["invoke"];
  let writeFallback: ReturnType<typeof writer> | undefined;
  let writeAnswer: ReturnType<typeof writer> | undefined;
  return {
    invoke: invoker,
    writeAnswer: (value, upcall, address) => (writeAnswer ??= writer("badAnswer"))(value, upcall, address),
    fallbackBits(value, name) {
      if (isRecord(result)) return refuseFallback(name);
      // A callback may be running: its result word is put back.
      const old = words.u64[resultWord];
      words.u64[resultWord] = 0n;
      try {
        (writeFallback ??= writer("badFallback"))(value, { name });
        return words.u64[resultWord];
      } finally {
        words.u64[resultWord] = present(old);
      }
    },
  };
}

/** A structure on its way between the words and a value: in memory of its own where it is passed in pieces, or by address. */
class Passed {
  readonly view: DataView<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly read: ReturnType<typeof readerOf>;
  readonly write: ReturnType<typeof writerOf>;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(type: RecordType) {
    const layout = Aggregate.layoutOf(type);
    // A piece may go on behind its end.
    const buffer = new ArrayBuffer(Math.ceil(layout.byteLength / 8) * 8);
    this.view = new DataView(buffer);
    this.u32 = new Uint32Array(buffer);
    this.#bytes = new Uint8Array(buffer, 0, layout.byteLength);
    this.read = readerOf(layout);
    this.write = writerOf(layout);
  }

  /** What is at an address. */
  readFrom(address: Address): unknown {
    copyOut(this.#bytes, address, 0, this.#bytes.byteLength);
    return this.read(this.view, 0);
  }

  /** A value as it is in memory. Reading it may run anything, so no two share that. @throws {TypeError | RangeError} When it is none. */
  written(value: unknown, subject: string): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(this.u32.length);
    this.write(new DataView(words.buffer), 0, value, subject);
    return words;
  }

  /** Puts a value at an address. @throws {TypeError | RangeError} When it is none; nothing is written then. */
  writeTo(address: Address, value: unknown, subject: string): void {
    const { length } = this.#bytes;
    copyIn(address, 0, new Uint8Array(this.written(value, subject).buffer, 0, length), length);
  }
}

/** An expression for a structure that was passed. */
function readStructure(index: number, { whole, pieces, address }: StructurePlace): string {
  const passed = `structures[${index}]`;
  if (whole !== undefined) return `${passed}.read(view, ${whole})`;
  if (address !== undefined) return `${passed}.readFrom(${readWord("pointer", address, backend().addressKind)})`;
  const moves = movePieces(pieces, (to) => `u32[${to / 4}]`, (from) => `${passed}.u32[${from / 4}]`, true);
  return `(() => { ${moves} return ${passed}.read(${passed}.view, 0); })()`;
}

/** Statements that put `result`, a structure, to where it is returned, and say so. */
function writeStructure(result: ResultPlace, subject: string): string {
  const done = `u32[${resultWord * 2}] = 1;`;
  if (result.memory) {
    return `refusePromise(upcall, result); returned.writeTo(resultAddress, result, \`${subject}\`); ${done}`;
  }
  const { whole, pieces } = result.place;
  const moves = movePieces(
    whole === undefined ? pieces : [{ from: 0, to: whole, byteLength: Math.ceil(result.byteLength / 8) * 8 }],
    (from) => `written[${from / 4}]`,
    (to) => `u32[${(resultsByteOffset + to) / 4}]`,
  );
  return `refusePromise(upcall, result); const written = returned.written(result, \`${subject}\`); ${moves} ${done}`;
}

function refuseFallback(name: string): never {
  throw new TypeError(`Cannot create callback "${name}": the fallback of a structure is zeroes`);
}

/** What a signature's first call does: has its code generated. Many callbacks are made and never called. */
function invokeFirst(upcall: Upcall): void {
  // What the invoker looks at first.
  if (upcall.fn === null) return stale(upcall);
  const { signature } = upcall;
  try {
    upcall.invoke = signature.invoke = signature.code.invoke;
  } catch (error) {
    // A program that forbids to generate code from now on, say. It is tried again with the next call.
    if (core().words.u32[attentionWord] === 0 || interrupted(upcall) !== skips) raise(error, upcall, upcall.lentTo);
    return;
  }
  upcall.invoke(upcall);
}

/**
 * Refuses a promise, which can't answer C. Where C has gone on without an answer, its rejection is an error of the callback.
 *
 * @param given The arguments that C gave: `onError` gets them with the rejection. Without them it is raised.
 */
function refusePromise(upcall: Upcall | { readonly name: string }, value: unknown, given?: unknown[]): void {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return;
  const then: unknown = (value as { then?: unknown }).then;
  if (typeof then !== "function") return;
  // C has gone on with the fallback long since.
  const answersNobody = upcall instanceof Upcall && upcall.contract?.thread === "post";
  // By then the callback may be gone, and its options with it.
  const onError = answersNobody && given !== undefined ? upcall.onError : undefined;
  // Its rejection has been answered for otherwise: the error below says all there is to say.
  const rejected = answersNobody ? (error: unknown) => rejectedLater(onError, error, given) : () => {};
  try {
    then.call(value, undefined, rejected);
  } catch (error) {
    // Not a promise that takes it: for who answers C, what is wrong with it stays the same.
    if (answersNobody) throw error;
  }
  if (answersNobody) return;
  throw new TypeError(`Cannot return from callback "${upcall.name}": the result is a promise, and C can't wait for it`);
}

/** What an `async` function that C doesn't wait for was rejected with. */
function rejectedLater(onError: ErrorFunction | undefined, error: unknown, given: unknown[] = []): void {
  if (onError === undefined) return reportUncaught(error);
  try {
    const answer: unknown = onError(error, ...given as never[]);
    // C wants no answer; an async function of the program's may fail, too.
    if (answer instanceof Promise) answer.then(undefined, reportUncaught);
  } catch (thrown) {
    reportUncaught(thrown);
    if (thrown !== error) reportUncaught(error);
  }
}

function invalidHandle(upcall: Upcall, id: number, index: number): void {
  upcallCounts.invalidHandles += 1;
  if (upcall.handleReported) return;
  upcall.handleReported = true;
  const error = new InvalidHandleError("Cannot use", id, handleTable().invalidReason(id));
  const what = `C called callback "${upcall.name}" with an invalid handle as parameter ${
    index + 1
  }, and got its fallback`;
  aside(() => report("invalid-handle", `${what}: ${error.message}`, error));
}

/** A call of a callback whose function is gone. */
function stale(upcall: Upcall): void {
  upcallCounts.staleCalls += 1;
  reportStale(upcall);
}

function reportStale(upcall: Upcall): void {
  if (upcall.staleReported) return;
  upcall.staleReported = true;
  const what = upcall.lent
    ? `C called the function that was ${upcall.name} after that call had returned, and got zero; make a callback() of what ` +
      "C keeps"
    : upcall.collected
    ? `C called callback "${upcall.name}" after it was garbage-collected, and got its fallback; keep a callback for as long ` +
      "as C may call it"
    : `C called callback "${upcall.name}" after it was disposed of, and got its fallback`;
  aside(() => report("stale-callback", what));
}

// What becomes of a call where something waits for JavaScript: numbers, since generated code has them as constants.
const runs = 0;
const skips = 1;
const overflows = 2;

/** Looks what waits, and answers whether the call runs, gets its fallback, or has too little stack left. */
function interrupted(upcall: Upcall): typeof runs | typeof skips | typeof overflows {
  // A listener's calls write it, too.
  const overflow = core().words.u32[overflowWord] !== 0;
  look();
  if (errorWaitsHere() && !upcall.always) return skips;
  return overflow ? overflows : runs;
}

function tooDeep(upcall: Upcall): RangeError {
  return new RangeError(
    `Cannot call callback "${upcall.name}": the stack is nearly used up (C and TypeScript have called each other too ` +
      "deep, or C uses much of it)",
  );
}

/**
 * What becomes of an error: `onError` answers C, at once. Where there is none, or that throws, the error is raised, and the
 * fallback is the answer.
 *
 * @param given The arguments that C gave.
 */
function failed(upcall: Upcall, error: unknown, given: unknown[], resultAddress: Address | undefined): void {
  const { onError } = upcall;
  if (onError !== undefined) {
    try {
      const answer = onError(error, ...given as never[]);
      if (answer !== undefined) upcall.signature.code.writeAnswer(answer, upcall, resultAddress);
      return;
    } catch (thrown) {
      raise(thrown, upcall, upcall.lentTo);
      // The first one isn't lost: it is the next of the call's errors.
      if (thrown === error) return;
    }
  }
  raise(error, upcall, upcall.lentTo);
}

/** Tells what thunks have to tell of calls from elsewhere: those that got the fallback once for each callback. */
function reportNoted(where: string | undefined): void {
  const depth = takeCallInVain(where !== undefined);
  takeNoted((index) => {
    const upcall = upcalls[index];
    if (upcall === undefined) return;
    const notes = thunkNotes(index);
    const { contract } = upcall;
    // Threads that may call until the program ends have done nothing wrong when they go on.
    const ended = contract !== undefined && core().words.u32[liveWord] === 0;
    // Where the callback is gone, the native call is not to blame.
    const inVain = upcall.fn === null ? 0 : notes.inVain;
    if (inVain > 0 && depth > 0) {
      throwInVain(depth, inVainOf(upcall), inVain);
      if (contract === undefined) upcall.thrownCalls += inVain;
    }
    const refused = notes.foreignCalls > upcall.thrownCalls;
    if (refused && !upcall.foreignReported && !ended) reportForeignCalls(upcall);
    if (notes.dropped > 0 && !upcall.droppedReported) {
      upcall.droppedReported = true;
      const what = `the queue of callback "${upcall.name}" was full, and calls of it are being dropped`;
      aside(() => report("dropped-calls", what));
    }
    const timeouts = notes.timeouts + (depth > 0 ? 0 : inVain);
    if (contract !== undefined && timeouts > 0) reportTimeouts(upcall, contract, timeouts, where);
  });
}

/** What the native call throws in which JavaScript was while other threads called a callback in vain. */
function inVainOf(upcall: Upcall): InVain {
  const { name, contract, lent, signature: { hasStructures, definition: { result } } } = upcall;
  const errorFor = (call: string, count: number): Error => {
    const remedy = `declare "${call}" with nonblocking: true`;
    const often = count === 1 ? "" : ` ${count} times`;
    const what = `C called callback "${name}" from another thread${often} while "${call}" ran`;
    if (contract === undefined) {
      const cure = hasStructures
        ? "and one that takes or returns structures can't be called from elsewhere"
        : lent
        ? remedy
        : `make it with thread: "wait" and ${remedy}${result === "void" ? '; or make it with thread: "post"' : ""}`;
      const message = `${what}, and got its fallback: the callback is called on JavaScript's thread only; ${cure}`;
      return blameCaller(new CallbackThreadError(message, name, call));
    }
    const { timeoutMs } = contract;
    const waited = count === 1 ? `waited ${timeoutMs} ms` : `waited up to ${timeoutMs} ms`;
    const message =
      `${what}, ${waited}, and got its fallback: JavaScript was in that native call. Since its threads call ` +
      `back, ${remedy}`;
    return blameCaller(new CallbackTimeoutError(message, name, call, timeoutMs));
  };
  return { callback: upcall, waits: contract !== undefined, errorFor };
}

function reportForeignCalls(upcall: Upcall): void {
  upcall.foreignReported = true;
  // One that other threads may call is called by them when it is gone, too.
  if (upcall.fn === null && upcall.contract !== undefined) return reportStale(upcall);
  const from = "another thread, from a coroutine's or a signal's stack, or with no stack left for it,";
  const remedy = upcall.contract !== undefined
    ? ""
    : upcall.signature.hasStructures
    ? "; one that takes or returns structures can't be called from other threads"
    : '; for calls from other threads it takes thread: "wait" or "post"';
  aside(() => report("foreign-call", `C called callback "${upcall.name}" from ${from} and got its fallback${remedy}`));
}

function reportTimeouts(upcall: Upcall, { timeoutMs }: Contract, count: number, where: string | undefined): void {
  const { name } = upcall;
  const why = where === undefined
    ? "JavaScript was busy all the time"
    : `JavaScript was busy until the native call "${where}" returned; if that takes long or waits for the thread, declare ` +
      "it with nonblocking: true";
  const often = count === 1 ? "" : ` ${count} times`;
  const error = new CallbackTimeoutError(
    `C called callback "${name}" from another thread${often}, waited ${timeoutMs} ms, and got its fallback: ${why}`,
    name,
    where,
    timeoutMs,
  );
  aside(() => report("timeout", error.message, error));
}

/** Puts a function behind a thunk. @throws {RangeError} When no thunk is left. */
export function bind(
  signature: Signature,
  name: string | UpcallFunction,
  fn: UpcallFunction,
  fallback: bigint,
): Upcall {
  const thunk = thunkPool().acquire(signature.thunks);
  const { layout, resultByteLength } = signature;
  describeThunk(thunk, layout, resultByteLength === 0 ? fallback : BigInt(resultByteLength));
  const upcall = new Upcall(signature, thunk, name, fn);
  upcalls[thunk] = upcall;
  upcallCounts.live += 1;
  return upcall;
}

/**
 * Takes the function away: what C may still hold of it answers with the fallback, and is counted. Does nothing the second
 * time.
 */
export function unbind(upcall: Upcall): void {
  if (upcall.fn === null) return;
  const { contract, thunk } = upcall;
  contract?.end();
  // Where the stack ends, JavaScriptCore may leave out a `catch`. So what says that it is done comes after what may fail.
  thunkPool().release(thunk, upcall.signature.thunks);
  upcall.fn = null;
  upcallCounts.live -= 1;
  contract?.tell();
  if (isFresh[thunk]) return;
  if (freshTombstones.length === 0) queueMicrotask(finishTombstones);
  freshTombstones.push(thunk);
  isFresh[thunk] = true;
}

/**
 * Thunks whose function went in this turn. Until its end the tombstone has `onError`, for a call that is running, and the
 * function, for its name.
 */
const freshTombstones: number[] = [];
const isFresh: boolean[] = [];

/** Leaves of a tombstone what reports need. Where the thunk is in use again by now, nobody will ask. */
function finishTombstones(): void {
  for (const thunk of freshTombstones) {
    const upcall = upcalls[thunk];
    if (upcall?.fn === null) {
      void upcall.name;
      upcall.onError = undefined;
    }
    isFresh[thunk] = false;
  }
  freshTombstones.length = 0;
}
