/** Pointers as values: `pointerFrom` and `pointerValue`, and strings that are read at one. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { cstringAt, dlopen, type Pointer, pointerFrom, pointerValue, utf16At } from "@belay/ffi";
import { backend } from "../../ffi/runtime/choose.ts";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { present } from "./kinds.ts";

const before = alive();

describe("pointerFrom and pointerValue", () => {
  it("pointerFrom gives the pointer of an address, bigint or number, and pointerValue gives the address back", () => {
    for (const address of [1n, 0x1000n, 2n ** 32n, 2n ** 47n - 1n, 2n ** 53n - 1n]) {
      assertStrictEquals(pointerValue(pointerFrom(address)), address);
      assertStrictEquals(pointerValue(pointerFrom(Number(address))), address);
    }
  });

  it("pointerFrom gives null for 0, and pointerValue gives 0 for null", () => {
    for (const zero of [0, -0, 0n]) assertStrictEquals(pointerFrom(zero), null);
    assertStrictEquals(pointerValue(null), 0n);
  });

  it("pointerFrom gives the very pointer that C gives for the same address", () => {
    using other = dlopen(testLibrary, {
      greeting: { parameters: [], result: "pointer" },
      identity: { name: "identity_pointer", parameters: ["pointer"], result: "pointer" },
    });
    const pointer = present(other.symbols.greeting());
    assertStrictEquals(pointerFrom(pointerValue(pointer)), pointer);
    assertStrictEquals(other.symbols.identity(pointerFrom(0x1234n)), pointerFrom(0x1234));
    assertStrictEquals(other.symbols.identity(pointerFrom(0)), null);
  });

  it("pointerFrom throws a RangeError for what is no address", () => {
    for (const address of [-1, -1n, 0.5, -0.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 64, 2n ** 64n]) {
      assertThrows(() => pointerFrom(address), RangeError, `Cannot make a pointer of ${address}: expected an address`);
    }
    for (const wrong of ["4096", null, undefined, true, {}]) {
      assertThrows(() => pointerFrom(wrong as unknown as number), RangeError, "Cannot make a pointer of");
    }
  });

  it("cstringAt, utf16At and pointerValue throw a TypeError for what is no pointer, rather than crash", () => {
    for (const wrong of [undefined, NaN, -1, 0.5, true, "0x10", {}, 2n ** 64n]) {
      for (const use of [cstringAt, utf16At, pointerValue, (pointer: Pointer) => cstringAt(pointer, { fatal: true })]) {
        assertThrows(() => use(wrong as never), TypeError, "must be a Pointer or null, got");
      }
    }
  });

  it("cstringAt reads a string of C's, and null for null", () => {
    using other = dlopen(testLibrary, { greeting: { parameters: [], result: "pointer" } });
    assertStrictEquals(cstringAt(other.symbols.greeting()), "grüß dich");
    assertStrictEquals(cstringAt(null), null);
  });

  it("pointerFrom takes an address of 2^53 and more exactly, and C gives it back", () => {
    using library = dlopen(testLibrary, {
      identity_pointer: { parameters: ["pointer"], result: "pointer" },
      relay_pointer: { parameters: [{ parameters: ["pointer"], result: "pointer" }, "pointer"], result: "pointer" },
    });
    const { identity_pointer, relay_pointer } = library.symbols;
    for (const address of [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 0xb400000012345671n, 2n ** 64n - 1n]) {
      const pointer = pointerFrom(address);
      assertStrictEquals(pointerValue(pointer), address);
      assertStrictEquals(identity_pointer(pointer), pointer);
      assertStrictEquals(relay_pointer((value) => value, pointer), pointer);
    }
  });
});

describe("a pointer that was made up of 0", () => {
  it("is NULL for what reads strings", () => {
    const zero = (backend().addressKind === "bigint" ? 0n : 0) as unknown as Pointer;
    assertStrictEquals(cstringAt(zero), null);
    assertStrictEquals(cstringAt(zero, { fatal: true }), null);
    assertStrictEquals(utf16At(zero), null);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
