#!/usr/bin/env bash
# Guess: `jest.useFakeTimers()` replaces the global functions, as Jest does. Code
#   that took `setTimeout` and `performance.now` before runs on in real time.
# Seen: in Bun's test runner nothing is replaced, and the timers and clocks themselves
#   stop: setTimeout and setInterval taken before, node:timers, node:timers/promises,
#   Bun.sleep, performance.now, Date, process.hrtime, Bun.nanoseconds. A timer that
#   was started before still fires. setImmediate, MessageChannel and C's clocks go on.
# Versions: bun 1.4.5, linux x64 (glibc).
# Why it matters: a binding that polls or waits for C's threads can't protect itself
#   by taking the timers at its start. Under fake timers its poll never comes, and a
#   deadline measured with performance.now() never passes while C's own deadlines do.
#   Turns by setImmediate, counted or timed by C's clock, go on.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --ignore-scripts --silent --prefix "$dir" @oven/bun-linux-x64@1.4.5 >/dev/null
export NO_COLOR=1

cat > taken.mjs <<'JS'
// Taken when the module is loaded, before any test runs.
import { dlopen } from "bun:ffi";
import { setTimeout as nodeTimeout } from "node:timers";
import { setTimeout as nodeDelay } from "node:timers/promises";
const { setTimeout, setInterval, setImmediate, MessageChannel, Date } = globalThis;
const { sleep, nanoseconds } = Bun;
const now = performance.now.bind(performance);
const { hrtime } = process;
const C = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } }).symbols;
const time = new BigInt64Array(2);
export const waits = {
  setTimeout: (done) => setTimeout(done, 1),
  setInterval(done) {
    const id = setInterval(() => (clearInterval(id), done()), 1);
  },
  "node:timers": (done) => nodeTimeout(done, 1),
  "node:timers/promises": (done) => void nodeDelay(1).then(done),
  "Bun.sleep": (done) => void sleep(1).then(done),
  setImmediate: (done) => void setImmediate(done),
  MessageChannel(done) {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), done());
    port2.postMessage(0);
  },
};
export const clocks = {
  "performance.now": () => now(),
  "Date.now": () => Date.now(),
  "new Date": () => new Date().getTime(),
  "process.hrtime": () => hrtime.bigint(),
  "Bun.nanoseconds": () => nanoseconds(),
  "C's clock_gettime"() {
    C.clock_gettime(1, time);
    return time[0] * 1_000_000_000n + time[1];
  },
};
export const turn = () => new Promise((done) => setImmediate(done));
export const before = setTimeout;
JS
cat > fake.test.mjs <<'JS'
import { jest, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { before, clocks, turn, waits } from "./taken.mjs";

const say = (line) => appendFileSync("seen", line + "\n");
async function look(label) {
  const came = {};
  for (const [name, wait] of Object.entries(waits)) wait(() => (came[name] = true));
  const start = Object.values(clocks).map((clock) => clock());
  Bun.sleepSync(50); // the thread sleeps: real time passes
  const moved = Object.values(clocks).map((clock, at) => clock() > start[at]);
  const all = Object.keys(waits).length;
  for (let i = 0; i < 3000 && Object.keys(came).length < all; i++) {
    await turn();
    if (i % 100 === 0) Bun.sleepSync(1);
  }
  for (const name of Object.keys(waits)) say(`${label}: ${name} ${came[name] ? "came" : "stopped"}`);
  Object.keys(clocks).forEach((name, at) => say(`${label}: ${name} ${moved[at] ? "moved" : "stood still"}`));
}
test("fake timers", async () => {
  await look("real");
  let started = false;
  before(() => (started = true), 1);
  jest.useFakeTimers();
  say(`fake: setTimeout is ${before === setTimeout ? "the same function" : "replaced"}`);
  await look("fake");
  say(`fake: a timer started before ${started ? "came" : "stopped"}`);
  jest.useRealTimers();
}, 60_000);
JS
node_modules/@oven/bun-linux-x64/bin/bun test ./fake.test.mjs >log 2>&1 || { cat log; exit 1; }

cat > expected <<'T'
real: setTimeout came
real: setInterval came
real: node:timers came
real: node:timers/promises came
real: Bun.sleep came
real: setImmediate came
real: MessageChannel came
real: performance.now moved
real: Date.now moved
real: new Date moved
real: process.hrtime moved
real: Bun.nanoseconds moved
real: C's clock_gettime moved
fake: setTimeout is the same function
fake: setTimeout stopped
fake: setInterval stopped
fake: node:timers stopped
fake: node:timers/promises stopped
fake: Bun.sleep stopped
fake: setImmediate came
fake: MessageChannel came
fake: performance.now stood still
fake: Date.now stood still
fake: new Date stood still
fake: process.hrtime stood still
fake: Bun.nanoseconds stood still
fake: C's clock_gettime moved
fake: a timer started before came
T
cat seen
diff expected seen
