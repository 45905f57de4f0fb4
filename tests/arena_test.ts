import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Arena, cstringAt, dlopen, MemoryFreedError, stats } from "@belay/ffi";
import { testLibrary } from "../scripts/build.ts";
import { alive } from "./gc.ts";

const before = alive();

describe("Arena", () => {
  it("frees what it allocated with the rest, last made first", () => {
    const { memories } = stats();
    const order: string[] = [];
    const arena = new Arena();
    const first = arena.alloc(8, { align: 64 });
    arena.defer(() => order.push(`first is ${first.freed ? "" : "not "}freed`));
    const handle = arena.handle("value");
    const second = arena.cstring("text");
    arena.defer(() => order.push(`second is ${second.freed ? "" : "not "}freed`));
    const made = arena.callback({ parameters: [], result: "void" }, () => {});
    assertStrictEquals(stats().memories, memories + 2);
    assertStrictEquals(first.byteLength, 8);
    assertStrictEquals(handle.value, "value");
    arena.dispose();
    arena.dispose();
    assertEquals(order, ["second is not freed", "first is not freed"]);
    assert(first.freed && second.freed && made.disposed);
    assertThrows(() => second.cstring(), MemoryFreedError);
    assertStrictEquals(stats().memories, memories);
    for (
      const make of [() => arena.alloc(1), () => arena.cstring(""), () => arena.cstrings([]), () => arena.handle(1)]
    ) {
      assertThrows(make, ReferenceError, "disposed of");
    }
    assertStrictEquals(stats().memories, memories);
  });

  it("has strings for C, one and many", () => {
    using library = dlopen(testLibrary, { sum_bytes: { parameters: ["pointer", "usize"], result: "u64" } });
    using arena = new Arena();
    const text = arena.cstring("gr\u00fc\u00df");
    assertStrictEquals(text.byteLength, 7);
    assertStrictEquals(cstringAt(text.pointer), "gr\u00fc\u00df");
    assertStrictEquals(arena.cstring("").byteLength, 1);
    assertStrictEquals(library.symbols.sum_bytes(arena.cstring("AB").pointer, 3), 131n);
    const texts = ["a", "", "gr\u00fc\u00df"];
    const pointers = arena.cstrings(texts);
    assertStrictEquals(pointers.byteLength, 32);
    assertEquals(texts.map((_, index) => cstringAt(pointers.getPointer(8 * index))), texts);
    assertStrictEquals(pointers.getPointer(24), null);
    for (const make of [() => arena.cstring("a\0b"), () => arena.cstrings(["a", "\0"])]) {
      assertThrows(make, TypeError, "NUL");
    }
  });

  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
  });
});
