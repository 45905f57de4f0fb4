/**
 * Calls whose arguments are put where C expects them, in a block that the core makes the call from: nonblocking ones, which
 * answer a promise; those that pass structures by value or are variadic, which no two runtimes do alike; those that want
 * C's error number, which is gone when a runtime has returned. For each function of a library one is generated, which checks
 * the arguments as `direct_call.ts` does.
 *
 * @module
 */

import {
  callByteLength,
  callCaptureErrorByteOffset,
  callErrorByteOffset,
  callFloatResultsByteOffset,
  callFunctionByteOffset,
  callIndirectResultByteOffset,
  callIntegerResultsByteOffset,
  callIsolateByteOffset,
  callStackKilobytesByteOffset,
  callStackWordsByteOffset,
  callStringResultByteOffset,
  callSuspendsByteOffset,
  callTailResultByteOffset,
  liveWord,
  maxCalls,
  tailResultFloat,
  tailResultInteger,
  tailResultNone,
} from "../core/record.ts";
import { unbind } from "../callbacks/binding.ts";
import type { BoundFunction, TargetFunction } from "../callbacks/bound_function.ts";
import { defaultTimeoutMs } from "../callbacks/options.ts";
import { openContract } from "../callbacks/queued.ts";
import { blocks, callMaker, ended, freeBlock, takeBlock } from "../core/call_blocks.ts";
import { core, coreFunction } from "../core/core.ts";
import { errorIsDue, nativeCallUrl, takeError } from "../core/pending.ts";
import { movePieces, readerOf, writerOf } from "../crossing/fields.ts";
import { generate, sourceUrl } from "../crossing/generate.ts";
import { Aggregate, classOf, isRecord, structureClass } from "../crossing/layout.ts";
import type { LentView } from "../crossing/lent.ts";
import { fromResult, isCallbackDefinition, isOut, readResult, writeArgument } from "../crossing/marshal.ts";
import { blameCaller, RangeError } from "../ground/blame.ts";
import { present } from "../ground/present.ts";
import { addCleanup, type Cleanup } from "../lifetime/cleanup.ts";
import type { Address, NativeSignature } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import {
  type ArgumentLayout,
  argumentLayout,
  isPacked,
  type StructurePlace,
  variadicTwin,
} from "../types/calling_convention.ts";
import type { FunctionDefinition, ParameterType, ResultType, SuspendingCallOptions } from "../types/definitions.ts";
import { numberNames } from "../types/scalars.ts";
import {
  afterCall,
  type ArgumentChecks,
  argumentChecks,
  callEnds,
  duringCall,
  type LibraryCall,
  type LibraryOwner,
  list,
  named,
} from "./arguments.ts";
import { type NonblockingCall, startCall } from "./nonblocking.ts";
import {
  callBackFunction,
  endOwnStackCall,
  makeOwnStackCall,
  ownStackScope,
  passingSignature,
  passingWay,
  startWay,
} from "./own_stack.ts";
import { checkedSignal, giveUpAll, startSuspending, type SuspendingCall } from "./suspending.ts";

let resolveNext: (value: unknown) => void;
let rejectNext: (error: unknown) => void;
function ignore(): void {}
/** One executor for all promises: making one for each takes longer than the rest. */
function executor(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
  resolveNext = resolve;
  rejectNext = reject;
}

const views = [...numberNames, "view"];

/** Statements that find the block at `index`. */
const place = `const { ${views.join(", ")} } = blocks.words;
  const b8 = index * ${callByteLength / 8}, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;`;

/** What {@linkcode place} declares, for one block: engines work out where constants of a function's are. */
function fixedPlace(index: number): Readonly<Record<string, unknown>> {
  const b8 = index * callByteLength / 8;
  return { ...blocks.words, b8, b4: b8 * 2, b2: b8 * 4, b1: b8 * 8 };
}

/** A statement that puts a number into a 64-bit field of a block. */
function writeWord(byteOffset: number, number: string): string {
  return `${word(byteOffset)} = ${number}; ${word(byteOffset + 4)} = ${number} / 4294967296;`;
}

/** A statement that writes an address which is always the same. */
function writeAddress(byteOffset: number, address: Address): string {
  const bits = BigInt(address);
  return `${word(byteOffset)} = ${BigInt.asUintN(32, bits)}; ${word(byteOffset + 4)} = ${bits >> 32n};`;
}

