/** `Handle`: ids of JavaScript values, and what refuses those that are none. */

import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { assertThrows } from "@std/assert";
import { afterEach, describe, it } from "@std/testing/bdd";
import { configure, Handle, InvalidHandleError, leaks, stats } from "@belay/ffi";
import { HandleTable, handleTable } from "../../ffi/lifetime/handle.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator } from "../support/machine.ts";
import { assertInvalid, assertRefused, generationUnit, parts } from "./handle_ids.ts";

const before = alive();

describe("Handle", () => {
  it("Handle.create for the same value twice gives two ids", () => {
    const value = { name: "value" };
    using first = Handle.create(value);
    using second = Handle.create(value);
    assertNotEquals(first.id, second.id);
    assertStrictEquals(first.value, value);
    assertStrictEquals(second.value, value);
    first.delete();
    assertStrictEquals(second.value, value);
  });

  it("Handle.create gives whole numbers above 0 and below 2^53, its own tag in each", () => {
    const ids = Array.from({ length: 100 }, () => Handle.create(null).id);
    assertStrictEquals(new Set(ids).size, 100);
    for (const id of ids) {
      assert(Number.isSafeInteger(id) && id > 0, `the id ${id}`);
      assertStrictEquals(parts(id).tag, parts(ids[0]).tag);
      Handle.delete(id);
    }
    assertNotEquals(parts(ids[0]).tag, 0);
  });

  it("Handle.value gives back any value, the very same", () => {
    const fn = () => "called";
    const values: unknown[] = [
      null,
      undefined,
      fn,
      { free: true },
      [],
      new Map(),
      Symbol("symbol"),
      "",
      "text",
      0,
      -0,
      NaN,
      1.5,
      2 ** 53,
      0n,
      2n ** 64n,
      true,
      false,
      Handle,
    ];
    const handles = values.map((value) => Handle.create(value));
    handles.forEach((handle, index) => {
      assertStrictEquals(handle.value, values[index]);
      assertStrictEquals(Handle.value(handle.id), values[index]);
    });
    for (const handle of handles) handle.delete();
  });

  it("stats().live.handles counts live handles", () => {
    const handles = Array.from({ length: 10 }, (_, index) => Handle.create(index));
    assertStrictEquals(stats().live.handles, before.handles + 10);
    for (const handle of handles.splice(0, 4)) handle.delete();
    assertStrictEquals(stats().live.handles, before.handles + 6);
    for (const handle of handles) handle.delete();
    assertStrictEquals(stats().live.handles, before.handles);
  });

  it("Handle.value throws InvalidHandleError after delete", () => {
    const handle = Handle.create("value");
    handle.delete();
    assertRefused(() => handle.value, "read", handle.id, "stale");
    assertInvalid(handle.id, "stale");
  });

  it("Handle.delete throws InvalidHandleError the second time", () => {
    const handle = Handle.create("value");
    Handle.delete(handle.id);
    assertRefused(() => handle.delete(), "delete", handle.id, "stale");
    assertRefused(() => Handle.delete(handle.id), "delete", handle.id, "stale");
  });

  it("Handle.value and delete refuse zero as the null handle", () => {
    assertInvalid(0, "null");
    assertInvalid(-0, "null");
  });

  it("Handle.value and delete refuse an id of a slot that was never used", () => {
    using handle = Handle.create("value");
    // The last slot, 22 ones: their parity is 0.
    assertInvalid(parts(handle.id).tag * 2 ** 23 + (2 ** 22 - 1) * 2, "unissued");
  });

  it("Handle.value and delete refuse an id of a generation that is yet to come", () => {
    using handle = Handle.create("value");
    assertInvalid(handle.id + generationUnit, "unissued");
    const { id } = handle;
    handle.delete();
    assertRefused(() => Handle.value(id + generationUnit), "read", id + generationUnit, "unissued");
    assertRefused(() => Handle.delete(id + generationUnit), "delete", id + generationUnit, "unissued");
  });

  it("Handle.value and delete refuse another registry's id, also when the slots are the same", () => {
    using handle = Handle.create("value");
    const { tag } = parts(handle.id);
    const other = new HandleTable(() => ({ tag: tag === 255 ? 254 : tag + 1 }));
    const id = other.create("another's");
    assertInvalid(id, "other-isolate");
    assertInvalid(handle.id + 2 ** 23, "other-isolate");
    assertStrictEquals(other.value(id), "another's");
    assertRefused(() => other.value(handle.id), "read", handle.id, "other-isolate");
    assertRefused(() => other.delete(handle.id), "delete", handle.id, "other-isolate");
    assertStrictEquals(handle.value, "value");
  });

  it("Handle.value and delete refuse fractions", () => {
    using handle = Handle.create("value");
    for (const id of [handle.id + 0.5, handle.id - 0.25, 0.5, -0.5, Number.MIN_VALUE]) assertInvalid(id, "malformed");
    assertStrictEquals(handle.value, "value");
  });

  it("Handle.value and delete refuse negative numbers", () => {
    using handle = Handle.create("value");
    for (const id of [-handle.id, handle.id - 2 ** 53, -1, -(2 ** 31), -(2 ** 53)]) assertInvalid(id, "malformed");
    assertStrictEquals(handle.value, "value");
  });

  it("Handle.value and delete refuse 2^53 and more", () => {
    using handle = Handle.create("value");
    for (const id of [2 ** 53, 2 ** 53 + handle.id + (handle.id % 2), 2 ** 64, Infinity]) {
      assertInvalid(id, "malformed");
    }
    assertStrictEquals(handle.value, "value");
  });

  it("Handle.value and delete refuse NaN", () => {
    assertInvalid(NaN, "malformed");
  });

  it("Handle.value and delete refuse an id with a wrong parity", () => {
    using handle = Handle.create("value");
    assertInvalid(handle.id % 2 === 0 ? handle.id + 1 : handle.id - 1, "malformed");
  });

  it("Handle.value and delete refuse a string, a boolean, null, undefined and an object", () => {
    using handle = Handle.create("value");
    for (const id of [String(handle.id), "", true, false, null, undefined, {}, [handle.id], handle]) {
      assertInvalid(id, "malformed");
    }
    assertStrictEquals(handle.value, "value");
  });

  it("Handle.value and delete refuse a bigint", () => {
    using handle = Handle.create("value");
    for (const id of [BigInt(handle.id), 0n, -1n, 2n ** 64n]) assertInvalid(id, "malformed");
    assertStrictEquals(handle.value, "value");
  });

  it("an id that differs from a live one in a single bit never resolves", () => {
    const ids = Array.from({ length: 10_000 }, (_, index) => Handle.create(index).id);
    const none = Symbol("none");
    const table = handleTable();
    const { handles: live } = stats().live;
    let flips = 0;
    ids.forEach((id, index) => {
      for (let bit = 0n; bit < 53n; bit++) {
        const flipped = Number(BigInt(id) ^ (1n << bit));
        if (table.valueOr(flipped, none) !== none || table.has(flipped)) {
          throw new Error(`${id} with bit ${bit} flipped`);
        }
        flips += 1;
        // Errors take time; a hundredth of the ids shows that these agree.
        if (index % 100 !== 0) continue;
        assertThrows(() => Handle.value(flipped), InvalidHandleError);
        assertThrows(() => Handle.delete(flipped), InvalidHandleError);
      }
    });
    assertStrictEquals(flips, 530_000);
    assertStrictEquals(stats().live.handles, live);
    ids.forEach((id, index) => assertStrictEquals(Handle.value(id), index));
    for (const id of ids) Handle.delete(id);
  });

  it("every id of 1,000 deleted handles is stale although its slot is live again", () => {
    const old = Array.from({ length: 1000 }, (_, index) => Handle.create(index).id);
    for (const id of old) Handle.delete(id);
    const young = Array.from({ length: 1000 }, (_, index) => Handle.create(-index).id);
    const liveSlots = new Set(young.map((id) => parts(id).slot));
    const { handles: live } = stats().live;
    for (const id of old) {
      assert(liveSlots.has(parts(id).slot), `the slot of ${id} is not live again`);
      assertRefused(() => Handle.value(id), "read", id, "stale");
      assertRefused(() => Handle.delete(id), "delete", id, "stale");
    }
    assertStrictEquals(stats().live.handles, live);
    young.forEach((id, index) => assertStrictEquals(Handle.value(id), -index));
    for (const id of young) Handle.delete(id);
  });
});

