/** Callbacks without user data against the bare runtime's: calling one, and making and closing one. */

import { callback, dlopen, Handle } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compare, finish } from "./harness.ts";
import { rawCallback, rawOpen } from "./raw.ts";

const definition = { parameters: ["i32", "i32"], result: "i32" } as const;
const { repeat } = dlopen(testLibrary, { repeat: { parameters: [definition, "i32"], result: "i32" } }).symbols;
const rawRepeat = rawOpen(testLibrary, { repeat: { parameters: ["function", "i32"], result: "i32" } })["repeat"];

const add = callback(definition, (a, b) => (a + b) | 0);
const rawAdd = rawCallback(definition, (a: number, b: number) => (a + b) | 0);
compare("callback/i32-i32", {
  belay: (count) => void repeat(add, count),
  raw: (count) => void rawRepeat(rawAdd.pointer, count),
}, { count: 300_000 });

/** What keeps the engines from leaving out what nobody uses. */
let last: unknown;

/** What both cases below are held against. */
function createAndClose(count: number): void {
  for (let i = 0; i < count; i++) {
    const made = rawCallback(definition, (a: number, b: number) => a + b + i);
    last = made.pointer;
    made.close();
  }
}

// A function of its own each time, as programs have it.
compare("closure/create-dispose", {
  belay(count) {
    for (let i = 0; i < count; i++) {
      const made = callback(definition, (a, b) => a + b + i);
      last = made.pointer;
      made.close();
    }
  },
  raw: createAndClose,
}, { count: 20_000 });

// With user data, a function needs no callback of its own: a handle on one that all share.
compare("handle-closure/create-dispose", {
  belay(count) {
    for (let i = 0; i < count; i++) {
      const made = Handle.create((a: number, b: number) => a + b + i);
      last = made.id;
      made.delete();
    }
  },
  raw: createAndClose,
}, { count: 20_000 });

if (last === undefined) throw new Error("Cannot compare: nothing was made");
finish();
