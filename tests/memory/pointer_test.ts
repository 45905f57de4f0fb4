/** Strings at pointers. */

import { assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { cstringAt, type Pointer, utf16At } from "@belay/ffi";
import { backend } from "../../ffi/runtime/choose.ts";

describe("a pointer that was made up of 0", () => {
  it("is NULL for what reads strings", () => {
    const zero = (backend().addressKind === "bigint" ? 0n : 0) as unknown as Pointer;
    assertStrictEquals(cstringAt(zero), null);
    assertStrictEquals(cstringAt(zero, { fatal: true }), null);
    assertStrictEquals(utf16At(zero), null);
  });
});
