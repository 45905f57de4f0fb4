/** C functions by their addresses, and what a library can be opened as. Every type is in `call_sweep_test.ts`. */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import process from "node:process";
import {
  array,
  callback,
  dlopen,
  functionAt,
  LibraryClosedError,
  LibraryLoadError,
  out,
  pointerFrom,
  PointerRuleError,
  pointerValue,
  struct,
  SymbolNotFoundError,
  union,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive, collectUntil } from "../support/gc.ts";
import { guest } from "../support/machine.ts";

const before = alive();
const binary = { parameters: ["i32", "i32"], result: "i32" } as const;
const unary = { parameters: ["i32"], result: "i32" } as const;

function open() {
  return dlopen(testLibrary, {
    add_i32: binary,
    enter_pointer: { parameters: [], result: "pointer" },
    static_i64: { type: "i64" },
  });
}

describe("functionAt", () => {
  it("gives what C's function pointers and a library's addresses lead to", () => {
    using library = open();
    const pointer = library.symbols.enter_pointer();
    assert(pointer !== null);
    assertEquals(functionAt(pointer, unary)(7), 7);
    assertEquals(functionAt(library.address("add_i32"), binary)(40, 2), 42);
    using doubled = callback(unary, (value) => 2 * value);
    assertEquals(functionAt(doubled, unary)(21), 42);
    assertEquals(functionAt(doubled.pointer, unary)(21), 42);
    // It has no library that could be closed.
    const add = functionAt(library.address("add_i32"), binary);
    library.close();
    assertEquals(add(1, 2), 3);
  });

  it("gives the same function for the same address and definition", async () => {
    using library = open();
    const address = library.address("add_i32");
    const add = functionAt(address, binary);
    assertStrictEquals(functionAt(address, { parameters: ["i32", "i32"], result: "i32" }), add);
    assert(functionAt(address, { parameters: ["u32", "u32"], result: "u32" }) as unknown !== add);
    const later = { ...binary, nonblocking: true } as const;
    assertStrictEquals(functionAt(address, later), functionAt(address, later));
    assertEquals(await functionAt(address, later)(1, 2), 3);
    // A function that is gone is made anew.
    let gone: WeakRef<object> | undefined;
    (() => gone = new WeakRef(functionAt(address, { parameters: ["i64", "i64"], result: "i64" })))();
    await collectUntil(() => gone?.deref() === undefined);
    assertEquals(functionAt(address, { parameters: ["i64", "i64"], result: "i64" })(1, 2) & 0xffn, 3n);
  });

  it("takes the options of a definition, and what a library's function takes", async () => {
    using library = open();
    const relay = library.address("relay_i32");
    const parameters = [unary, "i32"] as const;
    const thrown = new RangeError("thrown");
    const calls: ((fn: (value: number) => number) => number | Promise<number>)[] = [
      (fn) => functionAt(relay, { parameters, result: "i32" })(fn, 20),
      (fn) => functionAt(relay, { parameters, result: "i32", stack: "own" })(fn, 20),
      (fn) => functionAt(relay, { parameters, result: "i32", suspends: true })(fn, 20),
      (fn) => functionAt(relay, { parameters, result: "i32", nonblocking: true })(fn, 20),
      (fn) => functionAt(relay, { parameters, result: "i32", captureErrno: true })(fn, 20)[0],
    ];
    for (const call of calls) {
      assertEquals(await call((value) => value + 1), 21);
      await assertRejects(
        async () =>
          await call(() => {
            throw thrown;
          }),
        RangeError,
        "thrown",
      );
    }
    const point = struct({ x: "f64", y: "f64" });
    const swap = functionAt(library.address("swap_point"), { parameters: [point], result: point });
    assertEquals(swap({ x: 1, y: 2 }), { x: 2, y: 1 });
  });

  it("names the function in errors by its address, or as the definition does", () => {
    using library = open();
    const address = library.address("add_i32");
    const at = `function at 0x${pointerValue(address).toString(16)}`;
    assertThrows(
      () => functionAt(address, binary)("1" as never, 2),
      TypeError,
      `Cannot call "${at}": argument 1 (i32)`,
    );
    const named = functionAt(address, { ...binary, name: "plus" });
    assertEquals(named.name, "plus");
    assertThrows(() => named(1, 2.5), TypeError, 'Cannot call "plus": argument 2 (i32)');
  });

  it("refuses NULL, what is no pointer, and what is no definition of a function", () => {
    using library = open();
    const address = library.address("add_i32");
    for (const nothing of [null, pointerFrom(0)]) {
      assertThrows(() => functionAt(nothing as never, binary), TypeError, "Cannot get the function at NULL");
    }
    for (const other of [{}, "add_i32", undefined, () => 1, Symbol("s")]) {
      assertThrows(() => functionAt(other as never, binary), TypeError, "Cannot get a function: expected its Pointer");
    }
    const closed = callback(unary, (value) => value);
    closed.close();
    assertThrows(() => functionAt(closed, unary), TypeError, "a Callback that was closed");
    for (
      const [definition, message] of [
        [{ type: "i32" }, "its definition has parameters and a result"],
        [{ ...binary, optional: true }, "isn't optional"],
        [{ parameters: ["ptr"], result: "void" }, 'belay calls that "pointer"'],
        [{ parameters: [] }, "it has no result"],
        [null, "the definition"],
        [{ ...binary, blocking: true }, "blocking"],
      ] as const
    ) {
      assertThrows(() => functionAt(address, definition as never), TypeError, message);
    }
    const strchr = dlopen(testLibrary, {
      text: { name: "call_with_text", parameters: ["buffer", unary], result: "pointer" },
    });
    const inside = strchr.symbols.text(new Uint8Array(8), (value) => value);
    strchr.close();
    assertThrows(() => functionAt(inside as never, binary), PointerRuleError);
  });
});

