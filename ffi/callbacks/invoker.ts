/**
 * What is called when C calls: a function is generated for each signature, which reads the arguments, calls, and writes the result.
 *
 * @module
 */

import { answeredWord, attentionWord, overflowWord, resultsByteOffset, resultWord } from "../core/record.ts";
import { core } from "../core/core.ts";
import { copyIn, copyOut } from "../core/memory.ts";
import { errorWaitsHere, look, raise } from "../core/pending.ts";
import { movePieces, readerOf, writerOf } from "../crossing/fields.ts";
import { generate, sourceUrl } from "../crossing/generate.ts";
import { Aggregate, isRecord } from "../crossing/layout.ts";
import { mismatch, readWord, typeName, writeResult } from "../crossing/marshal.ts";
import { checkReturned, checkUse, dangling } from "../crossing/pointer_rules.ts";
import { blameCaller, RangeError, TypeError } from "../ground/blame.ts";
import { present } from "../ground/present.ts";
import { reportUncaught } from "../lifetime/report.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { ArgumentLayout, ResultPlace, StructurePlace } from "../types/calling_convention.ts";
import type { RecordType } from "../types/data_type.ts";
import type { CallbackDefinition, NamedType } from "../types/definitions.ts";
import { BoundFunction, type ErrorFunction, type SignatureCode } from "./bound_function.ts";
import { invalidHandle, stale } from "./misuse.ts";
import { maySuspend, suspend, TailCall } from "./own_stack.ts";

/** How a callback's arguments are read, as source: all of them before anything else runs. */
interface ArgumentReads {
  /** A variable for each. */
  readonly names: readonly string[];
  /** Statements that read the words; that copy structures; that look up handles. */
  readonly reads: string;
  readonly copies: string;
  readonly values: string;
  /** What copies the structures, by the parameters. */
  readonly passed: readonly (Passed | undefined)[];
}

function argumentReads(
  parameters: CallbackDefinition["parameters"],
  { byteOffsets, structures }: ArgumentLayout,
): ArgumentReads {
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
    reads += `let ${name} = ${readWord(type, present(byteOffsets[index]), backend().addressKind)};\n`;
    if (type !== "handle" && type !== "handleAddress") continue;
    values += `const ${name}id = ${name}; ${name} = handles.valueOr(${name}id, none);
      if (${name} === none) { invalidHandle(bound, ${name}id, ${index}); return; }\n`;
  }
  return { names, reads, copies, values, passed };
}

/** What the generated code of callbacks names. */
function invokerScope(result: CallbackDefinition["result"], passed: ArgumentReads["passed"]) {
  const refuse = (bound: BoundFunction, value: unknown, subject: string): never => {
    refusePromise(bound, value);
    if (result === "pointer") checkReturned(value);
    throw mismatch(result, value, `${subject} (${typeName(result)})`);
  };
  return {
    ...core().words,
    badResult: (bound: BoundFunction, value: unknown): never =>
      refuse(bound, value, `Cannot return from callback "${bound.name}": the result`),
    badAnswer: (bound: BoundFunction, value: unknown): never =>
      refuse(bound, value, `Cannot answer C for callback "${bound.name}": what onError gave`),
    badFallback(bound: { name: string }, value: unknown): never {
      if (result === "pointer") checkReturned(value);
      throw blameCaller(
        mismatch(result, value, `Cannot create callback "${bound.name}": the fallback (${typeName(result)})`),
      );
    },
    dangling,
    checkUse,
    refusePromise,
    leaves,
    nothingGiven,
    stale,
    interrupted,
    tooDeep,
    failed,
    invalidHandle,
    structures: passed,
    returned: isRecord(result) ? new Passed(result) : undefined,
  };
}

/**
 * After how many calls a callback gets an invoker of its own. Engines learn of code, not of what it works on: in one for many
 * callbacks, each function would be called as a stranger.
 */
const callsOfOften = 4096;

/**
 * Generates what is called when C calls, and what writes other answers than the function's.
 *
 * @param answers Whether the core gives the result to a function of C's, if there is one.
 */
