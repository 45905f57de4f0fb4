/** Structures, variadic functions and C's error number: the C library's calendar and its files. */

import { charArray, dlopen, NativeMemory, struct } from "@belay/ffi";

// As <time.h> of Linux has it; the last two are the GNU library's.
const Tm = struct({
  sec: "i32",
  min: "i32",
  hour: "i32",
  mday: "i32",
  mon: "i32",
  year: "i32",
  wday: "i32",
  yday: "i32",
  isdst: "i32",
  gmtoff: "i64",
  zone: "pointer",
});
/** What `div` returns by value. */
const Div = struct({ quot: "i32", rem: "i32" });

using libc = dlopen({ name: "c", versions: ["6"] }, {
  gmtime_r: { parameters: ["buffer", "pointer"], result: "pointer" },
  div: { parameters: ["i32", "i32"], result: Div },
  snprintf: { parameters: ["buffer", "usize", "cstring", "i32", "f64"], variadic: 3, result: "i32" },
  open: { parameters: ["cstring", "i32"], variadic: 2, result: "i32", captureErrno: true },
});
const { gmtime_r, div, snprintf, open } = libc.symbols;

// By value, as a plain object.
const { quot, rem } = div(47, 5);
console.log(`47 / 5 is ${quot}, and ${rem} is left`);

// In native memory, through a view.
using memory = Tm.alloc();
gmtime_r(new BigInt64Array([86_400n * 365n]), memory.pointer);
const tm = Tm.view(memory);
console.log(`a year of seconds after the epoch it is ${1900 + tm.year}-${tm.mon + 1}-${tm.mday}`);

// A function with "...": the types are those of this use.
const text = new Uint8Array(32);
const length = snprintf(text, 32, "%d items, %.2f", 3, 9.5);
console.log(new TextDecoder().decode(text.subarray(0, length)));

// The error number comes with the result.
const ENOENT = 2;
const [descriptor, errno] = open("/there/is/no/such/file", 0);
console.log(`open gave ${descriptor}, because there is no such file: ${errno === ENOENT}`);

// A record as a file format or a C library has it: text of a fixed length, an array of them.
const Entry = struct({ name: charArray(8), size: "u32" });
using entries = NativeMemory.alloc(2 * Entry.byteLength);
const list = Entry.viewMany(entries);
list.set(0, { name: "first", size: 1 });
list.at(1).name = "second";
console.log([...list].map(({ name, size }) => `${name}: ${size}`).join(", "));