/** An expression for the 32-bit word of a block at a byte offset. */
function word(byteOffset: number): string {
  return `u32[b4 + ${byteOffset / 4}]`;
}

/** Statements that write the structure in a variable to where it is passed. */
function writeStructure(index: number, name: string, { whole, pieces, address, copy = 0 }: StructurePlace): string {
  const write = (byteOffset: number): string => `write${index}(view, b1 + ${byteOffset}, ${name}, subject${index});`;
  if (whole !== undefined) return write(whole);
  if (address === undefined) return `${write(copy)} ${movePieces(pieces, (from) => word(copy + from), word)}`;
  return `${write(copy)} { const copy = blocks.base + b1 + ${copy}; ${writeWord(address, "copy")} }`;
}

/** What {@linkcode writeStructure} names: engines only inline what is a constant of its own. */
function structureScope(key: string, parameters: readonly ParameterType[]): Readonly<Record<string, unknown>> {
  const scope: Record<string, unknown> = {};
  for (const [index, type] of parameters.entries()) {
    if (!isRecord(type)) continue;
    scope[`write${index}`] = writerOf(Aggregate.layoutOf(type));
    scope[`subject${index}`] = `Cannot call "${key}": argument ${index + 1}`;
  }
  return scope;
}

/** What a result takes: statements for before the call and after it, and an expression. */
interface ResultSource {
  readonly before: string;
  readonly after: string;
  readonly value: string;
}

function resultSource(type: ResultType, { result: place }: ArgumentLayout): ResultSource {
  if (place === undefined) {
    const byteOffset = type === "f32" || type === "f64" ? callFloatResultsByteOffset : callIntegerResultsByteOffset;
    return { before: "", after: "", value: readResult(type, byteOffset, backend().addressKind) };
  }
  const read = (byteOffset: number): string => `readStructure(view, b1 + ${byteOffset})`;
  if (place.memory) {
    const { address = callIndirectResultByteOffset, copy } = place;
    const before = `{ const copy = blocks.base + b1 + ${copy}; ${writeWord(address, "copy")} }`;
    return { before, after: "", value: read(copy) };
  }
  const { whole, pieces } = place.place;
  if (whole !== undefined) return { before: "", after: "", value: read(callIntegerResultsByteOffset + whole) };
  // Where the arguments were, which have been used.
  return {
    before: "",
    after: movePieces(pieces, (to) => word(callIntegerResultsByteOffset + to), word, true),
    value: read(0),
  };
}

/** The pieces of a function's source that both kinds of block calls have. */
interface Pieces {
  readonly key: string;
  /** Its parameters. */
  readonly names: readonly string[];
  /** Statements: what comes first; what checks the arguments and fills the block at a place; what is the same for all calls. */
  readonly begin: string;
  readonly fill: string;
  readonly prepare: string;
  /** Statements for when the call has been made, and an expression for what it gives. */
  readonly after: string;
  readonly result: (views?: string) => string;
  /**
   * Where C's function is called with the arguments themselves: statements that check them, variables of what is passed, what the
   * runtime is told, and an expression for what the function gives.
   */
  readonly passing?: {
    readonly check: string;
    readonly passed: readonly string[];
    readonly signature: NativeSignature;
    readonly result: string;
  } | undefined;
  /** Variables of memory, functions and pointers that C has, and of out-parameters. */
  readonly kept: readonly string[];
  readonly lent: readonly string[];
  readonly pointers: readonly string[];
  /** Parameters of what may own something that C has: callbacks, memory. */
  readonly owners: readonly string[];
  readonly outs: readonly string[];
  /** Statements that take back what was lent. */
  readonly unlend: string;
}

