/**
 * A random walk: callbacks of several shapes are made, closed, dropped, called while they live and when they are
 * gone, throw, call each other, and are collected. Each step is held against a model.
 *
 * Arguments: the seed and the number of operations. Ends with code 1 and the first difference, or prints what it did. The
 * same seed gives the same walk as far as the collector lets it: which thunks are free depends on what it has found.
 */

import process from "node:process";
import { configure, type Pointer, pointerValue, stats } from "@belay/ffi";
import { collect, turn } from "../support/gc.ts";
import { randomFrom } from "../support/random.ts";
import {
  answer,
  byPointer,
  definitions,
  type Kind,
  kinds,
  lending,
  type Made,
  makeUnchecked,
  type Model,
  typed,
  walk_last,
  walk_repeat,
} from "./callback_walk_kinds.ts";

/** What is printed, as JSON: how often each thing was done, nested ones among them. */
export interface WalkFigures {
  readonly done: Readonly<Record<string, number>>;
  readonly deepest: number;
  readonly mostLive: number;
  /** How often a pointer came to stand behind another callback, and the pointers there were. */
  readonly reused: number;
  readonly pointers: number;
  readonly thunks: number;
  readonly seconds: number;
}

const [seed, operations] = process.argv.slice(2).map(Number);
const random = randomFrom(seed);
/** A freed thunk stands behind nothing else before so many younger ones were freed. */
const restingFrees = 256;
const mostDropped = 100;
const operationsPerTurn = 2500;
const operationsPerCheck = 32;

/** A pointer, and who stands behind it or was last. */
interface Slot {
  readonly pointer: Pointer;
  readonly c: string;
  model: Model;
}

/** A call that is running. */
interface Frame {
  readonly model: Model;
  readonly value: number;
  readonly calls: number;
  /** What the call with this number does besides answering. */
  readonly at: number;
  readonly disposes: (() => void) | undefined;
  readonly thrown: object | undefined;
  readonly nests: boolean;
  ran: number;
}

/** A callback that this program holds. */
interface Held {
  readonly made: Made;
  readonly slot: Slot;
  readonly model: Model;
  /** Its place among those that are held. */
  index: number;
}

const slots: Slot[] = [];
const slotOf = new Map<bigint, Slot>();
const held: Held[] = [];
const heldOf = new Map<Model, Held>();
const dropped: Slot[] = [];
const done: Record<string, number> = {};
let lastId = 0;
let live = 0;
let frees = 0;
let stale = 0;
let reports = 0;
let reported = 0;
let reused = 0;
let mostLive = 0;
let depth = 0;
let deepest = 0;
let operation = 0;
let frame: Frame | undefined;
/** Whose first stale call is running. */
let calledStale: Model | undefined;

function fail(message: string): never {
  console.log(`seed ${seed}, operation ${operation}: ${message}`);
  process.exit(1);
}

function check(condition: boolean, message: () => string): void {
  if (!condition) fail(message());
}

function count(what: string): void {
  done[what] = (done[what] ?? 0) + 1;
}

configure({
  onReport({ kind, message }) {
    reported += 1;
    const name = calledStale?.name ?? "nobody";
    // A function that was lent to a call is named after its place in it.
    const expected = name.startsWith("argument ") ? `the function that was ${name} after` : `callback "${name}"`;
    check(kind === "stale-callback" && message.includes(expected), () => `${kind}: ${message}, expected ${expected}`);
  },
});

function newModel(kind: Kind, name?: string): Model {
  const id = ++lastId;
  const fallback = kind.result === "void" || random(4) === 0 || name !== undefined ? 0 : (id * 11) & 127;
  const once = name === undefined && random(10) === 0;
  return { id, kind, name: name ?? `walk ${id}`, fallback, once, state: "live", freedAt: 0, reported: false };
}

