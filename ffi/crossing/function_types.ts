/**
 * Functions of C's as values: where a type is a function's definition, a pointer arrives as that function.
 *
 * @module
 */

import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import type { FunctionDefinition } from "../types/definitions.ts";

/** What generated code has numbers for. A definition stays as long as the code does, and that may be read at any time. */
const definitions: FunctionDefinition[] = [];
const numbers = new WeakMap<object, number>();

let functionAt: (address: Address, definition: FunctionDefinition) => unknown = () => undefined;

/** Says what gives the function at an address. */
export function onFunctionType(give: typeof functionAt): void {
  functionAt = give;
}

/** The number of a definition that was checked, for {@linkcode asFunction}. */
export function functionNumber(definition: object): number {
  let number = numbers.get(definition);
  if (number === undefined) {
    number = definitions.push(definition as FunctionDefinition) - 1;
    numbers.set(definition, number);
  }
  return number;
}

/** The function at an address, of the definition with a number; `null` for NULL. */
export function asFunction(number: number, address: Address | null): unknown {
  return isNull(address) ? null : functionAt(address, definitions[number] as FunctionDefinition);
}
