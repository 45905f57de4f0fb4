/** Functions and callbacks with more arguments than runtimes make signatures of, up to 128 words beside the registers. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import {
  type CallbackDefinition,
  dlopen,
  type FunctionDefinition,
  type NamedType,
  NativeMemory,
  pin,
  type Pointer,
} from "@belay/ffi";
import { host } from "../../scripts/build.ts";
import { compiled, scalars } from "../support/c_types.ts";
import { runChild } from "../support/child.ts";
import { callbackUnchecked } from "../support/unchecked.ts";

const registers = host.arch === "aarch64" ? 8 : host.os === "windows" ? 4 : 6;
const mostIntegers = registers + 128;

const cycle = ["i8", "f32", "u16", "f64", "i32", "u8", "i64", "f32", "i16", "bool", "u32", "u64"] as const;
const values = [-1, 0.5, 65535, -2.25, -3, 255, -4n, 1.5, -32768, true, 4294967295, 2n ** 64n - 1n] as const;
/** As many as fit everywhere, Windows with its four registers among it. */
const mixedTypes: NamedType[] = Array.from({ length: 132 }, (_, index) => cycle[index % cycle.length]);
const mixedValues: unknown[] = mixedTypes.map((_, index) => values[index % cycle.length]);
const integerTypes: NamedType[] = Array.from({ length: mostIntegers }, () => "i64");
const integerValues: unknown[] = integerTypes.map((_, index) => BigInt(index) * 0x1_0000_0001n);

/** A function that writes its arguments to memory, and one that calls a function with what is there. */
function source(name: string, types: readonly NamedType[]): string {
  const named = types.map((type) => scalars[type as keyof typeof scalars]);
  return `
EXPORT int64_t take_${name}(${named.map((type, index) => `${type} a${index}`).join(", ")}) {
  ${named.map((_, index) => `memcpy(seen[${index}], &a${index}, sizeof a${index});`).join("\n  ")}
  return 77; }
EXPORT int64_t call_${name}(int64_t (*fn)(${named.join(", ")})) {
  return fn(${named.map((type, index) => `*(${type} *)seen[${index}]`).join(", ")}); }`;
}

const textPlaces = { text_early: 40, text_late: mostIntegers - 1 } as const;
const text = (name: string, place: number): string => `
EXPORT int64_t ${name}(int64_t (*fn)(${integerTypes.map((_, i) => i === place ? "char *" : "int64_t").join(", ")})) {
  char text[] = "some text";
  int64_t result = fn(${integerTypes.map((_, i) => i === place ? "text" : "0").join(", ")});
  memset(text, 'x', 9);
  return result; }`;

const library = compiled(`#include <stdint.h>
#include <string.h>
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
static uint8_t seen[160][8];
EXPORT void *seenAddress(void) { return seen; }
${source("mixed", mixedTypes)}
${source("integers", integerTypes)}
${Object.entries(textPlaces).map(([name, place]) => text(name, place)).join("")}
EXPORT int64_t answer(void) { return 77; }
EXPORT void *first_of_33(${Array.from({ length: 33 }, (_, index) => `void *a${index}`).join(", ")}) { return a0; }
`);

const shapes = [["mixed", mixedTypes, mixedValues], ["integers", integerTypes, integerValues]] as const;
const kinds: readonly [string, Partial<FunctionDefinition>][] = [
  ["plain", {}],
  ["nonblocking", { nonblocking: true }],
  ["captureErrno", { captureErrno: true }],
];
const definitions: Record<string, FunctionDefinition> = {};
for (const [name, parameters] of shapes) {
  for (const [kind, options] of kinds) {
    definitions[`take_${name}_${kind}`] = { name: `take_${name}`, parameters, result: "i64", ...options };
    definitions[`call_${name}_${kind}`] = { name: `call_${name}`, parameters: ["function"], result: "i64", ...options };
  }
  const lent = { name: `call_${name}`, parameters: [{ parameters, result: "i64" }], result: "i64" } as const;
  definitions[`lend_${name}`] = lent;
  definitions[`lend_${name}_nonblocking`] = { ...lent, nonblocking: true };
}
for (const name of Object.keys(textPlaces)) {
  definitions[name] = { parameters: ["function"], result: "i64" };
  definitions[`${name}_nonblocking`] = { name, parameters: ["function"], result: "i64", nonblocking: true };
}
definitions["first_of_33"] = {
  parameters: Array.from({ length: 33 }, (_, index) => index === 32 ? "cstring" : "buffer"),
  result: "pointer",
  captureErrno: true,
};
const opened = dlopen(library, { ...definitions, seenAddress: { parameters: [], result: "pointer" } });
const c = opened.symbols as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;
const seen = NativeMemory.borrow(c["seenAddress"]() as never, 160 * 8);
afterAll(() => opened.close());

/** What C has seen, or is to pass on. */
function read(types: readonly NamedType[]): unknown[] {
  const view = new DataView(seen.bytes().slice().buffer);
  return types.map((type, index) => {
    switch (type) {
      case "bool":
        return view.getUint8(8 * index) !== 0;
      case "i64":
        return view.getBigInt64(8 * index, true);
      case "u64":
        return view.getBigUint64(8 * index, true);
      default: {
        const kind = type[0] === "f" ? "Float" : type[0] === "i" ? "Int" : "Uint";
        const name = `get${kind}${type.slice(1)}` as "getInt32";
        return view[name](8 * index, true);
      }
    }
  });
}

