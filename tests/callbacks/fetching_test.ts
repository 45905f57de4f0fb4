/** Callbacks for which the core asks C before it enters JavaScript, and which C's functions answer. */

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  answerCall,
  argument,
  callback,
  configure,
  dlopen,
  fetchAddress,
  fetchAt,
  fetchCall,
  type FetchingDefinition,
  Handle,
  handle,
  LibraryClosedError,
  pointer,
  pointerFrom,
  pointerValue,
  type Report,
  stats,
  struct,
  tailCall,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { until } from "../support/until.ts";
import { c as crews, ended } from "./crews.ts";

const row = pointer<"row">();
const onRow = { parameters: [row], result: "void" } as const;
const onRowI32 = { parameters: [row], result: "i32" } as const;
const runRows = { name: "run_rows", parameters: [onRow, "i32", "handle"], result: "f64" } as const;
const runRowsI32 = { name: "run_rows_i32", parameters: [onRowI32, "i32", "handle"], result: "i32" } as const;
const c = dlopen(testLibrary, {
  row_value: { parameters: [row], result: "f64" },
  row_power: { parameters: [row, "i32"], result: "f64" },
  row_text: { parameters: [row], result: "cstring" },
  row_user_data: { parameters: [row], result: handle<string>() },
  row_answer: { parameters: [row, "f64"], result: "void" },
  row_answer_i32: { parameters: [row, "i32"], result: "i32" },
  sum_of_four: { parameters: ["i32", "f64", "i8", "f32"], result: "f64" },
  id_f32: { name: "identity_f32", parameters: ["f32"], result: "f32" },
  id_i8: { name: "identity_i8", parameters: ["i8"], result: "i8" },
  id_u16: { name: "identity_u16", parameters: ["u16"], result: "u16" },
  id_bool: { name: "identity_bool", parameters: ["bool"], result: "bool" },
  id_u64: { name: "identity_u64", parameters: ["u64"], result: "u64" },
  callsBack: { name: "repeat", parameters: ["usize", "i32"], result: "i32" },
  thread_text: { parameters: ["i32"], result: "cstring" },
  plain: runRows,
  own: { ...runRows, stack: "own" },
  later: { ...runRows, suspends: true },
  plainI32: runRowsI32,
  ownI32: { ...runRowsI32, stack: "own" },
  laterI32: { ...runRowsI32, suspends: true },
  later_i32: { name: "add_i32", parameters: ["i32", "i32"], result: "i32", nonblocking: true },
}).symbols;

const value = fetchCall(c.row_value, argument(0));
const answer = answerCall(c.row_answer, argument(0));
const kinds = { plain: c.plain, own: c.own, later: c.later } as const;

/** Runs it in each kind of call. */
function eachKind(
  test: (run: typeof c.plain | typeof c.later, kind: keyof typeof kinds) => Promise<void> | void,
): void {
  for (const kind of ["plain", "own", "later"] as const) {
    it(`in a call of the kind "${kind}"`, async () => await test(kinds[kind], kind));
  }
}

describe("what a C function answers is fetched, and another one gets the result", () => {
  eachKind(async (run) => {
    using user = Handle.create("users");
    const seen: unknown[] = [];
    using made = callback({
      ...onRow,
      fetch: [fetchCall(c.row_user_data, argument(0)), value, fetchCall(c.row_text, argument(0)), argument(0)],
      answer,
    }, (name, number, text, given) => {
      seen.push(name, number, text, typeof given === "object" ? null : typeof given);
      return number * 2;
    });
    assertEquals(await run(made, 2, user), 6);
    const kind = typeof made.pointer;
    assertEquals(seen, ["users", 1, "one", kind, "users", 2, null, kind]);
  });
});

describe("memory is read at an offset, each type as it is", () => {
  // What a row has: its user data, then value (8), tiny (16), small (20), answer (24), answers (32).
  const at = <T extends "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "f32" | "f64">(type: T, byteOffset: number) =>
    fetchAt(type, argument(0), byteOffset);
  eachKind(async (run) => {
    const seen: unknown[] = [];
    using made = callback({
      ...onRow,
      fetch: [at("f64", 8), at("i8", 16), at("u8", 16), at("f32", 20), at("i32", 32), at("u16", 14), at("i16", 14)],
      answer,
    }, (...values) => {
      seen.push(values);
      return 1;
    });
    await run(made, 3, null);
    assertEquals(seen, [
      [1, 0, 0, 0.5, 0, 0x3ff0, 0x3ff0],
      [2, -1, 255, 1.5, 0, 0x4000, 0x4000],
      [3, -2, 254, 2.5, 0, 0x4008, 0x4008],
    ]);
  });
});