/** @throws {RangeError} When too many arguments would be on the stack. */
function piecesOf(key: string, definition: FunctionDefinition, address: Address, checked: ArgumentChecks): Pieces {
  const { parameters, result, nonblocking = false, suspends = false, captureErrno = false, variadic, stackSize = 0 } =
    definition;
  const { addressKind, platform } = backend();
  const { names, passed, lent, kept, surplus, checks, value } = checked;
  const layout = argumentLayout(parameters.map(classOf), platform, {
    what: () => `"${key}"`,
    result: isRecord(result) ? structureClass(result) : undefined,
    fixed: variadic,
  });
  // Reading a structure's fields may run anything: it is done before buffers are looked at.
  const structures = passed.map((name, index) => {
    const place = layout.structures[index];
    return place === undefined ? "" : writeStructure(index, name, place);
  });
  const writes = passed.map((name, index) => {
    if (layout.structures[index] !== undefined) return "";
    const byteOffset = present(layout.byteOffsets[index]);
    const parameter = present(parameters[index]);
    const type = isOut(parameter) ? "buffer" : parameter;
    const write = (place: number): string => writeArgument(type, name, place, isPacked(platform, place), addressKind);
    const twin = variadic === undefined ? undefined : variadicTwin(platform, byteOffset);
    return twin === undefined ? write(byteOffset) : `${write(byteOffset)} ${write(twin)}`;
  });
  const { before, after, value: resultValue } = resultSource(result, layout);
  const signature = definition.stack === "own" ? passingSignature(definition) : undefined;
  const error = captureErrno ? word(callErrorByteOffset) : undefined;
  return {
    key,
    names,
    begin: `
      if (owner.closed) closed();
      ${surplus}
      ${lent.map((name) => `let ${name} = null;`).join(" ")}`,
    fill: `
        ${structures.join("\n")}
        ${checks.join("\n")}
        ${writes.join("\n")}
        if (owner.closed) closed();`,
    prepare: `
      ${before}
      ${writeAddress(callFunctionByteOffset, address)}
      ${word(callStackWordsByteOffset)} = ${layout.stackWords};
      ${word(callStringResultByteOffset)} = ${result === "cstring" && nonblocking ? 1 : 0};
      ${word(callCaptureErrorByteOffset)} = ${captureErrno ? 1 : 0};
      ${word(callSuspendsByteOffset)} = ${suspends ? 1 : 0};
      ${word(callStackKilobytesByteOffset)} = ${Math.ceil(stackSize / 1024)};
      ${signature === undefined ? "" : writeAddress(callIsolateByteOffset, core().isolate)}`,
    after,
    result: (views) => value(resultValue, views === undefined ? { error } : { error, views }),
    passing: signature && {
      check: `
        ${checks.join("\n")}
        if (owner.closed) closed();`,
      passed,
      signature,
      result: value(`(left === 0 ? ${fromResult(result, "result")} : ${resultValue})`),
    },
    kept,
    lent,
    pointers: passed.filter((_, index) => parameters[index] === "pointer"),
    owners: passed.filter((_, index) => {
      const type = present(parameters[index]);
      return type === "pointer" || type === "function" || isCallbackDefinition(type);
    }),
    outs: passed.filter((_, index) => isOut(present(parameters[index]))),
    unlend: lent.map((name) => `if (${name} !== null) unbind(${name});`).join(" "),
  };
}

/**
 * The source of a function that answers a promise. From where the call is started, the block is the call's.
 *
 * @param suspends Whether options follow the arguments.
 */
function laterSource(
  { key, names, begin, fill, prepare, after, result, ...pieces }: Pieces,
  suspends: boolean,
): string {
  const { kept, lent, pointers, owners, outs, unlend } = pieces;
  const read = outs.length === 0 ? "read" : `(index, kept) => read(index, kept, ${outs.join(", ")})`;
  const options = `
      const signal = signalOf(arguments[${names.length}]);`;
  const call = `function (${names.join(", ")}) {
      ${begin}${suspends ? options : ""}
      ${owners.length === 0 ? "" : `const owners = ${list(owners)};`}
      let index = -1;
      try {
        index = takeBlock(key);
        ${place}
        ${fill}
        ${prepare}
        const started = index;
        index = -1;
        return start(started, ${list(kept)}, ${list(lent)}, ${list(pointers)}, ${read}, ${
    owners.length === 0 ? "undefined" : "owners"
  }${suspends ? ", signal" : ""});
      } catch (error) { if (index >= 0) freeBlock(index); ${unlend} throw error; }
    }`;
  return `
    const read = (${["index", "kept", ...outs].join(", ")}) => {
      ${place} ${after} return ${result("kept")};
    };
    const call = ${named(key, call)};
    return { close() {}, ${suspends ? "giveUp: endCalls, " : ""}call };`;
}

/** The state of a function whose calls are made at once: of its own block. */
const isReady = 0;
const isCalled = 1;
const isNew = 2;

/**
 * The source of a function whose calls are made at once, in the block at `index`, or in one that each call takes.
 *
 * @param counted Whether the library has to know of calls that are running.
 * @param own Whether C has a stack of its own.
 */
