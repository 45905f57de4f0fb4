/** The life of a library: when it is closed, unloaded or dropped. */

import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, LibraryClosedError, stats, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";
import { copyLibrary, isMapped, itOnLinux, unmaps } from "../support/library_copy.ts";

const before = alive();

const lifeDefinitions = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  static_u8: { type: "u8" },
  enter_pointer: { parameters: [], result: "pointer" },
  keep: { parameters: ["function"], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" },
} as const;

describe("Library.close", () => {
  it("ends functions, also those that were taken out, and variables, with LibraryClosedError", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const { add_i32 } = library.symbols;
    assertStrictEquals(add_i32(1, 2), 3);
    assertFalse(library.disposed);
    library.close();
    assert(library.disposed);
    const called = `Cannot call "add_i32": library "${testLibrary}" is closed`;
    for (const fn of [() => add_i32(1, 2), () => library.symbols.add_i32(1, 2)]) {
      assertStrictEquals(assertThrows(fn, LibraryClosedError).message, called);
    }
    const read = `Cannot read "static_u8": library "${testLibrary}" is closed`;
    assertStrictEquals(assertThrows(() => library.symbols.static_u8, LibraryClosedError).message, read);
  });

  it("does nothing the second time", () => {
    const before = stats().live.libraries;
    const library = dlopen(testLibrary, lifeDefinitions);
    assertStrictEquals(stats().live.libraries, before + 1);
    library.close();
    library.close();
    library[Symbol.dispose]();
    assertStrictEquals(stats().live.libraries, before);
  });

  it("is done by a close that was taken out of the library, too", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const { symbols, close } = library;
    assertStrictEquals(symbols.add_i32(1, 2), 3);
    close();
    assert(library.disposed);
    assertThrows(() => symbols.add_i32(1, 2), LibraryClosedError);
    assertFalse(Object.keys(library).includes("close"));
  });

  it("is what using does, also when the scope throws", () => {
    const before = stats().live.libraries;
    const opened = assertThrows(
      () => {
        using library = dlopen(testLibrary, lifeDefinitions);
        assertStrictEquals(stats().live.libraries, before + 1);
        throw Object.assign(new Error("out of the scope"), { library });
      },
      Error,
      "out of the scope",
    );
    assertStrictEquals(stats().live.libraries, before);
    assert("library" in opened && opened.library instanceof Object && "disposed" in opened.library);
    assertStrictEquals(opened.library.disposed, true);
  });

  it("doesn't close the same library that was opened a second time", () => {
    using second = dlopen(testLibrary, lifeDefinitions);
    const first = dlopen(testLibrary, lifeDefinitions);
    first.close();
    assertThrows(() => first.symbols.add_i32(1, 2), LibraryClosedError);
    assertStrictEquals(second.symbols.add_i32(1, 2), 3);
    assertStrictEquals(second.symbols.static_u8, 200);
    assertFalse(second.disposed);
  });

  it("doesn't close another library", () => {
    using copy = copyLibrary();
    const { path } = copy;
    using other = dlopen(path, lifeDefinitions);
    const library = dlopen(testLibrary, lifeDefinitions);
    // Two files are two libraries, with a place each for the kept pointer.
    library.symbols.keep(library.symbols.enter_pointer());
    other.symbols.keep(null);
    assertStrictEquals(library.symbols.call_kept(5), 5);
    library.close();
    assertStrictEquals(other.symbols.add_i32(1, 2), 3);
  });

  it("inside a callback lets the running call of that library finish", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const { relay_i32 } = library.symbols;
    const result = relay_i32((value) => {
      library.close();
      assertThrows(() => relay_i32((inner) => inner, 1), LibraryClosedError);
      return value + 1;
    }, 41);
    assertStrictEquals(result, 42);
    assertThrows(() => relay_i32((value) => value, 1), LibraryClosedError);
  });

  it("inside a callback that throws lets the running call throw the callback's error", () => {
    const library = dlopen(testLibrary, lifeDefinitions);
    const thrown = new Error("after close");
    const error = assertThrows(() =>
      library.symbols.relay_i32(() => {
        library.close();
        throw thrown;
      }, 1)
    );
    assertStrictEquals(error, thrown);
  });

  it("leaves a function pointer that C kept callable", async () => {
    using copy = copyLibrary();
    const { path } = copy;
    using keeper = dlopen(testLibrary, lifeDefinitions);
    const library = dlopen(path, lifeDefinitions);
    keeper.symbols.keep(library.symbols.enter_pointer());
    library.close();
    await collectFully();
    assertStrictEquals(keeper.symbols.call_kept(6), 6);
  });

  itOnLinux("leaves the library mapped (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    assertFalse(isMapped(path));
    const library = dlopen(path, lifeDefinitions);
    assert(isMapped(path));
    library.close();
    assert(isMapped(path));
  });

  itOnLinux("with unload unmaps the library (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    const library = dlopen(path, lifeDefinitions, { unload: true });
    const { add_i32 } = library.symbols;
    assertStrictEquals(add_i32(1, 2), 3);
    assert(isMapped(path));
    library.close();
    assertStrictEquals(isMapped(path), !unmaps);
    assertThrows(() => add_i32(1, 2), LibraryClosedError);
    assertThrows(() => library.symbols.static_u8, LibraryClosedError);
  });

  it("with unload inside a callback lets the running call of that library finish (in a child process)", () => {
    using copy = copyLibrary();
    const { code, signal, stdout } = runChild("unload_in_callback.ts", [copy.path]);
    assertEquals({ code, signal, stdout }, { code: 0, signal: null, stdout: "45 true\n" });
  });

  itOnLinux("with unload leaves the library mapped while it is open a second time (Linux only)", () => {
    using copy = copyLibrary();
    const { path } = copy;
    const first = dlopen(path, lifeDefinitions, { unload: true });
    const second = dlopen(path, lifeDefinitions, { unload: true });
    first.close();
    assert(isMapped(path));
    assertStrictEquals(second.symbols.add_i32(1, 2), 3);
    second.close();
    assertStrictEquals(isMapped(path), !unmaps);
  });
});

