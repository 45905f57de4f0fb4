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
} from "./record.ts";

/**
 * Opens a library, or answers the loader's own words for why not.
 *
 * @param path Where it is; `null` for the program itself.
 * @param flags A sum of `openPinned`, `openGlobal` and `openDeepBind`.
 */
export function openLibrary(path: string | null, flags: number): { library: Address } | { reason: string } {
  const object = core().isolate;
  const text = path === null ? null : zeroTerminated(path);
  const library = control(operationOpenLibrary, { object, number: flags, text });
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
