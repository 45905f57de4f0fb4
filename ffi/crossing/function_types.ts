/**
 * Functions of C's as values: where a type is a function's definition, a pointer arrives as that function.
 *
 * @module
 */

import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import type { FunctionDefinition } from "../types/definitions.ts";

/** Gives the function of a definition at an address. */
type Giver = (address: Address) => unknown;

/** What generated code has a number for: a definition, with the function that was asked for last. It stays as long as the isolate. */
interface FunctionType {
  readonly give: Giver;
  address: Address | undefined;
  fn: unknown;
}

const functionTypes: FunctionType[] = [];
const numbers = new WeakMap<object, number>();
const numbersOfTypes = new Map<string, number>();

/** What a definition says if that is named types alone; `undefined` for one with more. Those that say the same are the same. */
export function namedTypesOf(definition: FunctionDefinition): string | undefined {
  const { parameters, result } = definition;
  if (Object.keys(definition).length !== 2 || typeof result !== "string") return undefined;
  return parameters.every((type) => typeof type === "string") ? `${parameters.join()} ${result}` : undefined;
}

let giverOf: (definition: FunctionDefinition) => Giver = () => () => undefined;

/** Says what gives the functions of a definition. */
export function onFunctionType(makeGiver: typeof giverOf): void {
  giverOf = makeGiver;
}

/** The number of a definition that was checked, for {@linkcode asFunction}. */
export function functionNumber(definition: object): number {
  const types = namedTypesOf(definition as FunctionDefinition);
  let number = types === undefined ? numbers.get(definition) : numbersOfTypes.get(types);
  if (number === undefined) {
    const give = giverOf(definition as FunctionDefinition);
    number = functionTypes.push({ give, address: undefined, fn: undefined }) - 1;
    if (types === undefined) numbers.set(definition, number);
    else numbersOfTypes.set(types, number);
  }
  return number;
}

/** The function at an address, of the definition with a number; `null` for NULL. Most often it is the one before. */
export function asFunction(number: number, address: Address | null): unknown {
  const type = functionTypes[number] as FunctionType;
  if (type.address === address) return type.fn;
  if (isNull(address)) return null;
  const fn = type.give(address);
  type.fn = fn;
  type.address = address;
  return fn;
}
