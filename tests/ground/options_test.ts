/** Options and definitions: what is inherited is not taken, and what isn't known is refused. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  array,
  callback,
  Channel,
  configure,
  cstringAt,
  dlopen,
  NativeMemory,
  out,
  pointerFrom,
  stats,
  struct,
  union,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";
import { alive } from "../support/gc.ts";

const before = alive();
const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const libc = libcPath;

/** Calls a function while every object inherits properties. */
function withInherited<T>(inherited: Record<string, unknown>, fn: () => T): T {
  for (const [name, value] of Object.entries(inherited)) {
    Object.defineProperty(Object.prototype, name, { value, configurable: true, enumerable: true, writable: true });
  }
  try {
    return fn();
  } finally {
    for (const name of Object.keys(inherited)) Reflect.deleteProperty(Object.prototype, name);
  }
}

/** What the library's variable is: other tests of this process have written it. */
function variable(): number {
  using library = dlopen(testLibrary, { variable_i32: { type: "i32" } });
  return library.symbols.variable_i32;
}

describe("what is inherited from Object.prototype", () => {
  it("is no part of a function's or a variable's definition", () => {
    const inherited = {
      name: "identity_i32",
      optional: true,
      nonblocking: true,
      captureErrno: true,
      variadic: 1,
      unload: true,
      type: "i32",
      out: "i32",
      struct: ["i32"],
      versions: ["0"],
      sub_i32: "i32",
    };
    const known = variable();
    const result = withInherited(inherited, () => {
      using library = dlopen(testLibrary, {
        add_i32: { parameters: ["i32", "i32"], result: "i32" },
        variable_i32: { type: "i32" },
        relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
      });
      const { add_i32, variable_i32, relay_i32 } = library.symbols;
      assertThrows(() => dlopen(testLibrary, { no_such: { parameters: [], result: "void" } }));
      return [add_i32(2, 3), variable_i32, relay_i32((value) => value + 1, 1)];
    });
    assertEquals(result, [5, known, 2]);
  });

  it("makes up for nothing that is left out", () => {
    const known = variable();
    withInherited({ parameters: ["i32"], result: "i32" }, () => {
      assertThrows(() => openUnchecked({ add_i32: {} }), TypeError, "parameters must be an array");
      assertThrows(() => openUnchecked({ add_i32: { parameters: [] } }), TypeError, "it has no result");
      assertThrows(() => openUnchecked({ add_i32: { parameters: [{}], result: "i32" } }), TypeError, "parameter 1");
      assertThrows(() => callbackUnchecked({}, () => {}), TypeError, "parameters must be an array");
      assertThrows(() => struct({ x: {} as never }), TypeError, "can't be stored");
      using library = openUnchecked({ variable_i32: { type: "i32" } });
      assertStrictEquals(library.symbols.variable_i32 as unknown, known);
    });
  });

  it("is no option", () => {
    const inherited = {
      name: 1,
      fallback: "wrong",
      onError: 1,
      once: 1,
      thread: "elsewhere",
      timeoutMs: -1,
      queue: 1,
      capacity: 1,
      signal: 1,
      onFull: 1,
      align: 3,
      zero: 1,
      packed: 3,
      fatal: 1,
      unload: 1,
      versions: 1,
      trackLeaks: true,
      threads: 0,
      onReport: 1,
      pointerChecks: false,
    };
    // The runtimes' own functions look at inherited options, when something is needed for the first time.
    callback({ parameters: [], result: "void" }, () => {}, { thread: "post" }).close();
    new Channel().close();
    withInherited(inherited, () => {
      callback(i32ToI32, (value) => value, {}).close();
      callback({ parameters: [], result: "void" }, () => {}, { thread: "post", queue: { capacity: 4 } }).close();
      new Channel({}).close();
      using memory = NativeMemory.alloc(8, {});
      assertEquals(struct({ a: "u8", b: "i32" }, {}).byteLength, 8);
      assertEquals([memory.getCString(0, {}), memory.text({}), cstringAt(memory.pointer, {})], [
        "",
        "\0".repeat(8),
        "",
      ]);
      dlopen(libc, {}, {}).close();
      configure({});
    });
    assertThrows(
      () => withInherited({ name: "c" }, () => dlopen({} as never, {})),
      TypeError,
      "strings without slashes",
    );
  });

  it("is no member of a union", () => {
    const Bits = union({ number: "f32", bits: "u32" });
    withInherited({ bits: 7 }, () => {
      using memory = Bits.alloc({ number: 1 });
      assertEquals(Bits.read(memory).bits, 0x3f800000);
    });
  });

  it("is nothing that an out-parameter or an array is of", () => {
    withInherited({ parameters: [], out: "f64" }, () => {
      using library = dlopen(libc, { frexp: { parameters: ["f64", out("i32")], result: "f64", optional: true } });
      const { frexp } = library.symbols;
      if (frexp !== null) assertEquals(frexp(8), [0.5, 4]);
      assertEquals(array("u8", 3).byteLength, 3);
    });
  });
});

describe("options and definitions", () => {
  const places: [string, (value: never) => unknown, string][] = [
    [
      "a function's definition",
      (value) => openUnchecked({ add_i32: value }),
      "a property of a definition; these are: parameters, result",
    ],
    [
      "a callback's definition",
      (value) => callbackUnchecked(value, () => {}),
      "a property of a callback's definition; these are: parameters, result",
    ],
    ["dlopen", (value) => dlopen(libc, {}, value), "an option; these are: unload"],
    ["callback", (value) => callback(i32ToI32, (x) => x, value), "an option; these are: name, fallback, onError"],
    ["alloc", (value) => NativeMemory.alloc(8, value), "an option; these are: align, zero"],
    ["Channel", (value) => new Channel(value), "an option; these are: capacity, signal, name"],
    ["struct", (value) => struct({ a: "u8" }, value), "an option; these are: packed"],
    ["cstringAt", (value) => cstringAt(pointerFrom(1), value), "an option; these are: fatal"],
    [
      "configure",
      (value) => configure(value),
      "a setting; these are: trackLeaks, onReport, callThreads, callStackSize, pointerChecks",
    ],
    ["a library's name", (value) => dlopen(value, {}), "a property of a library's name; these are: name, versions"],
  ];
  for (const [name, take, said] of places) {
    it(`of ${name} are named when another is there`, () => {
      const { message } = assertThrows(() => take({ wrong: 1 } as never), TypeError);
      assertStringIncludes(message, `"wrong" is not ${said}`);
      assert(message.startsWith("Cannot "), message);
    });
  }

  it("are read once, and kept: they may say something else later", () => {
    let reads = 0;
    const once = <T>(value: T, later: unknown): T => (reads++ === 0 ? value : later) as T;
    const parameters: unknown[] = ["i32", "i32"];
    const definition = {
      get parameters() {
        return once(parameters, ["cstring"]);
      },
      result: "i32",
    };
    using library = openUnchecked({ add_i32: definition });
    parameters[0] = "cstring";
    assertStrictEquals(library.symbols.add_i32(2, 3), 5);
    assertStrictEquals(reads, 1);
    const made = { ...i32ToI32 } as { parameters: readonly string[]; result: string };
    const relay = openUnchecked({ relay_i32: { parameters: [made, "i32"], result: "i32" } });
    made.result = "cstring";
    assertStrictEquals(relay.symbols.relay_i32((value: number) => value + 1, 1), 2);
    relay[Symbol.dispose]();
  });

  it("leave nothing alive", () => {
    assertEquals(alive(), before);
    assertStrictEquals(stats().live.waitingErrors, 0);
  });
});
