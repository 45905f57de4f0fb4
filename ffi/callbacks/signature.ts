/**
 * What callbacks of the same types share.
 *
 * @module
 */

import { resultFetched, resultNarrow } from "../core/record.ts";
import { validateFetching } from "../crossing/definition.ts";
import { functionNumber } from "../crossing/function_types.ts";
import { classOf, isRecord, shapeOf, structureClass } from "../crossing/layout.ts";
import { present } from "../ground/present.ts";
import { backend } from "../runtime/choose.ts";
import {
  type ArgumentClass,
  type ArgumentLayout,
  argumentLayout,
  isStructureClass,
  wordIndex,
} from "../types/calling_convention.ts";
import type { RecordType } from "../types/data_type.ts";
import type { CallbackDefinition } from "../types/definitions.ts";
import { functionName, type Signature, type SignatureCode, type TargetFunction } from "./bound_function.ts";
import { type Fetching, fetchingOf } from "./fetching.ts";
import { invokeFirst, makeCode } from "./invoker.ts";
import { type ShapeThunks, shapeThunks } from "./thunk_pool.ts";

const signatures = new Map<string, Signature>();
/** Those with structures, by the first of them: they go when it does. */
const signaturesOf = new WeakMap<RecordType, Map<string, Signature>>();
const byDefinition = new WeakMap<CallbackDefinition, Signature>();
const recordNumbers = new WeakMap<RecordType, string>();
let records = 0;
const thunksByShape = new Map<string, ShapeThunks>();

/**
 * The signature of a definition.
 *
 * @param name What errors call the callback, or the function whose name that is.
 * @throws {TypeError} When the definition is none, or uses a type that can't cross this way.
 * @throws {RangeError} When arguments and result take too many words.
 */
export function signatureOf(definition: CallbackDefinition, name?: string | TargetFunction): Signature {
  const known = byDefinition.get(definition);
  if (known !== undefined) return known;
  const { checked, fetch, answer } = validateFetching(definition);
  if (fetch !== undefined || answer !== undefined) {
    const fetching = fetchingSignature(checked, fetch, answer, name);
    byDefinition.set(definition, fetching);
    return fetching;
  }
  const { parameters, result } = checked;
  let key = isRecord(result) ? recordNumber(result) : result;
  let record = isRecord(result) ? result : undefined;
  for (const type of parameters) {
    if (isRecord(type)) record ??= type;
    key += `,${isRecord(type) ? recordNumber(type) : typeof type === "object" ? `f${functionNumber(type)}` : type}`;
  }
  const same = record === undefined ? signatures : signaturesWith(record);
  let signature = same.get(key);
  if (signature === undefined) same.set(key, signature = makeSignature(checked, record !== undefined, name));
  byDefinition.set(definition, signature);
  return signature;
}

/** The signature of what is lent for a parameter of a function: the functions that a program passes there are alike, most often. */
export function lentSignature(definition: CallbackDefinition, name: string): Signature {
  const shared = signatureOf(definition, name);
  // Not by a spread, which would have the code generated.
  return Object.defineProperties({}, {
    ...Object.getOwnPropertyDescriptors(shared),
    invoke: { value: invokeFirst, writable: true },
  }) as Signature;
}

/** The signature of what a function gets when the core has asked C. */
function fetchingSignature(
  checked: CallbackDefinition,
  fetch: unknown,
  answer: unknown,
  name: string | TargetFunction | undefined,
): Signature {
  const fetching = fetchingOf(checked, fetch, answer);
  return makeSignature(fetching.definition, false, name, { ...fetching, outer: signatureOf(checked, name) });
}

function signaturesWith(type: RecordType): Map<string, Signature> {
  let known = signaturesOf.get(type);
  if (known === undefined) signaturesOf.set(type, known = new Map());
  return known;
}

/** What tells a structure from others. */
function recordNumber(type: RecordType): string {
  const known = recordNumbers.get(type);
  if (known !== undefined) return known;
  const number = String(++records);
  recordNumbers.set(type, number);
  return number;
}

function makeSignature(
  definition: CallbackDefinition,
  hasStructures: boolean,
  name?: string | TargetFunction,
  fetched?: Fetching & { readonly outer: Signature },
): Signature {
  const { parameters, result } = definition;
  const classes: ArgumentClass[] = [];
  for (const type of parameters) classes.push(classOf(type));
  const shape = fetched?.outer.shape ?? shapeOf(definition);
  const returned = isRecord(result) ? structureClass(result) : undefined;
  const layout = argumentLayout(classes, backend().platform, {
    what: () =>
      name === undefined ? "a callback" : `callback "${typeof name === "string" ? name : functionName(name)}"`,
    result: returned,
  });
  const { strings, lateString } = parameters.includes("cstring") ? stringWords(parameters, layout) : noStrings;
  const resultByteLength = returned !== undefined && layout.result?.memory === true ? returned.byteLength : 0;
  const bits = (layout.bits | (isNarrow(result) ? resultNarrow << 24 : 0)) >>> 0;
  const thunksName = fetched === undefined ? shape : `${shape} fetched ${bits}`;
  let thunks = thunksByShape.get(thunksName);
  if (thunks === undefined) thunksByShape.set(thunksName, thunks = shapeThunks(thunksName));
  let code: SignatureCode | undefined;
  return {
    definition,
    shape,
    // A thunk has one layout for good: what is queued is read by it.
    thunks,
    layout: fetched === undefined ? bits : (bits | resultFetched << 24) >>> 0,
    strings,
    lateString,
    slotBits: fetched !== undefined
      ? (fallback) => BigInt(fetched.address(fallback))
      : resultByteLength === 0
      ? undefined
      : () => BigInt(resultByteLength),
    outer: fetched?.outer,
    answers: fetched?.answers === true,
    hasStructures,
    invoke: invokeFirst,
    get code() {
      return code ??= makeCode(parameters, result, layout, fetched?.answers === true);
    },
  };
}

/** Whether a result is a scalar of 32 bits at most. */
function isNarrow(result: CallbackDefinition["result"]): boolean {
  if (result === "void") return false;
  const type = classOf(result);
  return !isStructureClass(type) && type.byteLength <= 4;
}

/** Which words of a signature are strings: as bits, and the first parameter whose word has none. */
type StringWords = Pick<Signature, "strings" | "lateString">;

const noStrings: StringWords = { strings: 0n, lateString: undefined };

function stringWords(parameters: CallbackDefinition["parameters"], layout: ArgumentLayout): StringWords {
  let strings = 0n;
  let lateString: number | undefined;
  for (const [index, type] of parameters.entries()) {
    if (type !== "cstring") continue;
    const word = wordIndex(layout, present(layout.byteOffsets[index]));
    if (word < 64) strings |= 1n << BigInt(word);
    else lateString ??= index + 1;
  }
  return { strings, lateString };
}
