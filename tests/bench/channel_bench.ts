/**
 * Events of a channel against the least that JavaScript could do with them: a loop over a typed array that has, for each
 * event, 8 bytes of payload and the index of its value, which it looks up in an array, unchecked. `map` has ids and a `Map`,
 * as a binding without handles would.
 *
 * Only reading is timed: from when C has sent everything, over the turns of the event loop that it takes, to the last event.
 */

import { Channel, dlopen, Handle, native } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compareAsync, finish, isSmall } from "./harness.ts";

const { send_numbers } = dlopen(testLibrary, {
  send_numbers: { parameters: ["function", "pointer", "buffer", "u32", "u32", "u32"], result: "u32" },
}).symbols;

const count = isSmall ? 1_000 : 1_000_000;
const valueCount = 1_000;
const values = Array.from({ length: valueCount }, (_, weight) => ({ weight }));
const ids = BigUint64Array.from(values, (value) => BigInt(Handle.create(value).id));
const byId = new Map(values.map((value, index) => [Number(ids[index]), value]));

/** Not a variable: engines would make an object of each number that is assigned to one of those. */
const total = new Float64Array(1);
const expected = (() => {
  let all = 0;
  for (let i = 0; i < count; i++) all += i + values[i % valueCount].weight;
  return all;
})();

function check(): void {
  if (total[0] !== expected) throw new Error(`wrong sum: ${total[0]}, not ${expected}`);
}

const channel = new Channel<{ weight: number }>({ capacity: 2 ** 25 });
let seen = 0;
let endMs = 0;
let done: () => void = () => {};
channel.onEvent((value, data) => {
  total[0] += data.getFloat64(0) + value.weight;
  if (++seen < count) return;
  endMs = performance.now();
  done();
});

async function belay(): Promise<Record<string, number>> {
  seen = total[0] = 0;
  const sent = send_numbers(native.sendToChannel, channel.pointer, ids, valueCount, 0, count);
  if (sent !== count) throw new Error(`only ${sent} events were sent`);
  const startMs = performance.now();
  await new Promise<void>((resolve) => done = resolve);
  check();
  return { "channel/event": (endMs - startMs) * 1e6 / count };
}

/** Of each event the id or index, and the payload. */
const pairs = new Float64Array(2 * count);
const indexed = new Float64Array(2 * count);
for (let i = 0; i < count; i++) {
  pairs[2 * i] = Number(ids[i % valueCount]);
  indexed[2 * i] = i % valueCount;
  pairs[2 * i + 1] = indexed[2 * i + 1] = i;
}

function readWithMap(): void {
  let all = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const value = byId.get(pairs[i]);
    if (value === undefined) throw new Error("no such value");
    all += pairs[i + 1] + value.weight;
  }
  total[0] = all;
}

function readWithArray(): void {
  let all = 0;
  for (let i = 0; i < indexed.length; i += 2) all += indexed[i + 1] + values[indexed[i]].weight;
  total[0] = all;
}

function timed(read: () => void): () => Promise<Record<string, number>> {
  return () => {
    total[0] = 0;
    const startMs = performance.now();
    read();
    const ms = performance.now() - startMs;
    check();
    return Promise.resolve({ "channel/event": ms * 1e6 / count });
  };
}

await compareAsync({ belay, loop: timed(readWithArray), map: timed(readWithMap) }, { rounds: 21 });
channel.close();
finish();
