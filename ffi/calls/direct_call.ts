/**
 * TypeScript calls C. For each function of a library a function is generated that checks the arguments before C is
 * entered, makes the call, and throws what a callback threw meanwhile.
 *
 * @module
 */

import { nativeCallWord } from "../core/record.ts";
import { core } from "../core/core.ts";
import { errorIsDue, nativeCallUrl, takeError } from "../core/pending.ts";
import { generate } from "../crossing/generate.ts";
import { firstRecord, isRecord } from "../crossing/layout.ts";
import { fromResult, parameterNativeType, resultNativeType } from "../crossing/marshal.ts";
import type { Address, NativeFunctionObject, NativeSignature, NativeType } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import type { FunctionDefinition } from "../types/definitions.ts";
import { argumentChecks, callEnds, duringCall, type LibraryCall, type LibraryOwner, list, named } from "./arguments.ts";

/** What the runtime is told of a function. */
export function nativeSignature(
  symbol: string,
  { parameters, result }: FunctionDefinition,
  address: Address,
): NativeSignature & { readonly address: Address } {
  const types: NativeType[] = [];
  for (const type of parameters) types.push(parameterNativeType(type));
  return { name: symbol, parameters: types, result: resultNativeType(result), address };
}

/**
 * Generates the function.
 *
 * @param owner What the function keeps alive: its library's record.
 * @param target What `native` takes in front of the arguments, if it is the core's: where C's function is.
 */
export function makeDirectCall(
  key: string,
  definition: FunctionDefinition,
  native: NativeFunctionObject,
  owner: LibraryOwner,
  target?: Address,
): LibraryCall {
  const { result } = definition;
  const { i32 } = core().words;
  const { names, passed, lent, kept, early, surplus, checks, value, scope } = argumentChecks(key, definition, owner);
  const body = `
      ${early ? "if (owner.closed) closed();" : ""}
      ${surplus}
      ${checks.join("\n")}
      ${
    kept.length > 0 ? `lent.running = { outer: lentOutside, values: ${kept.length === 1 ? kept[0] : list(kept)} };` : ""
  }
      ${duringCall("i32", `const r = native(${(target === undefined ? passed : ["target", ...passed]).join(", ")});`)}
      return ${value(fromResult(result, "r"))};`;
  const before: string[] = [];
  const after: string[] = [];
  for (const name of lent) {
    before.push(`let ${name} = null;`);
    after.push(`if (${name} !== null) unbind(${name});`);
  }
  if (kept.length > 0) {
    before.push("const lentOutside = lent.running;");
    after.push("lent.running = lentOutside;");
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
    { ...scope, stringOf: backend().stringOf, open: native, target, i32, errorIsDue, takeError, callEnds },
    source,
    nativeCallUrl(key),
  ) as LibraryCall;
  scope.entrance.call = made.call;
  return made;
}

/** Whether a function's arguments have to be put where C expects them: the runtime doesn't do all that is wanted of it. */
export function needsBlock(
  { parameters, result, nonblocking, stack, suspends, captureErrno, variadic }: FunctionDefinition,
): boolean {
  return nonblocking === true || stack === "own" || suspends === true || captureErrno === true ||
    variadic !== undefined ||
    isRecord(result) ||
    firstRecord(parameters) !== undefined || parameters.length > backend().mostParameters;
}
