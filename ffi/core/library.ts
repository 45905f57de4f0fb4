/**
 * Opening libraries by the core, which keeps them mapped.
 *
 * @module
 */

import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { zeroTerminated } from "../types/c_string.ts";
import { control, core } from "./core.ts";
import {
  operationCloseLibrary,
  operationFindSymbol,
  operationFindVariable,
  operationOpenLibrary,
  operationOpenReason,
  operationPinLibrary,
} from "./record.ts";

/**
 * Opens a library, or answers the loader's own words for why not.
 *
 * @param pinned Whether it stays mapped until the process ends, whatever closes it.
 */
export function openLibrary(path: string, pinned: boolean): { library: Address } | { reason: string } {
  const object = core().isolate;
  const library = control(pinned ? operationPinLibrary : operationOpenLibrary, { object, text: zeroTerminated(path) });
  if (!isNull(library)) return { library };
  return { reason: backend().readString(control(operationOpenReason, { object }) as Address) };
}

/** The address of a symbol, `null` when there is none. */
export function librarySymbol(library: Address, name: string): Address | null {
  const address = control(operationFindSymbol, { object: library, text: zeroTerminated(name) });
  return isNull(address) ? null : address;
}

/** The address of the variable that the library's own code uses by a name, `null` when the library has none. */
export function libraryVariable(library: Address, name: string): Address | null {
  const address = control(operationFindVariable, { object: library, text: zeroTerminated(name) });
  return isNull(address) ? null : address;
}

/** Gives back what {@linkcode openLibrary} took. */
export function closeLibrary(library: Address): void {
  control(operationCloseLibrary, { object: library });
}
