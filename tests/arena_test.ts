/** `Arena`: memory that is freed together. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Arena, cstringAt, dlopen, MemoryFreedError, NativeMemory, stats } from "@belay/ffi";
import { testLibrary } from "../scripts/build.ts";
import { alive, isLive } from "./support/gc.ts";
import { caught } from "./support/outcome.ts";

const before = alive();

describe("Arena", () => {
  it("frees what it allocated with the rest, last made first", () => {
    const { memory: memories } = stats().live;
    const order: string[] = [];
    const arena = new Arena();
    const first = arena.alloc(8, { align: 64 });
    arena.defer(() => order.push(`first is ${first.disposed ? "" : "not "}freed`));
    const handle = arena.handle("value");
    const second = arena.cstring("text");
    arena.defer(() => order.push(`second is ${second.disposed ? "" : "not "}freed`));
    const made = arena.callback({ parameters: [], result: "void" }, () => {});
    assertStrictEquals(stats().live.memory, memories + 2);
    assertStrictEquals(first.byteLength, 8);
    assertStrictEquals(handle.value, "value");
    arena.dispose();
    arena.dispose();
    assertEquals(order, ["second is not freed", "first is not freed"]);
    assert(first.disposed && second.disposed && made.disposed);
    assertThrows(() => second.getCString(), MemoryFreedError);
    assertStrictEquals(stats().live.memory, memories);
    for (
      const make of [
        () => arena.alloc(1),
        () => arena.cstring(""),
        () => arena.utf16(""),
        () => arena.cstrings([]),
        () => arena.handle(1),
      ]
    ) {
      assertThrows(make, ReferenceError, "disposed of");
    }
    assertStrictEquals(stats().live.memory, memories);
  });

  /** Makes two of everything, each with a step that notes what is alive then; throws `error`, and answers the notes. */
  function useEverything(error: Error): string[] {
    const gone: (() => boolean)[] = [];
    const seen: string[] = [];
    const thrown = caught(() => {
      using arena = new Arena();
      const made = (isGone: () => boolean): void => {
        gone.push(isGone);
        arena.defer(() => seen.push(gone.map((each) => each() ? "-" : "x").join("")));
      };
      const allocated = (memory: NativeMemory): void => made(() => memory.disposed);
      for (let round = 0; round < 2; round++) {
        allocated(arena.alloc(8, { align: 64 }));
        const { id } = arena.handle({ round });
        made(() => !isLive(id));
        allocated(arena.cstring("text"));
        const called = arena.callback({ parameters: ["i32"], result: "i32" }, (value) => value);
        made(() => called.disposed);
        const pinned = arena.pin(new Uint8Array(16));
        made(() => pinned.disposed);
        allocated(arena.utf16("text"));
        const posted = arena.callback({ parameters: [], result: "void" }, () => {}, { thread: "post" });
        made(() => posted.disposed);
        let freed = false;
        arena.use(NativeMemory.adopt(arena.alloc(8).pointer, 8, () => freed = true));
        made(() => freed);
        const library = arena.use(dlopen(testLibrary, {}));
        made(() => library.disposed);
      }
      assert(gone.every((isGone) => !isGone()));
      throw error;
    });
    assertStrictEquals(thrown, error);
    assert(gone.every((isGone) => isGone()));
    return seen;
  }

  it("releases everything of every kind, last made first, also when its block throws", () => {
    const seen = useEverything(new Error("thrown"));
    const count = 18;
    // When the last step's turn comes nothing is gone, then one thing after the other.
    assertEquals(seen, Array.from({ length: count }, (_, index) => "x".repeat(count - index).padEnd(count, "-")));
    assertEquals(alive(), before);
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
