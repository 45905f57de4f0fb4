/**
 * A random walk over callbacks whose arguments are fetched. Each call is held against a model. C functions that are called for
 * what is fetched call back, too, and the callback may be closed there.
 *
 * Arguments: the path of the test library, the seed, and the number of definitions. Ends with code 1 and the first difference, or
 * prints what it did.
 */

import process from "node:process";
import {
  answerCall,
  argument,
  callback,
  configure,
  dlopen,
  fetchAddress,
  fetchAt,
  fetchCall,
  NativeMemory,
  tailCall,
} from "@belay/ffi";
import { turn } from "../support/gc.ts";
import { randomFrom } from "../support/random.ts";
import {
  answerOf,
  bitsAt,
  fill,
  fits,
  handles,
  isFloat,
  isGiven,
  isSame,
  passed,
  places,
  randomBits,
  type Type,
  types,
  valueOf,
  wordsOf,
} from "./fetching_walk_values.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

const [path = "", seed, definitions] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const chance = (one: number): boolean => random(one) === 0;
const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
const done: Record<string, number> = {};
const count = (what: string): void => void (done[what] = (done[what] ?? 0) + 1);
let step = 0;
let shownNow = "";

function check(condition: boolean, message: () => string): void {
  if (condition) return;
  console.log(`seed ${seed}, definition ${step}: ${message()}\n${shownNow}`);
  process.exit(1);
}
const hex = (bits: bigint): string => `0x${bits.toString(16)}`;

/** A function of the code that notes all that it is called with. */
interface Recorded {
  readonly fn: Any;
  readonly parameters: readonly Type[];
  readonly result: Type | "void";
}
const answerable: readonly Type[] = types.filter((type) => type !== "buffer" && type !== "cstring");
const kinds: Record<string, { name: string; parameters: Type[]; result: Type | "void" }> = {};
for (let i = 0; i < 300; i++) {
  const result = chance(8) ? "void" : pick(types);
  const parameters = Array.from({ length: random(5) }, () => pick(types));
  kinds[`f${i}`] = {
    name: result !== "void" && isFloat(result) ? "record_float" : "record_integer",
    parameters,
    result,
  };
}
const call = { name: "call_words", parameters: ["function", "pointer", "i32"], result: "void" } as const;
const c = dlopen(path, {
  ...kinds,
  plain: call,
  own: { ...call, stack: "own" },
  later: { ...call, suspends: true },
  elsewhere: { ...call, nonblocking: true },
  record_to: { parameters: ["pointer"], result: "void" },
  recorder_byte_length: { parameters: [], result: "usize" },
} as Any).symbols as Record<string, Any>;
const recorded: Recorded[] = Object.entries(kinds).map(([key, { parameters, result }]) => ({
  fn: c[key],
  parameters,
  result,
}));
const byResult = Map.groupBy(recorded, ({ result }) => result);

/** What the C code notes: a count, when to call back, what to answer; what it was called with. */
const recorder = NativeMemory.alloc(Number(c["recorder_byte_length"]()));
c["record_to"](recorder.pointer);
const mostCalls = 40;
const resultAt = (index: number): number => 24 + 8 * index;
const callAt = (index: number, word: number): number => 24 + 8 * mostCalls + 128 * index + 8 * word;
const recordedCalls = (): number => Number(recorder.getBigInt64(0));
let hooked = (): void => {};
const hook = callback({ parameters: [], result: "void" }, () => hooked());
recorder.setPointer(16, hook.pointer);

/** A call that is expected. */
interface Expected {
  readonly fn: Recorded;
  readonly operands: readonly bigint[];
  readonly result: bigint;
}

function expectCalls(calls: readonly Expected[]): void {
  check(recordedCalls() === calls.length, () => `${recordedCalls()} calls of C's functions, expected ${calls.length}`);
  calls.forEach(({ fn, operands }, index) => {
    let integers = 0;
    let floats = 0;
    fn.parameters.forEach((type, position) => {
      const bits = recorder.getBigUint64(callAt(index, isFloat(type) ? 8 + floats++ : integers++));
      const wanted = operands[position] as bigint;
      check(
        isSame(type, bits, wanted, true),
        () =>
          `call ${index + 1}: argument ${position + 1} (${type}) is ${hex(bits)}, expected ${
            hex(passed(type, wanted))
          }`,
      );
    });
  });
}