describe("arguments beyond what a runtime takes", () => {
  for (const [name, types, given] of shapes) {
    for (const [kind] of kinds) {
      it(`arrive in a function: ${name}, ${kind}`, async () => {
        seen.fill(0xa5);
        const answer = await c[`take_${name}_${kind}`](...given);
        assertEquals(answer, kind === "captureErrno" ? [77n, 0] : 77n);
        assertEquals(read(types), given);
      });
    }

    it(`arrive in a callback: ${name}, on every thread`, async () => {
      c[`take_${name}_plain`](...given);
      const got: unknown[][] = [];
      const fn = (...args: unknown[]): bigint => BigInt(got.push(args));
      const definition: CallbackDefinition = { parameters: types, result: "i64" };
      using same = callbackUnchecked(definition, fn);
      using waiting = callbackUnchecked(definition, fn, { thread: "wait" });
      using apart = callbackUnchecked(definition, fn, { thread: "wait", queue: { capacity: 1 } });
      const { promise, resolve } = Promise.withResolvers<void>();
      using posted = callbackUnchecked({ ...definition, result: "void" }, (...args: unknown[]) => {
        got.push(args);
        resolve();
      }, { thread: "post" });
      assertEquals(c[`call_${name}_plain`](same), 1n);
      assertEquals(c[`call_${name}_captureErrno`](same), [2n, 0]);
      assertEquals(c[`lend_${name}`](fn), 3n);
      assertEquals(await c[`call_${name}_nonblocking`](waiting), 4n);
      assertEquals(await c[`call_${name}_nonblocking`](apart), 5n);
      assertEquals(await c[`lend_${name}_nonblocking`](fn), 6n);
      await c[`call_${name}_nonblocking`](posted);
      await promise;
      assertEquals(got.length, 7);
      for (const args of got) assertEquals(args, given);
    });
  }

  it("stay what they are when a call is hot (in a child process)", () => {
    const { code, stdout, stderr } = runChild("hot_wide_calls.ts", [library]);
    assertEquals([code, stderr, stdout.trim()], [0, "", "77"]);
  });
});

describe("the limit of 128 words", () => {
  const tooMany = [...integerTypes, "i64"] as const;

  it("is said with the function's name, whatever the kind of call", () => {
    for (const [kind, options] of kinds) {
      const parameters = [...tooMany];
      const definition: FunctionDefinition = { name: "take_integers", parameters, result: "i64", ...options };
      const error = assertThrows(() => dlopen(library, { [kind]: definition }), RangeError);
      assertEquals(
        error.message,
        `Cannot define "${kind}": expected at most 128 words of arguments and result beside the registers, got 129`,
      );
    }
  });

  it("is said with the callback's name, the function's or that of the argument", () => {
    const definition = (): CallbackDefinition => ({ parameters: [...tooMany], result: "void" });
    const message = (what: string): string =>
      `Cannot define ${what}: expected at most 128 words of arguments and result beside the registers, got 129`;
    const named = assertThrows(() => callbackUnchecked(definition(), () => {}, { name: "onRow" }), RangeError);
    assertEquals(named.message, message('callback "onRow"'));
    const posted = assertThrows(() => callbackUnchecked(definition(), () => {}, { thread: "post" }), RangeError);
    assertEquals(posted.message, message('callback "anonymous"'));
    const ofFunction = assertThrows(() => callbackUnchecked(definition(), function onStep() {}), RangeError);
    assertEquals(ofFunction.message, message('callback "onStep"'));
    const parameters = [definition()];
    const lent = assertThrows(() => dlopen(library, { call_integers: { parameters, result: "i64" } }), RangeError);
    assertEquals(lent.message, message('callback "argument 1 of call_integers"'));
  });
});

describe("strings among many arguments", () => {
  const definitionOf = (place: number): CallbackDefinition => ({
    parameters: integerTypes.map((type, index) => index === place ? "cstring" : type),
    result: "i64",
  });

  it("are copied for other threads in the first 64 words", async () => {
    const got: unknown[] = [];
    const fn = (...args: unknown[]): bigint => BigInt(got.push(args[textPlaces.text_early]));
    using same = callbackUnchecked(definitionOf(textPlaces.text_early), fn);
    using waiting = callbackUnchecked(definitionOf(textPlaces.text_early), fn, { thread: "wait" });
    assertEquals(c["text_early"](same), 1n);
    assertEquals(await c["text_early_nonblocking"](waiting), 2n);
    assertEquals(got, ["some text", "some text"]);
  });

  it("are refused for other threads behind these, and arrive on JavaScript's own", () => {
    const place = textPlaces.text_late;
    const got: unknown[] = [];
    const fn = (...args: unknown[]): bigint => BigInt(got.push(args[place]));
    using same = callbackUnchecked(definitionOf(place), fn, { name: "onText" });
    assertEquals(c["text_late"](same), 1n);
    assertEquals(got, ["some text"]);
    const error = assertThrows(
      () => callbackUnchecked(definitionOf(place), fn, { name: "onText", thread: "wait" }),
      TypeError,
    );
    assertStringIncludes(error.message, 'Cannot create callback "onText": ');
    assertStringIncludes(error.message, `parameter ${place + 1}`);
  });
});

it("a pointer into a pinned buffer is used after a call with more than 32 buffers and strings", () => {
  const array = new Uint8Array(8);
  using _pinned = pin(array);
  const [pointer] = c["first_of_33"](array, ...Array(31).fill(null), "text") as [Pointer, number];
  assertEquals(NativeMemory.borrow(pointer, 8).getUint8(0), 0);
});
