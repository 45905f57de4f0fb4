/** Calls that JavaScript doesn't wait for: threads of the core's make them, and the functions return promises. */

import { dlopen, NativeMemory } from "@belay/ffi";
import { libcPath } from "./libc.ts";

const comparator = { parameters: ["pointer", "pointer"], result: "i32" } as const;
const { usleep, qsort } = dlopen(libcPath, {
  usleep: { parameters: ["u32"], result: "i32", nonblocking: true },
  qsort: { parameters: ["buffer", "usize", "usize", comparator], result: "void", nonblocking: true },
}).symbols;

const startMs = performance.now();
await Promise.all(Array.from({ length: 10 }, () => usleep(50_000)));
console.log(performance.now() - startMs < 400 ? "ten rests at once" : "ten rests, on a busy machine");

// C calls back from its thread meanwhile; the event loop serves it.
const numbers = new Int32Array([3, 1, 2]);
await qsort(numbers, numbers.length, 4, (a, b) => {
  if (a === null || b === null) return 0;
  return NativeMemory.borrow(a, 4).getInt32(0) - NativeMemory.borrow(b, 4).getInt32(0);
});
console.log(numbers.join()); // 1,2,3
