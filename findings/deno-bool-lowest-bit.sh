#!/usr/bin/env bash
# Guess: a C function answers `unsigned char`, where any byte but 0 means yes
#   (GLboolean, FT_Bool, BOOLEAN). Its result is declared "bool". 2 gives true.
# Seen: Deno gives false for 2, 0x80 and 0xfe: only the lowest bit counts.
#   A call with `nonblocking: true` and `UnsafePointerView.getBool` do the same.
#   Bun gives true for each byte but 0.
# Versions: deno 2.9.6, bun 1.4.5, linux x64 (glibc).
# Why it matters: Deno's "bool" is right only for C's `_Bool`, which is 0 or 1.
#   `return flags & 0x80;` from an `unsigned char` function says yes in C and no
#   in Deno. Such a result is to be declared "u8" and compared with 0.
# The script calls each function a few times only: V8's compiled code relies on
#   a bool being 0 or 1, so a hot loop over such a function is not safe.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1

cat > flags.c <<'C'
unsigned char bit(unsigned char flags, unsigned char mask) { return flags & mask; }
C
gcc -shared -fPIC -O1 -o flags.so flags.c

cat > deno.mjs <<'JS'
const bytes = [0, 1, 2, 3, 0x80, 0xfe, 0xff];
const parameters = ["u8", "u8"];
const open = (more) => Deno.dlopen("./flags.so", { bit: { parameters, ...more } }).symbols.bit;
const bool = open({ result: "bool" });
const later = open({ result: "bool", nonblocking: true });
const u8 = open({ result: "u8" });
const view = new Deno.UnsafePointerView(Deno.UnsafePointer.of(new Uint8Array(bytes)));
console.log("deno bool", ...bytes.map((byte) => bool(0xff, byte)));
console.log("deno bool, nonblocking", ...await Promise.all(bytes.map((byte) => later(0xff, byte))));
console.log("deno getBool", ...bytes.map((_, at) => view.getBool(at)));
console.log("deno u8", ...bytes.map((byte) => u8(0xff, byte) !== 0));
JS
cat > bun.mjs <<'JS'
import { dlopen } from "bun:ffi";
const { bit } = dlopen("./flags.so", { bit: { args: ["u8", "u8"], returns: "bool" } }).symbols;
console.log("bun bool", ...[0, 1, 2, 3, 0x80, 0xfe, 0xff].map((byte) => bit(0xff, byte)));
JS
{
  node_modules/@deno/linux-x64-glibc/deno run --allow-ffi deno.mjs
  node_modules/@oven/bun-linux-x64/bin/bun bun.mjs
} > seen

cat > expected <<'T'
deno bool false true false true false false true
deno bool, nonblocking false true false true false false true
deno getBool false true false true false false true
deno u8 false true true true true true true
bun bool false true true true true true true
T
echo "# bytes: 0 1 2 3 0x80 0xfe 0xff"
cat seen
diff expected seen
