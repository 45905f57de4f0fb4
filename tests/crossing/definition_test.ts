/** What a library's definitions may be, and what the error says where one is malformed. */

import { pathToFileURL } from "node:url";
import { assertEquals, assertFalse, assertMatch, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { array, callback, type Definitions, dlopen, out, stats, struct, SymbolNotFoundError, union } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { openUnchecked } from "../support/unchecked.ts";
import { copyLibrary, isMapped, itOnLinux, unmaps } from "../support/library_copy.ts";

const before = alive();

describe("definitions", () => {
  it("bind one symbol by two names with two types", () => {
    using library = dlopen(testLibrary, {
      as_signed: { parameters: ["i64"], result: "i64", name: "identity_i64" },
      as_unsigned: { parameters: ["i64"], result: "u64", name: "identity_i64" },
      identity_i64: { parameters: ["i64"], result: "i64" },
      signed: { type: "i64", name: "static_i64" },
      unsigned: { type: "u64", name: "static_i64" },
    });
    const { symbols } = library;
    assertStrictEquals(symbols.as_signed(-1n), -1n);
    assertStrictEquals(symbols.as_unsigned(-1n), 2n ** 64n - 1n);
    assertStrictEquals(symbols.identity_i64(-1n), -1n);
    assertStrictEquals(symbols.unsigned, BigInt.asUintN(64, symbols.signed));
    assertStrictEquals(symbols.as_signed.name, "as_signed");
  });

  it("that are optional give null for what the library lacks, and the rest as usual", () => {
    using library = dlopen(testLibrary, {
      add_i32: { parameters: ["i32", "i32"], result: "i32", optional: true },
      no_function: { parameters: [], result: "void", optional: true },
      no_alias: { parameters: [], result: "void", name: "no_symbol", optional: true },
      static_u8: { type: "u8", optional: true },
      no_variable: { type: "u8", optional: true },
    });
    const { symbols } = library;
    assertStrictEquals(symbols.add_i32?.(1, 2), 3);
    assertStrictEquals(symbols.no_function, null);
    assertStrictEquals(symbols.no_alias, null);
    assertStrictEquals(symbols.static_u8, 200);
    assertStrictEquals(symbols.no_variable, null);
  });

  it("that name missing symbols throw SymbolNotFoundError with all of them and the library", () => {
    const before = stats().live.libraries;
    const one = assertThrows(
      () => dlopen(testLibrary, { no_such: { parameters: [], result: "void" } }),
      SymbolNotFoundError,
    );
    assertEquals([one.symbols, one.library], [["no_such"], testLibrary]);
    assertEquals(one.message, `Cannot open "${testLibrary}": it has no symbol "no_such"`);
    const several = assertThrows(
      () =>
        dlopen(pathToFileURL(testLibrary), {
          no_such: { parameters: [], result: "void" },
          add_i32: { parameters: ["i32", "i32"], result: "i32" },
          alias: { parameters: [], result: "void", name: "no_such_either" },
          no_optional: { parameters: [], result: "void", optional: true },
          no_variable: { type: "i32", optional: false },
        }),
      SymbolNotFoundError,
    );
    assertEquals(several.symbols, ["no_such", "no_such_either", "no_variable"]);
    assertEquals(several.library, pathToFileURL(testLibrary).href);
    assertMatch(several.message, /it has no symbols "no_such", "no_such_either", "no_variable"$/);
    assertStrictEquals(stats().live.libraries, before);
  });

  const good = { parameters: [], result: "void" };
  const malformed: [string, unknown, string][] = [
    ["a misspelled key", { paramaters: ["i32"], result: "i32" }, '"paramaters" is not a property'],
    ["nonblocking that is not a boolean", { ...good, nonblocking: 1 }, "nonblocking must be a boolean"],
    ["a misspelled key of a variable", { type: "i32", option: true }, '"option" is not a property'],
    ["null", null, "the definition must be an object"],
    ["a string", "i32", "the definition must be an object"],
    ["no parameters", { result: "void" }, "parameters must be an array"],
    ["parameters that are no array", { parameters: "i32", result: "void" }, "parameters must be an array"],
    ["no result", { parameters: [] }, 'it has no result; without one it is "void"'],
    [
      "an unknown parameter type",
      { parameters: ["i32", "int"], result: "void" },
      "parameter 2 has the unknown type int",
    ],
    ["a parameter type of Object", { parameters: ["toString"], result: "void" }, "parameter 1 has the unknown type"],
    ["a parameter of type void", { parameters: ["void"], result: "void" }, "parameter 1 has the unknown type void"],
    ["an undefined parameter type", { parameters: [undefined], result: "void" }, "parameter 1 has the unknown type"],
    ["a parameter of type null", { parameters: [null], result: "void" }, "parameter 1 has the unknown type null"],
    [
      "a struct",
      { parameters: [{ struct: ["i32"] }], result: "void" },
      "parameter 1: a structure's type is what struct() gives",
    ],
    [
      "a struct as the result",
      { parameters: [], result: { struct: ["i32"] } },
      "a structure's type is what struct() gives",
    ],
    ["an unknown result type", { parameters: [], result: "int" }, "unknown result type int"],
    ["a function of an unknown type as the result", {
      parameters: [],
      result: { parameters: ["int"], result: "void" },
    }, "its result: "],
    ["an optional function as the result", { parameters: [], result: { ...good, optional: true } }, "its result: "],
    ["a name that is no string", { ...good, name: 1 }, "name must be a string"],
    ["an optional that is no boolean", { ...good, optional: "yes" }, "optional must be a boolean"],
    ["a variable whose name is no string", { type: "i32", name: 5 }, "name must be a string"],
    ["a variable with a stack", { type: "i32", stack: "own" }, "a variable has no stack"],
    ["a variable with parameters", { type: "i32", parameters: [] }, "a variable has no parameters"],
    ["a variable with a result", { type: "i32", result: "void" }, "a variable has no parameters"],
    ["a variable of type void", { type: "void" }, "unknown type void of a variable"],
    ["a variable of type buffer", { type: "buffer" }, "unknown type buffer of a variable"],
    ["a variable of type function", { type: "function" }, "unknown type function of a variable"],
    ["a variable of an unknown type", { type: "i33" }, "unknown type i33 of a variable"],
    ["a callback without parameters", { parameters: [{ result: "void" }], result: "void" }, ""],
    ["a callback of no properties", { parameters: [{}], result: "void" }, ""],
    ["a callback with parameters that are no array", {
      parameters: [{ parameters: "i32", result: "void" }],
      result: "void",
    }, ""],
    ["a callback of an unknown type", { parameters: [{ parameters: ["int"], result: "void" }], result: "void" }, ""],
    ["a callback with a cstring result", { parameters: [{ parameters: [], result: "cstring" }], result: "void" }, ""],
    ["a callback with nonblocking", { parameters: [{ ...good, nonblocking: true }], result: "void" }, ""],
  ];
  for (const [name, definition, message] of malformed) {
    it(`with ${name} throw TypeError by the definition's name, and open nothing`, () => {
      // What was defined well before must not make up for it.
      using _good = openUnchecked({ call_void: { parameters: [good], result: "void" } });
      const before = stats().live.libraries;
      const error = assertThrows(() => openUnchecked({ call_void: definition }), TypeError);
      assertStringIncludes(error.message, `Cannot define "call_void": ${message}`);
      assertStrictEquals(stats().live.libraries, before);
    });
  }

  const spellings: [string, unknown, string][] = [
    ["C's int", "int", '"i32"'],
    ["C's unsigned int", "unsigned int", '"u32"'],
    ["C's unsigned", "unsigned", '"u32"'],
    ["an uint", "uint", '"u32"'],
    ["C's char", "char", '"i8" or "u8"'],
    ["C's unsigned char", "unsigned char", '"u8"'],
    ["C's short int", "short int", '"i16"'],
    ["C's long", "long", '"i64", on Windows "i32"'],
    ["C's unsigned long", "unsigned long", '"u64", on Windows "u32"'],
    ["C's long long", "long long", '"i64"'],
    ["C's float", "float", '"f32"'],
    ["C's double", "double", '"f64"'],
    ["C's size_t", "size_t", '"usize"'],
    ["C's ssize_t", "ssize_t", '"isize"'],
    ["C's uint8_t", "uint8_t", '"u8"'],
    ["C's int64_t", "int64_t", '"i64"'],
    ["C's _Bool", "_Bool", '"bool"'],
    ["void *", "void *", '"pointer"'],
    ["a pointer to a pointer", "char **", '"pointer"'],
    ["a pointer to a structure", "struct stat*", '"pointer"'],
    ["const char *", "const char *", '"cstring"'],
    ["Bun's ptr", "ptr", '"pointer"'],
    ["Bun's u64_fast", "u64_fast", '"u64"'],
    ["Node's string", "string", '"cstring"'],
    ["koffi's str", "str", '"cstring"'],
    ["Node's uint32", "uint32", '"u32"'],
    ["Node's float64", "float64", '"f64"'],
    ["another case", "I32", '"i32"'],
  ];
  const refusals: [string, (type: unknown) => unknown][] = [
    ["a parameter", (type) => openUnchecked({ call_void: { parameters: [type], result: "void" } })],
    ["a result", (type) => openUnchecked({ call_void: { parameters: [], result: type } })],
    ["a variable", (type) => openUnchecked({ static_u8: { type } })],
    ["a callback's parameter", (type) => callback({ parameters: [type as "i32"], result: "void" }, () => {})],
    ["a callback's result", (type) => callback({ parameters: [], result: type as "i32" }, () => 1)],
    ["a field", (type) => struct({ x: type as "i32" })],
    ["a member", (type) => union({ x: type as "i32" })],
    ["an element", (type) => array(type as "i32", 2)],
    ["an out-parameter", (type) => out(type as "i32")],
  ];
  for (const [where, refuse] of refusals) {
    it(`say for ${where} what belay calls a type that C, Bun or Node have another name for`, () => {
      for (const [name, type, meant] of spellings) {
        const { message } = assertThrows(() => refuse(type), TypeError);
        assertStringIncludes(message, `belay calls that ${meant}`, `${name}: ${message}`);
      }
      // Nothing is made up for what can't be told, and what isn't a name is shown.
      for (const type of ["i33", "toString", "constructor", 5, { a: 1, b: 2 }, {}, [1]]) {
        const { message } = assertThrows(() => refuse(type), TypeError);
        assertFalse(/belay calls|\[object|undefined/.test(message), message);
      }
    });
  }

  it("say what belay calls a property that Bun or Node have another name for", () => {
    const meant = { args: "parameters", arguments: "parameters", returns: "result", return: "result" };
    for (const [key, name] of Object.entries({ ...meant, returnType: "result", nonBlocking: "nonblocking" })) {
      const { message } = assertThrows(() => openUnchecked({ call_void: { [key]: [] } }), TypeError);
      assertStringIncludes(message, `Cannot define "call_void": "${key}" is not a property`);
      assertStringIncludes(message, `; that is "${name}"`);
    }
    const define = callback as unknown as (definition: unknown, fn: () => void) => unknown;
    for (const [key, name] of Object.entries(meant)) {
      const { message } = assertThrows(() => define({ [key]: [] }, () => {}), TypeError);
      assertStringIncludes(message, `; that is "${name}"`);
    }
    assertFalse(
      assertThrows(() => openUnchecked({ call_void: { toString: 1 } }), TypeError).message.includes("that is"),
    );
  });

  it("that are left out are what the error asks for", () => {
    const open = dlopen as unknown as (path: string, definitions?: unknown) => unknown;
    for (const wrong of [undefined, null, "i32"]) {
      const { message } = assertThrows(() => open(testLibrary, wrong), TypeError);
      assertStringIncludes(message, "expected definitions of its symbols, got ");
    }
  });

  itOnLinux("that can't be opened leave the library unmapped (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    const attempt = (definitions: unknown): void => {
      assertThrows(() => dlopen(path, definitions as Definitions, { unload: true }), Error);
      if (unmaps) assertFalse(isMapped(path), JSON.stringify(definitions));
    };
    attempt({ enter: { parameters: ["int"], result: "i32" } });
    attempt({ no_such_symbol: { parameters: [], result: "void" } });
    attempt({ call_void: { parameters: [{ parameters: [], result: "cstring" }], result: "void" } });
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
