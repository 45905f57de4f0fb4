/** A program that opens libraries, and gives up its permission to open more. */

import { dlopen } from "@belay/ffi";

const { Deno } = globalThis as unknown as {
  Deno: { args: string[]; permissions: { revokeSync(descriptor: { name: string }): unknown } };
};
const [library = ""] = Deno.args;
const relay = { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" } as const;
const { symbols } = dlopen(library, {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  relay_i32: { ...relay, stack: "own" },
  add_f64: { parameters: ["f64", "f64"], result: "f64", stack: "own" },
});
const doubled = (value: number): number => 2 * value;
const before = symbols.relay_i32(doubled, 1);
Deno.permissions.revokeSync({ name: "ffi" });
console.log(before, symbols.add_i32(1, 2), symbols.relay_i32(doubled, 4), symbols.add_f64(0.5, 1));
