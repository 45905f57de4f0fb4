/**
 * Opening libraries by the core, which keeps them mapped.
 *
 * @module
 */

import { isNull } from "../runtime/address.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { zeroTerminated } from "../types/c_string.ts";
import { coreFunctions, signature } from "./core.ts";

const functions = coreFunctions({
  open: signature("belay_library_open", ["view", "bool", "view", "u32"], "address"),
  symbol: signature("belay_library_symbol", ["address", "view"], "address"),
  close: signature("belay_library_close", ["address"], "void"),
});
const variables = coreFunctions({ address: signature("belay_library_variable", ["address", "view"], "address") });
const decoder = new TextDecoder();

/**
 * Opens a library, or answers the loader's own words for why not.
 *
 * @param pinned Whether it stays mapped until the process ends, whatever closes it.
 */
export function openLibrary(path: string, pinned: boolean): { library: Address } | { reason: string } {
  const reason = backend().hold(new Uint8Array(1024));
  const library = functions().open(zeroTerminated(path), pinned, reason, reason.length);
  if (!isNull(library)) return { library: library as Address };
  return { reason: decoder.decode(reason.subarray(0, reason.indexOf(0))) };
}

/** The address of a symbol, `null` when there is none. */
export function librarySymbol(library: Address, name: string): Address | null {
  const address = functions().symbol(library, zeroTerminated(name));
  return isNull(address) ? null : address as Address;
}

/** The address of the variable that the library's own code uses by a name, `null` when the library has none. */
export function libraryVariable(library: Address, name: string): Address | null {
  const address = variables().address(library, zeroTerminated(name));
  return isNull(address) ? null : address as Address;
}

/** Gives back what {@linkcode openLibrary} took. */
export function closeLibrary(library: Address): void {
  functions().close(library);
}
