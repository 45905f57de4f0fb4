/** Arguments of callbacks that other threads call: every type, copied until the function runs. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Callback, callback, Handle, pin, stats } from "@belay/ffi";
import type { Crew } from "../programs/threads.ts";
import { alive, collectFully } from "../support/gc.ts";
import { scalarTypes } from "../support/scalars.ts";
import { memoryOf, valuesOf } from "../support/scalar_arrays.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";
import { until } from "../support/until.ts";
import { c, ended, kinds, listen, served, test } from "./crews.ts";

const before = alive();

describe("arguments", () => {
  for (const type of scalarTypes) {
    test(`of type ${type} arrive at their limits, and so do results`, async () => {
      using typed = openUnchecked({
        feed: { parameters: ["function", "buffer", "i32"], result: "pointer", name: `start_feed_${type}` },
        relay: { parameters: ["function", "buffer", "i32"], result: "pointer", name: `start_relay_${type}` },
      });
      const values = valuesOf(type);
      const [posted, waited]: unknown[][] = [[], []];
      using poster = callbackUnchecked(
        { parameters: [type], result: "void" },
        (value: unknown) => void posted.push(value),
        { thread: "post" },
      );
      const memory = memoryOf(type, values);
      using _pinned = pin(memory);
      await ended(typed.symbols["feed"](poster, memory, values.length) as Crew);
      await served();
      let index = values.length;
      using waiter = callbackUnchecked({ parameters: [type], result: type }, (value: unknown) => {
        waited.push(value);
        return values[--index];
      }, { thread: "wait" });
      await ended(typed.symbols["relay"](waiter, memory, values.length) as Crew);
      values.forEach((value, index) => {
        assert(Object.is(posted[index], value), `${String(posted[index])} for ${String(value)}`);
        assert(Object.is(waited[index], value), `${String(waited[index])} for ${String(value)}`);
      });
      assertEquals([posted.length, waited.length], [values.length, values.length]);
      const answers = [...memoryOf(type, values.toReversed())];
      [...memory].forEach((value, index) => assert(Object.is(value, answers[index]), `${value} for ${answers[index]}`));
    });
  }

  const mixed = [
    ...["i32", "f64", "u8", "f32", "i64", "f64", "i16", "f32"],
    ...["u32", "f64", "i8", "f32", "u64", "f64", "u16", "f64"],
  ];
  const mixedValues = [1, 2.5, 3, 4.5, -5n, 6.5, -7, 8.5, 9, 10.5, -11, 12.5, 13n, 14.5, 15, 16.5];
  /** By the function that calls with them, in the order of `callers` in `threads.c`. */
  const many: Record<string, [types: readonly string[], values: readonly unknown[]]> = {};
  for (let length = 0; length <= 16; length++) {
    many[`mix_${length}`] = [mixed.slice(0, length), mixedValues.slice(0, length)];
  }
  Object.assign(many, {
    call_many: [
      [
        ...["i8", "f32", "u16", "f64", "i32", "f32", "i64", "f64", "u8", "f32"],
        ...["i16", "f64", "u32", "f64", "u64", "f32", "i32", "f64", "bool", "f64"],
      ],
      [
        ...[-1, 1.5, 65535, 2.5, -3, 3.5, -4n, 4.5, 255, 5.5],
        ...[-6, 6.5, 4294967295, 7.5, 2n ** 64n - 1n, 8.5, -9, 9.5, true, 10.5],
      ],
    ],
    call_wide: [
      Array.from({ length: 48 }, (_, index) => (index >> 3) % 2 === 0 ? "i64" : "f64"),
      Array.from({ length: 48 }, (_, index) => {
        const number = (index >> 4) * 8 + index % 8;
        return (index >> 3) % 2 === 0 ? BigInt(number) * 0x100000001n : number + 0.5;
      }),
    ],
  });
  for (const [name, [types, values]] of Object.entries(many)) {
    test(`${types.length} of them, in registers and on the stack, arrive (${name})`, async () => {
      const caller = [...Object.keys(many)].indexOf(name);
      const seen: unknown[][] = [];
      const results = new Float64Array(4);
      // The threads write to it when the calls have returned.
      using _pinned = pin(results);
      for (const options of [{ thread: "wait" }, { thread: "wait", queue: { capacity: 3, onFull: "block" } }]) {
        using made = callbackUnchecked({ parameters: types, result: "f64" }, (...given: unknown[]) => {
          seen.push(given);
          return seen.length + 0.5;
        }, options);
        await ended(c.start_through(made, caller, results, 4));
        assertEquals([...results].sort((a, b) => a - b), [1, 2, 3, 4].map((n) => seen.length - 4 + n + 0.5));
      }
      // The caller takes what the float register holds then.
      using posted = callbackUnchecked(
        { parameters: types, result: "void" },
        (...given: unknown[]) => void seen.push(given),
        {
          thread: "post",
        },
      );
      await ended(c.start_through(posted, caller, results, 4));
      await served();
      assertEquals(seen, Array(12).fill(values));
    });
  }

  for (const how of ["post", "wait"] as const) {
    test(`that are strings are copied: C overwrites and frees them as soon as the call is over (${how})`, async () => {
      let [count, wrong] = [0, 0];
      using made = callback(
        {
          parameters: ["cstring", "i32", "i32", "f64", "i32", "i32", "i32", "i32", "i32", "cstring", "cstring", "i8"],
          result: "void",
        },
        (first, thread, index, float, a, b, c, d, e, onStack, none, last) => {
          count += 1;
          const same = first === `grüß ${thread}/${index} ${"x".repeat(index % 300)}` &&
            onStack === `grüß ${-thread}/${-index} ${"x".repeat(index % 7 === 0 ? 100_000 : 0)}`;
          if (!same || none !== null || `${float} ${a} ${b} ${c} ${d} ${e} ${last}` !== "0.5 1 2 3 4 5 -6") wrong += 1;
        },
        { thread: how },
      );
      await ended(c.start_texts(made, 4, 300));
      await served();
      assertEquals([count, wrong], [1200, 0]);
    });
  }

  test("that are strings of calls which are dropped are freed, and those that come later are right", async () => {
    const definition = {
      parameters: ["cstring", "i32", "i32", "f64", "i32", "i32", "i32", "i32", "i32", "cstring", "cstring", "i8"],
      result: "void",
    } as const;
    for (const onFull of ["dropNewest", "dropOldest"] as const) {
      const seen: number[] = [];
      const reports = listen();
      const make = (): Callback<typeof definition> =>
        callback(definition, (first, _, index) => void (first?.startsWith(`grüß 0/${index} `) && seen.push(index)), {
          thread: "post",
          queue: { capacity: 4, onFull },
        });
      const gone = make();
      c.crew_join(c.start_texts(gone, 1, 20));
      gone.close();
      using made = make();
      c.crew_join(c.start_texts(made, 1, 10));
      await served();
      await until(() => seen.length === 4);
      assertEquals(seen, onFull === "dropNewest" ? [0, 1, 2, 3] : [6, 7, 8, 9]);
      stats();
      assert(kinds(reports).every((kind) => kind === "dropped-calls"));
    }
  });

  test("that are handles arrive as values; one that was deleted meanwhile is a report and the fallback", async () => {
    const each = { parameters: ["handle", "i32"], result: "i32" } as const;
    const reports = listen();
    const handle = Handle.create({ step: 3 });
    using made = callback(each, (value, index) => (value as { step: number }).step * index, {
      thread: "wait",
      fallback: -1,
    });
    assertStrictEquals(await ended(c.start_user_data(made, handle, 2, 5)), 60n);
    const crew = c.start_user_data(made, handle, 2, 1);
    c.sleep_ms(20);
    handle.delete();
    // Those that have not come by now get the same.
    assertStrictEquals(await ended(crew), -2n);
    assertEquals(kinds(reports), ["invalid-handle"]);
    using kept = Handle.create("kept");
    const seen: unknown[] = [];
    using poster = callback({ parameters: ["handle", "i32"], result: "void" }, (value) => void seen.push(value), {
      thread: "post",
    });
    await ended(c.start_user_data(poster, kept, 2, 5));
    await served();
    assertEquals(seen, Array(10).fill("kept"));
  });
});

it("nothing of these tests is left alive", async () => {
  await collectFully();
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
