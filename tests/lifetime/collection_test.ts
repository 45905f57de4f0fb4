/** Callbacks and libraries that the garbage collector takes. */

import { assert, assertEquals, assertFalse, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { afterAll, afterEach, describe, it } from "@std/testing/bdd";
import { callback, configure, dlopen, leaks, type Report, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";

const before = alive();

const definition = { parameters: ["i32"], result: "i32" } as const;
const library = dlopen(testLibrary, {
  keep: { parameters: ["function"], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
});
const { keep, call_kept } = library.symbols;

function openLibrary() {
  return dlopen(testLibrary, {
    add_i32: { parameters: ["i32", "i32"], result: "i32" },
    static_i64: { type: "i64" },
  });
}

/** Collects what was reported until the test ends. */
function reports(): Report[] {
  const got: Report[] = [];
  configure({ onReport: (report) => void got.push(report) });
  return got;
}

describe("a Callback and the garbage collector", () => {
  afterEach(() => configure({ trackLeaks: false, onReport: undefined }));

  /** Makes callbacks and drops them. */
  function drop(count: number, name = "dropped"): void {
    for (let i = 0; i < count; i++) callback(definition, (value) => value + i, { name });
  }
  const isAsBefore = (): boolean => stats().live.callbacks === before.callbacks;

  it("a callback that is in use is not released", async () => {
    using doubled = callback(definition, (value) => value * 2);
    keep(doubled);
    await collectFully();
    assertStrictEquals(call_kept(21), 42);
    assertStrictEquals(stats().live.callbacks, before.callbacks + 1);
  });

  it("a callback that is dropped without dispose is released, its thunk, too", async () => {
    drop(50);
    assertStrictEquals(stats().live.callbacks, before.callbacks + 50);
    assertStrictEquals(stats().live.thunks, before.thunksInUse + 50);
    assert(await collectUntil(isAsBefore), `${stats().live.callbacks} callbacks are left`);
    assertEquals(alive(), { ...before, libraries: before.libraries + 1 });
  });

  it("a callback's function, and what it closes over, is collectable after dispose and after collection", async () => {
    const make = (disposed: boolean) =>
      Array.from({ length: 50 }, (_, index) => {
        const closedOver = { index };
        const made = callback(definition, (value) => value + closedOver.index);
        if (disposed) made.close();
        return new WeakRef(closedOver);
      });
    for (const disposed of [true, false]) {
      const references = make(disposed);
      const gone = () => references.filter((reference) => reference.deref() === undefined).length;
      // A stack may still show the last ones to a collector that scans stacks.
      assert(await collectUntil(() => gone() >= 45 && isAsBefore()), `${gone()} of 50 objects were collected`);
    }
  });

  it("a callback that is closed and then collected is released once", async () => {
    const dropDisposed = () =>
      Array.from({ length: 50 }, () => {
        const made = callback(definition, (value) => value);
        made.close();
        made.close();
        return new WeakRef(made);
      });
    using witness = callback(definition, (value) => value + 1);
    const references = dropDisposed();
    const gone = () => references.filter((reference) => reference.deref() === undefined).length;
    assertStrictEquals(stats().live.callbacks, before.callbacks + 1);
    assert(await collectUntil(() => gone() >= 49), `${gone()} of 50 callbacks were collected`);
    await collectFully();
    assertStrictEquals(stats().live.callbacks, before.callbacks + 1);
    assertStrictEquals(stats().live.thunks, before.thunksInUse + 1);
    keep(witness);
    assertStrictEquals(call_kept(1), 2);
  });

  it("a callback that is dropped while leaks are tracked is reported as a leak with its stack, once", async () => {
    const got = reports();
    configure({ trackLeaks: true });
    drop(10, "a name");
    assertEquals(leaks().map(({ kind, name }) => `${kind} ${name}`), new Array(10).fill("callback a name"));
    assert(await collectUntil(() => isAsBefore()), `${stats().live.callbacks} callbacks are left`);
    await collectFully();
    assertStrictEquals(got.length, 10);
    for (const { kind, message, cause } of got) {
      assertStrictEquals(kind, "leak");
      assertStringIncludes(message, 'callback "a name" was garbage-collected before it was closed');
      assertStringIncludes(String(cause), "collection_test.ts");
    }
    assertEquals(leaks(), []);
  });

  it("a callback that is dropped while leaks are not tracked is not reported", async () => {
    const got = reports();
    drop(10);
    assert(await collectUntil(isAsBefore), `${stats().live.callbacks} callbacks are left`);
    assertEquals(got, []);
  });

  it("a callback that is closed while leaks are tracked is neither listed nor reported", async () => {
    const got = reports();
    configure({ trackLeaks: true });
    const make = () => {
      using made = callback(definition, (value) => value, { name: "closed" });
      assertEquals(leaks().map(({ name }) => name), ["closed"]);
      assertFalse(made.disposed);
    };
    make();
    assertEquals(leaks(), []);
    await collectFully();
    assertEquals(got, []);
  });

  it("C may call a callback that was collected: it gets the fallback, counted each time, reported once", async () => {
    const got = reports();
    let runs = 0;
    const dropKept = () => {
      keep(callback(definition, () => runs += 1, { name: "kept", fallback: -7 }));
      assertStrictEquals(call_kept(5), 1);
    };
    dropKept();
    assert(await collectUntil(isAsBefore), "the callback was not collected");
    const { staleCalls } = stats().counts;
    for (let i = 1; i <= 3; i++) {
      assertStrictEquals(call_kept(5), -7);
      assertStrictEquals(stats().counts.staleCalls, staleCalls + i);
    }
    assertStrictEquals(runs, 1);
    assertStrictEquals(got.length, 1);
    assertStrictEquals(got[0].kind, "stale-callback");
    assertStringIncludes(got[0].message, 'C called callback "kept" after it was garbage-collected');
    assertStringIncludes(got[0].message, "keep a callback for as long as C may call it");
  });

  it("C may call a callback that was closed: it gets the fallback, zero by default", () => {
    const got = reports();
    const { staleCalls } = stats().counts;
    for (const [fallback, answer] of [[undefined, 0], [123, 123]] as const) {
      const made = callback(definition, (value) => value, { name: "closed", fallback });
      keep(made);
      assertStrictEquals(call_kept(5), 5);
      made.close();
      assertStrictEquals(call_kept(5), answer);
      assertStrictEquals(call_kept(5), answer);
    }
    assertStrictEquals(stats().counts.staleCalls, staleCalls + 4);
    assertEquals(got.map(({ kind }) => kind), ["stale-callback", "stale-callback"]);
  });
});

describe("a Library and the garbage collector", () => {
  afterEach(() => configure({ trackLeaks: false, onReport: undefined }));
  afterAll(() => library.close());

  const open = before.libraries + 1;
  const isAsBefore = (): boolean => stats().live.libraries === open;

  it("a library that is dropped without close is released", async () => {
    const drop = () => {
      for (let i = 0; i < 10; i++) assertStrictEquals(openLibrary().symbols.add_i32(i, 1), i + 1);
    };
    drop();
    assertStrictEquals(stats().live.libraries, open + 10);
    assert(await collectUntil(isAsBefore), `${stats().live.libraries - open} libraries are left`);
  });

  it("a library that is dropped is not released while one of its functions is held, and then is", async () => {
    const take = () => Array.from({ length: 10 }, () => openLibrary().symbols.add_i32);
    const use = async () => {
      const functions = take();
      await collectFully();
      assertStrictEquals(stats().live.libraries, open + 10);
      assertEquals(functions.map((add) => add(20, 22)), new Array(10).fill(42));
    };
    await use();
    assert(await collectUntil(isAsBefore), `${stats().live.libraries - open} libraries are left`);
  });

  it("a library that is dropped is not released while its symbols are held, and then is", async () => {
    const take = () => Array.from({ length: 10 }, () => openLibrary().symbols);
    const use = async () => {
      const all = take();
      await collectFully();
      assertStrictEquals(stats().live.libraries, open + 10);
      assertEquals(all.map((symbols) => symbols.static_i64), new Array(10).fill(-1234567890123456789n));
    };
    await use();
    assert(await collectUntil(isAsBefore), `${stats().live.libraries - open} libraries are left`);
  });

  it("a library that is closed and then collected is released once", async () => {
    const dropClosed = () =>
      Array.from({ length: 10 }, () => {
        const opened = openLibrary();
        opened.close();
        opened.close();
        return new WeakRef(opened);
      });
    const references = dropClosed();
    const gone = () => references.filter((reference) => reference.deref() === undefined).length;
    assertStrictEquals(stats().live.libraries, open);
    assert(await collectUntil(() => gone() >= 9), `${gone()} of 10 libraries were collected`);
    await collectFully();
    assertStrictEquals(stats().live.libraries, open);
  });

  it("a library that is dropped while leaks are tracked is reported as a leak, once", async () => {
    const got = reports();
    configure({ trackLeaks: true });
    const drop = () => void openLibrary();
    drop();
    assertEquals(leaks().map(({ kind, name }) => ({ kind, name })), [{ kind: "library", name: testLibrary }]);
    assertStringIncludes(leaks()[0].stack, "collection_test.ts");
    assert(await collectUntil(isAsBefore), "the library was not released");
    await collectFully();
    assertEquals(got.map(({ kind }) => kind), ["leak"]);
    assertStringIncludes(got[0].message, `library "${testLibrary}" was garbage-collected before it was closed`);
    assertEquals(leaks(), []);
  });

  it("a library's leak is reported with the stack of its creation", async () => {
    const got = reports();
    configure({ trackLeaks: true });
    const drop = () => void openLibrary();
    drop();
    assert(await collectUntil(() => got.length > 0), "nothing was reported");
    assertStringIncludes(String(got[0].cause), "collection_test.ts");
  });

  it("a library that is dropped while leaks are not tracked is not reported", async () => {
    const got = reports();
    const drop = () => void openLibrary();
    drop();
    assert(await collectUntil(isAsBefore), "the library was not released");
    assertEquals(got, []);
  });
});

describe("tests/lifetime/collection_test.ts", () => {
  it("leaves nothing alive", async () => {
    await collectUntil(() =>
      stats().live.callbacks === before.callbacks && stats().live.libraries === before.libraries
    );
    assertEquals(alive(), before);
    assertEquals(leaks(), []);
  });
});
