/** C calls back: `qsort` over a typed array, with a TypeScript function as the comparator. */

import { dlopen, NativeMemory } from "@belay/ffi";
import type { Pointer } from "@belay/ffi";
import { libcPath } from "./libc.ts";

using libc = dlopen(libcPath, {
  qsort: {
    parameters: ["buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
    result: "void",
  },
});
const { qsort } = libc.symbols;

const numbers = new Int32Array([5, 3, 1, 4, 2]);
const at = (element: Pointer | null): number => element === null ? 0 : NativeMemory.borrow(element, 4).getInt32(0);

// The function is C's for the time of the call.
qsort(numbers, numbers.length, numbers.BYTES_PER_ELEMENT, (a, b) => at(a) - at(b));
console.log(numbers.join(" ")); // 1 2 3 4 5

// What it throws comes out of the call that it ran in; C never sees it.
try {
  qsort(numbers, numbers.length, numbers.BYTES_PER_ELEMENT, () => {
    throw new Error("no order today");
  });
} catch (error) {
  console.log(String(error)); // Error: no order today
}
