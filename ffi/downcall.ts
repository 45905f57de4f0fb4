/**
 * TypeScript calls C. For each function of a library a function is generated that checks the arguments before C is
 * entered, makes the call, and throws what a callback threw meanwhile.
 *
 * @module
 */

import type { NativeFunctionObject, NativeSignature } from "./backend.ts";
import { takePending } from "./calls.ts";
import { bindFunction } from "./callback.ts";
import { LibraryClosedError } from "./errors.ts";
import { addressOf, generate } from "./helpers.ts";
import {
  checkArgument,
  fromResult,
  isCallbackDefinition,
  mismatch,
  parameterNativeType,
  resultNativeType,
  typeName,
} from "./marshal.ts";
import { backend } from "./runtime.ts";
import type { FunctionDefinition, ParameterType } from "./types.ts";
import { type BoundUpcall, signatureOf, unbind } from "./upcall.ts";

/** A function of a library, and the way to end it. */
export interface Downcall {
  readonly call: NativeFunctionObject;
  readonly close: () => void;
}

/** What the runtime is told of a function. */
export function nativeSignature(symbol: string, { parameters, result }: FunctionDefinition): NativeSignature {
  return { name: symbol, parameters: parameters.map(parameterNativeType), result: resultNativeType(result) };
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
  owner: { readonly name: string },
): Downcall {
  const { parameters, result } = definition;
  const names = parameters.map((_, index) => `a${index}`);
  const { addressKind } = backend();
  for (const type of parameters) if (isCallbackDefinition(type)) signatureOf(type);
  const lent = names.filter((_, index) => isCallbackDefinition(parameters[index])).map((name) => `lent_${name}`);
  const kept = names.filter((_, index) => ownsMemory(parameters[index]));
  const checks = names.map((name, index) => {
    const type = parameters[index];
    const bad = `bad(${index}, ${name})`;
    if (!isCallbackDefinition(type)) return checkArgument(type, name, bad, addressKind);
    const otherwise = checkArgument("function", name, bad, addressKind);
    return `if (typeof ${name} === "function") { lent_${name} = lend(${index}, ${name}); ${name} = lentAddress(lent_${name}); }
      else ${otherwise}`;
  });
  const body = `
      ${checks.join("\n")}
      ${kept.length > 0 ? `calls.kept = { outer: keptOutside, values: [${kept.join(", ")}] };` : ""}
      const r = native(${names.join(", ")});
      if (calls.pending !== none) throw takePending(owner);
      return ${fromResult(result, "r")};`;
  const before = lent.map((name) => `let ${name} = null;`).concat(
    kept.length > 0 ? "const keptOutside = calls.kept;" : [],
  );
  const after = lent.map((name) => `if (${name} !== null) unbind(${name});`)
    .concat(kept.length > 0 ? "calls.kept = keptOutside;" : []);
  const source = `
    let native = open;
    const call = function (${names.join(", ")}) {
      ${after.length === 0 ? body : `${before.join(" ")} try { ${body} } finally { ${after.join(" ")} }`}
    };
    return { call, close() { native = closed; } };`;
  const made = generate(
    {
      open: native,
      owner,
      takePending,
      unbind,
      lend: (index: number, fn: (...parameters: never[]) => unknown): BoundUpcall =>
        bindFunction(parameters[index] as Exclude<ParameterType, string>, fn, {}, `argument ${index + 1} of ${key}`),
      lentAddress: (bound: BoundUpcall) => addressOf(bound.pointer),
      bad(index: number, value: unknown): never {
        const type = parameters[index];
        throw mismatch(type, value, `Cannot call "${key}": argument ${index + 1} (${typeName(type)})`);
      },
      closed(): never {
        throw new LibraryClosedError("call", key, owner.name);
      },
    },
    source,
  ) as Downcall;
  Object.defineProperty(made.call, "name", { value: key });
  return made;
}

function ownsMemory(type: ParameterType): boolean {
  return type === "buffer" || type === "cstring" || type === "handle*";
}
