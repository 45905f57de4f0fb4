/**
 * A callback with user data against the bare runtime's, which looks the value up in an array; a callback that throws, whose
 * error the native call throws, against the same callback that doesn't.
 */

import { callback, dlopen, Handle, handle } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { compare, finish } from "./harness.ts";
import { rawCallback, rawOpen } from "./raw.ts";

const session = { total: 0 };
const values = [{ total: 0 }, session];

const onRow = callback({ parameters: [handle<typeof session>(), "i32"], result: "i32" }, (value, index) => {
  value.total += index;
  return index;
});
// The fastest way to receive the word: 32 bits of it, which is enough for an index into an array.
const rawOnRow = rawCallback({ parameters: ["u32", "i32"], result: "i32" }, (user: number, index: number) => {
  values[user].total += index;
  return index;
});

const user = Handle.create(session);
const { each } = dlopen(testLibrary, {
  each: { parameters: ["i32", onRow.definition, "handle"], result: "i32" },
}).symbols;
const rawEach = rawOpen(testLibrary, { each: { parameters: ["i32", "function", "u32"], result: "i32" } })["each"];

const belay = (count: number): void => void each(count, onRow, user);
const raw = (count: number): void => void rawEach(count, rawOnRow.pointer, 1);

compare("callback/user-data", { belay, raw }, { count: 300_000 });

const comparator = { parameters: ["pointer", "pointer"], result: "i32" } as const;
const { bsearch } = dlopen(libcPath, {
  bsearch: { parameters: ["pointer", "buffer", "usize", "usize", comparator], result: "pointer" },
}).symbols;
const numbers = new Int32Array(1);
const error = new Error("thrown");
const throws = callback(comparator, () => {
  throw error;
});
const succeeds = callback(comparator, () => 0);
compare("callback/throw", {
  belay(count) {
    for (let i = 0; i < count; i++) {
      try {
        bsearch(null, numbers, 1, 4, throws);
      } catch {
        // Each of them.
      }
    }
  },
  plain(count) {
    for (let i = 0; i < count; i++) bsearch(null, numbers, 1, 4, succeeds);
  },
}, { count: 50_000 });
finish();
