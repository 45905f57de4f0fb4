/**
 * What TypeScript makes of definitions. `deno check` is the test: each line below a `@ts-expect-error` must be an error,
 * and each `holds<Equals<…>>()` must be true. Run, the cases that are refused at compile time are refused, too.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  array,
  type ArrayView,
  type Callback,
  callback,
  type CallbackFunction,
  type CallbackOptions,
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
  union,
} from "@belay/ffi";
import type { BufferSource } from "../../ffi/types/inference.ts";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";

const aliveBefore = alive();

/** Whether two types are the same; `any` is the same as nothing but itself. */
type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

/** Compiles only for a type that is `true`. */
function holds<T extends true>(...answer: T extends true ? [] : [T]): void {
  assertStrictEquals(answer.length, 0);
}

/** For what is only compiled. Answers the functions, so that nobody takes them for unused. */
function compiles(...cases: readonly ((...given: never[]) => unknown)[]): void {
  for (const each of cases) assertStrictEquals(typeof each, "function");
}

const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;

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

describe("callback", () => {
  it("types parameters and result by its definition", () => {
    using made = callback(
      { parameters: ["i8", "u64", "f32", "bool", "pointer", "buffer", "function", "cstring"], result: "i64" },
      (...parameters) => {
        holds<
          Equals<
            typeof parameters,
            [number, bigint, number, boolean, Pointer | null, Pointer | null, Pointer | null, string | null]
          >
        >();
        return 1;
      },
    );
    type Made = {
      readonly parameters: readonly ["i8", "u64", "f32", "bool", "pointer", "buffer", "function", "cstring"];
      readonly result: "i64";
    };
    holds<Equals<typeof made, Callback<Made>>>();
    holds<Equals<ReturnType<CallbackFunction<Made>>, number | bigint>>();
    assertStrictEquals(made.definition.result, "i64");
    compiles(
      // @ts-expect-error: an i64 is no string
      () => callback({ parameters: [], result: "i64" }, () => "1"),
      // @ts-expect-error: a bool is no number
      () => callback({ parameters: [], result: "bool" }, () => 1),
      // @ts-expect-error: an i32 must be returned
      () => callback({ parameters: [], result: "i32" }, () => {}),
      // @ts-expect-error: an i32 is no bigint
      () => callback(i32ToI32, (value: bigint) => Number(value)),
      // @ts-expect-error: C gives one argument only
      () => callback(i32ToI32, (value: number, other: number) => value + other),
      // @ts-expect-error: a misspelled key
      () => callback({ paramaters: [], result: "void" }, () => {}),
      // @ts-expect-error: a callback's definition is no type of a callback's parameter
      () => callback({ parameters: [i32ToI32], result: "void" }, () => {}),
    );
  });

  it("with a thread: post is for functions without a result, which may be async; wait is for those that answer", () => {
    const nothing = { parameters: ["cstring"], result: "void" } as const;
    holds<Equals<CallbackOptions<typeof i32ToI32>["thread"], "same" | "wait" | undefined>>();
    holds<Equals<CallbackOptions<typeof nothing>["thread"], "same" | "wait" | "post" | undefined>>();
    compiles(
      () => callback(nothing, async (text) => void (await text?.length), { thread: "post" }),
      () => callback(nothing, (text) => text?.length, { thread: "post", once: true, queue: { capacity: 1 } }),
      () => callback(i32ToI32, (value) => value, { thread: "wait", timeoutMs: 1, fallback: -1 }),
      () => callback(nothing, () => {}, { thread: "wait", queue: { capacity: 1, onFull: "dropOldest" } }),
      // @ts-expect-error: C goes on without a result
      () => callback(i32ToI32, (value) => value, { thread: "post" }),
      // @ts-expect-error: C waits for the result, but not for a promise
      () => callback(i32ToI32, async (value) => await value, { thread: "wait" }),
      // @ts-expect-error: nor for one of nothing
      () => callback(nothing, async () => {}, { thread: "wait" }),
      // @ts-expect-error: a string is no number
      () => callback(nothing, (value: number) => value, { thread: "post" }),
      // @ts-expect-error: no such thread
      () => callback(nothing, () => {}, { thread: "other" }),
      // @ts-expect-error: a queue has a capacity
      () => callback(nothing, () => {}, { thread: "post", queue: { onFull: "block" } }),
      // @ts-expect-error: no such way
      () => callback(nothing, () => {}, { thread: "post", queue: { capacity: 1, onFull: "drop" } }),
    );
  });

  it("refuses a function that returns a promise, for every result", () => {
    // In plain TypeScript, such a function is one that returns nothing.
    const plain: () => void = async () => {};
    assertStrictEquals(typeof plain, "function");
    const nothing = { parameters: [], result: "void" } as const;
    compiles(
      // @ts-expect-error: a promise for void
      () => callback(nothing, async () => {}),
      // @ts-expect-error: a promise for void
      () => callback(nothing, () => Promise.resolve()),
      // @ts-expect-error: a promise of a value for void
      () => callback(nothing, () => Promise.resolve(1)),
      // @ts-expect-error: perhaps a promise for void
      () => callback(nothing, (): Promise<void> | undefined => undefined),
      // @ts-expect-error: a thenable for void
      () => callback(nothing, () => ({ then() {} })),
      // @ts-expect-error: a promise for i32
      () => callback(i32ToI32, (value) => Promise.resolve(value)),
      // @ts-expect-error: a promise for a pointer
      () => callback({ parameters: [], result: "pointer" }, () => Promise.resolve(null)),
      // @ts-expect-error: a promise for a handle
      () => callback({ parameters: [], result: "handle" }, () => Promise.resolve(null)),
    );
    // What is none is accepted for void, whatever it is.
    callback(nothing, () => 1).close();
    callback(nothing, () => "text").close();
    callback(nothing, () => undefined).close();
    callback(nothing, () => {}).close();
    callback(nothing, () => [1].push(2)).close();
  });

  it("takes a function that returns any object but a promise for void, as TypeScript does", () => {
    const nothing = { parameters: [], result: "void" } as const;
    const seen = new Map<string, number>();
    callback(nothing, () => seen.set("called", 1)).close();
    callback(nothing, () => ({ text: "no promise" })).close();
    callback(nothing, () => [1, 2]).close();
    callback(nothing, () => () => {}).close();
    assertEquals(seen.size, 0);
  });

  it("checks the fallback against the result", () => {
    holds<Equals<CallbackOptions<typeof i32ToI32>["fallback"], number | undefined>>();
    holds<Equals<CallbackOptions<{ parameters: []; result: "void" }>["fallback"], undefined>>();
    holds<
      Equals<
        CallbackOptions<{ parameters: []; result: "pointer" }>["fallback"],
        Pointer | PointerOwner | null | undefined
      >
    >();
    using made = callback(i32ToI32, (value) => value, { fallback: -1 });
    assertStrictEquals(made.disposed, false);
    compiles(
      // @ts-expect-error: an i32 is no string
      () => callback(i32ToI32, (value) => value, { fallback: "-1" }),
      // @ts-expect-error: an i32 is no bigint
      () => callback(i32ToI32, (value) => value, { fallback: 1n }),
      // @ts-expect-error: void has none
      () => callback({ parameters: [], result: "void" }, () => {}, { fallback: 1 }),
      // @ts-expect-error: an i32 is no boolean
      () => callback(i32ToI32, (value) => value, { fallback: false }),
      // @ts-expect-error: an unknown option
      () => callback(i32ToI32, (value) => value, { fallbak: 1 }),
    );
    assertThrows(() => callback(i32ToI32, (value) => value, { fallback: "-1" as unknown as number }), TypeError);
  });
});