/** A thunk was taken: whoever was behind it must be gone, for long, and of the same shape. */
function taken(pointer: Pointer | null, model: Model): Slot {
  if (pointer === null) return fail(`${model.name} has no pointer`);
  const key = pointerValue(pointer);
  live += 1;
  mostLive = Math.max(mostLive, live);
  let slot = slotOf.get(key);
  if (slot === undefined) {
    slot = { pointer, c: model.kind.c, model };
    slots.push(slot);
    slotOf.set(key, slot);
    return slot;
  }
  const { model: before, c } = slot;
  reused += 1;
  check(c === model.kind.c, () => `a pointer of ${c} was given to ${model.kind.c}`);
  check(before.state === "gone", () => `the pointer of ${before.name}, ${before.state}, was given to ${model.name}`);
  check(frees - before.freedAt >= restingFrees, () => `${before.name} rested for ${frees - before.freedAt} frees`);
  slot.model = model;
  return slot;
}

function freed(model: Model): void {
  frees += 1;
  live -= 1;
  model.state = "gone";
  model.freedAt = frees;
}

/** What every callback's function does. */
function functionOf(model: Model): (...parameters: unknown[]) => unknown {
  return (...parameters) => {
    const own = frame;
    if (own === undefined || own.model !== model) {
      return fail(`${model.name} ran, expected ${own === undefined ? "nothing" : own.model.name}`);
    }
    const { kind } = model;
    const value = own.value + own.ran;
    const given = kind.given(value);
    check(
      parameters.length === given.length && given.every((each, index) => Object.is(each, parameters[index])),
      () => `${model.name} (${kind.c}) got ${parameters.map(String)}, expected ${given.map(String)}`,
    );
    check(own.ran < own.calls, () => `${model.name} ran ${own.ran + 1} times, expected ${own.calls}`);
    const now = own.ran++ === own.at;
    if (model.once) freed(model);
    if (now && own.nests) {
      depth += 1;
      deepest = Math.max(deepest, depth);
      for (let steps = 1 + random(3); steps > 0; steps--) step();
      depth -= 1;
      check(frame === own, () => "a frame was left behind");
    }
    if (now && own.disposes !== undefined && model.state === "live") own.disposes();
    if (now && own.thrown !== undefined) throw own.thrown;
    return typed(kind, answer(model, value));
  };
}

function create(kind: Kind = kinds[random(kinds.length)]): void {
  const model = newModel(kind);
  const { name, fallback, once } = model;
  const made = makeUnchecked(definitions.get(kind), functionOf(model), {
    name,
    once,
    fallback: fallback === 0 ? undefined : typed(kind, fallback),
  });
  const entry = { made, slot: taken(made.pointer, model), model, index: held.length };
  held.push(entry);
  heldOf.set(model, entry);
  count("create");
}

/** Takes one out of those that are held. */
function takeOut(entry: Held): void {
  const last = held.pop();
  if (last !== undefined && last !== entry) {
    held[entry.index] = last;
    last.index = entry.index;
  }
  heldOf.delete(entry.model);
}

function dispose(entry: Held): void {
  takeOut(entry);
  if (entry.model.state === "live") freed(entry.model);
  entry.made.close();
  count("dispose");
}

function drop(entry: Held): void {
  const { slot, model } = entry;
  // The function of one that disposes of itself reaches it, so that it isn't collected.
  if (model.state !== "live" || model.once) return;
  takeOut(entry);
  model.state = "dropped";
  dropped.push(slot);
  count("drop");
}

/** A native call with its frame around it: what it throws is answered. */
function inFrame(own: Frame, call: () => void): unknown {
  const outer = frame;
  const outerStale = calledStale;
  frame = own;
  calledStale = undefined;
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    frame = outer;
    calledStale = outerStale;
  }
}

/** Counts a stale call that comes next. */
function expectStale(model: Model, calls: number): void {
  stale += calls;
  calledStale = model;
  if (calls > 0 && !model.reported) {
    model.reported = true;
    reports += 1;
  }
}

function disposerOf(model: Model): () => void {
  return () => {
    const entry = heldOf.get(model);
    if (entry !== undefined) dispose(entry);
  };
}

interface CallOptions {
  readonly throws?: boolean;
  readonly nests?: boolean;
  readonly disposes?: boolean;
}