describe("Handle with using", () => {
  it("is deleted at the end of the scope", () => {
    let id = 0;
    {
      using handle = Handle.create("value");
      id = handle.id;
      assertStrictEquals(Handle.value(id), "value");
    }
    assertInvalid(id, "stale");
  });

  it("is deleted when the scope throws, and the error is the scope's own", () => {
    const error = new Error("from the scope");
    let id = 0;
    const thrown = assertThrows(() => {
      using handle = Handle.create("value");
      id = handle.id;
      throw error;
    }, Error);
    assertStrictEquals(thrown, error);
    assertInvalid(id, "stale");
  });

  it("is live after an await inside the scope, and deleted after the scope", async () => {
    let id = 0;
    const scope = async () => {
      using handle = Handle.create("value");
      id = handle.id;
      await collectUntil(() => true);
      assertStrictEquals(handle.value, "value");
      assertStrictEquals(Handle.value(id), "value");
    };
    await scope();
    assertInvalid(id, "stale");
  });

  it("is disposed of without an error after delete, and twice", () => {
    const handle = Handle.create("value");
    handle.delete();
    handle[Symbol.dispose]();
    handle[Symbol.dispose]();
    assertInvalid(handle.id, "stale");
  });

  it("leaves a later handle in the same slot alone when it is disposed of after delete", () => {
    const first = Handle.create("first");
    first.delete();
    using second = Handle.create("second");
    assertStrictEquals(parts(second.id).slot, parts(first.id).slot);
    first[Symbol.dispose]();
    assertStrictEquals(second.value, "second");
  });
});

