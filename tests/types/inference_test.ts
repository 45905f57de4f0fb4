/** The types that TypeScript infers for the symbols of a library. */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  callback,
  type CallbackFunction,
  charArray,
  dlopen,
  Handle,
  handle,
  handleAddress,
  type Library,
  type NativeFunction,
  type NativeMemory,
  out,
  type Pin,
  type Pointer,
  pointer,
  pointerFrom,
  type PointerOwner,
  struct,
  type StructView,
} from "@belay/ffi";
import type { BufferSource } from "../../ffi/types/inference.ts";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { compiles, type Equals, holds, i32ToI32 } from "./holds.ts";

const before = alive();

describe("Equals", () => {
  it("tells any from every other type", () => {
    // deno-lint-ignore no-explicit-any
    type Any = any;
    holds<Equals<Equals<Any, unknown>, false>>();
    holds<Equals<Equals<Any, number>, false>>();
    holds<Equals<Equals<number, Any>, false>>();
    holds<Equals<Equals<number, number | null>, false>>();
    holds<Equals<Any, Any>>();
    // @ts-expect-error: the types differ
    compiles(() => holds<Equals<number, string>>());
  });
});

describe("dlopen's symbols", () => {
  const definitions = {
    small: { parameters: ["i8", "u8", "i16", "u16", "i32", "u32"], result: "i32", name: "enter_any" },
    floats: { parameters: ["f32", "f64"], result: "f64", name: "enter_any" },
    big: { parameters: ["i64", "u64", "isize", "usize"], result: "u64", name: "enter_any" },
    bool: { parameters: ["bool"], result: "bool", name: "identity_bool" },
    pointer: { parameters: ["pointer"], result: "pointer", name: "identity_pointer" },
    buffer: { parameters: ["buffer"], result: "buffer", name: "pass" },
    text: { parameters: ["cstring"], result: "cstring", name: "pass" },
    handle: { parameters: ["handle", "handleAddress"], result: "handle", name: "pass" },
    fn: { parameters: ["function"], result: "function", name: "pass" },
    relay: { parameters: [i32ToI32, "i32"], result: "i32", name: "relay_i32" },
    nothing: { parameters: [], result: "void", name: "enter_any" },
    maybe: { parameters: ["i32"], result: "i32", name: "no_such_symbol", optional: true },
    surely: { parameters: ["i32"], result: "i32", name: "enter", optional: false },
    small_variable: { type: "u8", name: "static_u8" },
    big_variable: { type: "i64", name: "static_i64" },
    bool_variable: { type: "bool", name: "static_bool" },
    text_variable: { type: "cstring", name: "static_text" },
    pointer_variable: { type: "pointer", name: "static_pointer" },
    handle_variable: { type: "handle", name: "variable_pointer" },
    maybe_variable: { type: "f64", name: "no_such_variable", optional: true },
  } as const;
  type Symbols = Library<typeof definitions>["symbols"];
  type HandleArgument = Handle | number | null;

  it("have the types that follow from the definitions, and none of them is any", () => {
    using library = dlopen(testLibrary, definitions);
    holds<Equals<typeof library, Library<typeof definitions>>>();
    holds<
      Equals<Symbols["small"], (...args: [number, number, number, number, number, number]) => number>
    >();
    holds<Equals<Symbols["floats"], (...args: [number, number]) => number>>();
    type Big = number | bigint;
    holds<Equals<Symbols["big"], (...args: [Big, Big, Big, Big]) => bigint>>();
    holds<Equals<Symbols["bool"], (...args: [boolean]) => boolean>>();
    holds<Equals<Symbols["pointer"], (...args: [Pointer | PointerOwner | null]) => Pointer | null>>();
    holds<Equals<Symbols["buffer"], (...args: [BufferSource | null]) => Pointer | null>>();
    holds<Equals<Symbols["text"], (...args: [string | null]) => string | null>>();
    holds<Equals<Symbols["handle"], (...args: [HandleArgument, HandleArgument]) => unknown>>();
    holds<Equals<Symbols["fn"], (...args: [NativeFunction | Pointer | null]) => Pointer | null>>();
    type Relayed = CallbackFunction<typeof i32ToI32> | NativeFunction<typeof i32ToI32> | Pointer | null;
    holds<Equals<Symbols["relay"], (...args: [Relayed, number]) => number>>();
    holds<Equals<Symbols["nothing"], (...args: []) => void>>();
    holds<Equals<Symbols["maybe"], ((...args: [number]) => number) | null>>();
    holds<Equals<Symbols["surely"], (...args: [number]) => number>>();
    holds<Equals<Symbols["small_variable"], number>>();
    holds<Equals<Symbols["big_variable"], bigint>>();
    holds<Equals<Symbols["bool_variable"], boolean>>();
    holds<Equals<Symbols["text_variable"], string | null>>();
    holds<Equals<Symbols["pointer_variable"], Pointer | null>>();
    holds<Equals<Symbols["handle_variable"], unknown>>();
    holds<Equals<Symbols["maybe_variable"], number | null>>();
    const { symbols } = library;
    assertEquals([symbols.maybe, symbols.maybe_variable, symbols.surely(3)], [null, null, 3]);
  });

  it("are inferred without as const", () => {
    using library = dlopen(testLibrary, {
      add_i32: { parameters: ["i32", "i32"], result: "i32" },
      relay_i64: { parameters: [{ parameters: ["i64"], result: "i64" }, "i64"], result: "i64" },
      optional: { parameters: [], result: "void", optional: true },
    });
    const { symbols } = library;
    holds<Equals<typeof symbols.add_i32, (...args: [number, number]) => number>>();
    holds<Equals<typeof symbols.optional, ((...args: []) => void) | null>>();
    const result = symbols.relay_i64((value) => {
      holds<Equals<typeof value, bigint>>();
      return value + 1n;
    }, 1);
    holds<Equals<typeof result, bigint>>();
    assertStrictEquals(result, 2n);
  });

  it("refuse a wrong argument, a wrong count of them, what may be null, and names that there are not", () => {
    using library = dlopen(testLibrary, definitions);
    const { symbols } = library;
    compiles(
      // @ts-expect-error: an argument is missing
      () => symbols.floats(1),
      // @ts-expect-error: there is one argument too many
      () => symbols.floats(1, 2, 3),
      // @ts-expect-error: there are no arguments
      () => symbols.nothing(1),
      // @ts-expect-error: a bigint is no i8
      () => symbols.small(1n, 1, 1, 1, 1, 1),
      // @ts-expect-error: a string is no f64
      () => symbols.floats(1, "2"),
      // @ts-expect-error: a number is no bool
      () => symbols.bool(1),
      // @ts-expect-error: a number is no pointer
      () => symbols.pointer(4096),
      // @ts-expect-error: a bigint is no pointer
      () => symbols.pointer(4096n),
      // @ts-expect-error: a buffer is no pointer
      () => symbols.pointer(new Uint8Array(1)),
      // @ts-expect-error: a string is no buffer
      () => symbols.buffer("text"),
      // @ts-expect-error: an array is no buffer
      () => symbols.buffer([1, 2]),
      // @ts-expect-error: undefined is not null
      () => symbols.text(undefined),
      // @ts-expect-error: a string is no handle
      () => symbols.handle("handle", null),
      // @ts-expect-error: a function has to have a definition
      () => symbols.fn(() => {}),
      // @ts-expect-error: an optional function may be null
      () => symbols.maybe(1),
      // @ts-expect-error: there is no such symbol
      () => symbols.other,
      () => {
        // @ts-expect-error: variables can't be assigned
        symbols.small_variable = 1;
      },
      () => {
        // @ts-expect-error: a result of void is no number
        const result: number = symbols.nothing();
        return result;
      },
    );
    assertThrows(() => symbols.bool(1 as unknown as boolean), TypeError);
  });

  it("refuse malformed definitions", () => {
    compiles(
      // @ts-expect-error: a misspelled key
      () => dlopen(testLibrary, { enter: { paramaters: ["i32"], result: "i32" } }),
      // @ts-expect-error: an unknown type
      () => dlopen(testLibrary, { enter: { parameters: ["int"], result: "i32" } }),
      // @ts-expect-error: void is no parameter's type
      () => dlopen(testLibrary, { enter: { parameters: ["void"], result: "i32" } }),
      // @ts-expect-error: structures are not supported
      () => dlopen(testLibrary, { enter: { parameters: [{ struct: ["i32"] }], result: "i32" } }),
      // @ts-expect-error: the result is missing
      () => dlopen(testLibrary, { enter: { parameters: ["i32"] } }),
      // @ts-expect-error: no variable is a buffer
      () => dlopen(testLibrary, { entered: { type: "buffer" } }),
      // @ts-expect-error: an unknown option
      () => dlopen(testLibrary, {}, { unlod: true }),
      // @ts-expect-error: a name is an object
      () => dlopen(1, {}),
      // @ts-expect-error: the versions are strings
      () => dlopen({ name: "c", versions: [6] }, {}),
    );
    const misspelled = { enter: { paramaters: ["i32"], result: "i32" } };
    // @ts-expect-error: a misspelled key
    assertThrows(() => dlopen(testLibrary, misspelled), TypeError, '"paramaters"');
  });
});