function atOnceSource(
  { key, names, begin, fill, prepare, after, result, passing, kept, unlend }: Pieces,
  counted: boolean,
  own: boolean,
  index?: number,
): string {
  const keeps = kept.length > 0;
  const fixed = index !== undefined;
  const passes = own && fixed ? passing : undefined;
  const way = passes === undefined ? startWay : passingWay(passes.passed);
  const [first, take, giveBack] = fixed
    ? [
      `if (i32s[${liveWord}] === 0) ended(key);
      if (block !== ${isReady} && isNested()) return nested(${names.join(", ")});`,
      `block = ${isCalled};`,
      `block = ${isReady}; if (owner.closed) close();`,
    ]
    : ["let index = -1;", `index = takeBlock(key); ${place} ${prepare}`, "if (index >= 0) freeBlock(index);"];
  const call = `function (${names.join(", ")}) {
      ${begin}
      ${first}
      ${keeps ? "const lentOutside = lent.running;" : ""}
      ${counted ? "owner.running += 1;" : ""}
      ${own ? "let outside = -1;" : ""}
      try {
        ${take}
        ${passes?.check ?? fill}
        ${keeps ? `lent.running = { outer: lentOutside, values: ${kept.length === 1 ? kept[0] : list(kept)} };` : ""}
        ${own ? afterCall("i32s", makeOwnStackCall(way)) : duringCall("i32s", "make(isolate, index);")}
        ${after}
        return ${passes?.result ?? result()};
      } finally {
        ${giveBack}
        ${own ? endOwnStackCall : ""}
        ${keeps ? "lent.running = lentOutside;" : ""}
        ${unlend}
        ${counted ? "callEnds(owner);" : ""}
      }
    }`;
  const loop = own ? callBackFunction(way) : "";
  if (!fixed) return `${loop} return ${named(key, call)};`;
  return `
    const index = ${index};
    let block = ${isNew}, nested = null;
    const isNested = () => {
      if (block === ${isCalled}) return (nested ??= makeNested()) !== null;
      ${prepare}
      block = ${isReady};
      return false;
    };
    const close = () => {
      if (block === ${isCalled} || gone === null) return;
      gone.stop();
      gone = null;
      freeBlock(index);
    };
    let gone = giveBackWith(owner, index);
    ${loop}
    const call = ${named(key, call)};
    return { close, call };`;
}

/** Gives a function's own block back when its library is gone. */
function giveBackWith(owner: LibraryOwner, index: number): Cleanup {
  return addCleanup(owner, freeBlock, index);
}

/**
 * Generates a function whose calls are made at once. It has a block of its own. A call inside a call takes another one: such a
 * function is generated when there is one.
 */
function makeAtOnce(
  pieces: Pieces,
  owner: LibraryOwner,
  own: boolean,
  shared: Readonly<Record<string, unknown>>,
): LibraryCall {
  const { key } = pieces;
  const { isolate, words } = core();
  const scope = {
    ...shared,
    ...(own ? ownStackScope() : { make: callMaker() }),
    isolate,
    i32s: words.i32,
    errorIsDue,
    takeError,
    callEnds,
    ended,
  };
  const index = takeBlock(key);
  try {
    const source = atOnceSource(pieces, owner.counted, own, index);
    const makeNested = () => generate(scope, atOnceSource(pieces, owner.counted, own), nativeCallUrl(key));
    const made = { ...scope, ...fixedPlace(index), ...passingScope(pieces, own, index), giveBackWith, makeNested };
    return generate(made, source, nativeCallUrl(key)) as LibraryCall;
  } catch (error) {
    freeBlock(index);
    throw error;
  }
}

/** What a function names that calls C's with the arguments themselves. */
function passingScope({ passing }: Pieces, own: boolean, index: number): Readonly<Record<string, unknown>> {
  if (passing === undefined || !own) return {};
  const { stringOf, addressKind } = backend();
  const address = blocks.base + index * callByteLength;
  return {
    native: coreFunction(passing.signature),
    address: addressKind === "bigint" ? BigInt(address) : address,
    tagAndIndex: core().tag * maxCalls + index,
    stringOf,
  };
}

/**
 * What the generated code of calls names that answer a promise: what starts one, and what lends it a function.
 *
 * @param startAny Makes a call, or has it made.
 * @param elsewhere Whether another thread makes it, which then calls back.
 */
