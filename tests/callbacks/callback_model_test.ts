/** A random mix of callbacks, held against a model. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Callback, callback, pointerFrom, pointerValue, stats } from "@belay/ffi";
import { alive } from "../support/gc.ts";
import { caught, reportsOf } from "../support/outcome.ts";
import { randomFrom } from "../support/random.ts";
import { callbackUnchecked, type Unchecked } from "../support/unchecked.ts";
import { i32ToI32, open } from "./callers.ts";

const before = alive();

describe("a random mix of callbacks", () => {
  /** What is known of a callback; that of a pointer is known of its latest one. */
  interface Model {
    readonly made: Callback;
    readonly type: "i32" | "f64" | "i64";
    readonly addend: number;
    readonly fallback: number;
    /** What its next call throws. */
    thrown: unknown;
    reported: boolean;
  }

  for (const seed of [1, 2, 3]) {
    it(`does what the model says, with seed ${seed}`, () => {
      const random = randomFrom(seed);
      using library = open();
      const relays: Record<Model["type"], Unchecked> = {
        i32: library.symbols.relay_i32 as Unchecked,
        f64: library.symbols.relay_f64 as Unchecked,
        i64: library.symbols.relay_i64 as Unchecked,
      };
      const live: Model[] = [];
      const byPointer = new Map<bigint, Model>();
      const { staleCalls } = stats().counts;
      let stale = 0;
      let reports = 0;
      const done = { create: 0, dispose: 0, call: 0, throw: 0, nested: 0, stale: 0, reused: 0 };

      const create = (): void => {
        const type = (["i32", "f64", "i64"] as const)[random(3)];
        const addend = random(1000);
        const fallback = -1 - random(1000);
        const model: Model = {
          made: callbackUnchecked({ parameters: [type], result: type }, (value: number | bigint) => {
            const { thrown } = model;
            if (thrown !== undefined) throw thrown;
            return Number(value) + addend;
          }, { fallback }),
          type,
          addend,
          fallback,
          thrown: undefined,
          reported: false,
        };
        live.push(model);
        const pointer = pointerValue(model.made.pointer);
        const before = byPointer.get(pointer);
        if (before !== undefined) {
          done.reused += 1;
          assert(before.made.disposed, "a pointer of a live callback was given away");
          assertStrictEquals(before.type === "f64", type === "f64", "a pointer changed its shape");
          assertStrictEquals(before.type === "i32", type === "i32", "a pointer changed its shape");
        }
        byPointer.set(pointer, model);
        done.create += 1;
      };
      const dispose = (): void => {
        const [model] = live.splice(random(live.length), 1);
        model.made.close();
        done.dispose += 1;
      };
      const one = (): Model => live[random(live.length)];
      const call = ({ made, type, addend }: Model): void => {
        const value = random(1000);
        assertEquals(Number(relays[type](made, value)), value + addend);
        done.call += 1;
      };
      const callThrowing = (model: Model): void => {
        model.thrown = { thrown: done.throw };
        assertStrictEquals(caught(() => relays[model.type](model.made, 1)), model.thrown);
        model.thrown = undefined;
        done.throw += 1;
      };
      let [first, second]: Model[] = [];
      // One for all: a function that is lent for a call would take and leave pointers that the model doesn't know.
      using nesting = callback(i32ToI32, (value) => {
        call(first);
        if (random(2) === 0) callThrowing(second);
        return value + 1;
      });
      const callNested = (): void => {
        [first, second] = [one(), one()];
        assertStrictEquals(library.symbols.relay_i32(nesting, 1), 2);
        done.nested += 1;
      };
      const callStale = (): void => {
        const pointers = [...byPointer];
        const [pointer, model] = pointers[random(pointers.length)];
        if (!model.made.disposed) return call(model);
        assertEquals(Number(relays[model.type](pointerFrom(pointer), 1)), model.fallback);
        stale += 1;
        if (!model.reported) reports += 1;
        model.reported = true;
        done.stale += 1;
      };

      const { callbacks } = stats().live;
      const seen = reportsOf(() => {
        for (let i = 0; i < 6000; i++) {
          const choice = random(100);
          if (live.length === 0 || (choice < 35 && live.length < 200)) create();
          else if (choice < 60) dispose();
          else if (choice < 75) call(one());
          else if (choice < 82) callThrowing(one());
          else if (choice < 90) callNested();
          else callStale();
          const now = stats();
          assertEquals(
            [now.live.callbacks, now.counts.staleCalls, now.live.waitingErrors],
            [callbacks + live.length, staleCalls + stale, 0],
          );
        }
      });
      assertStrictEquals(seen.length, reports);
      // The mix was one.
      for (const [name, count] of Object.entries(done)) assert(count > 50, `${name}: ${count}`);
      for (const { made } of live) made.close();
      assertStrictEquals(stats().live.callbacks, callbacks);
    });
  }
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
