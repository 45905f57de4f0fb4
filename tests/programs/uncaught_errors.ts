/** Errors of callbacks that belong to no native call, by the name of the case. The process ends with the error. */

import process from "node:process";
import { callback, dlopen, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { wait } from "./threads.ts";

const [, , name, path] = process.argv;
const library = dlopen(path, {
  start_waits: { parameters: [wait, "i32", "i32"], result: "pointer" },
  wait_at_gate: { parameters: ["i32"], result: "i32", nonblocking: true },
});
const { start_waits, wait_at_gate } = library.symbols;

function fail(): never {
  throw new Error("thrown by the callback");
}

const failing = callback(wait, fail, { thread: "wait" });
const cases: Record<string, () => void> = {
  "no call": () => void start_waits(failing, 1, 1),
  // Nobody can say which of them it is. The gate is never opened.
  "two calls"() {
    for (let i = 0; i < 2; i++) void wait_at_gate(i).catch(() => console.log("rejected"));
    start_waits(failing, 1, 1);
  },
  "a closed function before"() {
    using other = dlopen(path, { add_i32: { parameters: ["i32", "i32"], result: "i32" } });
    const { add_i32 } = other.symbols;
    other.close();
    for (let i = 0; i < 3; i++) {
      try {
        add_i32(1, 1);
      } catch {
        // As expected; no call is running after it.
      }
    }
    const raw = rawOpen(path, { relay_i32: { parameters: ["u64", "i32"], result: "i32" } });
    const here = callback({ parameters: ["i32"], result: "i32" }, fail);
    raw["relay_i32"](pointerValue(here.pointer), 1);
  },
};
cases[name]();
