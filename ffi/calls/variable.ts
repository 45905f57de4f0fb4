/**
 * Variables of a library.
 *
 * @module
 */

import { loads, type LoadType } from "../core/memory.ts";
import { generate, sourceUrl } from "../crossing/generate.ts";
import { stringAt } from "../crossing/helpers.ts";
import { fromResult, resultNativeType } from "../crossing/marshal.ts";
import { TypeError } from "../ground/blame.ts";
import { LibraryClosedError } from "../ground/errors.ts";
import type { Address } from "../runtime/backend.ts";
import type { VariableDefinition } from "../types/definitions.ts";
import type { LibraryOwner } from "./arguments.ts";

/** Each read of the property reads the variable. */
export function defineVariable(
  symbols: Record<string, unknown>,
  key: string,
  { type }: VariableDefinition,
  address: Address,
  owner: LibraryOwner,
): void {
  const native = resultNativeType(type);
  const load = loads();
  const convert = generate({ key }, `return (value) => ${fromResult(type, "value")};`, sourceUrl("variable", key)) as (
    value: unknown,
  ) => unknown;
  const read = (): unknown => {
    if (type === "cstring") return stringAt(load.address(address, 0) as Address | null);
    return convert(load[native as LoadType](address, 0));
  };
  Object.defineProperty(symbols, key, {
    enumerable: true,
    get() {
      if (owner.closed) throw new LibraryClosedError("read", key, owner.name);
      return read();
    },
    set() {
      if (owner.closed) throw new LibraryClosedError("write", key, owner.name);
      throw new TypeError(`Cannot write "${key}": a variable is read only here`);
    },
  });
}
