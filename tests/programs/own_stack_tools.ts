/** What profilers and debuggers look at: C on stacks of its own, in all ways of calling back. Or it ends by C's `abort`. */

import process from "node:process";
import { dlopen, stats, tailCall } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const visit = { parameters: ["i32", "i32"], result: "i32" } as const;
const each = { name: "each", parameters: ["i32", visit, "i32"], result: "i32" } as const;
const { plain, own, ownByBlock, suspending, abort, abortOnOwn, add } = dlopen(testLibrary, {
  plain: each,
  own: { ...each, stack: "own" },
  ownByBlock: { ...each, stack: "own", stackSize: 1 << 20 },
  suspending: { ...each, suspends: true },
  abort: { parameters: [], result: "void" },
  abortOnOwn: { name: "abort", parameters: [], result: "void", stack: "own" },
  add: { name: "add_i32", parameters: ["i32", "i32"], result: "i32" },
}).symbols;
const never = (): Promise<number> => new Promise<number>(() => {});
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** What a debugger's evaluations read and set. */
interface Inspected {
  breaks: boolean;
  stops: boolean;
  nested(): number;
}

const modes: Record<string, () => Promise<void>> = {
  /** A few of each, which a debugger steps through from where `add` is called: engines call C otherwise what they have compiled. */
  async step() {
    const sum = (value: number, index: number): number => value + index;
    for (let i = 0; i < 30_000; i++) own(20, sum, i);
    for (let i = 0; i < 30_000; i++) ownByBlock(20, sum, i);
    add(1, 2);
    own(2, sum, 0);
    own(0, null, 0);
    for (let i = 0; i < 2; i++) ownByBlock(2, sum, 0);
    for (let i = 0; i < 2; i++) own(2, (value: number, index: number) => value + index, i);
    own(2, () => own(2, () => plain(1, (value: number) => value, 0), 0), 0);
    own(2, (value: number, index: number) => tailCall(add, value, index) as never, 0);
    const answers = [1, 2].map(() =>
      suspending(2, async (value: number) => {
        await soon();
        return value;
      }, 1)
    );
    console.log((await Promise.all(answers)).join(" "));
  },
  /** A million callbacks on own stacks, while C waits on another one. */
  async profile() {
    suspending(1, never, 0).catch(() => {});
    let calls = 0;
    const countedForC = (value: number, index: number): number => {
      calls++;
      // Long enough for samples.
      let sum = 0;
      for (let i = 0; i < 50; i++) sum = (sum * 31 + (value ^ index)) | 0;
      return sum & 1;
    };
    for (let i = 0; i < 10; i++) own(100_000, countedForC, i);
    const awaitedForC = async (): Promise<number> => {
      calls++;
      await Promise.resolve();
      return 1;
    };
    for (let i = 0; i < 50; i++) await suspending(20, awaitedForC, 0);
    console.log(`${calls} calls, ${stats().live.ownStacks} waits`);
  },
  /** Callbacks until a debugger says that it is enough. */
  async inspect() {
    const inspected: Inspected = { breaks: false, stops: false, nested: () => own(3, (value: number) => value, 7) };
    Object.assign(globalThis, { inspected });
    let answer = (): void => {};
    class HeldWhileCWaits {
      readonly answer = 42;
    }
    const waits = suspending(1, () => {
      const held = new HeldWhileCWaits();
      return new Promise<number>((resolve) => answer = () => resolve(held.answer));
    }, 0);
    function calledByC(value: number): number {
      const end = performance.now() + 2;
      while (performance.now() < end);
      // deno-lint-ignore no-debugger
      if (inspected.breaks) debugger;
      return value;
    }
    while (!inspected.stops) {
      own(5, calledByC, 1000);
      await soon();
    }
    answer();
    console.log(`C got ${await waits}, ${stats().live.ownStacks} waits`);
  },
  abort: () => Promise.resolve(abortOnOwn()),
  "abort in a callback": () => Promise.resolve(void own(2, () => (abort(), 1), 0)),
  "abort while C waits": () => {
    suspending(1, never, 0).catch(() => {});
    return soon().then(() => abortOnOwn());
  },
};

await modes[process.argv.at(-1) ?? ""]?.();