describe("a function as an argument", () => {
  it("is refused when it returns a promise, has other types, or is a Callback of another definition", () => {
    using library = dlopen(testLibrary, {
      call_void: { parameters: [{ parameters: [], result: "void" }], result: "void" },
      relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
      relay_i64: { parameters: [{ parameters: ["i64"], result: "i64" }, "i64"], result: "i64" },
    });
    const { symbols } = library;
    using right = callback(i32ToI32, (value) => value + 1);
    using other = callback({ parameters: ["i64"], result: "i64" }, (value) => value);
    using longer = callback({ parameters: ["i32", "i32"], result: "i32" }, (a, b) => a + b);
    using unsigned = callback({ parameters: ["u32"], result: "u32" }, (value) => value);
    assertStrictEquals(symbols.relay_i32(right, 1), 2);
    assertStrictEquals(symbols.relay_i32(right.pointer, 1), 2);
    assertStrictEquals(symbols.relay_i32(() => 3, 1), 3);
    assertStrictEquals(symbols.relay_i64(other, 1), 1n);
    compiles(
      // @ts-expect-error: a Callback of other types
      () => symbols.relay_i32(other, 1),
      // @ts-expect-error: a Callback of more parameters
      () => symbols.relay_i32(longer, 1),
      // @ts-expect-error: a Callback of other types, which in TypeScript are the same
      () => symbols.relay_i32(unsigned, 1),
      // @ts-expect-error: a promise for void
      () => symbols.call_void(async () => {}),
      // @ts-expect-error: a promise for void
      () => symbols.call_void(() => Promise.resolve(1)),
      // @ts-expect-error: a promise for i32
      () => symbols.relay_i32((value) => Promise.resolve(value), 1),
      // @ts-expect-error: a result of another type
      () => symbols.relay_i32(() => 1n, 1),
      // @ts-expect-error: no result
      () => symbols.relay_i32(() => {}, 1),
      // @ts-expect-error: a parameter of another type
      () => symbols.relay_i32((value: string) => value.length, 1),
      // @ts-expect-error: a parameter that C doesn't give
      () => symbols.relay_i32((value: number, more: number) => value + more, 1),
    );
    assertThrows(
      () => symbols.call_void((async () => {}) as unknown as () => void),
      TypeError,
      "the result is a promise",
    );
  });
});

