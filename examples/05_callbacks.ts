/**
 * A C API without user data: `nftw` walks a folder and calls a bare function pointer. Each callback is a C function of its
 * own, and a scope releases what was made in it.
 */

import { callback, dlopen, Scope } from "@belay/ffi";
import { libcPath } from "./libc.ts";

const onEntry = { parameters: ["cstring", "pointer", "i32", "pointer"], result: "i32" } as const;
using libc = dlopen(libcPath, {
  nftw: { parameters: ["cstring", onEntry, "i32", "i32"], result: "i32" },
});
const { nftw } = libc.symbols;

/** At most so many of the files below a folder whose names end so. */
function find(folder: string, ending: string, most: number): string[] {
  const found: string[] = [];
  using scope = new Scope();
  const visit = scope.callback(onEntry, (path, _status, type) => {
    if (type === 0 && path?.endsWith(ending)) found.push(path);
    return found.length < most ? 0 : 1; // 1 ends the walk.
  }, { fallback: -1 }); // -1 does, too, should the function throw.
  nftw(folder, visit, 16, 0);
  return found.sort();
}

console.log(find("examples", "s.ts", 10).join(" ")); // examples/05_callbacks.ts
console.log(find("ffi", ".ts", 3).length); // 3

// C keeps the pointer? That is safe: once the callback is gone, C gets the fallback.
const stale = callback(onEntry, () => 0, { name: "stale", fallback: 7 });
stale.close();
console.log(nftw("examples", stale.pointer, 16, 0)); // belay: C called callback "stale" …, and 7
