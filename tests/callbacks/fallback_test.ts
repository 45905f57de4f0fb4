/** What has a pointer as a callback's fallback. */

import { assert, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, NativeMemory, type Pointer, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { collectFully } from "../support/gc.ts";

const definition = { parameters: ["pointer"], result: "pointer" } as const;
const { symbols } = dlopen(testLibrary, {
  ask: { name: "relay_pointer", parameters: ["function", "pointer"], result: "pointer" },
});

describe("memory that is a callback's fallback", () => {
  /** In a function of its own, so that nothing of it stays on the stack. */
  function closedOne(): Pointer {
    const memory = NativeMemory.alloc(8);
    memory.setInt32(0, 42);
    const made = callback(definition, () => null, { fallback: memory });
    made.close();
    return made.pointer;
  }

  it("is there for as long as C may get it, also when the callback was closed and nobody else has it", async () => {
    const before = stats().live.memory;
    const pointer = closedOne();
    await collectFully();
    assertStrictEquals(stats().live.memory, before + 1);
    const answer = symbols.ask(pointer, null);
    assert(answer !== null);
    assertStrictEquals(NativeMemory.borrow(answer, 8).getInt32(0), 42);
  });
});