function plan(calls: readonly Expected[], hookedCall = 0): void {
  recorder.setBigInt64(0, 0n);
  recorder.setBigInt64(8, BigInt(hookedCall));
  calls.forEach(({ result }, index) => recorder.setBigUint64(resultAt(index), result));
}

/** What a call of a callback has of its arguments, and what it has asked for. */
class Run {
  readonly given: readonly bigint[];
  readonly calls: Expected[] = [];
  readonly #known = new Map<Node, bigint>();

  constructor(parameters: readonly Type[]) {
    this.given = parameters.map((type) => randomBits(random, type, true));
  }

  bitsOf(node: Node): bigint {
    const bits = this.#known.get(node) ?? node.evaluate(this);
    this.#known.set(node, bits);
    return bits;
  }
}

interface Node {
  readonly type: Type;
  readonly operand: Any;
  readonly text: string;
  evaluate(run: Run): bigint;
}

const argumentNode = (index: number, type: Type): Node => ({
  type,
  operand: argument(index),
  text: `argument ${index} ${type}`,
  evaluate: (run) => run.given[index] as bigint,
});

/** Makes nodes of a definition, and uses some of them again. */
class Nodes {
  readonly #all: Node[] = [];
  readonly #parameters: readonly Type[];

  constructor(parameters: readonly Type[]) {
    this.#parameters = parameters;
  }

  node(wanted: (type: Type) => boolean, depth: number): Node | undefined {
    const again = this.#all.filter(({ type }) => wanted(type));
    const places = this.#parameters.flatMap((type, index) => wanted(type) ? [index] : []);
    if (again.length > 0 && chance(4)) return pick(again);
    const argumentAt = (index: number): Node => argumentNode(index, this.#parameters[index] as Type);
    const kind = random(depth > 2 ? 2 : 4);
    const made = kind === 0 && places.length > 0
      ? argumentAt(pick(places))
      : kind === 1 && wanted("f64") && chance(3)
      ? this.#address(depth)
      : kind <= 1
      ? this.#read(wanted, depth)
      : this.#call(wanted, depth);
    if (made !== undefined) this.#all.push(made);
    return made;
  }

  #read(wanted: (type: Type) => boolean, depth: number): Node | undefined {
    const readable = types.filter((type) => type !== "buffer" && type !== "function" && wanted(type));
    if (readable.length === 0) return undefined;
    const type = pick(readable);
    const byteOffset = places(random, type);
    const from = chance(6) ? undefined : this.node((given) => given === "pointer", depth + 1);
    return {
      type,
      operand: fetchAt(type as "i32", from?.operand ?? null, byteOffset),
      text: `read ${type} at ${byteOffset} of (${from?.text})`,
      evaluate: (run) => from === undefined ? 0n : bitsAt(type, run.bitsOf(from), byteOffset),
    };
  }

