/**
 * Calls whose arguments are put where C expects them, in a block that the core makes the call from: nonblocking ones, which
 * answer a promise; those that pass structures by value or are variadic, which no two runtimes do alike; those that want
 * C's error number, which is gone when a runtime has returned. For each function of a library one is generated, which checks
 * the arguments as `downcall.ts` does.
 *
 * @module
 */

import { type ArgumentLayout, argumentLayout, isPacked, type StructurePlace, variadicTwin } from "./abi.ts";
import { Aggregate, classOf, isRecord, movePieces, readerOf, structureClass, writerOf } from "./aggregate.ts";
import type { Address } from "./backend.ts";
import { RangeError } from "./blame.ts";
import { addCleanup, type Cleanup } from "./cleanup.ts";
import { errorIsDue, nativeCallUrl, takeError } from "./calls.ts";
import { defaultTimeoutMs, openContract } from "./contracts.ts";
import { core } from "./core.ts";
import {
  callByteLength,
  callCaptureErrorByteOffset,
  callErrorByteOffset,
  callFloatResultsByteOffset,
  callFunctionByteOffset,
  callIndirectResultByteOffset,
  callIntegerResultsByteOffset,
  callStackWordsByteOffset,
  callStringResultByteOffset,
} from "./core/record.ts";
import { argumentChecks, callEnds, type Downcall, duringCall, type LibraryOwner, list, named } from "./downcall.ts";
import { generate } from "./helpers.ts";
import { isOut, readResult, writeArgument } from "./marshal.ts";
import { blocks, callMaker, freeBlock, type Outgoing, startCall, takeBlock } from "./outgoing.ts";
import type { LentView } from "./pointer_rules.ts";
import { present } from "./present.ts";
import { backend } from "./runtime.ts";
import type { FunctionDefinition, ParameterType, ResultType } from "./types.ts";
import { unbind, type Upcall, type UpcallFunction } from "./upcall.ts";

let resolveNext: (value: unknown) => void;
let rejectNext: (error: unknown) => void;
function ignore(): void {}
/** One executor for all promises: making one for each takes longer than the rest. */
function executor(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
  resolveNext = resolve;
  rejectNext = reject;
}

const views = ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", "view"];

/** Statements that find the block at `index`. */
const place = `const { ${views.join(", ")} } = blocks.words;
  const b8 = index * ${callByteLength / 8}, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;`;

/** Gives a function's own block back when its library is gone. */
function giveBackWith(owner: LibraryOwner, index: number): Cleanup {
  return addCleanup(owner, freeBlock, index);
}

