#!/usr/bin/env bash
# Guess: an Error holds text. Once `.stack` was read, the Error keeps none of the
#   objects whose methods were running when it was made.
# Seen: in Deno the Error keeps each frame's `this` alive for as long as it lives,
#   whether `.stack` was read or not, and also if it was assigned. So does a plain
#   object given to Error.captureStackTrace. Keeping the string keeps nothing, and
#   an object that is an argument only isn't kept. Bun keeps nothing in any case.
#   (Node 20, with V8 11.3, lets go once `.stack` is read.)
# Versions: deno 2.9.6 (V8 15.0), bun 1.4.5, linux x64 (glibc).
# Why it matters: who notes "where was this handle opened" as an Error, to warn if
#   nobody closes it, keeps the handle alive by that note: FinalizationRegistry never
#   fires, no warning comes, and the C side is never freed. The note must be `error.stack`, taken
#   at once, and the Error must be dropped.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1

cat > keep.mjs <<'JS'
const [runtime, note] = process.argv.slice(2);
const collect = runtime === "bun" ? () => Bun.gc(true) : globalThis.gc;
const notes = [];
const takes = {
  "an Error": () => new Error("opened here"),
  "an Error, stack read"() {
    const error = new Error("opened here");
    void error.stack;
    return error;
  },
  "an Error, stack assigned"() {
    const error = new Error("opened here");
    error.stack = String(error.stack);
    return error;
  },
  "an object with a stack"() {
    const at = {};
    Error.captureStackTrace(at);
    return at;
  },
  "the string": () => new Error("opened here").stack,
};
takes["an Error made with it as argument"] = takes["an Error"];
class Handle {
  noted() {
    notes.push(takes[note]());
  }
}
const about = (_handle) => void notes.push(takes[note]());

const total = 200;
let collected = 0;
const registry = new FinalizationRegistry(() => collected++);
(function open() {
  for (let i = 0; i < total; i++) {
    const handle = new Handle();
    registry.register(handle, i);
    if (note.endsWith("argument")) about(handle);
    else handle.noted();
  }
})();
for (let i = 0; i < 100 && !(i >= 20 && collected > total * 0.9); i++) {
  collect();
  await new Promise((done) => setTimeout(done, 5));
}
const many = collected > total * 0.9 ? "collected" : collected === 0 ? "kept" : `${collected} of ${total} collected`;
console.log(`${runtime}: noted as ${note}: ${many}${notes.length === total ? "" : "?"}`);
JS
for note in "an Error" "an Error, stack read" "an Error, stack assigned" "an object with a stack" \
  "the string" "an Error made with it as argument"; do
  node_modules/@deno/linux-x64-glibc/deno run --v8-flags=--expose-gc keep.mjs deno "$note"
  node_modules/@oven/bun-linux-x64/bin/bun keep.mjs bun "$note"
done > seen

cat > expected <<'T'
deno: noted as an Error: kept
bun: noted as an Error: collected
deno: noted as an Error, stack read: kept
bun: noted as an Error, stack read: collected
deno: noted as an Error, stack assigned: kept
bun: noted as an Error, stack assigned: collected
deno: noted as an object with a stack: kept
bun: noted as an object with a stack: collected
deno: noted as the string: collected
bun: noted as the string: collected
deno: noted as an Error made with it as argument: collected
bun: noted as an Error made with it as argument: collected
T
cat seen
diff expected seen
