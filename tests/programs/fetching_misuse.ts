/**
 * What would lead the core astray where it asks C for a callback's arguments. Each case prints what has become of it.
 *
 * Arguments: the case, and the path of the test library.
 */

import process from "node:process";
import { answerCall, argument, callback, configure, dlopen, fetchAt, fetchCall, tailCall } from "@belay/ffi";
import { openThreads } from "./threads.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

const [wanted = "", path = ""] = process.argv.slice(2);
const one = { parameters: ["i32"], result: "i32" } as const;
const two = { parameters: ["i32", "i32"], result: "void" } as const;
const c = dlopen(path, {
  keep: { parameters: ["function"], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  plain: { name: "relay_i32", parameters: ["function", "i32"], result: "i32" },
  own: { name: "relay_i32", parameters: ["function", "i32"], result: "i32", stack: "own" },
  later: { name: "relay_i32", parameters: ["function", "i32"], result: "i32", suspends: true },
  add: { name: "add_i32", parameters: ["i32", "i32"], result: "i32" },
  identity: { name: "identity_i32", parameters: ["i32"], result: "i32" },
  same_text: { name: "identity_pointer", parameters: ["pointer"], result: "cstring" },
}).symbols;
/** A thunk is used again after so many younger ones were freed. */
const restingFrees = 256;
configure({ onReport: () => {} });

/** The thunk of a callback that C is fetching for gets another one, which takes what is fetched as a string. */
async function reuse(run: (fn: Any, value: number) => unknown): Promise<void> {
  const victim = callback({ ...one, fetch: [fetchCall(c.call_kept, argument(0))] }, (value) => value, { fallback: -1 });
  const textOnly = { ...one, fetch: [fetchCall(c.same_text, null)] };
  const made: { readonly pointer: unknown; close(): void }[] = [];
  using evil = callback(one, () => {
    victim.close();
    for (let i = 0; i < restingFrees; i++) callback(victim.definition, () => 0).close();
    made.push(callback(textOnly, (text) => text === null ? 1 : 2));
    return 0x1234;
  });
  c.keep(evil);
  const answered = await run(victim.pointer, 7);
  console.log(made[0]?.pointer === victim.pointer, answered);
  for (const each of made) each.close();
}

/** A callback is closed while calls of it are queued, and its thunk gets one that takes fewer words. */
async function requeue(): Promise<void> {
  const threads = openThreads(path).symbols;
  const [first, second] = [argument(0), argument(1)];
  const wide = { ...two, fetch: [first, second, first, second, first, second, first, second] };
  const narrow = { ...two, fetch: [first] };
  let calls = 0;
  const before = callback(wide, () => void (calls += 1), { thread: "post" });
  const crew = threads.start_fast_posts(before as Any, 1, 20);
  while (threads.crew_running(crew) !== 0) threads.sleep_ms(1);
  before.close();
  for (let i = 0; i < restingFrees; i++) callback(i % 2 === 0 ? wide : narrow, () => {}).close();
  const made = Array.from(
    { length: 2 * restingFrees },
    (_, index) => callback(index % 2 === 0 ? wide : narrow, () => void (calls += 1), { thread: "post" }),
  );
  let expected = 0;
  for (const each of [made[0], made[1], made.at(-1)]) {
    const later = threads.start_fast_posts(each as Any, 1, 20);
    while (threads.crew_running(later) !== 0) threads.sleep_ms(1);
    threads.crew_join(later);
    expected += 20;
  }
  threads.crew_join(crew);
  for (let i = 0; i < 500 && calls < expected; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  for (const each of made) each.close();
  console.log(calls);
}

/** Whether a definition is refused, or what C gets, which is what it should. */
function outcome(define: () => unknown): string {
  let fetch: Any;
  try {
    fetch = define();
    using made = callback({ ...one, fetch } as Any, (value: unknown) => value === 7 ? 1 : 2);
    return String(c.plain(made as Any, 7));
  } catch (error) {
    return (error as Error).name;
  }
}

function forge(): void {
  const call: Any = fetchCall(c.identity, argument(0));
  const known = { key: "x", address: 0x1234n, definition: one, owner: {} };
  const forged = { fn: known, operands: [], index: 0, type: "cstring", from: argument(0), byteOffset: 0 };
  let reads = 0;
  const fickle = new Proxy([call], {
    get: (target, key) => key === "0" && reads++ > 0 ? fetchAt("cstring", null) : Reflect.get(target, key),
  });
  const answer: Any = answerCall(c.add, argument(0));
  console.log(
    [
      outcome(() => [new call.constructor(known, [])]),
      outcome(() => [new Proxy(call, { get: (_, key) => Reflect.get(forged, key) })]),
      outcome(() => [Object.assign(Object.create(Object.getPrototypeOf(call)), forged)]),
      outcome(() => [forged]),
      outcome(() => [fetchCall(c.identity, new Proxy(argument(0), {}) as never)]),
      outcome(() => [fetchAt("i32", forged as never)]),
      outcome(() => [answer]),
      outcome(() => [, call]),
      outcome(() => [Object.assign(call, forged)]),
      outcome(() => fickle),
    ].join(" "),
  );
  const ending: Any = tailCall(c.add, 1, 2);
  using made = callback(one, () => new ending.constructor(() => 60_000, "add", "i32"), { onError: () => -2 });
  using changed = callback(one, () => {
    const other: Any = tailCall(c.add, 1, 2);
    try {
      other.result = "void";
    } catch {
      // It is frozen.
    }
    return other;
  });
  console.log(c.own(made, 1), c.own(changed, 1));
}

/** A definition that changes once it is known: what was checked is what is used. */
function change(): void {
  const definition: Any = { ...one, answer: answerCall(c.identity) };
  callback(definition, () => 1).close();
  delete definition.answer;
  try {
    callback(definition, () => 1, { thread: "wait" } as Any).close();
    console.log("not refused");
  } catch (error) {
    console.log((error as Error).message);
  }
}

if (wanted === "forged") forge();
else if (wanted === "changed") change();
else if (wanted === "requeued") await requeue();
else await reuse(wanted === "own" ? c.own : wanted === "later" ? c.later : c.plain);
