/** Strings that go to C and come from it, against the bare runtime's own ways. */

import { cstringAt, dlopen, NativeMemory } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compare, finish } from "./harness.ts";
import { rawOpen, rawString } from "./raw.ts";

// More than one, as a program has them.
const texts = ["one", "two", "three", "four"].map((word) => word.padEnd(64, " of several lines that C reads"));
const { text_length: length, text_64: out } = dlopen(testLibrary, {
  text_length: { parameters: ["cstring"], result: "u32" },
  text_64: { parameters: [], result: "cstring" },
}).symbols;
const raw = rawOpen(testLibrary, {
  text_length: { parameters: ["buffer"], result: "u32" },
  text_64: { parameters: [], result: "pointer" },
});
const rawLength = raw["text_length"] as (text: Uint8Array) => number;
const rawOut = raw["text_64"];
const encoder = new TextEncoder();
let sum = 0;

compare("string/in-64", {
  belay(count) {
    for (let i = 0; i < count; i++) sum = (sum + length(texts[i & 3])) | 0;
  },
  raw(count) {
    for (let i = 0; i < count; i++) sum = (sum + rawLength(encoder.encode(`${texts[i & 3]}\0`))) | 0;
  },
}, { count: 300_000 });

compare("string/out-64", {
  belay(count) {
    for (let i = 0; i < count; i++) sum = (sum + (out() as string).length) | 0;
  },
  raw(count) {
    for (let i = 0; i < count; i++) sum = (sum + rawString(rawOut()).length) | 0;
  },
}, { count: 300_000 });

// Text with a length, as C has in most of its structures.
const memory = NativeMemory.alloc(21);
memory.setCString(0, "key-0123456789abcdef");
const { pointer } = memory;
compare("text/at-pointer-20", {
  belay(count) {
    for (let i = 0; i < count; i++) sum = (sum + NativeMemory.borrow(pointer, 20).text().length) | 0;
  },
  cstring(count) {
    for (let i = 0; i < count; i++) sum = (sum + (cstringAt(pointer) as string).length) | 0;
  },
}, { count: 100_000 });
if (Number.isNaN(sum)) throw new Error("Read what was not written");
finish();
