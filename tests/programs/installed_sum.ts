/** What the main thread and the worker of `installed.ts` have in common. */

import { dlopen } from "@belay/ffi";

/** A sum of squares that C asks a function for. */
export function squares(library: string, count: number): number {
  using opened = dlopen(library, {
    repeat: { parameters: [{ parameters: ["i32", "i32"], result: "i32" }, "i32"], result: "i32" },
  });
  return opened.symbols.repeat((value) => value * value, count);
}
