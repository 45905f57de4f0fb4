/**
 * What a definition may be.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { ownOptions } from "../ground/options.ts";
import { messageOf } from "../ground/thrown.ts";
import { largestStack, smallestStack } from "../lifetime/settings.ts";
import type { OutType } from "../types/data_type.ts";
import type {
  CallbackDefinition,
  FetchingDefinition,
  FieldType,
  FunctionDefinition,
  FunctionPointerDefinition,
  ParameterType,
  VariableDefinition,
} from "../types/definitions.ts";
import { scalarOf } from "../types/scalars.ts";
import { keyHint, unknownType } from "../types/spellings.ts";
import { firstRecord, isAggregate, isRecord, type Layout, layoutOf } from "./layout.ts";
import { isNamedType, isOut } from "./marshal.ts";

const variableTypes = ["bool", "pointer", "cstring", "handle"];

const definitionNames = [
  "parameters",
  "result",
  "type",
  "name",
  "optional",
  "nonblocking",
  "stack",
  "suspends",
  "stackSize",
  "captureErrno",
  "variadic",
] as const;

/** What is `true` or `false` of a definition. */
const flags = ["optional", "nonblocking", "suspends", "captureErrno"] as const;

/** What was checked of a definition, which is what is used: a program may change its own later. */
export interface CheckedDefinition {
  readonly definition: FunctionDefinition | VariableDefinition;
  /** Whether it is a function's of a few scalars without options, as most are: then nothing more has to be looked at. */
  readonly plain: boolean;
}

/**
 * Checks a definition.
 *
 * @throws {TypeError} When it is malformed: a misspelled key must not be ignored.
 */
export function validate(key: string, definition: unknown): CheckedDefinition {
  const refuse = (what: string): never => {
    throw new TypeError(`Cannot define "${key}": ${what}`);
  };
  const checked: Record<string, unknown> = ownOptions(
    `Cannot define "${key}"`,
    definition as Partial<FunctionDefinition & VariableDefinition>,
    definitionNames,
    "a property of a definition",
    "the definition",
    keyHint,
  );
  const { parameters, result, type, variadic } = checked;
  let plain = parameters !== undefined && result !== undefined && Object.keys(checked).length === 2;
  if (!plain) validateOptions(checked, refuse);
  if (type !== undefined) return { definition: validateVariable(checked, refuse), plain };
  if (!Array.isArray(parameters)) return refuse("parameters must be an array");
  const types: ParameterType[] = [];
  for (const parameter of parameters) {
    if (isNamedType(parameter)) {
      types.push(parameter);
      continue;
    }
    plain = false;
    types.push(validateParameter(parameter, types.length + 1, checked["nonblocking"] === true, refuse));
  }
  checked["parameters"] = types;
  if (variadic !== undefined) validateVariadic(variadic, types, refuse);
  if (result !== "void" && !isNamedType(result)) {
    plain = false;
    if (!isRecord(result)) checked["result"] = validateResult(result, refuse);
  }
  return { definition: checked as unknown as FunctionDefinition, plain: plain && types.length <= 16 };
}

/** A definition of a function where a result's type stands: a pointer to such a function. */
function validateResult(result: unknown, refuse: (what: string) => never): FunctionPointerDefinition {
  if (typeof result !== "object" || result === null || !Object.hasOwn(result, "parameters")) {
    return refuse(unknownResult(result));
  }
  try {
    return validatePointer(result);
  } catch (error) {
    return refuse(`its result: ${messageOf(error)}`);
  }
}

/** Refuses what is no definition of a function that C gives the address of, and answers what was checked. */
export function validatePointer(type: unknown): FunctionPointerDefinition {
  const { definition } = validate("function pointer", type);
  const { parameters, optional } = definition as Partial<FunctionDefinition>;
  if (parameters !== undefined && optional === undefined) return definition as FunctionDefinition;
  throw new TypeError('Cannot define "function pointer": it has parameters and a result, and isn\'t optional');
}

/** What is wrong with what stands where a result's type should. */
function unknownResult(result: unknown): string {
  if (result === undefined) return 'it has no result; without one it is "void"';
  if (typeof result === "object" && result !== null && Object.hasOwn(result, "struct")) {
    return "a structure's type is what struct() gives";
  }
  return `unknown result type ${unknownType(result)}`;
}

