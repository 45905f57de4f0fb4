/**
 * What a program uses that has belay installed or is a bundle: a callback, calls from another thread, a nonblocking call, a
 * channel and a worker. The first argument is the tests' C library; it prints where the core is from, too.
 */

import { callback, Channel, dlopen, Handle, native, stats } from "@belay/ffi";
import process from "node:process";
import { squares } from "./installed_sum.ts";

// The worker's file: in a bundle it has another name. "none" is for no worker.
const [library = "", workerFile = "./installed_worker.ts"] = process.argv.slice(2);
using opened = dlopen(library, {
  start_calls: { parameters: ["function", "i32", "i32", "i32"], result: "bool" },
  send_bytes: { parameters: ["function", "pointer", "usize", "buffer", "u32"], result: "bool" },
});
const { start_calls, send_bytes } = opened.symbols;

const sum = squares(library, 4);

let left = 0;
let all: () => void = () => {};
using counted = callback({ parameters: ["f64"], result: "void" }, () => {
  if (--left === 0) all();
}, { thread: "post" });
const posted = await new Promise<string>((resolve) => {
  left = 200;
  all = () => resolve("200 calls");
  start_calls(counted.pointer, 2, 100, 0);
});

using later = dlopen(library, { now_ns: { parameters: [], result: "f64", nonblocking: true } });
const ns = await later.symbols.now_ns();

using channel = new Channel<string>();
using name = Handle.create("an event");
const event = await new Promise<string>((resolve) => {
  channel.onEvent((value) => resolve(value ?? "no value"));
  send_bytes(native.sendToChannel, channel.pointer, name.id, new Uint8Array([1]), 1);
});

async function askWorker(): Promise<string> {
  const worker = new Worker(new URL(workerFile, import.meta.url), { type: "module" });
  try {
    return await new Promise<string>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (error) => reject(error);
      worker.postMessage(library);
    });
  } finally {
    worker.terminate();
  }
}
const fromWorker = workerFile === "none" ? "no worker" : await askWorker();

console.log([sum, posted, ns > 0, event, fromWorker, stats().core?.source].join(", "));
