/**
 * C functions by their addresses: function pointers.
 *
 * @module
 */

import { coreFunction, signature } from "../core/core.ts";
import { validate } from "../crossing/definition.ts";
import { namedTypesOf, onFunctionType } from "../crossing/function_types.ts";
import { noteFunction } from "../crossing/functions.ts";
import { functionAddress } from "../crossing/helpers.ts";
import { argumentClass, gotFor } from "../crossing/marshal.ts";
import { checkUse } from "../crossing/pointer_rules.ts";
import { blameCaller, TypeError } from "../ground/blame.ts";
import { addCleanup } from "../lifetime/cleanup.ts";
import { isNull } from "../runtime/address.ts";
import type { Address, NativeFunctionObject } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { fitsBehindAddress } from "../types/calling_convention.ts";
import type { RecordType } from "../types/data_type.ts";
import type { FunctionDefinition, FunctionPointerDefinition, ParameterType, Pointer } from "../types/definitions.ts";
import type { LibraryFunction, NativeFunction } from "../types/inference.ts";
import type { LibraryCall, LibraryOwner } from "./arguments.ts";
import { makeBlockCall } from "./block_call.ts";
import { makeDirectCall, nativeSignature, needsBlock } from "./direct_call.ts";

/**
 * Generates the function at an address.
 *
 * @param owner What the function keeps alive.
 * @throws {RangeError} When too many arguments would be on the stack.
 */
export function makeCallAt(
  key: string,
  definition: FunctionDefinition,
  address: Address,
  owner: LibraryOwner,
): LibraryCall {
  const { calledAt, platform } = backend();
  if (needsBlock(definition)) return makeBlockCall(key, definition, address, owner);
  const native = nativeSignature(key, definition, address);
  if (calledAt !== undefined) return makeDirectCall(key, definition, calledAt(native), owner);
  const classes = definition.parameters.map((type) => argumentClass(type as Exclude<ParameterType, RecordType>));
  if (!fitsBehindAddress(platform, classes)) return makeBlockCall(key, definition, address, owner);
  const behind = signature("belay_call_pointer", ["address", ...native.parameters], native.result);
  return makeDirectCall(key, definition, coreFunction(behind), owner, address);
}

/** The functions that programs have, by their addresses. */
type Functions = Map<Address, WeakRef<NativeFunctionObject>>;

/** By the types, for definitions of named types alone; by the definition for others. */
const byTypes = new Map<string, Functions>();
const byDefinition = new WeakMap<object, Functions>();

/**
 * @param given What says which definition it is: the program's own object.
 * @param definition What was checked of it.
 */
function functionsOf(given: object, definition: FunctionDefinition): Functions {
  const types = namedTypesOf(definition);
  const known = types === undefined ? byDefinition.get(given) : byTypes.get(types);
  if (known !== undefined) return known;
  const functions: Functions = new Map();
  if (types === undefined) byDefinition.set(given, functions);
  else byTypes.set(types, functions);
  return functions;
}

/** The function at an address, the same as long as the program has it. */
function functionIn(functions: Functions, address: Address, definition: FunctionDefinition): NativeFunctionObject {
  const known = functions.get(address)?.deref();
  if (known !== undefined) return known;
  const key = definition.name ?? `function at 0x${BigInt(address).toString(16)}`;
  const owner: LibraryOwner = {
    name: key,
    closed: false,
    counted: false,
    running: 0,
    whenIdle: undefined,
    endings: [],
  };
  const { call } = makeCallAt(key, definition, address, owner);
  noteFunction(call, { key, definition, address, owner });
  functions.set(address, new WeakRef(call));
  addCleanup(call, forget, { functions: new WeakRef(functions), address });
  return call;
}

/** A function is gone, unless there is another one by now. */
function forget({ functions, address }: { functions: WeakRef<Functions>; address: Address }): void {
  const known = functions.deref();
  if (known?.get(address)?.deref() === undefined) known?.delete(address);
}

onFunctionType((definition) => {
  const functions = functionsOf(definition, definition);
  return (address) => functionIn(functions, address, definition);
});

/**
 * Gives the C function at an address: a function pointer that C has handed over, or the address of a symbol.
 *
 * It is as a function of a library in all ways: types, checks, errors, and the options of a definition. The same address with
 * the same definition gives the same function: a definition of named types alone is the same if its types are, any other one if it
 * is the same object.
 *
 * belay can't check that there is a function at the address, nor that it is of these types.
 *
 * *Ownership:* the function keeps nothing of C's alive. A library that is opened without `unload` stays mapped until the process
 * ends; for anything else you have to know that the code stays.
 *
 * *Threads:* as for any function of a library, see {@linkcode dlopen}.
 *
 * ```ts
 * import { dlopen, functionAt } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * using libc = dlopen({ name: "c", versions: ["6"] }, {
 *   dlsym: { parameters: ["pointer", "cstring"], result: "pointer" },
 * });
 * const pointer = libc.symbols.dlsym(null, "labs");
 * assert(pointer !== null);
 * const labs = functionAt(pointer, { parameters: ["i64"], result: "i64" });
 * assert(labs(-7) === 7n);
 * ```
 *
 * @typeParam D The type of the definition, which TypeScript infers.
 * @param pointer The function's address, or a {@linkcode Callback}.
 * @param definition Its parameters and its result. `name` is what errors call it.
 * @returns The function.
 * @throws {TypeError} If it is NULL or no address, or if the definition is malformed.
 * @throws {RangeError} If its arguments and result take more than 128 words of 8 bytes beside the registers.
 * @throws {PointerRuleError} If it points into an argument of a call that has returned.
 */
export function functionAt<const D extends FunctionPointerDefinition>(
  pointer: Pointer | NativeFunction,
  definition: D,
): LibraryFunction<D> {
  const address = functionAddress(pointer);
  if (isNull(address)) throw new TypeError("Cannot get the function at NULL: C has given none");
  if (address === undefined) {
    const got = gotFor("function", pointer);
    throw blameCaller(new TypeError(`Cannot get a function: expected its Pointer or a live Callback, got ${got}`));
  }
  checkUse(address);
  const name = (definition as Partial<FunctionDefinition> | null)?.name;
  const checked = validate(typeof name === "string" ? name : "function pointer", definition);
  const { parameters, optional } = checked.definition as Partial<FunctionDefinition>;
  if (parameters === undefined || optional !== undefined) {
    throw new TypeError("Cannot get a function: its definition has parameters and a result, and isn't optional");
  }
  const own = checked.definition as FunctionDefinition;
  const functions = functionsOf(definition, own);
  return functionIn(functions, address, own) as unknown as LibraryFunction<D>;
}