describe("a function that is read for the first time", () => {
  it("is the same one from then on, and can't be replaced", () => {
    using library = dlopen(testLibrary, lifeDefinitions);
    const { symbols } = library;
    assertEquals(Object.keys(symbols), Object.keys(lifeDefinitions));
    const { add_i32 } = symbols;
    assertStrictEquals(symbols.add_i32, add_i32);
    assertStrictEquals(Object.entries(symbols)[0]?.[1], add_i32);
    const { value, writable, configurable, enumerable } = Object.getOwnPropertyDescriptor(symbols, "add_i32") ?? {};
    assertEquals([value === add_i32, writable, configurable, enumerable], [true, false, false, true]);
    assertFalse(Object.isExtensible(symbols));
    assertThrows(() => Object.assign(symbols, { enter_pointer: () => 1 }), TypeError);
  });

  it("is there, and the same one, when the program has frozen or sealed the object", () => {
    for (const change of [Object.freeze, Object.seal]) {
      using library = dlopen(testLibrary, lifeDefinitions);
      const { symbols } = library;
      const { add_i32 } = symbols;
      change(symbols);
      const { enter_pointer } = symbols;
      assertStrictEquals(symbols.add_i32, add_i32);
      assertStrictEquals(symbols.enter_pointer, enter_pointer);
      assertStrictEquals(typeof enter_pointer, "function");
    }
  });

  it("is of the definition that dlopen was given, whatever became of it", () => {
    const parameters: ("i32" | "f64")[] = ["i32", "i32"];
    const definition = { parameters, result: "i32" as const };
    using library = dlopen(testLibrary, { add_i32: definition });
    parameters.fill("f64");
    Object.assign(definition, { result: "void", name: "nothing" });
    assertStrictEquals((library.symbols.add_i32 as (a: number, b: number) => unknown)(1, 2), 3);
  });

  for (const unload of [false, true]) {
    it(`is closed when its library was, ${unload ? "and unloaded, " : ""}before it`, () => {
      using copy = copyLibrary();
      const library = dlopen(copy.path, lifeDefinitions, { unload });
      library.close();
      const { add_i32, enter_pointer } = library.symbols;
      assertThrows(() => add_i32(1, 2), LibraryClosedError);
      assertThrows(() => enter_pointer(), LibraryClosedError);
    });
  }

  it("is refused when the library is opened, if its definition can't be", () => {
    const record = struct({ a: "i64", b: "i64", c: "i64" });
    const many = Array.from({ length: 50 }, () => record);
    assertThrows(() => dlopen(testLibrary, { add_i32: { parameters: many, result: "i32" } }), RangeError);
    const callback = { parameters: many, result: "i32" } as const;
    assertThrows(() => dlopen(testLibrary, { relay_i32: { parameters: [callback], result: "i32" } }), RangeError);
    const words = Array.from({ length: 200 }, () => "i64" as const);
    assertThrows(() => dlopen(testLibrary, { add_i32: { parameters: words, result: "i32" } }), RangeError);
  });
});

describe("a library that was dropped", () => {
  it("goes on working through a function that was taken out of it, after a garbage collection", async () => {
    const before = stats().live.libraries;
    const taken: { add?: (a: number, b: number) => number } = {};
    // Functions of their own: an async function's frame would keep what it touched.
    const take = (): void => void (taken.add = dlopen(testLibrary, lifeDefinitions).symbols.add_i32);
    const use = (): void => assertStrictEquals(taken.add?.(20, 22), 42);
    take();
    await collectFully();
    assertStrictEquals(stats().live.libraries, before + 1);
    use();
    delete taken.add;
    assert(await collectUntil(() => stats().live.libraries === before));
  });

  it("goes on working through its symbols, variables among them, after a garbage collection", async () => {
    const before = stats().live.libraries;
    const taken: { symbols?: { readonly static_u8: number } } = {};
    const take = (): void => void (taken.symbols = dlopen(testLibrary, { static_u8: { type: "u8" } }).symbols);
    const use = (): void => assertStrictEquals(taken.symbols?.static_u8, 200);
    take();
    await collectFully();
    assertStrictEquals(stats().live.libraries, before + 1);
    use();
    delete taken.symbols;
    assert(await collectUntil(() => stats().live.libraries === before));
  });

  it("is released after a garbage collection when its functions are gone, too", async () => {
    const before = stats().live.libraries;
    const drop = (): void => assertStrictEquals(dlopen(testLibrary, lifeDefinitions).symbols.add_i32(1, 2), 3);
    drop();
    assertStrictEquals(stats().live.libraries, before + 1);
    assert(await collectUntil(() => stats().live.libraries === before));
  });

  itOnLinux("with unload is unmapped after a garbage collection (Linux only)", async () => {
    using copy = copyLibrary();
    const { path } = copy;
    const drop = (): void => {
      assertStrictEquals(dlopen(path, lifeDefinitions, { unload: true }).symbols.add_i32(1, 2), 3);
    };
    drop();
    assert(isMapped(path));
    assertStrictEquals(await collectUntil(() => !isMapped(path), unmaps ? undefined : 5), unmaps);
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
