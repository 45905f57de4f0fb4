#!/usr/bin/env bash
# Guess: a variable that a C library exports has one address. dlsym on the library's
#   own handle finds it.
# Seen: Bun's executable is not position independent, and the linker copied four of
#   libc's variables into it: environ, stdin, stdout, stderr. libc itself uses these
#   copies. dlsym on libc's handle gives the unused originals: `environ` reads as NULL
#   there, while getenv finds variables and dlsym(RTLD_DEFAULT) gives the one in use.
#   Deno's executable is position independent: both ways give one address.
# Versions: deno 2.9.6, bun 1.4.5, linux x64 (glibc).
# Why it matters: "open the library, look up the variable" is how a binding reads a C
#   global. In Bun it reads a dead `environ`, and to redirect C's `stdout` by writing
#   the variable does nothing. No error is given. Variables of libc must be looked up
#   with RTLD_DEFAULT.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 A_VARIABLE=1

cat > bun.mjs <<'JS'
import { dlopen, ptr, read } from "bun:ffi";
const text = (string) => Buffer.from(string + "\0");
const C = dlopen("libc.so.6", {
  dlopen: { args: ["ptr", "i32"], returns: "ptr" },
  dlsym: { args: ["ptr", "ptr"], returns: "ptr" },
  getenv: { args: ["ptr"], returns: "ptr" },
}).symbols;
const library = C.dlopen(text("libc.so.6"), 2);
for (const name of ["environ", "stdin", "stdout", "stderr", "optarg", "program_invocation_name"]) {
  const own = C.dlsym(library, text(name)), used = C.dlsym(0, text(name));
  console.log(`bun ${name}: ${own === used ? "one address" : "two addresses"}`);
  if (name !== "environ") continue;
  const kind = (at) => read.ptr(at) === 0 ? "NULL" : "a list";
  console.log(`bun getenv finds ${C.getenv(text("A_VARIABLE")) === null ? "nothing" : "a variable"}`);
  console.log(`bun environ by libc's handle: ${kind(own)}, by RTLD_DEFAULT: ${kind(used)}`);
}
JS
cat > deno.mjs <<'JS'
const text = (string) => new TextEncoder().encode(string + "\0");
const C = Deno.dlopen("libc.so.6", {
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
  dlsym: { parameters: ["pointer", "buffer"], result: "pointer" },
}).symbols;
const library = C.dlopen(text("libc.so.6"), 2);
for (const name of ["environ", "stdin", "stdout", "stderr", "optarg", "program_invocation_name"]) {
  const own = C.dlsym(library, text(name)), used = C.dlsym(null, text(name));
  console.log(`deno ${name}: ${Deno.UnsafePointer.equals(own, used) ? "one address" : "two addresses"}`);
}
JS
{
  node_modules/@oven/bun-linux-x64/bin/bun bun.mjs
  node_modules/@deno/linux-x64-glibc/deno run --allow-ffi deno.mjs
} > seen

cat > expected <<'T'
bun environ: two addresses
bun getenv finds a variable
bun environ by libc's handle: NULL, by RTLD_DEFAULT: a list
bun stdin: two addresses
bun stdout: two addresses
bun stderr: two addresses
bun optarg: one address
bun program_invocation_name: one address
deno environ: one address
deno stdin: one address
deno stdout: one address
deno stderr: one address
deno optarg: one address
deno program_invocation_name: one address
T
cat seen
diff expected seen