describe("Handle and the garbage collector", () => {
  /** Handles whose values and objects nothing else holds. */
  function createDropped(count: number): { ids: number[]; values: WeakRef<object>[]; objects: WeakRef<object>[] } {
    const handles = Array.from({ length: count }, (_, index) => Handle.create({ index }));
    return {
      ids: handles.map((handle) => handle.id),
      values: handles.map((handle) => new WeakRef(handle.value)),
      objects: handles.map((handle) => new WeakRef(handle)),
    };
  }
  const gone = (references: WeakRef<object>[]) =>
    references.filter((reference) => reference.deref() === undefined).length;

  it("a value is collectable after delete, and not before", async () => {
    const { ids, values } = createDropped(100);
    await collectFully();
    assertStrictEquals(gone(values), 0);
    for (const id of ids.slice(50)) Handle.delete(id);
    // A stack may still show the last one to a collector that scans stacks.
    assert(await collectUntil(() => gone(values.slice(50)) >= 49), `${gone(values)} of 50 values were collected`);
    assertStrictEquals(gone(values.slice(0, 50)), 0);
    for (const id of ids.slice(0, 50)) Handle.delete(id);
    assert(await collectUntil(() => gone(values) >= 99), `${gone(values)} of 100 values were collected`);
  });

  it("an undeleted handle whose Handle object is dropped survives", async () => {
    const { handles: live } = stats().live;
    const { ids, values, objects } = createDropped(100);
    assert(await collectUntil(() => gone(objects) >= 99), `${gone(objects)} of 100 objects were collected`);
    await collectFully();
    assertStrictEquals(gone(values), 0);
    assertStrictEquals(stats().live.handles, live + 100);
    ids.forEach((id, index) => assertEquals(Handle.value(id), { index }));
    for (const id of ids) Handle.delete(id);
  });

  it("a million live handles take less than 64 MB beyond their values", () => {
    const { code, signal, stdout, stderr } = runChild("handle_memory.ts");
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
    const { bytes, ...counts } = JSON.parse(stdout) as Record<string, number>;
    assertEquals(counts, { live: 1_000_000, distinct: 1_000_000, resolving: 1_000_000, left: 0 });
    // There the process's memory is the emulator's, if it tells any.
    if (emulator !== undefined) return leftOut("how much memory handles take, which can't be told under an emulator");
    // A number, an id and the next free slot at least: a measurement below measures nothing.
    assert(bytes > 10 * 2 ** 20, `${bytes} bytes`);
    assert(bytes < 64 * 2 ** 20, `${bytes} bytes`);
  });
});