export function makeCode(
  parameters: CallbackDefinition["parameters"],
  result: CallbackDefinition["result"],
  layout: ArgumentLayout,
  answers: boolean,
): SignatureCode {
  const { words } = core();
  const { addressKind } = backend();
  const { result: resultPlace } = layout;
  const { names, reads, copies, values, passed } = argumentReads(parameters, layout);
  const scope = invokerScope(result, passed);
  const use = result === "pointer" ? "if (dangling.some) checkUse(result);" : "";
  const writeWord = (bad: string): string =>
    writeResult(result as NamedType, "result", resultWord * 8, `${bad}(bound, result)`, addressKind, use);
  // Where the arguments are given, what a promise is rejected with goes to `onError`.
  const write = (bad: string, given = "undefined"): string =>
    answers
      ? `if (result !== undefined) { ${writeWord(bad)} u32[${answeredWord}] = 1; }`
      : isRecord(result)
      ? writeStructure(resultPlace as ResultPlace, `Cannot return from callback "\${bound.name}": the result`)
      : result === "void"
      ? `if (result !== undefined) refusePromise(bound, result, ${given});`
      : writeWord(bad);
  const given = `[${names.join(", ")}]`;
  const structureReads = copies === "" ? "" : `try { ${copies} } catch (error) {
        if (i32[${attentionWord}] === 0 || interrupted(bound) !== ${skips}) failed(bound, error, ${given}, resultAddress);
        return;
      }`;
  const resultAddress = resultPlace?.memory === true
    ? readWord("pointer", resultsByteOffset, addressKind)
    : "undefined";
  // The core has put the fallback where the result goes: leaving is answering with it. All arguments are read before
  // anything else runs, a report's listener among it, since a callback inside this one uses the same words.
  const invokerSource = (begin: string): string =>
    `return (
    function invoke(bound) {
      const fn = bound.fn;
      if (fn === null) { stale(bound); return; }${begin}
      const resultAddress = ${resultAddress};
      ${reads}
      ${structureReads}
      let state = ${runs};
      if (i32[${attentionWord}] !== 0 && (state = interrupted(bound)) === ${skips}) return;
      ${values}
      try {
        if (state === ${overflows}) throw tooDeep(bound);
        let result = fn(${names.join(", ")});
        if ((typeof result === "object" || typeof result === "function") && result !== null &&
          leaves(bound, result, bound.onError === undefined ? nothingGiven : ${given}, resultAddress)) return;
        ${write("badResult", given)}
      } catch (error) {
        failed(bound, error, ${given}, resultAddress);
      }
    });`;
  // Without functions that the program may have replaced: this runs when C first calls.
  let types = "";
  for (const type of parameters) types += `${typeName(type)},`;
  const url = sourceUrl("callback", `${types}${typeName(result)}`);
  const writer = (bad: string): (value: unknown, bound: { name: string }, resultAddress?: Address) => void =>
    generate(scope, `return (result, bound, resultAddress) => { ${write(bad)} };`, url) as ReturnType<typeof writer>;
  const invokeOwn = (): SignatureCode["invoke"] => generate(scope, invokerSource(""), url) as SignatureCode["invoke"];
  let firstOften: BoundFunction | undefined;
  const separate = (bound: BoundFunction): void => {
    const own = invokeOwn();
    // What is lent for one call is another function with each; the parameter that takes it is the same.
    if (bound.lent) bound.signature.invoke = own;
    if (bound.fn !== null && bound.invoke === invoker) bound.invoke = own;
  };
  const often = (bound: BoundFunction): void => {
    // One alone is no stranger.
    if (firstOften === undefined) firstOften = bound;
    else if (!bound.lent || bound.signature !== firstOften.signature) {
      separate(firstOften);
      separate(bound);
    }
  };
  const counting = `
      if (++bound.calls === ${callsOfOften}) often(bound);`;
  const invoker = generate({ ...scope, often }, invokerSource(counting), url) as SignatureCode["invoke"];
  let writeFallback: ReturnType<typeof writer> | undefined;
  let writeAnswer: ReturnType<typeof writer> | undefined;
  let writeLater: ReturnType<typeof writer> | undefined;
  return {
    invoke: invoker,
    writeLater: (value, bound, address) => (writeLater ??= writer("badResult"))(value, bound, address),
    writeAnswer: (value, bound, address) => (writeAnswer ??= writer("badAnswer"))(value, bound, address),
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
    return `refusePromise(bound, result); returned.writeTo(resultAddress, result, \`${subject}\`); ${done}`;
  }
  const { whole, pieces } = result.place;
  const moves = movePieces(
    whole === undefined ? pieces : [{ from: 0, to: whole, byteLength: Math.ceil(result.byteLength / 8) * 8 }],
    (from) => `written[${from / 4}]`,
    (to) => `u32[${(resultsByteOffset + to) / 4}]`,
  );
  return `refusePromise(bound, result); const written = returned.written(result, \`${subject}\`); ${moves} ${done}`;
}

function refuseFallback(name: string): never {
  throw new TypeError(`Cannot create callback "${name}": the fallback of a structure is zeroes`);
}

/** What a signature's first call does: has its code generated. Many callbacks are made and never called. */
export function invokeFirst(bound: BoundFunction): void {
  // What the invoker looks at first.
  if (bound.fn === null) return stale(bound);
  const { signature } = bound;
  try {
    bound.invoke = signature.invoke = signature.code.invoke;
  } catch (error) {
    // A program that forbids to generate code from now on, say. It is tried again with the next call.
    if (core().words.u32[attentionWord] === 0 || interrupted(bound) !== skips) raise(error, bound, bound.callToken);
    return;
  }
  bound.invoke(bound);
}

/**
 * Refuses a promise, which can't answer C, but on a stack of C's own. Where C has gone on without an answer, its rejection is an error of the callback.
 *
 * @param given The arguments that C gave: `onError` gets them with the rejection. Without them it is raised.
 */