describe("a C function that is called for what is fetched may call back", () => {
  eachKind(async (run) => {
    const inner: unknown[] = [];
    using called = callback({ parameters: ["i32", "i32"], result: "i32" }, (a, b) => {
      inner.push([a, b]);
      return 40 + inner.length;
    });
    const seen: unknown[] = [];
    using made = callback({
      ...onRow,
      fetch: [fetchAt("i8", argument(0), 16), value, fetchCall(c.callsBack, pointerValue(called), 2), argument(0)],
      answer,
    }, (tiny, number, sum, given) => {
      seen.push(tiny, number, sum, typeof given);
      return number;
    });
    assertEquals(await run(made, 2, null), 3);
    assertEquals(inner.length, 4);
    assertEquals(seen, [0, 1, 41 + 42, typeof made.pointer, -1, 2, 43 + 44, typeof made.pointer]);
  });
});

describe("a pointer is fetched as an address", () => {
  eachKind(async (run) => {
    const seen: unknown[] = [];
    using made = callback({
      ...onRow,
      fetch: [
        fetchAddress(argument(0)),
        argument(0),
        fetchAddress(fetchAt("pointer", argument(0))),
        fetchAddress(null),
      ],
    }, (address, given, user, none) => {
      seen.push(typeof address, pointerFrom(address), pointerValue(given) === BigInt(address), user, none);
    });
    using user = Handle.create("users");
    await run(made, 1, user);
    const [again] = seen.splice(1, 1);
    assertEquals(typeof again, typeof made.pointer);
    assertEquals(seen, ["number", true, user.id, 0]);
  });
});

describe("operands are fetched values, constants, and arguments", () => {
  const tiny = fetchAt("i8", argument(0), 16);
  eachKind(async (run) => {
    const seen: unknown[] = [];
    using made = callback({
      ...onRow,
      fetch: [
        fetchCall(c.row_power, argument(0), 3),
        fetchCall(c.sum_of_four, 7, value, tiny, fetchCall(c.id_f32, fetchAt("f32", argument(0), 20))),
        fetchCall(c.id_i8, tiny),
        fetchCall(c.id_bool, true),
        fetchCall(c.id_u64, 2n ** 64n - 1n),
        fetchCall(c.id_u16, 65_535),
        fetchAt("i32", null),
      ],
    }, (...values) => void seen.push(values));
    // Nothing answers: the rows are counted as such.
    assertEquals(await run(made, 2, null), -2000);
    assertEquals(seen, [
      [1, 7 + 10 + 0 + 500, 0, true, 2n ** 64n - 1n, 65_535, 0],
      [8, 7 + 20 - 100 + 1500, -1, true, 2n ** 64n - 1n, 65_535, 0],
    ]);
  });
});

describe("a callback that throws, or gives undefined, isn't answered for", () => {
  eachKind(async (run) => {
    let calls = 0;
    const fail = (): number => {
      calls += 1;
      throw new Error("no number");
    };
    using failing = callback({ ...onRow, fetch: [value], answer }, fail);
    const promise = () => Promise.resolve().then(() => run(failing, 3, null));
    await assertRejects(promise, Error, "no number");
    assertEquals(calls, 1);
    using odd = callback({ ...onRow, fetch: [value], answer }, (number) => number % 2 === 1 ? number : undefined);
    assertEquals(await run(odd, 3, null), 1 - 1000 + 3);
    using told = callback({ ...onRow, fetch: [value], answer }, fail, { onError: (_, number) => -number });
    assertEquals(await run(told, 3, null), -6);
    using wrong = callback({ ...onRow, fetch: [value], answer }, (() => "1") as unknown as () => number);
    await assertRejects(
      () => Promise.resolve().then(() => run(wrong, 1, null)),
      TypeError,
      "the result (f64) must be a number",
    );
    failing.close();
    assertEquals(await run(failing.pointer as never, 2, null), -2000);
  });
});

describe("C gets what the function gives that answers, or the fallback", () => {
  const definition = {
    ...onRowI32,
    fetch: [fetchAt("f64", argument(0), 8)],
    answer: answerCall(c.row_answer_i32, argument(0)),
  } as const;
  for (const kind of ["plainI32", "ownI32", "laterI32"] as const) {
    it(`in a call of the kind "${kind}"`, async () => {
      using made = callback(definition, (number) => number === 2 ? undefined : number, { fallback: 100 });
      assertEquals(await c[kind](made, 3, null), 2 + 100 + 6);
      made.close();
      assertEquals(await c[kind](made.pointer, 3, null), 300);
    });
  }
  it("and an async function answers later", async () => {
    using made = callback(definition, async (number) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return number;
    }, { suspends: true });
    assertEquals(await c.laterI32(made, 3, null), 12);
  });
});

