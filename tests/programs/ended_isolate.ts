/** Calls of functions when the isolate has ended, as its copy of the package learns when a later load takes its place. */

import { dlopen } from "@belay/ffi";
import { core } from "../../ffi/core/core.ts";
import { liveWord } from "../../ffi/core/record.ts";
import { testLibrary } from "../../scripts/build.ts";

const add = { name: "add_i32", parameters: ["i32", "i32"], result: "i32" } as const;
const { symbols } = dlopen(testLibrary, {
  plain: add,
  own: { ...add, stack: "own" },
  byBlock: { ...add, stack: "own", stackSize: 1 << 20 },
  captured: { ...add, captureErrno: true },
});
const answers = (): string[] =>
  Object.values(symbols).map((fn) => {
    try {
      return String(fn(1, 2));
    } catch (error) {
      return String(error);
    }
  });
const before = answers();
core().words.u32[liveWord] = 0;
console.log(JSON.stringify([before, answers()]));
