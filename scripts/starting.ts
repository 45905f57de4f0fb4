/**
 * What most programs do first with belay: `starting.ts <file>` does it with the package's one file, and `eager.ts` looks at
 * which functions that runs.
 *
 * @module
 */

import process from "node:process";

const { callback, dlopen, Handle, stats } = await import(process.argv[2] as string) as typeof import("../mod.ts");

callback({ parameters: ["pointer", "i32"], result: "i32" }, (_, value) => value + 1);
Handle.create("belay").delete();
// A library that is there on every system.
dlopen(stats().core?.path as string, {
  belay_now_ms: { parameters: [], result: "f64" },
  belay_memory_find_zero: { parameters: ["pointer", "f64", "u32", "f64"], result: "f64" },
  belay_channel_send: { parameters: ["pointer", "handle", "buffer", "u32"], result: "bool" },
  belay_isolate_wake: { parameters: ["cstring"], result: "cstring" },
}).symbols.belay_now_ms();