/** Calls what stands behind a pointer: its latest callback if that lives, and nobody otherwise. */
function call(slot: Slot, how: Made | Pointer, options: CallOptions = {}): void {
  const { model } = slot;
  // Not from the generator: how often the dropped ones are called is the collector's choice.
  const value = (operation * 7) % 1000;
  const thrown = options.throws === true ? { thrown: operation } : undefined;
  const own: Frame = {
    model,
    value,
    calls: 1,
    at: 0,
    thrown,
    nests: options.nests === true,
    disposes: options.disposes === true ? disposerOf(model) : undefined,
    ran: 0,
  };
  const { state } = model;
  let result: number | undefined;
  const error = inFrame(own, () => {
    if (state === "gone") expectStale(model, 1);
    // What nobody holds may be found gone: then it is, from now on.
    if (state === "dropped") calledStale = model;
    result = byPointer[slot.c](how, value);
  });
  if (state === "dropped" && own.ran === 0) {
    collectedNow(slot);
    expectStale(model, 1);
    calledStale = undefined;
  }
  if (own.ran === 0) {
    check(model.state === "gone", () => `${model.name} (${state}) did not run`);
    check(error === undefined, () => `a stale call threw ${String(error)}`);
    check(result === model.fallback, () => `${model.name} gave ${result}, expected the fallback ${model.fallback}`);
    return;
  }
  check(state !== "gone", () => `${model.name} ran when it was gone`);
  check(error === thrown, () => `${model.name} threw ${String(error)}`);
  const expected = answer(model, value);
  check(thrown !== undefined || result === expected, () => `${model.name} gave ${result}, expected ${expected}`);
}

/** One that was dropped turns out to have been collected. */
function collectedNow(slot: Slot): void {
  const index = dropped.indexOf(slot);
  if (index < 0) return;
  dropped.splice(index, 1);
  const { model } = slot;
  // When exactly is not known: what rests must rest at least as long as if it had been the last.
  freed(model);
  model.freedAt -= mostDropped + 1;
}

/** C calls a function a few times in a row; one of the calls may throw, or end the callback. */
function repeat(): void {
  const slot = slots[random(slots.length)];
  const { model } = slot;
  const calls = 1 + random(5);
  const [at, value] = [random(calls), random(1000)];
  const thrown = random(3) === 0 ? { thrown: operation } : undefined;
  // It may be running already, further out: then it ends itself here all the same.
  const disposes = random(3) === 0 ? disposerOf(model) : undefined;
  if (slot.c !== "i32" || model.state === "dropped") return;
  const wasLive = model.state === "live";
  const own: Frame = { model, value, calls, at, thrown, nests: false, disposes, ran: 0 };
  const results = new Int32Array(calls);
  const before = stats().counts.staleCalls;
  const wasReported = model.reported;
  const error = inFrame(own, () => {
    calledStale = model;
    walk_repeat(slot.pointer, value, results, calls);
  });
  // Which calls find the function gone, and which don't run because an error waits.
  const endsAt = !wasLive ? 0 : model.once ? 1 : model.state === "gone" ? at + 1 : calls;
  const throwsAt = wasLive && thrown !== undefined && at < endsAt ? at : calls;
  const staleCalls = calls - Math.min(endsAt, calls);
  expectStale(model, staleCalls);
  calledStale = undefined;
  check(model.reported === wasReported || staleCalls > 0, () => "a report too many");
  check(stats().counts.staleCalls - before === staleCalls, () => `expected ${staleCalls} stale calls of ${calls}`);
  check(error === (throwsAt < calls ? thrown : undefined), () => `${model.name} threw ${String(error)}`);
  check(own.ran === Math.min(endsAt, throwsAt + 1), () => `${model.name} ran ${own.ran} of ${calls} times`);
  for (let i = 0; i < calls; i++) {
    const expected = i < endsAt && i < throwsAt ? answer(model, value + i) : model.fallback;
    check(results[i] === expected, () => `call ${i} of ${model.name} gave ${results[i]}, expected ${expected}`);
  }
  count("repeat");
}

