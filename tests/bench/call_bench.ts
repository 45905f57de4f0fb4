/** A call of C against the bare runtime's; and one by a function pointer. */

import { dlopen, functionAt } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compare, finish } from "./harness.ts";
import { rawFunctionAt, rawOpen } from "./raw.ts";

const library = dlopen(testLibrary, { add_i32: { parameters: ["i32", "i32"], result: "i32" } });
const add = library.symbols.add_i32;
const rawAdd = rawOpen(testLibrary, {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
})["add_i32"] as typeof add;
let sum = 0;

function belay(count: number): void {
  for (let i = 0; i < count; i++) sum = add(sum, i) | 0;
}

function raw(count: number): void {
  for (let i = 0; i < count; i++) sum = rawAdd(sum, i) | 0;
}

compare("call/add-i32", { belay, raw }, { count: 5_000_000 });

const types = { parameters: ["i32", "i32"], result: "i32" } as const;
const address = library.address("add_i32");
const addAt = functionAt(address, types);
const rawAddAt = rawFunctionAt(address, types) as typeof add;
compare("call/function-pointer", {
  belay(count) {
    for (let i = 0; i < count; i++) sum = addAt(sum, i) | 0;
  },
  library(count) {
    for (let i = 0; i < count; i++) sum = add(sum, i) | 0;
  },
  raw(count) {
    for (let i = 0; i < count; i++) sum = rawAddAt(sum, i) | 0;
  },
}, { count: 1_000_000 });
finish();
