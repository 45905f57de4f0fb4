/** Calls that don't end although they are given up: they are left where they are, and the program goes on. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { callback, configure, dlopen, NativeMemory, PointerRuleError, type Report, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const visit = { parameters: ["pointer", "i32"], result: "i32" } as const;
const library = dlopen(testLibrary, {
  each: { parameters: ["i32", visit, "pointer"], result: "i32", suspends: true },
});
const { each } = library.symbols;
const reports: Report[] = [];
configure({ onReport: (report) => reports.push(report) });
const never = (): Promise<number> => new Promise(() => {});

// 256 callbacks are not too many: the one that waits isn't among them.
const controller = new AbortController();
const { signal } = controller;
const enough = each(257, never, null, { signal });
const memory = NativeMemory.alloc(16);
const tooMany = each(258, never, memory, { signal });
controller.abort();
for (const call of [enough, tooMany]) await assertRejects(() => call, DOMException);
assertEquals([stats().live.ownStacks, stats().counts.abandonedCalls], [1, 1]);
assertEquals(reports.map(({ kind }) => kind), ["abandoned-call"]);
// C may still read it.
assertThrows(() => memory.free(), PointerRuleError);

// So is one whose callbacks take too long.
const slow = new AbortController();
let runs = 0;
const always = callback(visit, () => {
  if (runs++ === 0) return never();
  const end = performance.now() + 60;
  while (performance.now() < end);
  return 0;
}, { always: true, suspends: true });
const takesLong = each(100, always, null, { signal: slow.signal });
slow.abort();
await assertRejects(() => takesLong, DOMException);
// Two where this process had to wait for a processor.
assert(runs === 2 || runs === 3, `${runs} runs`);
assertEquals(stats().counts.abandonedCalls, 2);
always.close();

// What has nothing to do with them works as before.
assertEquals(await each(3, (_, index) => Promise.resolve(index), null), 3);
library.close();
console.log("done");