/** A function is lent for one call; what C has of it afterwards is stale. */
function lend(): void {
  const index = random(kinds.length);
  const kind = kinds[index];
  const model = newModel(kind, `argument 1 of lend${index}`);
  const value = random(1000);
  const thrown = random(20) === 0 ? { thrown: operation } : undefined;
  const nests = depth < 6 && random(8) === 0;
  const own: Frame = { model, value, calls: 1, at: 0, thrown, nests, disposes: undefined, ran: 0 };
  let result: number | undefined;
  const body = functionOf(model);
  let entered = false;
  // Only C knows the pointer. The function may be called again by what it calls.
  const fn = (...parameters: unknown[]): unknown => {
    if (!entered) taken(walk_last(), model);
    entered = true;
    return body(...parameters);
  };
  const error = inFrame(own, () => void (result = lending.get(kind)?.(fn, value)));
  freed(model);
  check(own.ran === 1 && error === thrown, () => `${model.name} ran ${own.ran} times, and threw ${String(error)}`);
  check(thrown !== undefined || result === answer(model, value), () => `${model.name} gave ${result}`);
  count("lend");
}

/** How many callbacks the walk makes for: more than the library's own thunks at times. */
let target = 300;

function step(): void {
  operation += 1;
  if (operation % operationsPerCheck === 0) checkStats();
  const choice = random(1000);
  if (held.length === 0 || choice < (held.length < target ? 300 : 100)) return create();
  const entry = held[random(held.length)];
  if (choice < 400) return dispose(entry);
  if (choice < 410) return dropped.length < mostDropped ? drop(entry) : undefined;
  const { slot, model, made } = entry;
  if (choice < 600) {
    // By its Callback, or its pointer; only a live Callback is let into C.
    call(slot, model.state === "live" && random(2) === 0 ? made : slot.pointer);
    return count("call");
  }
  if (choice < 800) {
    const any = slots[random(slots.length)];
    call(any, any.pointer);
    return count(any.model.state === "gone" ? "stale" : "call");
  }
  if (choice < 810) {
    call(slot, slot.pointer, { throws: true });
    return count("throw");
  }
  if (choice < 840) {
    call(slot, slot.pointer, { disposes: true, throws: random(10) === 0 });
    return count("end itself");
  }
  if (choice < 880) {
    if (depth >= 6) return;
    call(slot, slot.pointer, { nests: true, throws: random(20) === 0, disposes: random(20) === 0 });
    return count("nest");
  }
  if (choice < 920) return repeat();
  return lend();
}

function checkStats(): void {
  const { live: { callbacks, thunks, waitingErrors }, counts: { staleCalls, misplacedCalls } } = stats();
  const now = { callbacks, thunks, waitingErrors, staleCalls, misplacedCalls };
  const expected = { callbacks: live, thunks: live, waitingErrors: 0, staleCalls: stale, misplacedCalls: 0 };
  for (const [name, value] of Object.entries(expected)) {
    const got = now[name as keyof typeof now];
    check(got === value, () => `stats().${name} is ${got}, expected ${value}`);
  }
  check(reported === reports, () => `${reported} reports, expected ${reports}`);
}

/** A turn of the event loop: of those that were dropped, some may have been collected. Each is asked. */
async function rest(): Promise<void> {
  if (random(10) === 0) {
    collect();
    count("collect");
  }
  await turn();
  for (const slot of [...dropped]) {
    call(slot, slot.pointer);
    if (slot.model.state === "gone") count("collected");
  }
  target = random(4) === 0 ? [0, 20, 300, 2000, 6000][random(5)] : target;
  checkStats();
}

const startMs = performance.now();
let nextTurn = operationsPerTurn;
while (operation < operations) {
  step();
  if (operation >= nextTurn) {
    nextTurn = operation + operationsPerTurn;
    await rest();
  }
}
while (held.length > 0) dispose(held[held.length - 1]);
for (let tries = 0; dropped.length > 0 && tries < 100; tries++) {
  collect();
  await rest();
}
checkStats();
check(live === 0, () => `${live} callbacks are left, of which ${dropped.length} were dropped`);
// Every pointer that ever was answers with the fallback of its last callback.
for (const slot of slots) call(slot, slot.pointer);
checkStats();
const figures: WalkFigures = {
  done,
  deepest,
  mostLive,
  reused,
  pointers: slots.length,
  thunks: stats().process.thunks,
  seconds: (performance.now() - startMs) / 1000,
};
console.log(JSON.stringify(figures));