describe("a function's definition as a type", () => {
  it("gives the function, or null, as a result, in any kind of call", async () => {
    const enter = { name: "enter_pointer", parameters: [], result: unary } as const;
    using library = dlopen(testLibrary, {
      plain: enter,
      own: { ...enter, stack: "own" },
      captured: { ...enter, captureErrno: true },
      later: { ...enter, nonblocking: true },
      suspending: { ...enter, suspends: true },
      pass: { parameters: ["pointer"], result: { ...unary, nonblocking: true } },
    });
    const { plain, own, captured, later, suspending, pass } = library.symbols;
    const fn = plain();
    assert(fn !== null);
    assertEquals(fn(7), 7);
    for (
      const same of [
        plain(),
        own(),
        captured()[0],
        await later(),
        await suspending(),
        functionAt(library.address("enter"), unary),
      ]
    ) {
      assertStrictEquals(same, fn);
    }
    assertEquals(pass(null), null);
    assertEquals(await pass(library.address("enter"))?.(3), 3);
  });

  it("gives it in a structure, an array and by an out-parameter, which take it back", () => {
    using library = dlopen(testLibrary, {
      add_i32: binary,
      call_each: { parameters: ["pointer", "i32", "i32"], result: "i32" },
      copy_pointer: {
        name: "collect_i64",
        parameters: [{ parameters: ["i32"], result: "i64" }, out(unary), "i32"],
        result: "void",
      },
    });
    const { add_i32, copy_pointer } = library.symbols;
    const Operations = struct({ add: binary, one: unary, list: array(unary, 2) });
    const enter = functionAt(library.address("enter"), unary);
    using memory = Operations.alloc({ add: add_i32, one: enter, list: [null, enter] });
    const { add, one, list } = Operations.read(memory);
    assertEquals([add?.(40, 2), one?.(1), list[0], list[1]?.(5)], [42, 1, null, 5]);
    assertStrictEquals(one, enter);
    const view = Operations.view(memory);
    assertStrictEquals(view.one, enter);
    assertStrictEquals(view.list.at(1), enter);
    view.one = null;
    assertEquals(view.one, null);
    Operations.write(memory, { add, one, list });
    assertStrictEquals(view.one, enter);
    for (
      const [wrong, message] of [[add_i32, "of another shape"], [
        (value: number) => value,
        "is stored as a callback()",
      ]] as const
    ) {
      assertThrows(() => view.one = wrong as never, Error, message);
    }
    // C copies the address that the callback answers.
    const [, copied] = copy_pointer(() => pointerValue(library.address("enter")), 1);
    assertStrictEquals(copied, enter);
  });

  it("gives it as a member of a union, which is made when it is read", () => {
    using library = open();
    const Value = union({ number: "u64", fn: unary });
    using memory = Value.alloc({ number: 0x1234n });
    const read = Value.read(memory);
    assertEquals(read.number, 0x1234n);
    assertEquals(read.fn?.name, "function at 0x1234");
    Value.write(memory, { fn: library.address("enter") });
    assertEquals([Value.read(memory).fn?.(4), Value.view(memory).fn?.(5)], [4, 5]);
    Value.write(memory, Value.read(memory));
    assertStrictEquals(Value.read(memory).fn, functionAt(library.address("enter"), unary));
  });

  it("gives it to a callback, where C passes a pointer", () => {
    using library = dlopen(testLibrary, {
      relay_pointer: { parameters: [{ parameters: [unary], result: "pointer" }, "pointer"], result: "pointer" },
    });
    const { relay_pointer } = library.symbols;
    const seen: unknown[] = [];
    const address = library.address("enter");
    for (const pointer of [address, null]) relay_pointer((fn) => (seen.push(fn, fn?.(9)), null), pointer);
    assertEquals(seen, [functionAt(address, unary), 9, null, undefined]);
  });

  it("is checked as that of a function", () => {
    for (
      const [type, message] of [
        [{ parameters: ["int"], result: "void" }, "its result: "],
        [{ ...unary, optional: true }, "isn't optional"],
        [{ result: "void" }, "unknown result type"],
      ] as const
    ) {
      assertThrows(() => dlopen(testLibrary, { pass: { parameters: [], result: type as never } }), TypeError, message);
    }
    assertThrows(
      () =>
        (callback as (definition: unknown, fn: () => void) => unknown)({
          parameters: [{ parameters: [] }],
          result: "void",
        }, () => {}),
      TypeError,
      "no result",
    );
  });
});