it("without fetch the function gets C's arguments; without answer C gets the result", () => {
  using answered = callback({ ...onRow, answer }, (given) => c.row_value(given) + 1);
  assertEquals(c.plain(answered, 2, null), 5);
  using fetched = callback({ ...onRowI32, fetch: [value] }, (number) => number * 10);
  assertEquals([c.plainI32(fetched, 3, null), c.ownI32(fetched, 3, null)], [60, 60]);
});

it("callbacks inside of callbacks keep their answers apart", () => {
  using inner = callback({ ...onRow, fetch: [value], answer }, (number) => number === 1 ? undefined : number);
  for (const run of [c.plain, c.own]) {
    using outer = callback({ ...onRow, fetch: [value], answer }, (number) => {
      const sums = [c.plain(inner, 2, null), c.own(inner, 2, null)];
      assertEquals(sums, [-998, -998]);
      return number === 2 ? undefined : number;
    });
    assertEquals(run(outer, 3, null), 1 - 1000 + 3);
  }
});

it("one that runs while an error waits has stack enough, after another one had too little", () => {
  const deep = (): number => c.plainI32(deep, 1, null);
  assertThrows(deep, RangeError);
  let calls = 0;
  using made = callback({ ...onRowI32, fetch: [value] }, (number) => {
    calls++;
    if (number === 1) throw new Error("the first one");
    return number;
  }, { always: true });
  const error = assertThrows(() => c.ownI32(made, 3, null), Error, "the first one");
  assertEquals([calls, error.name], [3, "Error"]);
});

it("a tail call is the answer: the function isn't called", () => {
  const definition = { ...onRowI32, fetch: [value], answer: answerCall(c.row_answer_i32, argument(0)) } as const;
  using library = dlopen(testLibrary, { add: { name: "add_i32", parameters: ["i32", "i32"], result: "i32" } });
  const { add } = library.symbols;
  using made = callback(definition, (number) => tailCall(add, number, 1000));
  assertEquals(c.ownI32(made, 2, null), 2003);
});

it("calls from other threads are fetched for there", async () => {
  const definition = {
    parameters: ["i32", "i32"],
    result: "void",
    fetch: [fetchCall(c.thread_text, argument(1)), argument(0)],
  } as const;
  const seen: unknown[] = [];
  {
    using posted = callback(definition, (text, thread) => void seen.push(text, thread), { thread: "post" });
    await ended(crews.start_posts(posted, posted, 1, 3) as never);
    await until(() => seen.length === 6, "the calls");
  }
  assertEquals(seen, ["text 0", 0, "text 1", 0, "text 2", 0]);
  using library = dlopen(testLibrary, {
    start_waits: { parameters: [{ parameters: ["i32", "i32"], result: "i32" }, "i32", "i32"], result: "pointer" },
    start_later: {
      name: "start_waits",
      parameters: [{ parameters: ["i32", "i32"], result: "i32" }, "i32", "i32"],
      result: "pointer",
      nonblocking: true,
    },
  });
  const { start_waits, start_later } = library.symbols;
  using waited = callback({ ...definition, result: "i32" }, (text) => Number(text?.slice(5)) + 1, { thread: "wait" });
  assertEquals(await ended(start_waits(waited, 1, 3) as never), 6n);
  // Without such a contract they get the fallback, and are reported. A native call that JavaScript was in would throw them.
  const reports: Report[] = [];
  configure({ onReport: (report) => reports.push(report) });
  using here = callback({ ...definition, result: "i32" }, () => 1, { fallback: 5 });
  assertEquals(await ended(await start_later(here, 1, 3) as never), 15n);
  await until(() => reports.length > 0, "the report");
  configure({ onReport: undefined });
  assertEquals(reports.map(({ kind }) => kind), ["misplaced-call"]);
});

it("is the same callback to C: its definition may be a parameter's type", () => {
  const definition = { ...onRow, fetch: [value], answer } as const;
  using library = dlopen(testLibrary, {
    run: { name: "run_rows", parameters: [definition, "i32", "handle"], result: "f64" },
  });
  const { run } = library.symbols;
  using made = callback(definition, (number) => number);
  assertEquals(run(made, 3, null), 6);
  // A function that is lent to the call gets what C gives.
  assertEquals(run((given: unknown) => void c.row_answer(given as never, 1), 3, null), 3);
});

it("one callback after another, thousands of them, and nothing is left", () => {
  const { callbacks } = stats().live;
  for (let i = 0; i < 3000; i++) {
    using made = callback(
      { ...onRow, fetch: [value, fetchAt("i32", argument(0), 32)], answer },
      (number) => number + i,
    );
    if (i % 10 === 0) assertEquals(c.plain(made, 2, null), 3 + 2 * i);
  }
  assertEquals(stats().live.callbacks, callbacks);
});