function validateOptions(checked: Record<string, unknown>, refuse: (what: string) => never): void {
  const { name, nonblocking, stack, suspends, stackSize } = checked;
  if (name !== undefined && (typeof name !== "string" || name.includes("\0"))) {
    refuse("name must be a string without NUL characters");
  }
  for (const option of flags) {
    const value = checked[option];
    if (value !== undefined && typeof value !== "boolean") refuse(`${option} must be a boolean`);
  }
  if (stack !== undefined) {
    if (stack !== "own") refuse('stack must be "own"');
    if (nonblocking === true) refuse("a nonblocking call runs on its thread's stack");
  }
  if (stackSize !== undefined) validateStackSize(stackSize, stack === "own" || suspends === true, refuse);
  if (suspends === true && nonblocking === true) {
    refuse("a nonblocking call runs on another thread, which can't suspend");
  }
}

function validateStackSize(stackSize: unknown, isOwn: boolean, refuse: (what: string) => never): void {
  if (!isOwn) refuse('stackSize is for stack: "own", or suspends');
  if (typeof stackSize !== "number" || !Number.isInteger(stackSize)) return refuse("stackSize must be an integer");
  if (stackSize < smallestStack || stackSize > largestStack) {
    refuse(`stackSize must be from ${smallestStack} to ${largestStack} bytes, got ${stackSize}`);
  }
}

function validateVariable(checked: Record<string, unknown>, refuse: (what: string) => never): VariableDefinition {
  const { parameters, result, type, nonblocking, stack, suspends, captureErrno, variadic } = checked;
  if (stack !== undefined || suspends !== undefined) refuse("a variable has no stack");
  if (nonblocking !== undefined) refuse("a variable can't be nonblocking");
  if (captureErrno !== undefined) refuse("a variable has no error number");
  if (parameters !== undefined || result !== undefined || variadic !== undefined) {
    refuse("a variable has no parameters and no result");
  }
  if (!(isNamedType(type) && (scalarOf(type) !== undefined || variableTypes.includes(type)))) {
    refuse(`unknown type ${unknownType(type, " of a variable")}`);
  }
  return checked as unknown as VariableDefinition;
}

function validateParameter(
  parameter: unknown,
  position: number,
  nonblocking: boolean,
  refuse: (what: string) => never,
): ParameterType {
  if (isRecord(parameter)) return parameter;
  if (isAggregate(parameter)) refuse(`parameter ${position} is an array, which C passes as a pointer`);
  if (typeof parameter !== "object" || parameter === null) {
    refuse(`parameter ${position} has the unknown type ${unknownType(parameter)}`);
  }
  const type = parameter as Exclude<ParameterType, string>;
  if (isOut(type)) return out(type.out as FieldType);
  if (Object.hasOwn(type, "struct")) refuse(`parameter ${position}: a structure's type is what struct() gives`);
  try {
    const checked = validateCallback(type);
    if (!nonblocking || firstRecord([...checked.parameters, checked.result]) === undefined) return checked;
  } catch (error) {
    refuse(`parameter ${position}: ${messageOf(error)}`);
  }
  return refuse(
    `parameter ${position}: functions that take or return structures are called on JavaScript's thread only`,
  );
}

/** What C passes as something wider behind the `...`. */
const promoted = ["i8", "u8", "i16", "u16", "bool", "f32"];

function validateVariadic(fixed: unknown, parameters: readonly unknown[], refuse: (what: string) => never): void {
  if (typeof fixed !== "number" || !Number.isInteger(fixed) || fixed < 0 || fixed > parameters.length) {
    refuse(`variadic must be how many of its ${parameters.length} parameters come before the "..."`);
  }
  for (const [index, type] of parameters.entries()) {
    if (index < fixed) continue;
    if (isRecord(type)) refuse(`parameter ${index + 1}: structures are not passed behind the "..."`);
    if (!promoted.includes(String(type))) continue;
    const wider = type === "f32" ? "f64" : type === "u16" || type === "u8" ? "u32" : "i32";
    refuse(`parameter ${index + 1}: C passes a ${String(type)} behind the "..." as ${wider}; declare that`);
  }
}