function refusePromise(bound: BoundFunction | { readonly name: string }, value: unknown, given?: unknown[]): void {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return;
  // What `onError` answers with.
  if (value instanceof TailCall && goesOn(bound, value)) throw endedByTailCall;
  const then: unknown = (value as { then?: unknown }).then;
  if (typeof then !== "function") return;
  // C has gone on with the fallback long since.
  const answersNobody = bound instanceof BoundFunction && bound.contract?.thread === "post";
  // By then the callback may be gone, and its options with it.
  const onError = answersNobody && given !== undefined ? bound.onError : undefined;
  // Its rejection has been answered for otherwise: the error below says all there is to say.
  const rejected = answersNobody ? (error: unknown) => rejectedLater(onError, error, given) : () => {};
  try {
    then.call(value, undefined, rejected);
  } catch (error) {
    // Not a promise that takes it: for who answers C, what is wrong with it stays the same.
    if (answersNobody) throw error;
  }
  if (answersNobody) return;
  throw new TypeError(
    `Cannot return from callback "${bound.name}": the result is a promise, and C can't wait for it here; it can where the function ` +
      "that calls back is defined with suspends: true",
  );
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

// What becomes of a call where something waits for JavaScript: numbers, since generated code has them as constants.
const runs = 0;
const skips = 1;
const overflows = 2;

/** Looks what waits, and answers whether the call runs, gets its fallback, or has too little stack left. */
function interrupted(bound: BoundFunction): typeof runs | typeof skips | typeof overflows {
  // A listener's calls write it, too.
  const overflow = core().words.u32[overflowWord] !== 0;
  look();
  if (errorWaitsHere() && !bound.always) return skips;
  return overflow ? overflows : runs;
}

function tooDeep(bound: BoundFunction): RangeError {
  return new RangeError(
    `Cannot call callback "${bound.name}": the stack is nearly used up (C and TypeScript have called each other too ` +
      "deep, or C uses much of it)",
  );
}

/**
 * What becomes of an error: `onError` answers C, at once. Where there is none, or that throws, the error is raised, and the
 * fallback is the answer.
 *
 * @param given The arguments that C gave.
 */
function failed(bound: BoundFunction, error: unknown, given: unknown[], resultAddress: Address | undefined): void {
  const { onError } = bound;
  if (onError !== undefined) {
    try {
      const answer = onError(error, ...given as never[]);
      if (answer !== undefined) bound.signature.code.writeAnswer(answer, bound, resultAddress);
      return;
    } catch (thrown) {
      // It answers by a tail call.
      if (thrown === endedByTailCall) return;
      raise(thrown, bound, bound.callToken);
      // The first one isn't lost: it is the next of the call's errors.
      if (thrown === error) return;
    }
  }
  raise(error, bound, bound.callToken);
}

/** Thrown where `onError` has answered by a tail call. */
const endedByTailCall: unique symbol = Symbol("ended by a tail call");

/** Has C go on with a tail call. @throws {TypeError} When it can't, or its result isn't the callback's. */
function goesOn(bound: BoundFunction | { readonly name: string }, call: TailCall): true {
  const what = `Cannot return from callback "${bound.name}": a tail call`;
  const signature = bound instanceof BoundFunction ? bound.signature : undefined;
  const result = (signature?.outer ?? signature)?.definition.result ?? "void";
  if (call.result !== "void" && result !== "void" && call.result !== result) {
    throw new TypeError(
      `${what} of "${call.name}" gives C ${typeName(call.result as never)} in place of ${
        typeName(result)
      }; define its result as ` +
        'the callback\'s, or as "void" if it never returns',
    );
  }
  if (call.make()) return true;
  throw new TypeError(
    `${what} takes a stack of C's own; define the function that calls back with stack: "own", or suspends`,
  );
}

/** What is kept of the arguments where nobody wants them. */
const nothingGiven: unknown[] = [];

/**
 * Whether a function has ended otherwise than by a result, on a stack of C's own: C waits for a promise, or goes on with
 * another call.
 */
function leaves(bound: BoundFunction, value: object, given: unknown[], resultAddress: Address | undefined): boolean {
  if (value instanceof TailCall) return goesOn(bound, value);
  if (!maySuspend() || typeof (value as { then?: unknown }).then !== "function") return false;
  suspend(bound, value, given, resultAddress);
  return true;
}

/** Writes what a callback's promise was fulfilled with as the result. */
export function answerLater(
  bound: BoundFunction,
  given: unknown[],
  resultAddress: Address | undefined,
  value: unknown,
): void {
  try {
    if (value instanceof TailCall) goesOn(bound, value);
    else bound.signature.code.writeLater(value, bound, resultAddress);
  } catch (error) {
    failed(bound, error, given, resultAddress);
  }
}

/** What becomes of what a callback's promise was rejected with. */
export function failLater(
  bound: BoundFunction,
  given: unknown[],
  resultAddress: Address | undefined,
  error: unknown,
): void {
  failed(bound, error, given, resultAddress);
}
