#!/usr/bin/env bash
# Guess: `Error.captureStackTrace(e, fn)` leaves out the frames down to fn's, as
#   in V8. fn is found by identity. Bun offers the function for V8's sake.
# Seen: Bun finds the frame by fn's *name*. Of two functions named "call" the
#   inner one is cut at, whichever was given, even one that isn't on the stack.
#   And a strict function that ends in `return f()` has no frame at all in Bun
#   (a tail call). `const r = f(); return r;` is one too: Bun's transpiler joins
#   the two. If such a function is the one given, no frame is left.
# Versions: deno 2.9.6, bun 1.4.5, linux x64 (glibc).
# Why it matters: a binding makes its wrappers by a factory, so they all have one
#   name, and a wrapper's last act is to return what it called. Its errors then
#   point into the binding, or nowhere, and not at the caller's line. Wrappers
#   need names of their own, and the one to cut at must do something after its call.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1

cat > cut.mjs <<'JS'
let cut;
function leaf() {
  const at = {};
  Error.captureStackTrace(at, cut);
  return String(at.stack);
}
const make = (next) =>
  function call() {
    return `${next()}`; // no tail call
  };
const inner = make(leaf);
function between() {
  return `${inner()}`;
}
const outer = make(between);
const elsewhere = make(leaf);
function tail() {
  return leaf();
}
function joined() {
  const stack = leaf();
  return stack;
}
function user(entry, at) {
  cut = at;
  const stack = entry();
  const names = stack.split("\n").slice(1).map((line) => line.trim().split(" ")[1]);
  return names.filter((name) => /^[a-z]+$/.test(name)).join(" < ") || "(none)";
}
const runtime = process.argv[2];
console.log(runtime, "all:", user(outer));
console.log(runtime, "cut at the inner call:", user(outer, inner));
console.log(runtime, "cut at the outer call:", user(outer, outer));
console.log(runtime, "cut at a call that is not on the stack:", user(outer, elsewhere));
console.log(runtime, "with a tail call:", user(tail));
console.log(runtime, "with a call, then a return:", user(joined));
console.log(runtime, "cut at the one with a tail call:", user(tail, tail));
JS
{
  node_modules/@deno/linux-x64-glibc/deno run cut.mjs deno
  node_modules/@oven/bun-linux-x64/bin/bun cut.mjs bun
} > seen

cat > expected <<'T'
deno all: leaf < call < between < call < user
deno cut at the inner call: between < call < user
deno cut at the outer call: user
deno cut at a call that is not on the stack: (none)
deno with a tail call: leaf < tail < user
deno with a call, then a return: leaf < joined < user
deno cut at the one with a tail call: user
bun all: leaf < call < between < call < user
bun cut at the inner call: between < call < user
bun cut at the outer call: between < call < user
bun cut at a call that is not on the stack: between < call < user
bun with a tail call: leaf < user
bun with a call, then a return: leaf < user
bun cut at the one with a tail call: (none)
T
cat seen
diff expected seen
