/**
 * TypeScript calls C without waiting: for each nonblocking function of a library a function is generated that checks the
 * arguments as a synchronous one does, writes them where the calling convention has them, and answers a promise.
 *
 * @module
 */

import { argumentLayout, isPacked } from "./abi.ts";
import type { Address, NativeFunctionObject } from "./backend.ts";
import { defaultTimeoutMs, openContract } from "./contracts.ts";
import { argumentChecks, callEnds, type Downcall, type LibraryOwner, noted, ownsMemory } from "./downcall.ts";
import { generate } from "./helpers.ts";
import { argumentClass, isCallbackDefinition, readResult, writeArgument } from "./marshal.ts";
import {
  blocks,
  callByteLength,
  floatResultByteOffset,
  functionByteOffset,
  integerResultByteOffset,
  type Outgoing,
  stackWordsByteOffset,
  startCall,
  stringResultByteOffset,
  takeBlock,
} from "./outgoing.ts";
import type { LentView } from "./pointer_rules.ts";
import { backend } from "./runtime.ts";
import type { FunctionDefinition } from "./types.ts";
import { unbind, type Upcall, type UpcallFunction } from "./upcall.ts";

let resolveNext: (value: unknown) => void;
let rejectNext: (error: unknown) => void;
/** One executor for all promises: making one for each takes longer than the rest. */
function executor(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
  resolveNext = resolve;
  rejectNext = reject;
}

/**
 * Generates the function.
 *
 * @param address The C function's.
 * @param owner What the function, and each of its calls, keeps alive: its library's record.
 * @throws {RangeError} When too many arguments would be on the stack.
 */
export function makeNonblocking(
  key: string,
  definition: FunctionDefinition,
  address: Address,
  owner: LibraryOwner,
): Downcall {
  const { parameters, result } = definition;
  const { addressKind, platform, viewAddress } = backend();
  const { names, lent, checks, scope } = argumentChecks(key, definition, owner);
  const classes = parameters.map((type) => isCallbackDefinition(type) ? pointerClass : argumentClass(type));
  const { byteOffsets, stackWords } = argumentLayout(classes, platform, `"${key}"`);
  const writes = names.map((name, index) => {
    const byteOffset = byteOffsets[index];
    return writeArgument(parameters[index], name, byteOffset, isPacked(platform, byteOffset), addressKind);
  });
  const isFloat = result === "f32" || result === "f64";
  const resultByteOffset = isFloat ? floatResultByteOffset : integerResultByteOffset;
  const kept = names.filter((_, index) => ownsMemory(parameters[index]));
  const pointers = names.filter((_, index) => parameters[index] === "pointer");
  const place = `const { ${views.join(", ")} } = blocks.words;
      const b8 = index * ${callByteLength / 8}, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;`;
  const list = (values: readonly string[]): string => values.length === 0 ? "undefined" : `[${values.join(", ")}]`;
  const fn = BigInt(address);
  const body = `
      ${checks.join("\n")}
      const index = takeBlock(key);
      ${place}
      ${writes.join("\n")}
      u32[b4 + ${functionByteOffset / 4}] = ${BigInt.asUintN(32, fn)};
      u32[b4 + ${functionByteOffset / 4 + 1}] = ${fn >> 32n};
      u32[b4 + ${stackWordsByteOffset / 4}] = ${stackWords};
      u32[b4 + ${stringResultByteOffset / 4}] = ${result === "cstring" ? 1 : 0};
      return start(index, ${list(kept)}, ${list(lent)}, ${list(pointers)});`;
  const before = lent.map((name) => `let ${name} = null;`);
  const after = lent.map((name) => `if (${name} !== null) unbind(${name});`);
  const source = `
    const read = (index, kept) => { ${place} return ${
    noted(result, readResult(result, resultByteOffset, addressKind), kept.length > 0 ? "kept" : undefined)
  }; };
    const call = function (${names.join(", ")}) {
      if (owner.closed) closed();
      ${
    lent.length === 0 ? body : `${before.join(" ")} try { ${body} } catch (error) { ${after.join(" ")} throw error; }`
  }
    };
    return { call, read };`;
  const ended = owner.counted ? () => callEnds(owner) : undefined;
  const start = (
    index: number,
    kept: readonly LentView[] | undefined,
    lent: Outgoing["lent"],
    pointers: readonly Address[] | undefined,
  ): Promise<unknown> => {
    const promise = new Promise(executor);
    startCall(index, { read: made.read, kept, lent, pointers, resolve: resolveNext, reject: rejectNext, ended });
    if (owner.counted) owner.running += 1;
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
  const made = generate({ ...scope, lendFunction, blocks, takeBlock, start, viewAddress }, source) as {
    readonly call: NativeFunctionObject;
    readonly read: Outgoing["read"];
  };
  Object.defineProperty(made.call, "name", { value: key });
  return { call: made.call, close: () => {} };
}

const pointerClass = { byteLength: 8, float: false } as const;
const views = ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"];
