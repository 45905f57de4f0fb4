#!/usr/bin/env bash
# Guess: what `new Function` compiled is garbage once the function is. A forced full
#   collection (`gc()` of --expose-gc) gives its memory back.
# Seen: in Deno the functions are collected and their code stays. The heap grows by
#   about 1 KB for each different source, after twenty full collections as well. V8's
#   compilation cache holds it: `gc({ type: "major", flavor: "last-resort" })` gives
#   it back, and --no-compilation-cache or any tagged template in the source keeps it
#   out of the cache. In Bun nothing stays. (Node 20 keeps less than a tenth.)
# Versions: deno 2.9.6 (V8 15.0), bun 1.4.5, linux x64 (glibc).
# Why it matters: bindings compile a wrapper for each signature with `new Function`.
#   A leak test that opens and closes libraries and looks at the heap after gc() sees
#   a leak that is none. It must use the last-resort flavor, or count the functions.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1

cat > compile.mjs <<'JS'
const [label, kind, flavor] = process.argv.slice(2);
const collect = globalThis.gc ?? (() => Bun.gc(true));
const options = flavor === "last-resort" ? { type: "major", flavor } : { type: "major" };
async function heap() {
  for (let i = 0; i < 20; i++) {
    collect(options);
    await new Promise((done) => setTimeout(done, 2));
  }
  return process.memoryUsage().heapUsed;
}
const tag = kind === "tagged" ? "const t = (s) => s; t``; " : "";
const wrapper = (i) => new Function("call", `${tag}return (value) => call(value) + ${i};`);
const total = 5000;
let collected = 0;
const registry = new FinalizationRegistry(() => collected++);
for (let i = 0; i < 500; i++) registry.register(wrapper(i), i);
await heap();
collected = 0;
const before = await heap();
for (let i = 0; i < total; i++) registry.register(wrapper(1000 + i), i);
const each = (await heap() - before) / total;
const code = each > 500 ? "stays" : each < 200 ? "is released" : `${each} bytes each`;
const gone = collected > total * 0.9 ? "are collected" : "stay";
console.log(`${label}: functions ${gone}, code ${code}`);
JS
deno() { node_modules/@deno/linux-x64-glibc/deno run --v8-flags="$1" compile.mjs "${@:2}"; }
{
  deno --expose-gc "deno" plain
  deno --expose-gc "deno, last-resort" plain last-resort
  deno --expose-gc,--no-compilation-cache "deno, no compilation cache" plain
  deno --expose-gc "deno, tagged template" tagged
  node_modules/@oven/bun-linux-x64/bin/bun compile.mjs "bun" plain
} > seen

cat > expected <<'T'
deno: functions are collected, code stays
deno, last-resort: functions are collected, code is released
deno, no compilation cache: functions are collected, code is released
deno, tagged template: functions are collected, code is released
bun: functions are collected, code is released
T
cat seen
diff expected seen
