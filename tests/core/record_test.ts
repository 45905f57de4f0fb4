/** What TypeScript says of the core's structures by itself, in layers that know nothing of the core. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { argumentLayout } from "../../ffi/types/calling_convention.ts";
import * as record from "../../ffi/core/record.ts";

const platform = { os: "linux", arch: "x86_64" } as const;

/** The layout of so many 64-bit integers. */
function layoutOf(count: number): { stackWords: number } {
  return argumentLayout(Array.from({ length: count }, () => ({ byteLength: 8, float: false })), platform);
}

/** How the result goes back of a function that returns so many words. */
function resultKind(words: number): number {
  const leaves = Array.from({ length: words }, (_, i) => ({ byteOffset: i * 8, byteLength: 8, float: false } as const));
  return argumentLayout([], platform, { result: { byteLength: words * 8, leaves } }).bits >>> 24;
}

describe("what TypeScript shares with the core", () => {
  it("has as many words of arguments as the calling conventions lay out", () => {
    assertEquals(layoutOf(6 + record.stackWords).stackWords, record.stackWords);
  });

  it("has the kinds of results that the calling conventions name", () => {
    assertEquals(argumentLayout([], platform).bits >>> 24, record.resultScalar);
    assertEquals(resultKind(2), record.resultRegisters);
    assertEquals(resultKind(3), record.resultMemory);
  });

  it("has a call's float results behind two integer ones, as a callback's results are", () => {
    assertEquals(record.callFloatResultsByteOffset - record.callIntegerResultsByteOffset, 16);
    assertEquals(record.resultWords, 6);
  });

  it("has thunks whose words are found by shifts", () => {
    for (const length of [record.thunkChunkLength, record.thunkByteLength]) assertEquals(length & (length - 1), 0);
  });
});