describe("Handle with leak tracking", () => {
  afterEach(() => configure({ trackLeaks: false }));

  it("is off by default", () => {
    using _ = Handle.create("value");
    assertEquals(leaks(), []);
  });

  it("leaks() reports each live handle, oldest first, with the stack that created it", () => {
    configure({ trackLeaks: true });
    const first = Handle.create("first");
    const second = Handle.create("second");
    const third = Handle.create("third");
    assertEquals(leaks().map(({ kind, name }) => ({ kind, name })), [
      { kind: "handle", name: String(first.id) },
      { kind: "handle", name: String(second.id) },
      { kind: "handle", name: String(third.id) },
    ]);
    for (const { stack } of leaks()) assertStringIncludes(stack, "handle_test.ts");
    // They were created on lines of their own.
    const lines = leaks().map(({ stack }) => /handle_test\.ts:(\d+)/.exec(stack)?.[1]);
    assertStrictEquals(new Set(lines).size, 3);
    second.delete();
    assertEquals(leaks().map(({ name }) => name), [String(first.id), String(third.id)]);
    first[Symbol.dispose]();
    Handle.delete(third.id);
    assertEquals(leaks(), []);
  });

  it("leaks() gives stacks that begin with the program's line", () => {
    configure({ trackLeaks: true });
    const handle = Handle.create("kept");
    const [{ stack }] = leaks().slice(-1);
    configure({ trackLeaks: false });
    handle.delete();
    const [title, first] = stack.split("\n");
    assertStringIncludes(title, `handle ${handle.id} was created`);
    assertStringIncludes(first, "handle_test.ts");
  });

  it("leaks() names the function that created the handle", () => {
    configure({ trackLeaks: true });
    // Not `return Handle.create(…)`: JavaScriptCore leaves a function that ends in a call out of the stack.
    const aFunctionThatLeaks = () => ({ handle: Handle.create("value") });
    const { handle } = aFunctionThatLeaks();
    assertStringIncludes(leaks()[0].stack, "aFunctionThatLeaks");
    handle.delete();
    assertEquals(leaks(), []);
  });

  it("a handle that was created before tracking is never reported, and deleted as usual", () => {
    const before = Handle.create("before");
    configure({ trackLeaks: true });
    const during = Handle.create("during");
    assertEquals(leaks().map(({ name }) => name), [String(during.id)]);
    before.delete();
    assertEquals(leaks().map(({ name }) => name), [String(during.id)]);
    assertInvalid(before.id, "stale");
    assertStrictEquals(during.value, "during");
    during.delete();
    assertEquals(leaks(), []);
  });

  it("a handle that was created during tracking is forgotten when it is deleted after tracking", () => {
    configure({ trackLeaks: true });
    const during = Handle.create("during");
    configure({ trackLeaks: false });
    const after = Handle.create("after");
    assertEquals(leaks().map(({ name }) => name), [String(during.id)]);
    assertStrictEquals(during.value, "during");
    during.delete();
    assertEquals(leaks(), []);
    assertStrictEquals(after.value, "after");
    // The slot's next handle isn't tracked.
    const next = Handle.create("next");
    assertEquals(leaks(), []);
    next.delete();
    after.delete();
    assertInvalid(during.id, "stale");
  });

  it("switching twice to the same changes nothing", () => {
    configure({ trackLeaks: true });
    const handle = Handle.create("value");
    configure({ trackLeaks: true });
    assertEquals(leaks().map(({ name }) => name), [String(handle.id)]);
    assertStrictEquals(handle.value, "value");
    configure({ trackLeaks: false });
    configure({ trackLeaks: false });
    handle.delete();
    assertEquals(leaks(), []);
  });

  it("slots are used again while tracking goes on and off", () => {
    const slots = new Set<number>();
    for (let i = 0; i < 100; i++) {
      configure({ trackLeaks: i % 3 === 0 });
      const handle = Handle.create(i);
      slots.add(parts(handle.id).slot);
      if (i % 2 === 0) configure({ trackLeaks: i % 4 === 0 });
      handle.delete();
    }
    assertStrictEquals(slots.size, 1);
  });
});

describe("tests/lifetime/handle_test.ts", () => {
  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
    assertEquals(leaks(), []);
  });
});
