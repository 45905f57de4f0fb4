/** Calls from other threads against the bare runtime's thread-safe callbacks. */

import { type Callback, callback, dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compareAsync, finish, isSmall, median, runtime } from "./harness.ts";
import { rawOpen, rawThreadSafe } from "./raw.ts";

const toVoid = { parameters: ["f64"], result: "void" } as const;
const toF64 = { parameters: ["f64"], result: "f64" } as const;
const { start_calls, calls_ns, now_ns } = dlopen(testLibrary, {
  start_calls: { parameters: ["function", "i32", "i32", "i32"], result: "bool" },
  calls_ns: { parameters: [], result: "f64" },
  now_ns: { parameters: [], result: "f64" },
}).symbols;
const raw = rawOpen(testLibrary, {
  start_calls: { parameters: ["function", "i32", "i32", "i32"], result: "bool" },
  now_ns: { parameters: [], result: "f64" },
});
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Closes the bare runtime's callback once C's threads have left it: a last call that is still there crashes Deno. */
async function close(bare: { close(): void }): Promise<void> {
  await pause(50);
  bare.close();
}

type Start = (threads: number, count: number, pauseUs: number) => void;
type Done = (count: number) => Promise<void>;

/** A function for callbacks, and a promise of its having been called so often. */
function counter(): { called: () => void; done: Done } {
  let left = 0;
  let resolve: () => void = () => {};
  return {
    called: () => {
      if (--left === 0) resolve();
    },
    done: (count) => {
      left = count;
      return new Promise((resolved) => resolve = resolved);
    },
  };
}

const scale = (count: number): number => isSmall ? Math.max(10, count / 1000) : count;

/** Nanoseconds an event of a burst takes, from `threads` threads. */
async function burst(start: Start, done: Done, threads: number, count: number): Promise<number> {
  const all = done(threads * count);
  const startMs = performance.now();
  start(threads, count, 0);
  await all;
  return (performance.now() - startMs) * 1e6 / (threads * count);
}

const starter = (made: Callback<typeof toVoid> | Callback<typeof toF64>): Start => (threads, count, pauseUs) =>
  void start_calls(made.pointer, threads, count, pauseUs);
const rawStarter = ({ pointer }: { readonly pointer: unknown }): Start => (threads, count, pauseUs) =>
  void raw["start_calls"](pointer, threads, count, pauseUs);

{
  const ours = counter();
  const theirs = counter();
  const made = callback(toVoid, ours.called, { thread: "post" });
  const bare = rawThreadSafe(toVoid, theirs.called);
  await compareAsync({
    belay: async () => ({
      "thread/post": await burst(starter(made), ours.done, 1, scale(1_000_000)),
      "thread/post-4-threads": await burst(starter(made), ours.done, 4, scale(250_000)),
    }),
    "one-thread": async () => ({
      "thread/post-4-threads": await burst(starter(made), ours.done, 1, scale(1_000_000)),
    }),
    raw: async () => ({
      "thread/post": await burst(rawStarter(bare), theirs.done, 1, scale(runtime === "deno" ? 5_000 : 100_000)),
    }),
  });
  made.close();
  await close(bare);
}

/** What a thread measures of calls whose answers it waits for. */
async function roundTrips(start: Start, count: number, pauseUs: number): Promise<number> {
  start(1, count, pauseUs);
  while (calls_ns() < 0) await pause(20);
  return calls_ns() / count;
}

{
  const made = callback(toF64, (value) => value + 1, { thread: "wait" });
  const subjects = {
    belay: async () => ({
      "thread/wait": await roundTrips(starter(made), scale(20_000), 0),
      "thread/wait-idle": await roundTrips(starter(made), scale(200), 1000),
    }),
  };
  if (runtime === "deno") {
    const bare = rawThreadSafe(toF64, (value: number) => value + 1);
    await compareAsync({
      ...subjects,
      raw: async () => ({
        "thread/wait": await roundTrips(rawStarter(bare), scale(5_000), 0),
        "thread/wait-idle": await roundTrips(rawStarter(bare), scale(200), 1000),
      }),
    });
    await close(bare);
  } else {
    await compareAsync(subjects);
  }
  made.close();
}

/** From an idle loop to running JavaScript: the median and the 99th percentile. */
async function latencies(start: Start, heard: number[]): Promise<Record<string, number>> {
  const count = scale(1_000);
  heard.length = 0;
  start(1, count, 500);
  while (heard.length < count) await pause(20);
  const sorted = heard.toSorted((a, b) => a - b);
  return { "thread/wake-latency": median(sorted), "thread/wake-latency-p99": sorted[Math.floor(count * 0.99)] };
}

{
  const heard: number[] = [];
  const rawHeard: number[] = [];
  const made = callback(toVoid, (sentNs) => void heard.push(now_ns() - sentNs), { thread: "post" });
  const bare = rawThreadSafe(toVoid, (sentNs: number) => void rawHeard.push((raw["now_ns"]() as number) - sentNs));
  await compareAsync({
    belay: () => latencies(starter(made), heard),
    raw: () => latencies(rawStarter(bare), rawHeard),
  }, { rounds: 5 });
  made.close();
  await close(bare);
}
finish();