describe("a tagged pointer", () => {
  const database = pointer<"sqlite3">();
  const statement = pointer<"sqlite3_stmt">();

  it("is accepted where its tag or a plain pointer is asked for, and refused elsewhere", () => {
    using library = dlopen(testLibrary, {
      open: { parameters: [], result: database, name: "enter_pointer" },
      untagged: { parameters: [], result: "pointer", name: "enter_pointer" },
      close: { parameters: [database], result: database, name: "identity_pointer" },
      finalize: { parameters: [statement], result: "void", name: "enter_any" },
      plain: { parameters: ["pointer"], result: "void", name: "enter_any" },
      variable: { type: database, name: "static_pointer" },
    });
    const { symbols } = library;
    const opened = symbols.open();
    holds<Equals<typeof opened, Pointer<"sqlite3"> | null>>();
    holds<
      Equals<typeof symbols.close, (...args: [Pointer<"sqlite3"> | PointerOwner | null]) => Pointer<"sqlite3"> | null>
    >();
    holds<Equals<typeof symbols.variable, Pointer<"sqlite3"> | null>>();
    assert(opened !== null);
    compiles(
      // @ts-expect-error: a plain object has no pointer
      () => symbols.close({ pointer: opened }),
      // @ts-expect-error: nor has a buffer, which is to be pinned
      () => symbols.close(new Uint8Array(1)),
      // @ts-expect-error: a tag says what a pointer points to
      () => symbols.close(1 as never as Pointer<"other">),
      // Memory, pins and views stand for their pointers, whatever these point to.
      (
        memory: NativeMemory,
        pinned: Pin,
        view: StructView<{ x: "f64" }>,
      ) => [symbols.close(memory), symbols.close(pinned), symbols.close(view)],
    );
    assertStrictEquals(symbols.close(opened), opened);
    assertStrictEquals(symbols.close(null), null);
    symbols.plain(opened);
    symbols.finalize(null);
    compiles(
      // @ts-expect-error: a database is no statement
      () => symbols.finalize(opened),
      // @ts-expect-error: a pointer without a tag may be of anything
      () => symbols.close(symbols.untagged()),
      () => symbols.finalize(pointerFrom<"sqlite3_stmt">(1)),
      // @ts-expect-error: the tag is another one
      () => symbols.finalize(pointerFrom<"sqlite3">(1)),
    );
  });

  it("is what a callback gets for a tagged parameter, and has to give for a tagged result", () => {
    const definition = { parameters: [database], result: statement } as const;
    holds<
      Equals<
        Parameters<CallbackFunction<typeof definition>>,
        [Pointer<"sqlite3"> | null]
      >
    >();
    const right = (_: Pointer<"sqlite3"> | null): Pointer<"sqlite3_stmt"> | null => null;
    callback(definition, right).close();
    compiles(
      // @ts-expect-error: a database is no statement
      () => callback(definition, (given) => given),
      // @ts-expect-error: a statement is no database
      () => callback(definition, (given: Pointer<"sqlite3_stmt"> | null) => given),
    );
  });
});