describe("struct(), union(), array() and charArray()", () => {
  const Point = struct({ x: "f64", y: "f64" });
  const Node = struct({
    name: charArray(8),
    at: Point,
    weights: array("f32", 2),
    path: array(Point, 2),
    size: "u64",
    live: "bool",
    text: "cstring",
    owner: handle<Date>(),
    next: pointer<"node">(),
    call: i32ToI32,
  });
  const Bits = union({ number: "f32", bits: "u32" });
  type PointValue = { x: number; y: number };

  it("type what is read", () => {
    holds<Equals<ReturnType<typeof Point["read"]>, PointValue>>();
    type NodeValue = ReturnType<typeof Node["read"]>;
    holds<Equals<NodeValue["name"], string>>();
    holds<Equals<NodeValue["at"], PointValue>>();
    holds<Equals<NodeValue["weights"], number[]>>();
    holds<Equals<NodeValue["path"], PointValue[]>>();
    holds<Equals<NodeValue["size"], bigint>>();
    holds<Equals<NodeValue["live"], boolean>>();
    holds<Equals<NodeValue["text"], string | null>>();
    holds<Equals<NodeValue["owner"], Date | null>>();
    holds<Equals<NodeValue["next"], Pointer<"node"> | null>>();
    holds<Equals<NodeValue["call"], Pointer | null>>();
    holds<Equals<ReturnType<typeof Bits["read"]>, { number: number; bits: number }>>();
    holds<Equals<typeof Point.offsets, { readonly x: number; readonly y: number }>>();
    assertStrictEquals(Bits.byteLength, 4);
  });

  it("type views, which are read and written", () => {
    using memory = Point.alloc({ x: 1, y: 2 });
    const view = Point.view(memory);
    holds<Equals<typeof view, PointerOwner & PointValue>>();
    view.x += 1;
    assertStrictEquals(view.x, 2);
    const points = Point.viewMany(memory);
    holds<Equals<ReturnType<typeof points.at>, PointerOwner & PointValue>>();
    compiles(
      () => {
        const node = Node.view(memory);
        holds<Equals<typeof node.weights, ArrayView<"f32">>>();
        holds<Equals<ReturnType<typeof node.path.at>, PointerOwner & PointValue>>();
        holds<Equals<ReturnType<typeof node.weights.toArray>, number[]>>();
        node.path.set(0, { x: 1, y: 2 });
        // @ts-expect-error: an f32 is no string
        node.weights.set(0, "1");
        // @ts-expect-error: there is no such field
        return node.other;
      },
      () => {
        const view = struct({ name: "cstring", held: handle<Date>(), n: "i32" }).view(memory);
        holds<Equals<typeof view.name, string | null>>();
        holds<Equals<typeof view.held, Date | null>>();
        view.n = 5;
        // @ts-expect-error: somebody has to keep the text
        view.name = "text";
        // @ts-expect-error: what is stored is a handle
        view.held = new Date();
      },
    );
  });

  it("type what can be written", () => {
    using bits = Bits.alloc({ bits: 5 });
    assertStrictEquals(Bits.view(bits).bits, 5);
    compiles(
      // @ts-expect-error: a field is missing
      () => Point.alloc({ x: 1 }),
      // @ts-expect-error: there is no such field
      () => Point.alloc({ x: 1, y: 2, z: 3 }),
      // @ts-expect-error: a string is no f64
      () => Point.alloc({ x: 1, y: "2" }),
      // @ts-expect-error: there is no such member
      () => Bits.alloc({ other: 1 }),
      () => array(Point, 2).alloc([{ x: 1, y: 1 }, { x: 2, y: 2 }]),
      () => array(Point, 2).alloc(Point.viewMany(bits)),
      () => array("u8", 2).alloc(new Uint8Array(2)),
      // @ts-expect-error: an element is no point
      () => array(Point, 2).alloc([{ x: 1 }]),
      // @ts-expect-error: a string is no array
      () => array("u8", 2).alloc("ab"),
      () => struct({ text: "cstring" }).alloc({ text: pointerFrom(1) }),
      // @ts-expect-error: the characters are somebody's to keep
      () => struct({ text: "cstring" }).alloc({ text: "text" }),
      () => struct({ owner: handle<Date>() }).alloc({ owner: Handle.create(new Date()) }),
      // @ts-expect-error: the handle of another value
      () => struct({ owner: handle<Date>() }).alloc({ owner: Handle.create("text") }),
      // @ts-expect-error: a buffer can't be stored
      () => struct({ bytes: "buffer" }),
      // @ts-expect-error: a misspelled option
      () => struct({ x: "i32" }, { pack: true }),
      // @ts-expect-error: no such packing
      () => struct({ x: "i32" }, { packed: 3 }),
    );
  });

  it("type parameters and results of functions and callbacks", () => {
    using library = dlopen(testLibrary, {
      add_points: { parameters: [Point, Point], result: Point },
      relay_point: { parameters: [{ parameters: [Point], result: Point }, Point], result: Point },
    });
    const { symbols } = library;
    const sum = symbols.add_points({ x: 1, y: 2 }, { x: 3, y: 4 });
    holds<Equals<typeof sum, PointValue>>();
    using memory = Point.alloc(sum);
    const relayed = symbols.relay_point((given) => {
      holds<Equals<typeof given, PointValue>>();
      return { x: given.y, y: given.x };
    }, Point.view(memory));
    assertEquals(relayed, { x: 6, y: 4 });
    compiles(
      // @ts-expect-error: a number is no point
      () => symbols.add_points(1, { x: 1, y: 2 }),
      // @ts-expect-error: a field of the result is missing
      () => symbols.relay_point(() => ({ x: 1 }), sum),
      // @ts-expect-error: arrays are passed as pointers
      () => dlopen(testLibrary, { pass: { parameters: [array("u8", 2)], result: "void" } }),
      // @ts-expect-error: arrays are no results
      () => dlopen(testLibrary, { pass: { parameters: [], result: array("u8", 2) } }),
    );
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
  assertEquals(alive(), aliveBefore);
});