/**
 * Refuses what is no callback's definition, and answers what was checked: getters may answer otherwise the next time.
 *
 * @throws {TypeError} That says what is wrong.
 */
export function validateCallback(definition: unknown): CallbackDefinition {
  return validateFetching(definition).checked;
}

/**
 * The same, and what a definition has fetched and answered, which isn't checked yet.
 *
 * @throws {TypeError} That says what is wrong.
 */
export function validateFetching(
  definition: unknown,
): { readonly checked: CallbackDefinition; readonly fetch: unknown; readonly answer: unknown } {
  const { parameters, result, fetch, answer }: Record<string, unknown> = ownOptions(
    "Cannot define a callback",
    definition as FetchingDefinition,
    ["parameters", "result", "fetch", "answer"],
    "a property of a callback's definition",
    "its definition",
    keyHint,
  );
  if (!Array.isArray(parameters)) throw new TypeError("Cannot define a callback: parameters must be an array");
  const types: unknown[] = [];
  for (const type of parameters as unknown[]) {
    if (typeof type === "object" && type !== null && Object.hasOwn(type, "parameters")) {
      types.push(validateFunctionParameter(type, types.length + 1));
    } else {
      types.push(type);
      if (!isNamedType(type) && !isRecord(type)) refuseCallbackParameter(type, types.length);
    }
  }
  if (result !== "void" && (noResults.includes(result) || !isNamedType(result) && !isRecord(result))) {
    throw new TypeError(`Cannot define a callback: ${badCallbackResult(result)}`);
  }
  return { checked: { parameters: types, result } as CallbackDefinition, fetch, answer };
}

function validateFunctionParameter(type: object, position: number): FunctionPointerDefinition {
  try {
    return validatePointer(type);
  } catch (error) {
    throw new TypeError(`Cannot define a callback: parameter ${position}: ${messageOf(error)}`);
  }
}

/** Named types of memory that nobody would keep when a callback has returned. */
const noResults: readonly unknown[] = ["buffer", "cstring", "handleAddress"];

function badCallbackResult(result: unknown): string {
  if (result === undefined) return 'it has no result; without one it is "void"';
  return noResults.includes(result)
    ? `its result can't be a ${result}, whose memory nobody would keep`
    : `the unknown result type ${unknownType(result)}`;
}

function refuseCallbackParameter(type: unknown, position: number): never {
  const what = typeof type !== "object" || type === null
    ? `has the unknown type ${unknownType(type)}`
    : isAggregate(type)
    ? "is an array, which C passes as a pointer"
    : 'is no type of a callback; a function arrives as "function", a structure as what struct() gives';
  throw new TypeError(`Cannot define a callback: parameter ${position} ${what}`);
}

/**
 * Makes the type of a parameter through which a C function gives a value back, as `int *` in
 * `double frexp(double, int *)`.
 *
 * You pass nothing for the parameter. The C function returns an array: its own result, then what it gave by each `out`,
 * in the order of the parameters. If C writes nothing, the value is zero, `null` or `""`.
 *
 * ```ts
 * import { dlopen, out } from "@belay/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * using libm = dlopen({ name: "m", versions: ["6"] }, {
 *   frexp: { parameters: ["f64", out("i32")], result: "f64" },
 * });
 * const [fraction, exponent] = libm.symbols.frexp(8);
 * assertEquals([fraction, exponent], [0.5, 4]);
 * ```
 *
 * @typeParam T The type of the value.
 * @param type The type of the value: whatever a field of a structure can be.
 * @returns The type, for a definition's `parameters`.
 * @throws {TypeError} If C can't store a value of this type.
 */
export function out<const T extends FieldType>(type: T): OutType<T> {
  storedLayout(type, "an out-parameter");
  return { out: type };
}

/** The layout of what can be stored. @throws {TypeError} When it can't be, or is no callback's definition. */
export function storedLayout(type: FieldType, what: string): Layout {
  const layout = layoutOf(type, what);
  if (layout.kind !== "scalar" || typeof layout.type === "string") return layout;
  // A program may change its definition later.
  return { ...layout, type: validatePointer(layout.type) };
}
