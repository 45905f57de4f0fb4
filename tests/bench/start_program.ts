/**
 * One start, in a process of its own: `start_program.ts <subject> <module> <library>` prints how many milliseconds it took.
 * The subject is belay's module, or the bare runtime: its first callback, or its first library.
 *
 * @module
 */

import process from "node:process";
import type { BunFfi, BunProcess } from "../../ffi/runtime/bun.ts";
import type { DenoNamespace } from "../../ffi/runtime/deno.ts";

const [, , subject, module = "", library = ""] = process.argv;
const { Deno } = globalThis as unknown as {
  Deno?: DenoNamespace & {
    readonly UnsafeCallback: new (
      definition: object,
      callback: (value: number) => number,
    ) => { readonly pointer: object };
  };
};

/** The times between calls of it. */
const times: number[] = [];
let last = performance.now();
function mark(): void {
  const now = performance.now();
  times.push(now - last);
  last = now;
}

/** `bun:ffi`, which a program without belay has to load, too. */
function bunFfi(): BunFfi {
  return (process as unknown as BunProcess).getBuiltinModule("bun:ffi") as BunFfi;
}

const addOne = (value: number): number => value + 1;
const programs: Record<string, () => void | Promise<void>> = {
  async belay() {
    const { callback, dlopen } = await import(module) as typeof import("../../mod.ts");
    mark();
    callback({ parameters: ["i32"], result: "i32" }, addOne);
    mark();
    dlopen(library, {
      add_i32: { parameters: ["i32", "i32"], result: "i32" },
      add_f64: { parameters: ["f64", "f64"], result: "f64" },
      enter_u64: { parameters: ["pointer", "u64"], result: "u64" },
    }).symbols.add_i32(1, 2);
    mark();
  },
  "raw-callback"() {
    if (Deno !== undefined) {
      Deno.dlopen(library, { relay_i32: { name: "relay_i32", parameters: ["function", "i32"], result: "i32" } });
      new Deno.UnsafeCallback({ parameters: ["i32"], result: "i32" }, addOne);
    } else {
      const { dlopen, JSCallback } = bunFfi();
      dlopen(library, { relay_i32: { args: ["ptr", "i32"], returns: "i32" } });
      new (JSCallback as unknown as new (callback: typeof addOne, definition: object) => unknown)(addOne, {
        args: ["i32"],
        returns: "i32",
      });
    }
    mark();
  },
  "raw-dlopen"() {
    if (Deno !== undefined) {
      const { symbols } = Deno.dlopen(library, {
        add_i32: { name: "add_i32", parameters: ["i32", "i32"], result: "i32" },
        add_f64: { name: "add_f64", parameters: ["f64", "f64"], result: "f64" },
        enter_u64: { name: "enter_u64", parameters: ["pointer", "u64"], result: "u64" },
      });
      (symbols["add_i32"] as (a: number, b: number) => number)(1, 2);
    } else {
      const { dlopen } = bunFfi();
      // By now a program with callbacks has loaded it.
      last = performance.now();
      const { symbols } = dlopen(library, {
        add_i32: { args: ["i32", "i32"], returns: "i32" },
        add_f64: { args: ["f64", "f64"], returns: "f64" },
        enter_u64: { args: ["ptr", "u64"], returns: "u64" },
      });
      (symbols["add_i32"] as (a: number, b: number) => number)(1, 2);
    }
    mark();
  },
};
await programs[subject as string]?.();
console.log(JSON.stringify(times));
process.exit();
