/** `Scope`: what is disposed of together. */

import { assert, assertEquals, assertFalse, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, Handle, InvalidHandleError, Scope, stats } from "@belay/ffi";
import { testLibrary } from "../scripts/build.ts";
import { alive, collectUntil, turn } from "./support/gc.ts";
import { caught, raise, reportsOf } from "./support/outcome.ts";
import type { callbackUnchecked } from "./support/unchecked.ts";

const before = alive();

const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
const definitions = {
  relay_i32: { parameters: [i32ToI32, "i32"], result: "i32" },
  collect_i32: { parameters: [i32ToI32, "buffer", "i32"], result: "void" },
} as const;

describe("Scope", () => {
  it("releases what it made at the end of its block, last made first", () => {
    const order: string[] = [];
    const end = { [Symbol.dispose]: () => void order.push("used") };
    {
      using scope = new Scope();
      scope.defer(() => order.push(`first: ${stats().live.callbacks - before.callbacks} callbacks`));
      const first = scope.callback(i32ToI32, (value) => value);
      const handle = scope.handle("value");
      scope.defer(() => order.push(`second: ${stats().live.handles - before.handles} handles, ${first.disposed}`));
      assertStrictEquals(scope.use(end), end);
      const last = scope.callback(i32ToI32, (value) => value);
      scope.defer(() => order.push(`third: ${last.disposed}, ${handle.value}`));
      assertEquals(order, []);
      assertFalse(scope.disposed);
    }
    assertEquals(order, ["third: false, value", "used", "second: 1 handles, false", "first: 0 callbacks"]);
    assertEquals(alive(), before);
  });

  it("makes what callback and Handle.create make", () => {
    using library = dlopen(testLibrary, definitions);
    using scope = new Scope();
    const object = {};
    assertStrictEquals(scope.handle(object).value, object);
    assert(scope.handle(1) instanceof Handle);
    const made = scope.callback(i32ToI32, (value) => value === 0 ? raise("zero") : value + 1, {
      fallback: -2,
      name: "in a scope",
    });
    assertStrictEquals(library.symbols.relay_i32(made, 1), 2);
    const results = new Int32Array(2);
    caught(() => library.symbols.collect_i32(made, results, 2));
    assertEquals([...results], [-2, -2]);
  });

  it("makes callbacks that may be async, for calls that suspend", async () => {
    using library = dlopen(testLibrary, { relay_i32: { ...definitions.relay_i32, suspends: true } });
    using scope = new Scope();
    const made = scope.callback(i32ToI32, async (value) => (await turn(), value + 1), { suspends: true });
    assertStrictEquals(await library.symbols.relay_i32(made, 1), 2);
  });

  it("closes libraries that it uses, and takes null and undefined", () => {
    const scope = new Scope();
    const library = scope.use(dlopen(testLibrary, definitions));
    assertEquals([scope.use(null), scope.use(undefined)], [null, undefined]);
    scope.dispose();
    assert(library.disposed);
  });

  it("refuses to use what can't be disposed of, and goes on", () => {
    using scope = new Scope();
    for (const value of [{}, 1, "text", () => {}]) {
      assertThrows(() => scope.use(value as unknown as Disposable), TypeError);
    }
    assertThrows(() => scope.defer("step" as unknown as () => void), TypeError);
    assertStrictEquals(scope.handle(1).value, 1);
  });

  it("makes nothing of a callback that is refused, and goes on", () => {
    using scope = new Scope();
    const unchecked = scope.callback.bind(scope) as unknown as typeof callbackUnchecked;
    assertThrows(() => unchecked({ parameters: ["int"], result: "i32" }, () => 1), TypeError);
    assertThrows(() => unchecked(i32ToI32, "text"), TypeError);
    assertThrows(() => unchecked(i32ToI32, () => 1, { fallback: 2 ** 40 }), RangeError);
    assertEquals(alive(), before);
    assertFalse(scope.callback(i32ToI32, (value) => value).disposed);
  });

  it("releases everything when its block throws, which throws that error", () => {
    const thrown = new Error("thrown");
    const order: string[] = [];
    const error = caught(() => {
      using scope = new Scope();
      scope.defer(() => order.push("deferred"));
      scope.callback(i32ToI32, (value) => value);
      scope.handle(1);
      throw thrown;
    });
    assertStrictEquals(error, thrown);
    assertEquals([alive(), order], [before, ["deferred"]]);
  });

  it("runs every step when one throws, and throws that error at the end", () => {
    const thrown = new Error("thrown");
    const order: string[] = [];
    const scope = new Scope();
    scope.callback(i32ToI32, (value) => value);
    scope.defer(() => order.push("first"));
    scope.defer(() => {
      throw thrown;
    });
    scope.handle(1);
    scope.defer(() => order.push("last"));
    assertStrictEquals(caught(() => scope.dispose()), thrown);
    assertEquals([alive(), order, scope.disposed], [before, ["last", "first"], true]);
  });

  it("throws a SuppressedError when several steps throw: the later error first, with the earlier one inside", () => {
    const scope = new Scope();
    for (const name of ["third", "second", "first"]) {
      scope.defer(() => {
        throw name;
      });
      scope.handle(1);
    }
    const outer = caught(() => scope.dispose());
    assertInstanceOf(outer, SuppressedError);
    const inner: unknown = outer.suppressed;
    assertInstanceOf(inner, SuppressedError);
    assertEquals([outer.error, inner.error, inner.suppressed], ["third", "second", "first"]);
    assertEquals(alive(), before);
  });

  it("throws a SuppressedError when its block and a step throw", () => {
    const error = caught(() => {
      using scope = new Scope();
      scope.handle(1);
      scope.defer(() => {
        throw "step";
      });
      throw "block";
    });
    assertInstanceOf(error, SuppressedError);
    assertEquals([error.error, error.suppressed], ["step", "block"]);
    assertEquals(alive(), before);
  });

  it("holds what it made across await, and releases it when the block ends", async () => {
    using library = dlopen(testLibrary, definitions);
    const order: string[] = [];
    const work = async (name: string): Promise<void> => {
      using scope = new Scope();
      const handle = scope.handle(name);
      const made = scope.callback(i32ToI32, (value) => value + name.length);
      scope.defer(() => order.push(`${name} ends`));
      for (let i = 0; i < 3; i++) {
        await turn();
        assertEquals([handle.value, library.symbols.relay_i32(made, i)], [name, i + name.length]);
      }
      order.push(`${name} is ready`);
    };
    await Promise.all([work("a"), work("bc"), work("def")]);
    // Each ends when it is ready, and not with the others.
    assertEquals(order, ["a", "bc", "def"].flatMap((name) => [`${name} is ready`, `${name} ends`]));
  });

  it("releases what it made when what its block awaits is rejected", async () => {
    const rejected = new Error("rejected");
    const work = async (): Promise<void> => {
      using scope = new Scope();
      scope.handle(1);
      scope.callback(i32ToI32, (value) => value);
      await turn();
      await Promise.reject(rejected);
    };
    assertStrictEquals(await work().catch((error: unknown) => error), rejected);
    assertEquals(alive(), before);
  });

  it("that was disposed of refuses everything, and makes nothing", () => {
    const scope = new Scope();
    scope.dispose();
    assert(scope.disposed);
    let disposed = 0;
    const end = { [Symbol.dispose]: () => void (disposed += 1) };
    assertThrows(() => scope.callback(i32ToI32, (value) => value), ReferenceError, "it has been disposed of");
    assertThrows(() => scope.handle(1), ReferenceError, "it has been disposed of");
    assertThrows(() => scope.use(end), ReferenceError);
    assertThrows(() => scope.use(null), ReferenceError);
    assertThrows(() => scope.defer(() => void (disposed += 1)), ReferenceError);
    assertEquals([disposed, alive()], [0, before]);
  });

  it("does nothing when it is disposed of again, by hand or by its block", () => {
    let runs = 0;
    {
      using scope = new Scope();
      scope.defer(() => runs += 1);
      scope.dispose();
      scope.dispose();
      scope[Symbol.dispose]();
    }
    assertStrictEquals(runs, 1);
  });

  it("doesn't throw again what a step threw", () => {
    const scope = new Scope();
    scope.defer(() => {
      throw "thrown";
    });
    assertStrictEquals(caught(() => scope.dispose()), "thrown");
    scope.dispose();
  });

  it("that a step disposes of goes on where it was; one that a step adds to refuses", () => {
    const order: string[] = [];
    const scope = new Scope();
    scope.defer(() => order.push("first"));
    scope.defer(() => scope.handle(1));
    scope.defer(() => {
      scope.dispose();
      order.push("disposed");
    });
    assertInstanceOf(caught(() => scope.dispose()), ReferenceError);
    assertEquals([order, alive()], [["disposed", "first"], before]);
  });

  it("takes what was released by hand before: a handle, a callback, a library", () => {
    using scope = new Scope();
    const handle = scope.handle("value");
    const made = scope.callback(i32ToI32, (value) => value);
    const library = scope.use(dlopen(testLibrary, definitions));
    handle.delete();
    made.close();
    library.close();
    assertThrows(() => handle.value, InvalidHandleError);
    assertEquals(alive(), before);
    // The slot of the handle may hold another by the time that the scope ends: that one stays.
    const other = Handle.create("other");
    scope.dispose();
    assertStrictEquals(other.value, "other");
    other.delete();
  });

  it("may be part of another scope", () => {
    const order: string[] = [];
    {
      using outer = new Scope();
      outer.defer(() => order.push("outer"));
      const inner = outer.use(new Scope());
      inner.handle(1);
      inner.defer(() => order.push("inner"));
      outer.defer(() => order.push("last"));
    }
    assertEquals([order, alive()], [["last", "inner", "outer"], before]);
  });

  it("that ends while C is calling its callback lets that call finish; the next is stale", () => {
    using library = dlopen(testLibrary, definitions);
    const scope = new Scope();
    const made = scope.callback(i32ToI32, (index) => {
      scope.dispose();
      return index + 10;
    }, { fallback: -1, name: "of a scope" });
    const results = new Int32Array(3);
    const reports = reportsOf(() => library.symbols.collect_i32(made, results, 3));
    assertEquals([...results], [10, -1, -1]);
    assertEquals(reports.map(({ kind }) => kind), ["stale-callback"]);
  });

  it("may hold one with once, which C calls or doesn't", () => {
    using library = dlopen(testLibrary, definitions);
    using scope = new Scope();
    const called = scope.callback(i32ToI32, (value) => value + 1, { once: true });
    const waiting = scope.callback(i32ToI32, (value) => value + 1, { once: true });
    assertStrictEquals(library.symbols.relay_i32(called, 1), 2);
    assertEquals([called.disposed, waiting.disposed], [true, false]);
    scope.dispose();
    assert(waiting.disposed);
  });

  it("holds its callbacks while it is held, and leaves them to the collector when it is dropped", async () => {
    const scope = new Scope();
    const make = (owner: Scope): void => void owner.callback(i32ToI32, (value) => value);
    make(scope);
    await collectUntil(() => false, 5);
    assertStrictEquals(stats().live.callbacks, before.callbacks + 1);
    scope.dispose();
    const drop = (): void => make(new Scope());
    drop();
    assertStrictEquals(stats().live.callbacks, before.callbacks + 1);
    assert(await collectUntil(() => stats().live.callbacks === before.callbacks));
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