function laterScope(
  key: string,
  owner: LibraryOwner,
  startAny: typeof startSuspending,
  { lendFunction, entrance }: ArgumentChecks["scope"],
  elsewhere: boolean,
) {
  const ended = owner.counted ? () => callEnds(owner) : undefined;
  const same = new Set<SuspendingCall>();
  return {
    endCalls: () => giveUpAll(same, key, owner.name),
    start(
      index: number,
      kept: readonly LentView[] | undefined,
      functions: NonblockingCall["lent"],
      pointers: NonblockingCall["pointers"],
      read: NonblockingCall["read"],
      owners: NonblockingCall["owners"],
      signal?: AbortSignal,
    ): Promise<unknown> {
      resolveNext = rejectNext = ignore;
      const promise = new Promise(executor);
      if (resolveNext === ignore) {
        // No stack was left for the executor, which has rejected it.
        freeBlock(index);
        promise.catch(ignore);
        throw new RangeError(`Cannot call "${key}": the stack is used up`);
      }
      if (owner.counted) owner.running += 1;
      const resolve = resolveNext;
      const reject = rejectNext;
      // Without a spread, which takes a tenth of such a call.
      startAny(
        index,
        { read, kept, lent: functions, pointers, owners, resolve, reject, ended, name: key },
        signal,
        same,
      );
      return promise;
    },
    signalOf(options: unknown): AbortSignal | undefined {
      if (options === undefined) return undefined;
      try {
        return checkedSignal(key, options as SuspendingCallOptions);
      } catch (error) {
        throw blameCaller(error as Error, entrance.call);
      }
    },
    lendFunction(index: number, fn: TargetFunction): BoundFunction {
      const bound = lendFunction(index, fn);
      if (!elsewhere) return bound;
      try {
        openContract(bound, "wait", defaultTimeoutMs, undefined);
      } catch (error) {
        unbind(bound);
        throw error;
      }
      return bound;
    },
  };
}

/** Generates a function that fills a block with the arguments of a call, which the core makes, and answers its index. */
export function makeTailCall(
  key: string,
  definition: FunctionDefinition,
  address: Address,
  owner: LibraryOwner,
): (...args: unknown[]) => number {
  const checked = argumentChecks(key, definition, owner);
  const { names, begin, fill, prepare } = piecesOf(key, { ...definition, captureErrno: false }, address, checked);
  const { result } = definition;
  const kind = result === "void"
    ? tailResultNone
    : result === "f32" || result === "f64"
    ? tailResultFloat
    : tailResultInteger;
  const call = `function (${names.join(", ")}) {
      ${begin}
      let index = -1;
      try {
        index = takeBlock(key);
        ${place}
        ${fill}
        ${prepare}
        ${word(callTailResultByteOffset)} = ${kind};
        return index;
      } catch (error) { if (index >= 0) freeBlock(index); throw error; }
    }`;
  const scope = { ...checked.scope, blocks, takeBlock, freeBlock, viewAddress: backend().viewAddress };
  const made = generate(scope, `return ${named(key, call)};`, sourceUrl("tail-call", key)) as (
    ...args: unknown[]
  ) => number;
  checked.scope.entrance.call = made;
  return made;
}

/**
 * Generates the function.
 *
 * @param address The C function's.
 * @param owner What the function, and each of its calls, keeps alive: its library's record.
 * @throws {RangeError} When too many arguments would be on the stack.
 */
export function makeBlockCall(
  key: string,
  definition: FunctionDefinition,
  address: Address,
  owner: LibraryOwner,
): LibraryCall {
  const { parameters, result, nonblocking = false, stack, suspends = false } = definition;
  const checked = argumentChecks(key, definition, owner);
  const pieces = piecesOf(key, definition, address, checked);
  const { scope } = checked;
  const shared = {
    ...scope,
    blocks,
    takeBlock,
    freeBlock,
    viewAddress: backend().viewAddress,
    ...structureScope(key, parameters),
    readStructure: isRecord(result) ? readerOf(Aggregate.layoutOf(result)) : undefined,
  };
  const made = nonblocking || suspends
    ? generate(
      { ...shared, ...laterScope(key, owner, nonblocking ? startCall : startSuspending, scope, nonblocking) },
      laterSource(pieces, suspends),
      sourceUrl(nonblocking ? "nonblocking" : "suspending", key),
    ) as LibraryCall
    : makeAtOnce(pieces, owner, stack === "own", shared);
  scope.entrance.call = made.call;
  return made;
}