/** A statement that puts a number into a 64-bit field of a block. */
function writeWord(byteOffset: number, number: string): string {
  return `${word(byteOffset)} = ${number}; ${word(byteOffset + 4)} = ${number} / 4294967296;`;
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
): Downcall {
  const { parameters, result, nonblocking = false, captureErrno = false, variadic } = definition;
  const { addressKind, platform, viewAddress } = backend();
  const { names, passed, lent, kept, checks, value, scope } = argumentChecks(key, definition, owner);
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
  const fn = BigInt(address);
  const error = captureErrno ? word(callErrorByteOffset) : undefined;
  // The same for all calls.
  const prepare = `
      ${before}
      ${word(callFunctionByteOffset)} = ${BigInt.asUintN(32, fn)};
      ${word(callFunctionByteOffset + 4)} = ${fn >> 32n};
      ${word(callStackWordsByteOffset)} = ${layout.stackWords};
      ${word(callStringResultByteOffset)} = ${result === "cstring" && nonblocking ? 1 : 0};
      ${word(callCaptureErrorByteOffset)} = ${captureErrno ? 1 : 0};`;
  const outs = passed.filter((_, index) => isOut(present(parameters[index])));
  const pointers = passed.filter((_, index) => parameters[index] === "pointer");
  const unlend = lent.map((name) => `if (${name} !== null) unbind(${name});`).join(" ");
  const fill = `
        ${place}
        ${structures.join("\n")}
        ${checks.join("\n")}
        ${writes.join("\n")}
        if (owner.closed) closed();`;
  const begin = `
      if (owner.closed) closed();
      ${lent.map((name) => `let ${name} = null;`).join(" ")}
      let index = -1;`;
  // From where it is started, the block is the call's.
  const later = `
    const read = (${["index", "kept", ...outs].join(", ")}) => {
      ${place} ${after} return ${value(resultValue, { error, views: "kept" })};
    };
    const call = ${
    named(
      key,
      `function (${names.join(", ")}) {
      ${begin}
      try {
        index = takeBlock(key);
        ${fill}
        ${prepare}
        const started = index;
        index = -1;
        return start(started, ${list(kept)}, ${list(lent)}, ${list(pointers)}, ${
        outs.length === 0 ? "read" : `(index, kept) => read(index, kept, ${outs.join(", ")})`
      });
      } catch (error) { if (index >= 0) freeBlock(index); ${unlend} throw error; }
    }`,
    )
  };
    return { close() {}, call };`;
  const keeps = kept.length > 0;
  // A block of the function's own is prepared once. A call inside a call takes another one.
  const atOnce = `
    let own = -2, busy = false, gone = null;
    const prepared = () => {
      const index = takeBlock(key);
      ${place}
      ${prepare}
      if (own < 0) { own = index; busy = true; gone = giveBackWith(owner, index); }
      return index;
    };
    const close = () => {
      if (own < 0 || busy) return;
      gone.stop();
      freeBlock(own);
      own = -2;
    };
    const call = ${
    named(
      key,
      `function (${names.join(", ")}) {
      ${begin}
      ${keeps ? "const keptOutside = calls.kept;" : ""}
      ${owner.counted ? "owner.running += 1;" : ""}
      try {
        if (own >= 0 && !busy) { busy = true; index = own; } else index = prepared();
        ${fill}
        ${keeps ? `calls.kept = { outer: keptOutside, values: ${kept.length === 1 ? kept[0] : list(kept)} };` : ""}
        ${duringCall("i32s", "make(isolate, index);")}
        ${after}
        return ${value(resultValue, { error })};
      } finally {
        if (index === own) { busy = false; if (owner.closed) close(); } else if (index >= 0) freeBlock(index);
        ${keeps ? "calls.kept = keptOutside;" : ""}
        ${unlend}
        ${owner.counted ? "callEnds(owner);" : ""}
      }
    }`,
    )
  };
    return { close, call };`;
  const ended = owner.counted ? () => callEnds(owner) : undefined;
  const start = (
    index: number,
    kept: readonly LentView[] | undefined,
    lent: Outgoing["lent"],
    pointers: Outgoing["pointers"],
    read: Outgoing["read"],
  ): Promise<unknown> => {
    resolveNext = rejectNext = ignore;
    const promise = new Promise(executor);
    if (resolveNext === ignore) {
      // No stack was left for the executor, which has rejected it.
      freeBlock(index);
      promise.catch(ignore);
      throw new RangeError(`Cannot call "${key}": the stack is used up`);
    }
    if (owner.counted) owner.running += 1;
    startCall(index, { read, kept, lent, pointers, resolve: resolveNext, reject: rejectNext, ended, name: key });
    return promise;
  };
  const lendFunction = (index: number, fn: UpcallFunction): Upcall => {
    const upcall = scope.lendFunction(index, fn);
    try {
      openContract(upcall, "wait", defaultTimeoutMs, undefined);
    } catch (error) {
      unbind(upcall);
      throw error;
    }
    return upcall;
  };
  const { isolate, words } = core();
  const made = generate(
    {
      ...scope,
      ...(nonblocking
        ? { lendFunction, start }
        : { make: callMaker(), giveBackWith, isolate, i32s: words.i32, errorIsDue, takeError, callEnds }),
      blocks,
      takeBlock,
      freeBlock,
      viewAddress,
      ...structureScope(key, parameters),
      readStructure: isRecord(result) ? readerOf(Aggregate.layoutOf(result)) : undefined,
    },
    nonblocking ? later : atOnce,
    nonblocking ? undefined : nativeCallUrl(key),
  ) as Downcall;
  scope.entrance.call = made.call;
  return made;
}
