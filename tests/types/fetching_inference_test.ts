/** The types that TypeScript infers for callbacks whose arguments are fetched. */

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import {
  answerCall,
  argument,
  callback,
  type CallbackFunction,
  dlopen,
  fetchAddress,
  fetchAt,
  fetchCall,
  handle,
  type Pointer,
  pointer,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { compiles, type Equals, holds, i32ToI32 } from "./holds.ts";

const before = alive();
const row = pointer<"row">();
const library = dlopen(testLibrary, {
  row_value: { parameters: [row], result: "f64" },
  row_user_data: { parameters: [row], result: handle<Map<string, number>>() },
  row_answer: { parameters: [row, "f64"], result: "void" },
});
const { row_value, row_user_data, row_answer } = library.symbols;
const given = { parameters: [row, "i32", "cstring"], result: "void" } as const;
const answer = answerCall(row_answer, argument(0));

it("the function gets what is fetched, in its order", () => {
  const definition = {
    ...given,
    fetch: [
      fetchCall(row_value, argument(0)),
      argument(1),
      argument(0),
      fetchAt("u64", argument(0), 8),
      fetchAt("cstring", argument(0)),
      fetchAt("bool", null),
      fetchCall(row_user_data, argument(0)),
      fetchAddress(argument(0)),
    ],
  } as const;
  type Values = [number, number, Pointer<"row"> | null, bigint, string | null, boolean, Map<string, number>, number];
  holds<Equals<Parameters<CallbackFunction<typeof definition>>, Values>>();
  using made = callback({ ...given, fetch: [argument(2), argument(1)] }, (...values) => {
    holds<Equals<typeof values, [string | null, number]>>();
  });
  using none = callback({ ...given, fetch: [] }, (...values) => {
    holds<Equals<typeof values, []>>();
  });
  using all = callback({ ...given, answer }, (...values) => {
    holds<Equals<typeof values, [Pointer<"row"> | null, number, string | null]>>();
    return 1;
  });
  assertEquals([made.disposed, none.disposed, all.disposed], [false, false, false]);
  compiles(
    // @ts-expect-error: the second parameter is a number
    () => callback({ ...given, fetch: [argument(1)] }, (value: string) => value),
    // @ts-expect-error: one value is fetched
    () => callback({ ...given, fetch: [argument(1)] }, (a: number, b: number) => void (a + b)),
    // @ts-expect-error: no number is fetched by itself
    () => callback({ ...given, fetch: [5] }, () => {}),
    // @ts-expect-error: an answer is nothing that is fetched
    () => callback({ ...given, fetch: [answer] }, () => {}),
    // @ts-expect-error: no such type
    () => fetchAt("double", argument(0)),
    // @ts-expect-error: a function's pointer is read as a pointer
    () => fetchAt("function", argument(0)),
    // @ts-expect-error: no string is an operand
    () => fetchCall(row_value, "row"),
    // `any` tells nothing of its function.
    // deno-lint-ignore no-explicit-any
    (definition: any) => callback(definition, (value: unknown) => value),
  );
});

it("what the function gives is what C's function takes, or undefined", () => {
  type Answer = ReturnType<CallbackFunction<typeof given & { readonly answer: typeof answer }>>;
  holds<Equals<Answer, number | undefined | void>>();
  compiles(
    () => callback({ ...given, answer }, () => {}),
    () => callback({ ...given, answer }, async () => await Promise.resolve(1), { suspends: true }),
    () => callback({ ...given, fetch: [argument(1)], answer }, (n) => n, { onError: (_, n) => n }),
    // @ts-expect-error: a string is no f64
    () => callback({ ...given, answer }, () => "1"),
    // @ts-expect-error: nor is what is promised
    () => callback({ ...given, answer }, async () => await Promise.resolve("1"), { suspends: true }),
    // @ts-expect-error: only the function of a call that suspends may be async
    () => callback({ ...given, answer }, async () => await Promise.resolve(1)),
    // @ts-expect-error: what onError gives answers, too
    () => callback({ ...given, fetch: [argument(1)], answer }, (n) => n, { onError: () => "1" }),
    // @ts-expect-error: onError gets what is fetched
    () => callback({ ...given, fetch: [argument(1)], answer }, (n) => n, { onError: (_, n: string) => n.length }),
    // @ts-expect-error: what is fetched is no answer
    () => callback({ ...given, answer: fetchCall(row_value, argument(0)) }, () => 1),
    // @ts-expect-error: an answer takes arguments of C's
    () => answerCall(row_answer, fetchAt("pointer", null)),
    // @ts-expect-error: without an answer, C gets the result
    () => callback({ ...i32ToI32, fetch: [argument(0)] }, () => undefined),
  );
});

it("nothing is left alive", () => {
  library.close();
  assertEquals(alive(), before);
});
