/** What native calls have of JavaScript's memory, in a record of its own. */

import { assert, assertEquals, assertFalse } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { LentMemory } from "../../ffi/crossing/lent.ts";
import type { Address } from "../../ffi/runtime/backend.ts";
import { backend } from "../../ffi/runtime/choose.ts";

const bytes = backend().hold(new Uint8Array(64));
const begin = backend().viewAddress(bytes);
const at = (byteOffset: number): Address => typeof begin === "bigint" ? begin + BigInt(byteOffset) : begin + byteOffset;

describe("LentMemory", () => {
  it("has what running calls were given, the inner ones and those around them", () => {
    const lent = new LentMemory();
    assertFalse(lent.has(begin));
    lent.running = { outer: null, values: bytes.subarray(0, 8) };
    lent.running = { outer: lent.running, values: [null, bytes.subarray(16, 24)] };
    assertEquals([0, 7, 8, 15, 16, 23, 24].map((byteOffset) => lent.has(at(byteOffset))), [
      true,
      true,
      false,
      false,
      true,
      true,
      false,
    ]);
    lent.running = lent.running.outer;
    assertFalse(lent.has(at(16)));
    assert(lent.has(begin));
  });

  it("has what nonblocking calls were given until they have ended, and says whether they use a piece of memory", () => {
    const lent = new LentMemory();
    lent.lend(5, { kept: [bytes.subarray(8, 16), null], pointers: undefined });
    lent.lend(2, { kept: undefined, pointers: [at(40)] });
    assert(lent.has(at(8)) && lent.has(at(15)));
    assertFalse(lent.has(at(40)), "a pointer is C's memory, not JavaScript's");
    assert(lent.isUsed(begin, 64) && lent.isUsed(at(8), 1) && lent.isUsed(at(40), 0));
    assertFalse(lent.isUsed(begin, 8) || lent.isUsed(at(41), 10));
    lent.giveBack(5);
    assertFalse(lent.has(at(8)) || lent.isUsed(at(8), 8));
    assert(lent.isUsed(at(32), 16));
    lent.giveBack(2);
    lent.giveBack(2);
    lent.giveBack(1000);
    assertFalse(lent.isUsed(begin, 64));
  });

  it("calls what was put off when the next call has ended, once, also after one that throws", () => {
    const lent = new LentMemory();
    const called: string[] = [];
    lent.lend(0, { kept: undefined, pointers: undefined });
    lent.afterCall(() => {
      called.push("first");
      lent.afterCall(() => called.push("later"));
    });
    lent.afterCall(() => called.push("second"));
    assertEquals(called, []);
    lent.giveBack(0);
    assertEquals(called, ["first", "second"]);
    lent.giveBack(0);
    assertEquals(called, ["first", "second", "later"]);
  });

  it("calls nothing that was put off where a call wasn't made after all", () => {
    const lent = new LentMemory();
    const called: string[] = [];
    lent.lend(1, { kept: undefined, pointers: [at(40)] });
    lent.afterCall(() => called.push("later"));
    lent.takeBack(1);
    lent.takeBack(1);
    assertEquals(called, []);
    assertFalse(lent.isUsed(begin, 64));
    lent.lend(1, { kept: undefined, pointers: [at(8)] });
    assert(lent.isUsed(begin, 64));
    lent.giveBack(1);
    assertEquals(called, ["later"]);
  });
});
