/**
 * The C functions that call callbacks, and the bare runtime's own way to them.
 *
 * @module
 */

import { type Callback, dlopen, type Library, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";

export const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
/** The functions, and the types of the callbacks that they call. */
export const definitions = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  call_void: { parameters: [{ parameters: [], result: "void" }], result: "void" },
  relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
  relay_f64: { parameters: [{ parameters: ["f64"], result: "f64" }, "f64"], result: "f64" },
  relay_i64: { parameters: [{ parameters: ["i64"], result: "i64" }, "i64"], result: "i64" },
  collect_i32: { parameters: [i32ToI32, "buffer", "i32"], result: "void" },
  keep: { parameters: [i32ToI32], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  run_operations: { parameters: ["buffer", "i32"], result: "f64" },
  call_each: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  enter_pointer: { parameters: [], result: "pointer" },
  call_on_thread: { parameters: [i32ToI32, "i32"], result: "i32" },
  call_on_coroutine: { parameters: [i32ToI32], result: "i32", optional: true },
  call_in_signal: { parameters: [i32ToI32, "bool"], result: "i32", optional: true },
} as const;

/** Opens a library of them, which the caller closes. */
export const open = (): Library<typeof definitions> => dlopen(testLibrary, definitions);

/** Those of a library that stays open. */
export const { add_i32, relay_i32, collect_i32, keep, call_kept, run_operations, call_each, ...elsewhere } = open()
  .symbols;

/** The bare runtime's own way to the test library, of which belay knows nothing. */
export const raw = rawOpen(testLibrary, { relay_i32: { parameters: ["u64", "i32"], result: "i32" } });

/** Has C call a callback past belay. */
export const relayRaw = (made: Callback<typeof i32ToI32>, value: number): unknown =>
  raw["relay_i32"](pointerValue(made.pointer), value);
