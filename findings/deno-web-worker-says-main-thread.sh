#!/usr/bin/env bash
# Guess: `isMainThread` of node:worker_threads is false in every worker: it is what
#   packages ask before they do something once for the process.
# Seen: in a web `Worker` Deno's is true, `threadId` is 0 and `parentPort` is null,
#   as on the main thread; in a worker of node:worker_threads it is false. Bun's is
#   false in both kinds, and says which worker it is.
# Versions: deno 2.9.6, bun 1.4.5, linux x64 (glibc).
# Why it matters: a C library's process-wide set-up, its signal handlers, or what is
#   to be done when the process ends goes wrong if a worker takes itself for the
#   main thread: a worker's end is then taken for that of the process. What tells
#   them apart in Deno is the global DedicatedWorkerGlobalScope.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5 >/dev/null
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1

cat > tell.mjs <<'JS'
import { isMainThread, parentPort, threadId } from "node:worker_threads";
const scope = "DedicatedWorkerGlobalScope" in globalThis;
export const told = `isMainThread ${isMainThread}, threadId ${threadId > 0 ? "of a worker" : 0}, parentPort ${parentPort !== null}, scope ${scope}`;
JS
cat > web.mjs <<'JS'
import { told } from "./tell.mjs";
postMessage(told);
JS
cat > node.mjs <<'JS'
import { parentPort } from "node:worker_threads";
import { told } from "./tell.mjs";
parentPort.postMessage(told);
JS
cat > main.mjs <<'JS'
import { Worker as NodeWorker } from "node:worker_threads";
import { told } from "./tell.mjs";
console.log("main:", told);
const web = new Worker(new URL("./web.mjs", import.meta.url), { type: "module" });
web.onmessage = ({ data }) => {
  console.log("web worker:", data);
  web.terminate();
  const node = new NodeWorker(new URL("./node.mjs", import.meta.url));
  node.on("message", (message) => {
    console.log("node worker:", message);
    node.terminate();
  });
};
JS
node_modules/@deno/linux-x64-glibc/deno run -A --no-check main.mjs > deno.txt
node_modules/@oven/bun-linux-x64/bin/bun main.mjs > bun.txt
diff deno.txt - <<'SEEN'
main: isMainThread true, threadId 0, parentPort false, scope false
web worker: isMainThread true, threadId 0, parentPort false, scope true
node worker: isMainThread false, threadId of a worker, parentPort true, scope true
SEEN
diff bun.txt - <<'SEEN'
main: isMainThread true, threadId 0, parentPort false, scope false
web worker: isMainThread false, threadId of a worker, parentPort true, scope false
node worker: isMainThread false, threadId of a worker, parentPort true, scope false
SEEN
echo "as seen: Deno's web workers say that they are the main thread"