describe("handle<T>() and handleAddress<T>()", () => {
  interface Session {
    readonly user: string;
  }

  it("type the values that functions, variables and callbacks have", () => {
    const definition = { parameters: [handle<Session>(), handleAddress<Session>()], result: "i32" } as const;
    holds<Equals<Parameters<CallbackFunction<typeof definition>>, [Session, Session]>>();
    using library = dlopen(testLibrary, {
      pass: { parameters: [handle<Session>()], result: handle<Session>() },
      variable: { type: handle<Session>(), name: "variable_pointer", optional: true },
    });
    const { symbols } = library;
    holds<Equals<typeof symbols.pass, (...args: [Handle<Session> | number | null]) => Session>>();
    holds<Equals<(typeof library)["symbols"]["variable"], Session | null>>();
    using session = Handle.create<Session>({ user: "user" });
    assertStrictEquals(symbols.pass(session).user, "user");
    assertStrictEquals(symbols.pass(session.id), session.value);
    compiles(
      // @ts-expect-error: the handle of another value
      () => symbols.pass(Handle.create(1)),
      // @ts-expect-error: the value itself
      () => symbols.pass({ user: "user" }),
      // @ts-expect-error: the value has no such property
      () => callback(definition, (session) => session.name.length),
    );
  });

  it("give unknown without them", () => {
    holds<
      Equals<Parameters<CallbackFunction<{ parameters: ["handle", "handleAddress"]; result: "void" }>>, [
        unknown,
        unknown,
      ]>
    >();
    // @ts-expect-error: nobody knows what the value is
    compiles(() => callback({ parameters: ["handle"], result: "i32" }, (value) => value.length));
    assert(true, "compiled");
  });
});