  #address(depth: number): Node {
    const from = this.node((given) => given === "pointer", depth + 1);
    const bits = new BigUint64Array(1);
    return {
      type: "f64",
      operand: fetchAddress(from?.operand ?? null),
      text: `address of (${from?.text})`,
      evaluate(run) {
        new Float64Array(bits.buffer)[0] = Number(from === undefined ? 0n : run.bitsOf(from));
        return bits[0];
      },
    };
  }

  #call(wanted: (type: Type) => boolean, depth: number): Node | undefined {
    const fns = recorded.filter(({ result }) => result !== "void" && wanted(result));
    if (fns.length === 0) return undefined;
    const fn = pick(fns);
    const operands = fn.parameters.map((type) => this.operand(type, depth));
    const type = fn.result as Type;
    return {
      type,
      operand: fetchCall(fn.fn, ...operands.map(({ operand }) => operand)),
      text: `call ${type} of (${operands.map(({ text }) => text).join("; ")})`,
      evaluate(run) {
        const bits = operands.map(({ evaluate }) => evaluate(run));
        const result = randomBits(random, type, false);
        run.calls.push({ fn, operands: bits, result });
        return result;
      },
    };
  }

  operand(type: Type, depth: number): Pick<Node, "operand" | "evaluate" | "text"> {
    const node = chance(4) ? undefined : this.node((given) => fits(given, type), depth + 1);
    if (node !== undefined) return { operand: node.operand, evaluate: (run) => run.bitsOf(node), text: node.text };
    const isNull = ["pointer", "buffer", "function", "cstring", "handle"].includes(type);
    const bits = isNull ? 0n : randomBits(random, type, false);
    const operand = isNull ? null : valueOf(type, bits);
    return { operand, evaluate: () => bits, text: `${operand}` };
  }
}

/** A definition, and what its callbacks should do. */
interface Walked {
  readonly definition: Any;
  readonly parameters: readonly Type[];
  readonly result: Type | "void";
  readonly fetched: readonly Node[];
  readonly answer: { readonly fn: Recorded; readonly places: readonly number[] } | undefined;
  readonly fallback: bigint | undefined;
}

function define(): Walked {
  const parameters = Array.from({ length: pick([0, 1, 2, 3, 6, 10, 18]) }, () => pick(types));
  const nodes = new Nodes(parameters);
  const withFetch = parameters.length > 8 || !chance(6);
  const fetched = withFetch
    ? Array.from({ length: random(9) }, () => nodes.node(() => true, 0)).filter((node) => node !== undefined)
    : parameters.map((type, index) => argumentNode(index, type));
  const answer = withFetch && chance(2) ? undefined : answerFor(parameters);
  const result = answer !== undefined && !chance(3)
    ? answer.fn.result
    : answer === undefined
    ? pick<Type | "void">(["void", ...answerable])
    : "void";
  const returnable = result === "void" || answerable.includes(result) ? result : "void";
  return {
    definition: {
      parameters,
      result: returnable,
      ...(withFetch ? { fetch: fetched.map(({ operand }) => operand) } : {}),
      ...(answer === undefined
        ? {}
        : { answer: answerCall(answer.fn.fn, ...answer.places.map((place) => argument(place)) as Any) }),
    },
    parameters,
    result: returnable,
    fetched,
    answer,
    fallback: returnable === "void" || chance(2) ? undefined : randomBits(random, returnable, false),
  };
}

function answerFor(parameters: readonly Type[]): Walked["answer"] {
  for (let i = 0; i < 20; i++) {
    const fn = pick(recorded);
    const last = fn.parameters.at(-1);
    if (last === undefined || !answerable.includes(last)) continue;
    const candidates = fn.parameters.slice(0, -1).map((wanted) =>
      parameters.flatMap((type, index) => fits(type, wanted) ? [index] : [])
    );
    if (candidates.every(({ length }) => length > 0)) return { fn, places: candidates.map((each) => pick(each)) };
  }
  return undefined;
}

const bytes = (): Uint8Array => Uint8Array.from({ length: recorder.byteLength }, (_, i) => recorder.getUint8(i));
const restore = (saved: Uint8Array): void => saved.forEach((byte, index) => recorder.setUint8(index, byte));

const ends = ["answers", "answers", "answers", "nothing", "throws", "tail", "later", "rejects"] as const;
class Thrown extends Error {}
const nesting = new Set<object>();

