/**
 * What most programs do first with belay: `starting.ts <file> <core>` does it with the package's one file, and `eager.ts` looks
 * at which functions that runs.
 *
 * @module
 */

import process from "node:process";

const [, , file = "", core = ""] = process.argv;
const { callback, configure, dlopen, Handle } = await import(file) as typeof import("../mod.ts");

configure({ core });
callback({ parameters: ["pointer", "i32"], result: "i32" }, (_, value) => value + 1);
Handle.create("belay").delete();
// A library that is there on every system. What isn't called is there for its types: their checks are made with the library.
dlopen(core, {
  belay_now_ms: { parameters: [], result: "f64" },
  belay_memory_find_zero: { parameters: ["pointer", "f64", "u32", "f64"], result: "f64" },
  belay_channel_send: { parameters: ["pointer", "handle", "buffer", "u32"], result: "bool" },
  belay_control: { parameters: ["u32", "u32", "pointer", "u64", "cstring"], result: "pointer" },
}).symbols.belay_now_ms();