describe("what can't be fetched is refused when it is defined", () => {
  const refuse = (make: () => unknown, message: string): void => {
    const error = assertThrows(make, Error) as Error;
    assert(error instanceof TypeError || error instanceof RangeError, error.name);
    assertStringIncludes(error.message, message);
  };
  const define = (definition: unknown) => () =>
    callback(definition as FetchingDefinition & { result: "void" }, (() => {}) as never);

  it("operands", () => {
    refuse(() => argument(-1), "an integer from 0");
    refuse(() => argument(0.5), "an integer from 0");
    refuse(() => fetchCall((() => 1) as never), "expected one of a library");
    refuse(() => fetchCall(c.row_value), "it takes 1 arguments, got 0");
    refuse(() => fetchCall(c.row_answer, argument(0), 1), "it has no result");
    refuse(() => fetchCall(c.own, argument(0), 1, null), "stack");
    refuse(() => fetchCall(c.later_i32 as never, 1, 2), "nonblocking");
    refuse(() => fetchCall(c.plain, argument(0), 1, null), "argument 1 is of the type function");
    refuse(() => fetchAt("buffer" as "i32", argument(0)), "unknown type");
    refuse(() => fetchAt("double" as "i32", argument(0)), "f64");
    refuse(() => fetchAt("i32", argument(0), 0.5), "a safe integer");
    refuse(() => answerCall(c.row_answer), "it takes 2 arguments");
    refuse(() => answerCall(c.row_answer, value as never), "expected arguments of C's");
    const unloaded = dlopen(testLibrary, { row_value: { parameters: [row], result: "f64" } }, { unload: true });
    refuse(() => fetchCall(unloaded.symbols.row_value, argument(0)), "unload");
    unloaded.close();
    const closed = dlopen(testLibrary, { row_value: { parameters: [row], result: "f64" } });
    using before = callback({ ...onRowI32, fetch: [fetchCall(closed.symbols.row_value, argument(0))] }, (n) => n);
    closed.close();
    const error = assertThrows(() => fetchCall(closed.symbols.row_value, argument(0)), LibraryClosedError);
    assertStringIncludes(error.message, 'Cannot fetch by "row_value"');
    // Its code stays where it is, for callbacks that there are.
    assertEquals(c.plainI32(before, 2, null), 3);
  });

  it("definitions", () => {
    refuse(define({ ...onRow, fetch: value }), "fetch must be an array");
    refuse(
      define({ ...onRow, fetch: [1] }),
      "fetch 1 must be what argument(), fetchCall(), fetchAt() or fetchAddress() gives, got 1",
    );
    refuse(define({ ...onRow, fetch: [answer] }), "fetch 1 is what answerCall() gives");
    refuse(define({ ...onRow, answer: value }), "answer must be what answerCall() gives");
    refuse(define({ ...onRow, fetch: [argument(1)] }), "argument(1) of 1, counted from 0");
    refuse(define({ ...onRow, fetch: new Array(9).fill(value) }), "it can fetch 8 values, got 9");
    refuse(
      define({ ...onRow, fetch: [fetchCall(c.row_value, 5)] }),
      'argument 1 of "row_value" is of the type pointer, got 5',
    );
    refuse(define({ ...onRow, fetch: [fetchCall(c.row_value, value)] }), "of the type pointer, got f64");
    refuse(define({ ...onRow, fetch: [fetchCall(c.id_i8, 128)] }), "of the type i8, got 128");
    refuse(
      define({ ...onRow, fetch: [fetchCall(c.id_i8, fetchAt("u8", argument(0)))] }),
      'argument 1 of "id_i8" is of the type i8, got u8',
    );
    refuse(define({ ...onRow, fetch: [fetchAt("i32", value)] }), "the pointer is of the type pointer, got f64");
    refuse(define({ ...onRowI32, answer: answerCall(c.row_answer, argument(0)) }), "it gives C void in place of i32");
    const point = struct({ x: "f64" });
    refuse(define({ parameters: [point], result: "void", fetch: [argument(0)] }), "fetch 1 names a structure");
    refuse(define({ parameters: [], result: point, fetch: [] }), "one that returns a structure fetches nothing");
    refuse(
      () => callback({ ...onRow, fetch: [value], answer }, (x) => x, { thread: "wait" }),
      'thread "wait" takes no answer',
    );
    let fetch: unknown = value;
    for (let i = 0; i < 30; i++) fetch = fetchCall(c.sum_of_four, i, fetch as never, 0, 0);
    refuse(define({ ...onRow, fetch: [fetch] }), "it fetches too much");
  });
});
