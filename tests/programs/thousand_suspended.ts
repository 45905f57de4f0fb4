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
await turn();
assertEquals(stats().live.ownStacks, 0);
const left = stats().memory.ownStacks;
if (!onWindows) assert(left < 1_000_000 && left < ownStackBytes / 10, `${left} bytes are left`);
console.log("done");