/** Calls a callback of the definition in some kind of call, and holds all against the model. */
function walk(walked: Walked, made: Any, kind: "plain" | "own" | "later" | "elsewhere", state: State): unknown {
  const { parameters, result, fetched, answer, fallback = 0n } = walked;
  const run = new Run(parameters);
  const values = fetched.map((node) => run.bitsOf(node));
  const words = wordsOf(random, parameters, run.given);
  const wish = pick(ends);
  const kindsOf = wish === "tail" ? ["own", "later"] : wish === "later" || wish === "rejects" ? ["later"] : [kind];
  const end = !kindsOf.includes(kind) || wish === "nothing" && answer === undefined ? "answers" : wish;
  const asked = fetched.map(({ text }) => text).join(" | ");
  const all = `${kind} ${JSON.stringify(parameters)} ${result}: ${asked}\n${end}, answered by ${
    JSON.stringify(answer?.fn)
  } of ${answer?.places.join()}`;
  shownNow = all;
  const isHooked = run.calls.length > 0 && kind !== "elsewhere" && nesting.size < 3 && chance(5);
  const hookEnd = isHooked ? pick(["nests", "closes", "throws"] as const) : undefined;
  // Without a value of its own, the function isn't called.
  const isWithout = fetched.some(({ type }, index) => type === "handle" && values[index] === 0n);
  let expected = fallback;
  let calls: Expected[] = [];
  const answered = answer?.fn.parameters.at(-1) ?? result;
  let entered = 0;
  hooked = (): void => {
    const saved = bytes();
    count(`hook ${hookEnd}`);
    if (hookEnd === "nests") nest();
    if (hookEnd === "closes") closeAndReuse(walked, made, state);
    restore(saved);
    shownNow = all;
    if (hookEnd === "throws") throw new Thrown();
  };
  state.run = (...given) => {
    entered += 1;
    check(hookEnd !== "closes" && hookEnd !== "throws" && !isWithout, () => "the function is called");
    expectCalls(run.calls);
    check(given.length === values.length, () => `${given.length} arguments`);
    values.forEach((bits, index) => {
      const { type } = fetched[index] as Node;
      check(
        isGiven(given[index], type, bits),
        () => `value ${index + 1} (${type}) is ${String(given[index])}, expected ${String(valueOf(type, bits))}`,
      );
    });
    if (kind !== "elsewhere" && nesting.size < 3 && chance(6)) nest();
    shownNow = all;
    calls = [];
    const give = (): unknown => {
      if (answered === "void") return undefined;
      const bits = randomBits(random, answered, false);
      expected = bits;
      if (answer !== undefined) {
        const given = [...answer.places.map((place) => run.given[place] as bigint), bits];
        const gives = answer.fn.result === "void" ? 0n : randomBits(random, answer.fn.result, false);
        calls.push({ fn: answer.fn, operands: given, result: gives });
        expected = result === "void" ? 0n : gives;
      }
      return answerOf(answered, bits);
    };
    if (end === "tail") {
      const fns = (byResult.get(result) ?? []).filter(({ parameters }) =>
        parameters.every((type) => type !== "buffer" && type !== "cstring")
      );
      if (fns.length > 0) {
        const fn = pick(fns);
        const operands = fn.parameters.map((type) => randomBits(random, type, false));
        expected = result === "void" ? 0n : randomBits(random, result, false);
        calls.push({ fn, operands, result: expected });
        plan(calls);
        return tailCall(fn.fn, ...fn.parameters.map((type, index) => answerOf(type, operands[index] as bigint)) as Any);
      }
    }
    state.answer = () => {
      const value = give();
      plan(calls);
      return value;
    };
    if (end === "later" || end === "rejects") {
      return Promise.resolve().then(() => {
        if (end === "rejects") {
          plan(calls);
          throw new Thrown();
        }
        const value = chance(3) && answer !== undefined ? undefined : give();
        plan(calls);
        return value;
      });
    }
    const value = end === "answers" || (end === "tail" || end === "nothing") && answer === undefined
      ? give()
      : undefined;
    plan(calls);
    if (end === "throws") throw new Thrown();
    return value;
  };
  const verify = (error?: unknown): void => {
    const fails = end === "throws" || end === "rejects";
    const throws = hookEnd === "throws" || fails && entered > 0 && !state.onError;
    check(error instanceof Thrown ? throws : !throws && error === undefined, () => `thrown: ${error}`);
    if (hookEnd !== "closes" && hookEnd !== "throws" && !isWithout) {
      check(entered === 1, () => `called ${entered} times`);
      expectCalls(calls);
    }
    if (result !== "void") {
      const bits = words.getBigUint64(256);
      check(isSame(result, bits, expected, false), () => `C got ${hex(bits)} for ${result}, expected ${hex(expected)}`);
    }
    count(kind);
    count(end);
  };
  plan(run.calls, isHooked ? 1 + random(run.calls.length) : 0);
  const float = result !== "void" && isFloat(result) ? 1 : 0;
  try {
    const called = c[kind](made.pointer, words.pointer, float) as unknown;
    if (called instanceof Promise) {
      return called.then(async () => {
        // What is posted may come later.
        for (let i = 0; i < 1000 && kind === "elsewhere" && entered === 0 && !isWithout; i++) await turn();
      }).then(() => verify(), verify);
    }
  } catch (error) {
    return verify(error);
  }
  return verify();
}

