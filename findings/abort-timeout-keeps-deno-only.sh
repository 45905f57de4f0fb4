#!/usr/bin/env bash
# Guess: a program that waits for nothing but `AbortSignal.timeout()`, with a listener
#   for its "abort", goes the same way everywhere; and it makes no difference by which
#   of the standard's ways the listener was added.
# Seen: Deno waits and calls the listener; Bun and Node end at once, and don't. Deno
#   waits if it was added by the signal's own `addEventListener`, by `onabort`, or to an
#   `AbortSignal.any()` of it. Added by `EventTarget.prototype.addEventListener`, which
#   code takes that doesn't trust methods of objects, Deno ends at once as well.
# Versions: deno 2.9.6, bun 1.4.5, node 20.20.2, linux x64 (glibc).
# Why it matters: a call of C that waits for a promise holds no event loop. A deadline
#   by `AbortSignal.timeout()` is then all that could go on with it, to let C give back
#   what it holds: on Bun and Node the program is over before. A binding that captures
#   the methods of its start-up takes those of AbortSignal.prototype, where Deno has its own.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @oven/bun-linux-x64@1.4.5 @deno/linux-x64-glibc@2.9.6 >/dev/null
export NO_COLOR=1

cat > waits.mjs <<'JS'
const [, , how] = process.argv;
const signal = AbortSignal.timeout(200);
let called = false;
const listener = () => (called = true);
const ways = {
  method: () => signal.addEventListener("abort", listener),
  onabort: () => (signal.onabort = listener),
  any: () => AbortSignal.any([signal]).addEventListener("abort", listener),
  prototype: () => EventTarget.prototype.addEventListener.call(signal, "abort", listener),
};
ways[how]();
process.on("exit", () => console.log(called ? "called" : "ended without"));
JS
for how in method onabort any prototype; do
  echo "deno $how: $(node_modules/@deno/linux-x64-glibc/deno run -A --quiet waits.mjs $how)"
  echo "bun $how: $(node_modules/@oven/bun-linux-x64/bin/bun waits.mjs $how)"
  echo "node $how: $(node waits.mjs $how)"
done > seen

cat > expected <<'T'
deno method: called
bun method: ended without
node method: ended without
deno onabort: called
bun onabort: ended without
node onabort: ended without
deno any: called
bun any: ended without
node any: ended without
deno prototype: ended without
bun prototype: ended without
node prototype: ended without
T
cat seen
diff expected seen