describe("out(), captureErrno and variadic", () => {
  it("type arguments and results: nothing is passed for what is given back", () => {
    const Point = struct({ x: "f64", y: "f64" });
    const many = {
      parameters: ["i32", out(Point), "f64", out(charArray(16)), "cstring", out("i32"), "i32"],
      result: "i32",
      name: "give_many",
    } as const;
    using library = dlopen(testLibrary, {
      many,
      later: { ...many, nonblocking: true },
      captured: { ...many, captureErrno: true },
      both: { ...many, captureErrno: true, nonblocking: true },
      nothing: { parameters: [out("i64")], result: "void", name: "give_nothing" },
      tagged: { parameters: ["u64", out(pointer<"thing">())], result: "bool", name: "give_u64" },
      held: { parameters: ["u64", out(handle<Date>())], result: "bool", name: "give_u64" },
      fail_with: { parameters: ["i32"], result: "i32", captureErrno: true },
      uncaptured: { parameters: ["i32"], result: "i32", captureErrno: false, name: "fail_with" },
      sum_of: { parameters: ["cstring", "i32", "f64"], result: "f64", variadic: 1 },
    });
    const { symbols } = library;
    type Given = [number, { x: number; y: number }, string, number];
    type Taken = Parameters<typeof symbols.many>;
    holds<Equals<Taken, [number, number, string | null, number]>>();
    holds<Equals<ReturnType<typeof symbols.many>, Given>>();
    holds<Equals<ReturnType<typeof symbols.later>, Promise<Given>>>();
    holds<Equals<ReturnType<typeof symbols.captured>, [...Given, number]>>();
    holds<Equals<ReturnType<typeof symbols.both>, Promise<[...Given, number]>>>();
    holds<Equals<typeof symbols.nothing, () => [void, bigint]>>();
    holds<Equals<ReturnType<typeof symbols.tagged>, [boolean, Pointer<"thing"> | null]>>();
    holds<Equals<ReturnType<typeof symbols.held>, [boolean, Date | null]>>();
    holds<Equals<ReturnType<typeof symbols.fail_with>, [number, number]>>();
    holds<Equals<ReturnType<typeof symbols.uncaptured>, number>>();
    holds<Equals<typeof symbols.sum_of, (...args: [string | null, number, number]) => number>>();
    assertEquals(symbols.many(1, 2, "text", 0), [2, { x: 1, y: 2 }, "text", 3]);
    assertEquals(symbols.fail_with(5), [-1, 5]);
    compiles(
      // @ts-expect-error: nothing is passed for an out-parameter
      () => symbols.nothing(1n),
      // @ts-expect-error: an argument is missing
      () => symbols.many(1, 2, "text"),
      // @ts-expect-error: a buffer can't be given back
      () => out("buffer"),
      // @ts-expect-error: variadic is a number
      () => dlopen(testLibrary, { sum_of: { parameters: ["cstring"], result: "f64", variadic: true } }),
      // @ts-expect-error: an out-parameter is no result
      () => dlopen(testLibrary, { sum_of: { parameters: ["cstring"], result: out("f64") } }),
    );
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
