/**
 * Whether a callback keeps the process alive, by the name of the case. Prints "end", and "timer" when the process is still
 * there after so many milliseconds, which are the second argument: the timer itself doesn't keep it.
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import { type Callback, callback, dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { collectFully } from "../support/gc.ts";

const definition = { parameters: ["i32"], result: "i32" } as const;
type Made = Callback<typeof definition>;
const { keep, call_kept } = dlopen(testLibrary, {
  keep: { parameters: ["function"], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
}).symbols;
const make = (once = false): Made => callback(definition, (value) => value + 1, { once });

/** What the timer does. Without more, what a callback keeps alive is ended here. */
let inTimer: (() => void) | undefined = () => process.exit();

const cases: Record<string, () => void | Promise<void>> = {
  "without ref": () => void make(),
  "ref": () => make().ref(),
  "ref, then unref"() {
    const made = make();
    made.ref();
    made.unref();
  },
  "ref, then dispose"() {
    const made = make();
    made.ref();
    made.close();
  },
  "ref in a scope that ends"() {
    using made = make();
    made.ref();
  },
  "ref twice, then unref"() {
    const made = make();
    made.ref();
    made.ref();
    made.unref();
  },
  "ref, then unref twice, then ref"() {
    const made = make();
    made.ref();
    made.unref();
    made.unref();
    made.ref();
  },
  "unref without ref": () => make().unref(),
  "ref after dispose"() {
    const made = make();
    made.close();
    made.ref();
  },
  "ref of two, unref of one"() {
    const [first, second] = [make(), make()];
    first.ref();
    second.ref();
    first.unref();
  },
  "ref of two, unref of both"() {
    const [first, second] = [make(), make()];
    first.ref();
    second.ref();
    second.unref();
    first.unref();
  },
  "ref, then unref in the timer"() {
    const made = make();
    made.ref();
    keep(made);
    inTimer = () => {
      console.log("called", call_kept(2));
      made.unref();
    };
  },
  "ref of one that C calls once"() {
    const made = make(true);
    made.ref();
    keep(made);
    inTimer = () => console.log("called", call_kept(2));
  },
  async "ref, dropped and collected"() {
    const drop = (): WeakRef<Made> => {
      const made = make();
      made.ref();
      keep(made);
      return new WeakRef(made);
    };
    const dropped = drop();
    await collectFully();
    inTimer = () => {
      console.log("called", call_kept(2));
      dropped.deref()?.unref();
    };
  },
};

await cases[process.argv[2]]();
console.log("end");
setTimeout(() => {
  console.log("timer");
  inTimer?.();
}, Number(process.argv[3])).unref();
