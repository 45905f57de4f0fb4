/** A callback's types: every type and place of a parameter, every result, and which definitions are refused. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, type CallbackDefinition, dlopen, Handle, InvalidHandleError, pointerFrom, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { caught } from "../support/outcome.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { memoryOf, valuesOf } from "../support/scalar_arrays.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";
import { i32ToI32, open } from "./callers.ts";

const before = alive();

describe("callback parameters and results", () => {
  for (const type of scalarTypes) {
    it(`a ${type} goes to a callback and comes back at its limits`, () => {
      const name = `relay_${type}`;
      using library = openUnchecked({
        [name]: { parameters: [{ parameters: [type], result: type }, type], result: type },
      });
      const seen: unknown[] = [];
      const relay = library.symbols[name];
      for (const value of limits[type]) {
        assertStrictEquals(relay((parameter: unknown) => (seen.push(parameter), parameter), value), value);
      }
      assertEquals(seen, [...limits[type]]);
      // Against what C gives to the callback, and what the callback answers, being one mistake twice.
      const [first, second] = limits[type];
      assertStrictEquals(relay(() => second, first), second);
    });
  }

  it("a 64-bit result may be a safe integer", () => {
    using library = open();
    const { relay_i64 } = library.symbols;
    assertStrictEquals(relay_i64(() => Number.MIN_SAFE_INTEGER, 0), BigInt(Number.MIN_SAFE_INTEGER));
    assertStrictEquals(relay_i64(() => -1, 0), -1n);
  });

  it("twenty arguments of every kind arrive, on the stack and in registers", () => {
    const many = {
      // deno-fmt-ignore
      parameters: [
        "i8", "f32", "u16", "f64", "i32", "f32", "i64", "f64", "u8", "f32",
        "i16", "f64", "u32", "f64", "u64", "f32", "i32", "f64", "bool", "f64",
      ],
      result: "f64",
    } as const;
    using library = dlopen(testLibrary, { call_many: { parameters: [many], result: "f64" } });
    let seen: unknown[] = [];
    assertStrictEquals(library.symbols.call_many((...parameters) => (seen = parameters, 0.25)), 0.25);
    // deno-fmt-ignore
    assertEquals(seen, [
      -1, 1.5, 65535, 2.5, -3, 3.5, -4n, 4.5, 255, 5.5,
      -6, 6.5, 4294967295, 7.5, 18446744073709551615n, 8.5, -9, 9.5, true, 10.5,
    ]);
  });

  it("ten small integers arrive, on the stack and in registers", () => {
    const many = {
      parameters: ["i8", "u8", "i16", "u16", "i32", "i8", "u8", "i16", "bool", "i32"],
      result: "i32",
    } as const;
    using library = dlopen(testLibrary, { call_many_integers: { parameters: [many], result: "i32" } });
    let seen: unknown[] = [];
    assertStrictEquals(library.symbols.call_many_integers((...parameters) => (seen = parameters, -77)), -77);
    assertEquals(seen, [-1, 2, -3, 4, -5, -6, 7, -8, true, -10]);
  });

  it("a cstring parameter arrives decoded, null for NULL, and with U+FFFD for what is not UTF-8", () => {
    using library = dlopen(testLibrary, {
      call_text: { parameters: [{ parameters: ["cstring"], result: "void" }], result: "void" },
      call_latin1: { parameters: [{ parameters: ["cstring"], result: "i32" }], result: "i32" },
    });
    const seen: unknown[] = [];
    library.symbols.call_text((text) => void seen.push(text));
    assertStrictEquals(library.symbols.call_latin1((text) => seen.push(text)), 3);
    assertEquals(seen, ["text", null, "gr\ufffd\ufffd"]);
  });

  it("a buffer and a function parameter arrive as pointers, null for NULL", () => {
    for (const type of ["buffer", "function"]) {
      using library = openUnchecked({
        relay_pointer: { parameters: [{ parameters: [type], result: "pointer" }, "pointer"], result: "pointer" },
      });
      const relay = library.symbols["relay_pointer"];
      const seen: unknown[] = [];
      const pointer = pointerFrom(4096);
      assertStrictEquals(relay((value: unknown) => (seen.push(value), value), pointer), pointer);
      assertStrictEquals(relay((value: unknown) => (seen.push(value), value), null), null);
      assertEquals(seen, [pointer, null]);
    }
  });

  it("a function result takes a Callback, its pointer and null", () => {
    using library = dlopen(testLibrary, {
      relay_pointer: { parameters: [{ parameters: ["pointer"], result: "function" }, "pointer"], result: "pointer" },
    });
    using answer = callback(i32ToI32, (value) => value);
    const { relay_pointer } = library.symbols;
    assertStrictEquals(relay_pointer(() => answer, null), answer.pointer);
    assertStrictEquals(relay_pointer(() => answer.pointer, null), answer.pointer);
    assertStrictEquals(relay_pointer(() => null, pointerFrom(1)), null);
  });

  it("a handle result takes a Handle, its id and null", () => {
    using library = dlopen(testLibrary, {
      relay_pointer: { parameters: [{ parameters: ["pointer"], result: "handle" }, "pointer"], result: "pointer" },
    });
    using answer = Handle.create("answer");
    const { relay_pointer } = library.symbols;
    assertStrictEquals(relay_pointer(() => answer, null), pointerFrom(answer.id));
    assertStrictEquals(relay_pointer(() => answer.id, null), pointerFrom(answer.id));
    assertStrictEquals(relay_pointer(() => null, pointerFrom(1)), null);
    const stale = Handle.create("stale");
    stale.delete();
    const error = assertThrows(() => relay_pointer(() => stale, null), InvalidHandleError);
    assertStrictEquals(error.reason, "stale");
  });
});

describe("a callback of each scalar type", () => {
  for (const type of scalarTypes) {
    it(`gets ${type} arguments at their limits, which C reads from memory`, () => {
      using library = openUnchecked({
        feed: { parameters: ["function", "buffer", "i32"], result: "void", name: `feed_${type}` },
      });
      const values = valuesOf(type);
      const seen: unknown[] = [];
      using made = callbackUnchecked({ parameters: [type], result: "void" }, (value: unknown) => void seen.push(value));
      library.symbols["feed"](made, memoryOf(type, values), values.length);
      assertEquals(seen, [...values]);
      // `assertEquals` doesn't tell all of them apart in every version.
      seen.forEach((value, index) => assert(Object.is(value, values[index]), `${String(value)} at ${index}`));
    });

    it(`answers ${type} results at their limits, which C stores in memory`, () => {
      using library = openUnchecked({
        collect: { parameters: ["function", "buffer", "i32"], result: "void", name: `collect_${type}` },
      });
      const values = valuesOf(type);
      using made = callbackUnchecked({ parameters: ["i32"], result: type }, (index: number) => values[index]);
      const results = memoryOf(type, values.toReversed());
      library.symbols["collect"](made, results, values.length);
      const expected = [...memoryOf(type, values)];
      assertEquals([...results], expected);
      [...results].forEach((value, index) => assert(Object.is(value, expected[index]), `${String(value)} at ${index}`));
    });

    it(`answers any ${type} to any other`, () => {
      using library = openUnchecked({
        relay: { parameters: [{ parameters: [type], result: type }, type], result: type, name: `relay_${type}` },
      });
      let [wanted, seen]: unknown[] = [];
      using made = callbackUnchecked({ parameters: [type], result: type }, (value: unknown) => {
        seen = value;
        return wanted;
      });
      for (const argument of valuesOf(type)) {
        for (const result of valuesOf(type)) {
          wanted = result;
          assertStrictEquals(library.symbols["relay"](made, argument), result);
          assertStrictEquals(seen, argument);
        }
      }
    });
  }
});

describe("a callback of many parameters", () => {
  const types = [
    ...["i32", "f64", "u8", "f32", "i64", "f64", "i16", "f32"],
    ...["u32", "f64", "i8", "f32", "u64", "f64", "u16", "f64"],
  ];
  const values = [1, 2.5, 3, 4.5, -5n, 6.5, -7, 8.5, 9, 10.5, -11, 12.5, 13n, 14.5, 15, 16.5];

  for (let length = 0; length <= 16; length++) {
    it(`gets ${length}, integers and floats in turn`, () => {
      const definition = { parameters: types.slice(0, length), result: "f64" };
      using library = openUnchecked({ mix: { parameters: [definition], result: "f64", name: `mix_${length}` } });
      const seen: unknown[][] = [];
      using made = callbackUnchecked(definition, (...parameters: unknown[]) => {
        seen.push(parameters);
        return length + 0.125;
      });
      assertStrictEquals(library.symbols["mix"](made), length + 0.125);
      const lent = (...parameters: unknown[]): number => {
        seen.push(parameters);
        return -length - 0.25;
      };
      assertStrictEquals(library.symbols["mix"](lent), -length - 0.25);
      assertEquals(seen, [values.slice(0, length), values.slice(0, length)]);
    });
  }

  it("keeps its own when it calls another of as many inside", () => {
    const definition = { parameters: types, result: "f64" };
    using library = openUnchecked({
      mix_16: { parameters: [definition], result: "f64" },
      mix_15: { parameters: [{ parameters: types.slice(0, 15), result: "f64" }], result: "f64" },
    });
    const { mix_16, mix_15 } = library.symbols;
    const seen: unknown[] = [];
    const result = mix_16((...outer: unknown[]) => {
      assertStrictEquals(mix_15((...inner: unknown[]) => (seen.push(inner), inner.length)), 15);
      seen.push(outer);
      return outer.length;
    });
    assertStrictEquals(result, 16);
    assertEquals(seen, [values.slice(0, 15), values]);
  });
});

describe("a callback's definition", () => {
  const refused: [string, unknown, string][] = [
    ["a struct", { parameters: [{ struct: ["i32"] }], result: "void" }, "what struct() gives"],
    [
      "a function of an unknown type as a parameter",
      { parameters: ["i32", { parameters: ["int"], result: "void" }], result: "void" },
      "parameter 2: ",
    ],
    ["a struct as the result", { parameters: [], result: { struct: ["i32"] } }, "unknown result type"],
    ["a cstring result", { parameters: [], result: "cstring" }, "its result can't be a cstring"],
    ["a buffer result", { parameters: [], result: "buffer" }, "its result can't be a buffer"],
    ["a handleAddress result", { parameters: [], result: "handleAddress" }, "its result can't be a handleAddress"],
    ["an unknown key", { ...i32ToI32, nonblocking: true }, '"nonblocking" is not a property'],
    ["a misspelled key", { paramaters: [], parameters: [], result: "void" }, '"paramaters" is not a property'],
    [
      "an unknown parameter type",
      { parameters: ["i32", "int"], result: "void" },
      "parameter 2 has the unknown type int",
    ],
    ["a void parameter", { parameters: ["void"], result: "void" }, "parameter 1 has the unknown type void"],
    ["an undefined parameter", { parameters: [undefined], result: "void" }, "parameter 1 has the unknown type"],
    ["a name with a comma", { parameters: ["i32,i32"], result: "void" }, "parameter 1 has the unknown type i32,i32"],
    ["an unknown result type", { parameters: [], result: "int" }, "the unknown result type int"],
    ["no result", { parameters: [] }, 'it has no result; without one it is "void"'],
    ["no parameters", { result: "void" }, "parameters must be an array"],
    ["parameters that are no array", { parameters: "i32", result: "i32" }, "parameters must be an array"],
    ["parameters that look like an array", { parameters: { join: () => "i32" }, result: "i32" }, "must be an array"],
    ["null", null, ""],
    ["undefined", undefined, ""],
  ];
  for (const [name, definition, message] of refused) {
    it(`is refused with ${name}, also after a good one of the same types`, () => {
      for (
        const good of [i32ToI32, { parameters: ["i32", "i32"], result: "void" }, { parameters: [], result: "void" }]
      ) {
        callbackUnchecked(good, () => 1).close();
      }
      const { callbacks } = stats().live;
      const error = assertThrows(() => callbackUnchecked(definition, () => {}).close(), TypeError);
      assertStringIncludes(error.message, "Cannot define a callback: ");
      assertStringIncludes(error.message, message);
      assertStrictEquals(stats().live.callbacks, callbacks);
    });
  }

  it("is read once: getters that answer otherwise the next time change nothing, for later ones neither", () => {
    let asked = 0;
    const odd = {
      get parameters() {
        return asked++ === 0 ? ["u16"] : ["f64", "f64", "f64"];
      },
      result: "u16",
    };
    using library = dlopen(testLibrary, { relay_u16: { parameters: ["function", "u16"], result: "u16" } });
    using first = callbackUnchecked(odd, (value: number) => value + 1);
    using second = callback({ parameters: ["u16"], result: "u16" }, (value) => value + 2);
    assertStrictEquals(library.symbols.relay_u16(first, 1), 2);
    assertStrictEquals(library.symbols.relay_u16(second, 1), 3);
    assertStrictEquals(asked, 1);
  });

  it("is worked out by what the program had at its start (in a child process)", () => {
    const { code, stdout, stderr } = runChild("late_code.ts", [testLibrary]);
    assertEquals([code, stdout.trim(), stderr], [0, "2", ""]);
  });

  it("is refused with more than 128 words of arguments on the stack, and not with fewer", () => {
    const parameters = (length: number): CallbackDefinition => ({
      parameters: Array.from({ length }, () => "f64" as const),
      result: "void",
    });
    const { callbacks } = stats().live;
    const error = assertThrows(() => callbackUnchecked(parameters(137), () => {}).close(), RangeError);
    assertStringIncludes(error.message, "at most 128");
    callbackUnchecked(parameters(128), () => {}).close();
    assertStrictEquals(stats().live.callbacks, callbacks);
  });

  it("is refused with what is no function", () => {
    for (const fn of [undefined, null, {}, "text", 1]) {
      assertThrows(() => callbackUnchecked(i32ToI32, fn), TypeError, "Cannot create a callback: expected a function");
    }
  });

  it("is refused with a fallback that is not of the result's type", () => {
    const { callbacks } = stats().live;
    const wrong: [string, unknown][] = [["i32", "1"], ["i8", 128], ["i64", 2n ** 63n], ["bool", 1], ["f64", null]];
    for (const [result, fallback] of wrong) {
      const error = caught(() => callbackUnchecked({ parameters: [], result }, () => {}, { fallback, name: "named" }));
      assert(error instanceof TypeError || error instanceof RangeError);
      assertStringIncludes(error.message, '"named"');
    }
    assertStrictEquals(stats().live.callbacks, callbacks);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
