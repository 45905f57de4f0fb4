/** A TypeScript value through C: `bsearch` hands its key to the comparator untouched, so the key can be a handle. */

import { callback, dlopen, Handle, handle, NativeMemory, pointerValue, stats } from "@belay/ffi";
import { libcPath } from "./libc.ts";

interface Query {
  readonly wanted: number;
  comparisons: number;
}

// One C function for every query: which one it is, C tells by handing the handle back.
using compare = callback({ parameters: [handle<Query>(), "pointer"], result: "i32" }, (query, element) => {
  query.comparisons += 1;
  return element === null ? 0 : query.wanted - NativeMemory.borrow(element, 4).getInt32(0);
});

using libc = dlopen(libcPath, {
  bsearch: { parameters: ["handle", "buffer", "usize", "usize", compare.definition], result: "pointer" },
});

const squares = Int32Array.from({ length: 1000 }, (_, i) => i * i);
for (const wanted of [144, 145]) {
  const query: Query = { wanted, comparisons: 0 };
  // C gets a number; the value stays here, alive until the handle is deleted.
  using key = Handle.create(query);
  const found = libc.symbols.bsearch(key, squares, squares.length, squares.BYTES_PER_ELEMENT, compare);
  console.log(`${wanted}: ${pointerValue(found) !== 0n ? "found" : "not found"}`); // 144: found, 145: not found
  if (query.comparisons === 0) throw new Error("expected comparisons");
}
console.log(`${stats().live.handles} handles alive`); // 0 handles alive
