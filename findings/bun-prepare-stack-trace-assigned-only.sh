#!/usr/bin/env bash
# Guess: the runtime reads `Error.prepareStackTrace` when it formats a stack. A saved
#   property descriptor put back, or `delete`, ends a formatter that was set.
# Seen: Bun sees an assignment only. Object.defineProperty has no effect, and a formatter
#   set before goes on. `delete` doesn't end it either. After either, assignments
#   aren't seen any more: what was in effect stays for good, though the property reads
#   as the new one, or undefined. Deno does what one would guess.
#   And with `Error.stackTraceLimit = 0` an Error has no `stack` in Bun, where Deno
#   (V8) gives the heading line.
# Versions: deno 2.9.6, bun 1.4.5, linux x64 (glibc).
# Why it matters: a binding that finds its caller sets the formatter for a moment, and
#   careful code saves and restores by descriptor. In Bun this leaves the binding's
#   formatter in the whole program. Save the value, and assign it back (undefined too).
#   And `error.stack.split` needs a test first.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1

cat > format.mjs <<'JS'
const [runtime, how] = process.argv.slice(2);
const name = "prepareStackTrace";
const says = [];
const look = (doing) => {
  const { stack } = new Error("plain");
  says.push(`${doing}: ${typeof stack === "string" ? stack.split("\n")[0].replace("Error: ", "") : stack}`);
};
const put = (value) => Object.defineProperty(Error, name, { value, writable: true, configurable: true });
const saved = Object.getOwnPropertyDescriptor(Error, name);
const ways = {
  assign() {
    Error[name] = () => "first";
    look("assigned");
    Error[name] = () => "second";
    look("assigned again");
    Error[name] = undefined;
    look("undefined assigned");
  },
  define() {
    put(() => "first");
    look("defined");
    Error[name] = () => "second";
    look("assigned then");
  },
  redefine() {
    Error[name] = () => "first";
    put(() => "second");
    look("defined over an assigned one");
    Error[name] = () => "third";
    look("assigned then");
  },
  restore() {
    Error[name] = () => "first";
    if (saved === undefined) delete Error[name];
    else Object.defineProperty(Error, name, saved);
    look("descriptor put back");
  },
  delete() {
    Error[name] = () => "first";
    delete Error[name];
    look(`deleted, reads ${Error[name]}`);
    Error[name] = () => "second";
    look("assigned then");
  },
  limit() {
    Error.stackTraceLimit = 0;
    look("limit 0");
  },
};
ways[how]();
console.log(`${runtime} ${says.join("; ")}`);
JS
for how in assign define redefine restore delete limit; do
  node_modules/@deno/linux-x64-glibc/deno run format.mjs deno "$how"
  node_modules/@oven/bun-linux-x64/bin/bun format.mjs bun "$how"
done > seen

cat > expected <<'T'
deno assigned: first; assigned again: second; undefined assigned: plain
bun assigned: first; assigned again: second; undefined assigned: plain
deno defined: first; assigned then: second
bun defined: plain; assigned then: plain
deno defined over an assigned one: second; assigned then: third
bun defined over an assigned one: first; assigned then: first
deno descriptor put back: plain
bun descriptor put back: first
deno deleted, reads undefined: plain; assigned then: second
bun deleted, reads undefined: first; assigned then: first
deno limit 0: plain
bun limit 0: undefined
T
cat seen
diff expected seen