describe("Library.address", () => {
  it("is that of a function, or of the variable that the library uses, defined or not", () => {
    using library = open();
    assertEquals(typeof pointerValue(library.address("static_u8")), "bigint");
    assert(pointerValue(library.address("static_i64")) > 0n);
    assertStrictEquals(library.address("add_i32"), library.address("add_i32"));
  });

  it("throws where there is no such symbol, no name, or no library any more", () => {
    const library = open();
    const missing = assertThrows(() => library.address("no_such_symbol"), SymbolNotFoundError);
    assert(missing.message.includes("no_such_symbol"));
    for (const name of ["a\0b", 1, undefined]) {
      assertThrows(() => library.address(name as never), TypeError, "its name");
    }
    library.close();
    assertThrows(() => library.address("add_i32"), LibraryClosedError);
  });
});

describe("dlopen(null)", () => {
  const itOnPosix = process.platform === "win32" ? it.skip : it;

  itOnPosix("is the program itself, with all that it is linked with", () => {
    using program = dlopen(null, {
      getpid: { parameters: [], result: "i32" },
      strlen: { parameters: ["cstring"], result: "usize" },
      environ: { type: "pointer" },
      lacking: { name: "belay_no_such_symbol", parameters: [], result: "void", optional: true },
    });
    assertEquals(program.symbols.getpid(), process.pid);
    assertEquals(program.symbols.strlen("belay"), 5n);
    assert(program.symbols.environ !== null);
    assertEquals(program.symbols.lacking, null);
    assert(pointerValue(program.address("free")) > 0n);
    assertThrows(() => dlopen(null, { nothing_such: binary }), SymbolNotFoundError, "the program");
  });
});

describe("how a library is opened", () => {
  it("is said with booleans", () => {
    for (const options of [{ global: 1 }, { deepBind: "yes" }]) {
      assertThrows(() => dlopen(testLibrary, {}, options as never), TypeError, "must be a boolean");
    }
    assertThrows(() => dlopen(testLibrary, {}, { local: true } as never), TypeError, "local");
  });

  const systems = {
    global: process.platform !== "win32",
    deepBind: process.platform === "linux" && guest === undefined,
  };
  for (const option of ["global", "deepBind"] as const) {
    it(`may be ${option}, where the system can`, () => {
      const open = () => dlopen(testLibrary, { add_i32: binary }, { [option]: true });
      if (!systems[option]) {
        return void assertThrows(open, LibraryLoadError, process.platform === "win32" ? "Windows" : "DEEPBIND");
      }
      using library = open();
      assertEquals(library.symbols.add_i32(1, 2), 3);
    });
  }
});

describe("nothing of these tests", () => {
  it("is left alive", () => assertEquals(alive(), before));
});
