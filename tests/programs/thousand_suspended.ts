/** A thousand calls in which C waits: what they take, and what is left when they have ended. */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { dlopen, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const visit = { parameters: ["i32", "i32"], result: "i32" } as const;
const { each } = dlopen(testLibrary, {
  each: { parameters: ["i32", visit, "i32"], result: "i32", suspends: true },
}).symbols;
const onWindows = process.argv.at(-1) === "windows";
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

const answers: ((value: number) => void)[] = [];
const wait = (): Promise<number> => new Promise((resolve) => answers.push(resolve));
const warmUp = each(1, wait, 0);
answers.pop()?.(0);
await warmUp;
const start = process.memoryUsage().rss;
const calls = Array.from({ length: 1000 }, (_, i) => each(1, wait, i));
assertEquals(stats().live.ownStacks, 1000);
const ownStackBytes = stats().memory.ownStacks;
// On Windows all of a stack is there from the start: a megabyte each.
if (!onWindows) {
  assert(ownStackBytes >= 4_000_000 && ownStackBytes < 20_000_000, `${ownStackBytes} bytes of stacks`);
  const taken = process.memoryUsage().rss - start;
  assert(taken < 40_000_000, `${taken} bytes`);
}
for (const [i, answer] of answers.entries()) answer(i);
assertEquals(await Promise.all(calls), Array.from({ length: 1000 }, (_, i) => i));
assertEquals(stats().live.ownStacks, 0);

// Half a megabyte each, which those keep that are kept.
const deep = { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" } as const;
const { call_deep } = dlopen(testLibrary, { call_deep: { ...deep, suspends: true } }).symbols;
const deepCalls = Array.from({ length: 50 }, () => call_deep(async (value) => (await turn(), value), 500));
await Promise.all(deepCalls);
const kept = stats().memory.ownStacks;
await turn();
const left = stats().memory.ownStacks;
if (!onWindows) assert(kept > 20_000_000 && left < 1_000_000, `${kept} bytes are kept, ${left} are left`);
console.log("done");
