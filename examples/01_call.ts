/** Calling C functions: definitions give the types, arguments are checked before C is entered. */

import { dlopen } from "@belay/ffi";
import { libcPath } from "./libc.ts";

using libc = dlopen(libcPath, {
  abs: { parameters: ["i32"], result: "i32" },
  strlen: { parameters: ["cstring"], result: "usize" },
  strtoull: { parameters: ["cstring", "pointer", "i32"], result: "u64" },
});
const { abs, strlen, strtoull } = libc.symbols;

console.log(abs(-42)); // 42
console.log(strlen("grüß dich")); // 11n: bytes of UTF-8, as a bigint
console.log(strtoull("18446744073709551615", null, 10)); // 18446744073709551615n

try {
  abs(0.5);
} catch (error) {
  console.log(String(error)); // TypeError: Cannot call "abs": argument 1 (i32) must be an integer from …
}
