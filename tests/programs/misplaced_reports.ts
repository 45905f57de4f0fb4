/**
 * C calls a callback from another thread, past belay, and no call of belay's follows: the report comes at the program's
 * end, or while a callback is ref'd.
 */

import process from "node:process";
import { callback, configure, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";

const raw = rawOpen(testLibrary, { call_on_thread: { parameters: ["u64", "i32"], result: "i32" } });
const made = callback({ parameters: ["i32"], result: "i32" }, (value) => value, { name: "awaited", fallback: -1 });
configure({
  onReport({ kind, message }) {
    console.log(kind, message.includes('"awaited"'));
    made.unref();
  },
});
console.log(raw["call_on_thread"](pointerValue(made.pointer), 1));
if (process.argv[2] === "ref") made.ref();
setTimeout(() => console.log("the end of the turns"), 10);
