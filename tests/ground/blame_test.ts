/** Stacks of the errors that a program's mistakes cause begin with the program's line, and functions have their names. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { inspect } from "node:util";
import {
  Arena,
  array,
  callback,
  Channel,
  charArray,
  configure,
  cstringAt,
  dlopen,
  Handle,
  NativeMemory,
  out,
  pin,
  pointerFrom,
  pointerValue,
  struct,
  union,
} from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";

const before = alive();
const add = { name: "add_i32", parameters: ["i32", "i32"], result: "i32" } as const;
const library = dlopen(testLibrary, {
  add_i32: add,
  nonblocking: { ...add, nonblocking: true },
  captureErrno: { ...add, captureErrno: true },
  takes_buffer: { name: "identity_pointer", parameters: ["buffer"], result: "pointer" },
  takes_pointer: { name: "identity_pointer", parameters: ["pointer"], result: "pointer" },
  takes_handle: { name: "identity_pointer", parameters: ["handle"], result: "pointer" },
  static_u8: { type: "u8" },
  "no identifier": add,
  ["__proto__"]: add,
});
const closed = dlopen(testLibrary, { add_i32: add });
closed.close();
const { symbols } = library;
const Pair = struct({ a: "i32", p: "pointer" });
const Four = array("i32", 4);
const memory = Pair.alloc();
const large = NativeMemory.alloc(4000);
const four = Four.alloc();
const freed = Pair.alloc();
const ofFreed = Pair.view(freed);
freed.free();
const largeFreed = NativeMemory.alloc(4000);
largeFreed.free();
const stale = Handle.create("value");
stale.delete();

// deno-lint-ignore no-explicit-any
const any = (value: unknown): any => value;

const mistakes: Record<string, () => unknown> = {
  "a wrong argument": () => symbols.add_i32(any("x"), 1),
  "a wrong argument of a nonblocking function": () => symbols.nonblocking(any("x"), 1),
  "a wrong argument where the error number is captured": () => symbols.captureErrno(any("x"), 1),
  "a number for a buffer": () => symbols.takes_buffer(any(5)),
  "an object for a pointer": () => symbols.takes_pointer(any({ pointer: memory.pointer })),
  "a stale handle as an argument": () => symbols.takes_handle(stale),
  "a call of a closed library's function": () => closed.symbols.add_i32(1, 2),
  "a variable is assigned": () => void (any(symbols).static_u8 = 5),
  "a wrong definition": () => dlopen(testLibrary, any({ x: { parameters: ["int"], result: "i32" } })),
  "a library that isn't there": () => dlopen("./no-such-library.so", {}),
  "a symbol that isn't there": () => dlopen(testLibrary, { no_such_symbol: { parameters: [], result: "void" } }),
  "a path that is none": () => dlopen(any(5), {}),
  "a callback's definition": () => callback(any({ parameters: ["int"], result: "i32" }), () => 1),
  "a callback without a function": () => callback({ parameters: [], result: "void" }, any(5)),
  "a fallback": () => callback({ parameters: [], result: "i32" }, () => 1, { fallback: any("x") }),
  "a structure": () => struct(any({ a: "int" })),
  "a union": () => union(any({ a: "int" })),
  "an array": () => array("i32", -1),
  "an out-parameter": () => out(any("int")),
  "a character array": () => charArray(-1),
  "reading outside of memory": () => memory.getInt32(100),
  "reading outside of mapped memory": () => large.getFloat64(4000),
  "writing what is no integer": () => memory.setInt32(0, any("x")),
  "writing too large an integer": () => large.setUint8(0, 300),
  "a length": () => NativeMemory.alloc(-1),
  "borrowing NULL": () => NativeMemory.borrow(any(null), 1),
  "an array outside of memory": () => memory.bytes(99, 5),
  "reading memory that was freed": () => freed.getInt32(0),
  "reading large memory that was freed": () => largeFreed.getInt32(0),
  "the pointer of memory that was freed": () => freed.pointer,
  "reading a view of memory that was freed": () => ofFreed.a,
  "writing to a view": () => void (any(Pair.view(memory)).a = "x"),
  "storing a string": () => void (any(Pair.view(memory)).p = "x"),
  "writing a structure": () => Pair.write(memory, any({ a: "x" })),
  "reading a structure outside of memory": () => Pair.read(memory, 50),
  "allocating a structure": () => Pair.alloc(any({})),
  "an element outside of an array": () => Four.view(four).at(9),
  "writing to an element": () => Four.view(four).set(0, any("x")),
  "the value of no handle": () => Handle.value(1),
  "deleting no handle": () => Handle.delete(1),
  "the value of a stale handle": () => stale.value,
  "deleting a stale handle": () => stale.delete(),
  "pinning a number": () => pin(any(5)),
  "a pointer from what is no address": () => pointerFrom(-1),
  "the address of what is no pointer": () => pointerValue(any("x")),
  "a string at what is no pointer": () => cstringAt(any("x")),
  "a setting": () => configure(any({ setting: 1 })),
  "a channel": () => new Channel(any({ capacity: -1 })),
  "an arena's memory": () => new Arena().alloc(-1),
};

describe("the first line of the stack is the program's", () => {
  for (const [name, mistake] of Object.entries(mistakes)) {
    it(name, () => {
      let error: unknown;
      try {
        mistake();
      } catch (thrown) {
        error = thrown;
      }
      assert(error instanceof Error, "nothing was thrown");
      assertStringIncludes(error.stack ?? "", error.message);
      const [line = ""] = (error.stack ?? "").replace(error.message, "").split("\n").filter((each) =>
        /^\s+at /.test(each)
      );
      assertStringIncludes(line, "blame_test.ts");
    });
  }

  it("and so is what the runtime shows of an error that nobody catches (in a child process)", () => {
    const { code, stderr } = runChild("uncaught_mistake.ts");
    assertStrictEquals(code, 1);
    assertStringIncludes(stderr, "add_i32(half, 1); // the mistake");
    const [line = ""] = stderr.split("\n").filter((each) => /^\s+at /.test(each));
    assertStringIncludes(line, "uncaught_mistake.ts");
  });

  for (const doing of ["0", "1", "none", "frozen", "throws", "sites", "no capture"]) {
    it(`and nothing fails where a program changes Error: ${doing} (in a child process)`, () => {
      const { code, stdout, stderr } = runChild("hostile_error.ts", [doing]);
      assertEquals([code, stderr], [0, ""]);
      const lines = stdout.trim().split("\n");
      assertEquals(lines.filter((line) => !line.endsWith(" right")), []);
      assertStrictEquals(lines.length, 5);
    });
  }
});

describe("functions of a library", () => {
  const shown = (value: unknown): string => {
    const { Bun } = globalThis as { Bun?: { inspect(value: unknown): string } };
    return Bun === undefined ? inspect(value) : Bun.inspect(value);
  };

  for (const key of ["add_i32", "nonblocking", "captureErrno", "no identifier"] as const) {
    it(`are shown by their names: ${key}`, () => {
      assertStrictEquals(symbols[key].name, key);
      assertStrictEquals(shown(symbols[key]), `[Function: ${key}]`);
    });
  }

  it("work whatever their names are", () => {
    assertStrictEquals(symbols["no identifier"](1, 2), 3);
    assertStrictEquals(Reflect.get(symbols, "__proto__")(1, 2), 3);
  });
});

afterAll(() => {
  library.close();
  for (const each of [memory, large, four]) each.free();
  assertEquals(alive(), before);
});