interface State {
  run: (...given: unknown[]) => unknown;
  /** What `onError` answers. */
  answer: () => unknown;
  readonly onError: boolean;
}

function make(walked: Walked, options: object = {}): { made: Any; state: State } | undefined {
  const { fallback, result } = walked;
  const state: State = { run: () => {}, answer: () => {}, onError: chance(3) };
  try {
    const made = callback(walked.definition, (...given: unknown[]) => state.run(...given), {
      ...(fallback === undefined ? {} : { fallback: answerOf(result as Type, fallback) }),
      ...(state.onError ? { onError: () => state.answer() } : {}),
      ...options,
    } as Any);
    return { made, state };
  } catch (error) {
    check((error as Error).message.includes("it fetches too much"), () => String(error));
    count("too much");
    return undefined;
  }
}

const earlier: { walked: Walked; made: Any; state: State }[] = [];

/** Another call inside of this one. */
function nest(): void {
  const other = pick(earlier);
  // One that is running might be closed by this.
  if (other === undefined || other.made.disposed || nesting.has(other)) return;
  nesting.add(other);
  const saved = bytes();
  const { run, answer } = other.state;
  const before = hooked;
  count("nested");
  walk(other.walked, other.made, pick(["plain", "own"] as const), other.state);
  nesting.delete(other);
  hooked = before;
  Object.assign(other.state, { run, answer });
  restore(saved);
}

/** The callback is gone while C is called for it, and its thunk may be that of another one. */
function closeAndReuse({ definition }: Walked, made: Any, state: State): void {
  made.close();
  state.run = () => check(false, () => "a callback that was closed has run");
  if (chance(2)) return;
  for (let i = 0; i < 256; i++) callback(definition, () => {}).close();
  const other = callback(definition, () => check(false, () => "another one has run"));
  if (other.pointer === made.pointer) count("reused");
  other.close();
}

configure({ onReport: () => count("report") });
const startMs = performance.now();
for (; step < Number(definitions); step++) {
  fill(random);
  const walked = define();
  const thread = walked.result === "void" && chance(2) ? "post" : "wait";
  const elsewhere = walked.answer === undefined && chance(3) ? make(walked, { thread }) : undefined;
  if (elsewhere !== undefined) {
    for (let i = 0; i < 3; i++) await walk(walked, elsewhere.made, "elsewhere", elsewhere.state);
    elsewhere.made.close();
  }
  for (const kind of ["plain", "own", "later", "plain", "own", "later"] as const) {
    const one = make(walked);
    if (one === undefined) break;
    for (let i = 0; i < 3 && !one.made.disposed; i++) await walk(walked, one.made, kind, one.state);
    one.made.close();
  }
  const kept = make(walked);
  if (kept !== undefined) earlier.push({ walked, ...kept });
  if (earlier.length > 20) earlier.splice(random(20), 1)[0]?.made.close();
}
for (const { made } of earlier) made.close();
hook.close();
for (const each of handles) each.delete();
console.log(JSON.stringify({ ...done, ms: Math.round(performance.now() - startMs) }));
