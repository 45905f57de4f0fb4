/**
 * A random walk over calls inside of calls: plain ones, on stacks of their own, and suspending ones, many at once. Callbacks
 * answer, throw, wait, end with tail calls, and make calls of their own. What each gives is held against a model.
 *
 * Arguments: the seed and the number of walks. Ends with code 1 and the first difference, or prints what it did.
 */

import process from "node:process";
import { assertEquals } from "@std/assert";
import { callback, dlopen, stats, tailCall } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { randomFrom } from "../support/random.ts";

const visit = { parameters: ["i32", "i32"], result: "i32" } as const;
const each = { name: "each", parameters: ["i32", visit, "i32"], result: "i32" } as const;
const { plain, own, later, add_i32 } = dlopen(testLibrary, {
  plain: each,
  own: { ...each, stack: "own" },
  later: { ...each, suspends: true },
  add_i32: visit,
}).symbols;

const [seed = 1, walks = 100] = process.argv.slice(2).map(Number);
const random = randomFrom(seed);
const done: Record<string, number> = {};
const count = (what: string): void => void (done[what] = (done[what] ?? 0) + 1);

/** What a callback does with its number: it answers the sum of all of it. */
interface Step {
  readonly kind: "answer" | "throw" | "tail" | "wait" | "call" | "calls";
  readonly value: number;
  readonly calls: readonly Call[];
}

/** A call, and what each of its callbacks does. */
interface Call {
  readonly kind: "plain" | "own" | "later";
  readonly steps: readonly Step[];
}

/** What a call gives, or throws. */
type Outcome = { readonly value: number } | { readonly error: Error };

function madeUp(depth: number, mayWait: boolean): Call {
  const kinds = mayWait ? ["plain", "own", "later", "later"] as const : ["plain", "own", "own"] as const;
  const kind = kinds[random(kinds.length)]!;
  const length = random(depth > 3 ? 3 : 6);
  return { kind, steps: Array.from({ length }, () => stepOf(kind, depth)) };
}

function stepOf(kind: Call["kind"], depth: number): Step {
  const value = random(1000) - 500;
  const which = random(12);
  if (which === 0) return { kind: "throw", value, calls: [] };
  if (which === 1 && kind !== "plain") return { kind: "tail", value, calls: [] };
  if (which < 4 && kind === "later") return { kind: "wait", value, calls: [] };
  if (which < 7 && depth < 6) return { kind: "call", value, calls: [madeUp(depth + 1, false)] };
  if (which < 9 && depth < 5 && kind === "later") {
    return { kind: "calls", value, calls: Array.from({ length: 1 + random(3) }, () => madeUp(depth + 1, true)) };
  }
  return { kind: "answer", value, calls: [] };
}

class Thrown extends Error {}

/** What a call should give: C adds what the callbacks answer; after an error they are not run, and answer 0. */
function expected({ steps }: Call): Outcome {
  let sum = 0;
  for (const { kind, value, calls } of steps) {
    if (kind === "throw") return { error: new Thrown(String(value)) };
    const inner = calls.map(expected);
    const failed = inner.find((outcome) => "error" in outcome);
    if (failed !== undefined) return failed;
    sum += inner.reduce((total, outcome) => total + ("value" in outcome ? outcome.value : 0), value);
  }
  return { value: sum | 0 };
}

async function make(call: Call): Promise<number> {
  const { kind, steps } = call;
  return kind === "later" ? await later(steps.length, (_, i) => runLater(steps[i]!), 0) : makeNow(call);
}

function makeNow({ kind, steps }: Call): number {
  count(kind);
  const fn = kind === "plain" ? plain : own;
  return fn(steps.length, (_, i) => run(steps[i]!), 0);
}

/** As a callback that answers at once. */
function run({ kind, value, calls }: Step): number {
  count(kind);
  if (kind === "throw") throw new Thrown(String(value));
  if (kind === "tail") return tailCall(add_i32, value - 1, 1);
  return calls.reduce((sum, call) => sum + makeNow(call), value);
}

function runLater(step: Step): number | Promise<number> {
  if (step.kind === "wait") return wait(step.value);
  if (step.kind !== "calls") return run(step);
  return makeAll(step);
}

async function wait(value: number): Promise<number> {
  count("wait");
  const turns = random(3);
  for (let i = 0; i < turns; i++) await undefined;
  if (random(10) === 0) await new Promise((resolve) => setTimeout(resolve, random(3)));
  return value;
}

/** All of them at once; the error of the first one that fails, in their order. */
async function makeAll({ value, calls }: Step): Promise<number> {
  count("calls");
  let sum = value;
  const outcomes = await Promise.allSettled(calls.map(make));
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") throw outcome.reason;
    sum += outcome.value;
  }
  return sum;
}

// Some that live as long as the program, called by one signature with all the others.
const keeper = callback(visit, (_, i) => i, { always: true });
for (let walk = 0; walk < walks; walk++) {
  const call = madeUp(0, true);
  const outcome: Outcome = await make(call).then(
    (value) => ({ value }),
    (error: Error) => ({ error }),
  );
  const should = expected(call);
  if ("error" in should) {
    assertEquals(
      "error" in outcome && [outcome.error instanceof Thrown, outcome.error.message],
      [true, should.error.message],
      `walk ${walk}`,
    );
  } else assertEquals(outcome, should, `walk ${walk}`);
  if (walk % 50 === 0) assertEquals([own(10, keeper, 0), plain(10, keeper, 0)], [45, 45]);
}
// Those whose call failed while others were running.
for (let i = 0; i < 100 && stats().live.ownStacks > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
assertEquals([stats().live.ownStacks, stats().live.waitingErrors, stats().live.callbacks], [0, 0, 1]);
console.log(JSON.stringify(done));
