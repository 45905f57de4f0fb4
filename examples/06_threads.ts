/**
 * C calls from threads of its own. With `thread: "wait"` the calling thread waits until the event loop has made the call,
 * and gets the answer; with `thread: "post"` it goes on at once. (glibc 2.34 or later has pthreads in its C library.)
 */

import { callback, dlopen, Handle, handle } from "@belay/ffi";
import { libcPath } from "./libc.ts";

const mainFunction = { parameters: [handle<string>()], result: "pointer" } as const;
const { pthread_create, pthread_detach } = dlopen(libcPath, {
  pthread_create: { parameters: ["buffer", "pointer", mainFunction, "handle"], result: "i32" },
  pthread_detach: { parameters: ["usize"], result: "i32" },
}).symbols;

const { promise, resolve } = Promise.withResolvers<string>();
// While it is there, the event loop stays alive.
using main = callback(mainFunction, (name) => {
  resolve(name);
  return null;
}, { thread: "wait", timeoutMs: 1000 });

using name = Handle.create("the main function of a thread");
const thread = new BigUint64Array(1);
if (pthread_create(thread, null, main, name) !== 0) throw new Error("Cannot start a thread");
pthread_detach(thread[0]);
console.log(await promise); // the main function of a thread
