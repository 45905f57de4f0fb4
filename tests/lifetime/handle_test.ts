import { assert, assertEquals, assertFalse, assertMatch, assertNotEquals, assertStrictEquals } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, afterEach, describe, it } from "@std/testing/bdd";
import { configure, dlopen, Handle, InvalidHandleError, type InvalidHandleReason, leaks, stats } from "@belay/ffi";
import { shown } from "../../ffi/ground/errors.ts";
import { HandleTable, handleTable, type IdStore } from "../../ffi/lifetime/handle.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator } from "../support/machine.ts";
import { randomFrom } from "../support/random.ts";

const before = alive();
const library = dlopen(testLibrary, {
  pass: { parameters: ["handle"], result: "handle" },
  pass_to_pointer: { name: "pass", parameters: ["handle"], result: "pointer" },
  pass_number: { name: "identity_usize", parameters: ["usize"], result: "handle" },
  each: { parameters: ["i32", { parameters: ["handle", "i32"], result: "i32" }, "handle"], result: "i32" },
  each_by_address: {
    parameters: ["i32", { parameters: ["handleAddress", "i32"], result: "i32" }, "handle"],
    result: "i32",
  },
  read_id: { parameters: ["handleAddress"], result: "usize" },
  pass_address: { name: "identity_pointer", parameters: ["handleAddress"], result: "handleAddress" },
  hold_handle: { parameters: ["handle"], result: "void" },
  each_held: { parameters: [{ parameters: ["handle"], result: "void" }], result: "void" },
});
const { symbols } = library;

const generationUnit = 2 ** 31;
const parts = (id: number) => ({
  generation: Math.floor(id / generationUnit),
  tag: Math.floor(id / 2 ** 23) % 256,
  slot: Math.floor(id / 2) % 2 ** 22,
});

const messages: Record<InvalidHandleReason, string> = {
  null: "it is the null handle",
  stale: "it has been deleted",
  unissued: "no such handle was issued",
  "other-isolate": "it belongs to another isolate",
  malformed: "it is not a handle",
};

/** Shows that a function throws the error that fits an id, whose message begins with what was being done. */
function assertRefused(fn: () => unknown, what: string, id: unknown, reason: InvalidHandleReason): void {
  const error = assertThrows(fn, InvalidHandleError);
  const state = typeof id === "bigint" ? "an id is a number, and this is a bigint" : messages[reason];
  assertStrictEquals(error.message, `Cannot ${what} handle ${shown(id)}: ${state}`);
  assertStrictEquals(error.name, "InvalidHandleError");
  assertStrictEquals(error.reason, reason);
  assertStrictEquals(error.id, id);
}

/** What the message says of an argument that names no live handle. */
const argumentOf = (name: string, type: string): string =>
  `call "${name}": argument 1 (${type}) must be a live Handle, its id or null, got`;

/** Shows that an id is refused everywhere, and that nothing changes. */
function assertInvalid(id: unknown, reason: InvalidHandleReason): void {
  using witness = Handle.create("witness");
  const { handles: live } = stats().live;
  for (let i = 0; i < 2; i++) {
    assertRefused(() => Handle.value(id as number), "read", id, reason);
    assertRefused(() => Handle.delete(id as number), "delete", id, reason);
  }
  assertStrictEquals(stats().live.handles, live);
  assertStrictEquals(witness.value, "witness");
}

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

describe("HandleTable", () => {
  afterEach(() => configure({ trackLeaks: false }));
  const noOptions = { tag: 7 };

  it("asks for its options when the first handle is created, once", () => {
    let asked = 0;
    const table = new HandleTable(() => {
      asked += 1;
      return noOptions;
    });
    assertStrictEquals(table.live, 0);
    assertRefused(() => table.value(2), "read", 2, "malformed");
    const anothers = new HandleTable(() => ({ tag: 8 })).create("another isolate's");
    assertRefused(() => table.value(anothers), "read", anothers, "other-isolate");
    assertRefused(() => table.delete(0), "delete", 0, "null");
    assertRefused(() => table.value(0.5), "read", 0.5, "malformed");
    assertStrictEquals(asked, 0);
    const ids = Array.from({ length: 100 }, (_, index) => table.create(index));
    assertStrictEquals(asked, 1);
    assertEquals(ids.map((id) => table.value(id)), ids.map((_, index) => index));
    assertEquals(new Set(ids.map((id) => parts(id).tag)), new Set([7]));
  });

  it("tries again when its options could not be had", () => {
    let fails = true;
    const table = new HandleTable(() => {
      if (fails) throw new Error("no core");
      return noOptions;
    });
    for (let i = 0; i < 2; i++) assertThrows(() => table.create("value"), Error, "no core");
    assertStrictEquals(table.live, 0);
    fails = false;
    assertStrictEquals(table.value(table.create("value")), "value");
  });

  it("retires a slot whose generations are used up, and then throws a RangeError, being full", () => {
    for (const tracked of [false, true]) {
      configure({ trackLeaks: tracked });
      const table = new HandleTable(() => ({ tag: 9, slotCount: 2, generationCount: 3 }));
      const ids: number[] = [];
      for (let i = 0; i < 6; i++) {
        const id = table.create(i);
        assertStrictEquals(table.value(id), i);
        table.delete(id);
        ids.push(id);
      }
      assertStrictEquals(new Set(ids).size, 6);
      assertEquals(ids.map((id) => parts(id).slot), [0, 0, 0, 1, 1, 1]);
      assertEquals(ids.map((id) => parts(id).generation), [0, 1, 2, 0, 1, 2]);
      const full = "Cannot create a handle: the table is full (0 handles are live)";
      for (let i = 0; i < 2; i++) assertThrows(() => table.create("one more"), RangeError, full);
      for (const id of ids) {
        assertRefused(() => table.value(id), "read", id, "stale");
        assertRefused(() => table.delete(id), "delete", id, "stale");
      }
      // A fourth generation exists nowhere.
      const fourth = ids[2] + generationUnit;
      assertRefused(() => table.value(fourth), "read", fourth, "malformed");
    }
  });

  it("throws a RangeError when every slot is live, changes nothing, and goes on after a delete", () => {
    const table = new HandleTable(() => ({ tag: 9, slotCount: 3 }));
    const ids = ["a", "b", "c"].map((value) => table.create(value));
    for (let i = 0; i < 2; i++) {
      assertThrows(() => table.create("d"), RangeError, "the table is full (3 handles are live)");
    }
    assertStrictEquals(table.live, 3);
    assertEquals(ids.map((id) => table.value(id)), ["a", "b", "c"]);
    table.delete(ids[1]);
    const id = table.create("d");
    assertStrictEquals(table.value(id), "d");
    assertStrictEquals(parts(id).slot, parts(ids[1]).slot);
    assertThrows(() => table.create("e"), RangeError, "full");
    assertRefused(() => table.value(ids[1]), "read", ids[1], "stale");
  });
});

const storeTag = 3;

/** The first id of a slot. */
function firstId(slot: number): number {
  let parity = 0;
  for (let rest = slot; rest > 0; rest >>= 1) parity ^= rest & 1;
  return storeTag * 2 ** 23 + slot * 2 + parity;
}

/** A store that several tables use one after another, like the core's. What it grows by looks like ids, but is none. */
function inheritedStore(): IdStore {
  let ids = new Float64Array(0);
  return {
    used: new Uint32Array(1),
    grow(length) {
      const larger = new Float64Array(Math.max(length, ids.length)).map((_, slot) => firstId(slot));
      larger.set(ids);
      ids.fill(-1);
      ids = larger;
      return ids.subarray(0, length);
    },
  };
}

describe("HandleTable with an inherited store", () => {
  afterEach(() => configure({ trackLeaks: false }));
  const tableOf = (store: IdStore, slotCount?: number, generationCount?: number) =>
    new HandleTable(() => ({ tag: storeTag, store, slotCount, generationCount }));

  it("refuses the predecessor's ids as stale, live and deleted ones", () => {
    const store = inheritedStore();
    const predecessor = tableOf(store);
    const ids = Array.from({ length: 100 }, (_, index) => predecessor.create(index));
    for (const id of ids.filter((_, index) => index % 3 === 0)) predecessor.delete(id);
    assertStrictEquals(store.used[0], 100);
    const successor = tableOf(store);
    const first = successor.create("first");
    for (const id of ids) {
      assertRefused(() => successor.value(id), "read", id, "stale");
      assertRefused(() => successor.delete(id), "delete", id, "stale");
      assertFalse(successor.has(id));
    }
    assertStrictEquals(successor.live, 1);
    assertStrictEquals(successor.value(first), "first");
  });

  it("never issues an id twice, however many tables follow one another", () => {
    const store = inheritedStore();
    const issued = new Set<number>();
    const random = randomFrom(5);
    let count = 0;
    for (let generation = 0; generation < 20; generation++) {
      const table = tableOf(store);
      const live: number[] = [];
      for (let step = 0; step < 200; step++) {
        if (live.length > 0 && random(5) < 2) {
          table.delete(live.splice(random(live.length), 1)[0]);
        } else {
          const id = table.create(count);
          assertStrictEquals(table.value(id), count);
          live.push(id);
          issued.add(id);
          count += 1;
        }
      }
      assertStrictEquals(table.live, live.length);
    }
    assertStrictEquals(issued.size, count);
    assert(count > 2000, `${count} were issued`);
  });

  it("refuses an id that nobody issued, though the store's memory happened to hold it", () => {
    const store = inheritedStore();
    for (const table of [tableOf(store), tableOf(store)]) {
      const id = table.create("value");
      const { slot } = parts(id);
      for (const unused of [slot + 1, slot + 2, 63]) {
        assertFalse(table.has(firstId(unused)));
        assertRefused(() => table.value(firstId(unused)), "read", firstId(unused), "unissued");
        assertRefused(() => table.delete(firstId(unused)), "delete", firstId(unused), "unissued");
      }
      assertStrictEquals(table.value(id), "value");
    }
  });

  it("uses the predecessor's slots again", () => {
    const store = inheritedStore();
    const predecessor = tableOf(store);
    const slots = new Set(Array.from({ length: 1000 }, (_, index) => parts(predecessor.create(index)).slot));
    const successor = tableOf(store);
    const again = Array.from({ length: 1000 }, (_, index) => successor.create(index));
    const shared = again.filter((id) => slots.has(parts(id).slot));
    assert(shared.length >= 999, `${shared.length} slots were used again`);
    again.forEach((id, index) => assertStrictEquals(successor.value(id), index));
  });

  it("issues no more ids than there are, all tables together, and leaves retired slots retired", () => {
    const store = inheritedStore();
    const issued: number[] = [];
    let table = tableOf(store, 4, 3);
    for (let generation = 0; generation < 20; generation++) {
      table = tableOf(store, 4, 3);
      try {
        issued.push(table.create("deleted"));
        table.delete(issued[issued.length - 1]);
        issued.push(table.create("kept"));
      } catch (error) {
        assert(error instanceof RangeError, String(error));
      }
    }
    assertStrictEquals(new Set(issued).size, issued.length);
    assert(issued.length >= 5 && issued.length <= 12, `${issued.length} were issued`);
    for (const id of issued) assert(parts(id).generation < 3 && parts(id).slot < 4, `the id ${id}`);
    for (let i = 0; i < 2; i++) {
      assertThrows(() => table.create("value"), RangeError, "the table is full (0 handles are live)");
    }
  });

  it("creates a handle at once when the predecessor had used every slot", () => {
    for (const tracked of [false, true]) {
      const store = inheritedStore();
      const predecessor = tableOf(store, 4);
      const ids = Array.from({ length: 4 }, (_, index) => predecessor.create(index));
      configure({ trackLeaks: tracked });
      const successor = tableOf(store, 4);
      const young = Array.from({ length: 4 }, (_, index) => successor.create(index));
      assertStrictEquals(new Set([...ids, ...young]).size, 8);
      assertThrows(() => successor.create("one more"), RangeError, "full (4 handles are live)");
      for (const id of young) successor.delete(id);
    }
  });

  it("creates a handle when the predecessor had used all 2^22 slots, for which a store has memory and no more", () => {
    const slots = 2 ** 22;
    // As the predecessor left it.
    const ids = new Float64Array(slots).map((_, slot) => firstId(slot));
    const successor = tableOf({
      used: new Uint32Array([slots]),
      grow(length) {
        if (length > slots) throw new RangeError(`no memory for ${length} ids`);
        return ids.subarray(0, length);
      },
    });
    const id = successor.create("value");
    assertStrictEquals(parts(id).generation, 1);
    assertStrictEquals(successor.value(id), "value");
  });

  it("never issues an id twice after its first handle failed for want of memory", () => {
    const inherited = inheritedStore();
    const predecessor = tableOf(inherited);
    const ids = new Set(Array.from({ length: 10 }, (_, index) => predecessor.create(index)));
    let refusals = 1;
    const successor = tableOf({
      used: inherited.used,
      grow(length) {
        if (refusals-- > 0) throw new RangeError(`no memory for ${length} ids`);
        return inherited.grow(length);
      },
    });
    assertThrows(() => successor.create("value"), RangeError, "no memory");
    assertStrictEquals(successor.live, 0);
    for (let i = 0; i < 20; i++) {
      const id = successor.create(i);
      assertFalse(ids.has(id), `${id} was issued twice`);
      ids.add(id);
    }
    assertStrictEquals(successor.live, 20);
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

describe("Handle in C", () => {
  afterAll(() => library.close());

  it("42 handles pass through C, and come back in order with their values", () => {
    const values = Array.from({ length: 42 }, (_, index) => ({ index }));
    const handles = values.map((value) => Handle.create(value));
    for (const handle of handles) symbols.hold_handle(handle);
    const seen: unknown[] = [];
    symbols.each_held((value) => void seen.push(value));
    assertStrictEquals(seen.length, 42);
    seen.forEach((value, index) => assertStrictEquals(value, values[index]));
    for (const handle of handles) handle.delete();
  });

  it("passes by value: the void* is the id", () => {
    const value = { name: "value" };
    using handle = Handle.create(value);
    assertStrictEquals(symbols.pass(handle), value);
    assertStrictEquals(symbols.pass(handle.id), value);
    assertStrictEquals(symbols.pass_number(handle.id), value);
    const seen: unknown[] = [];
    const sum = symbols.each(3, (user, index) => {
      seen.push(user);
      return index * 10;
    }, handle);
    assertStrictEquals(sum, 30);
    assertStrictEquals(seen.length, 3);
    for (const user of seen) assertStrictEquals(user, value);
  });

  it("passes by address: the void* points to the id", () => {
    const value = { name: "value" };
    using handle = Handle.create(value);
    assertStrictEquals(symbols.read_id(handle), BigInt(handle.id));
    assertStrictEquals(symbols.read_id(handle.id), BigInt(handle.id));
    assertStrictEquals(symbols.pass_address(handle), value);
    const seen: unknown[] = [];
    const sum = symbols.each_by_address(3, (user, index) => {
      seen.push(user);
      return index * 10;
    }, handle);
    assertStrictEquals(sum, 30);
    assertStrictEquals(seen.length, 3);
    for (const user of seen) assertStrictEquals(user, value);
  });

  it("passes null and undefined values both ways, which are no null handles", () => {
    for (const value of [null, undefined, 0]) {
      using handle = Handle.create(value);
      assertStrictEquals(symbols.pass(handle), value);
      assertStrictEquals(symbols.pass_address(handle), value);
      const seen: unknown[] = [];
      symbols.each(1, (user) => seen.push(user), handle);
      symbols.each_by_address(1, (user) => seen.push(user), handle);
      assertEquals(seen, [value, value]);
    }
  });

  it("passes null as NULL, and NULL that comes back is the null handle", () => {
    assertStrictEquals(symbols.pass_to_pointer(null), null);
    assertRefused(() => symbols.pass(null), 'read what "pass" gave,', 0, "null");
    assertRefused(() => symbols.pass_number(0), 'read what "pass_number" gave,', 0, "null");
  });

  it("refuses a deleted handle before C is entered, both ways", () => {
    const handle = Handle.create("value");
    handle.delete();
    for (const argument of [handle, handle.id]) {
      assertRefused(() => symbols.hold_handle(argument), argumentOf("hold_handle", "handle"), handle.id, "stale");
      assertRefused(() => symbols.read_id(argument), argumentOf("read_id", "handleAddress"), handle.id, "stale");
    }
    let held = 0;
    symbols.each_held(() => void (held += 1));
    assertStrictEquals(held, 0);
  });

  it("refuses what is no id before C is entered, both ways", () => {
    using handle = Handle.create("value");
    for (const wrong of [String(handle.id), BigInt(handle.id), undefined, {}, true]) {
      const argument = wrong as unknown as number;
      assertThrows(() => symbols.hold_handle(argument), TypeError, "must be a live Handle, its id or null");
      assertThrows(() => symbols.read_id(argument), TypeError, "must be a live Handle, its id or null");
    }
    for (const id of [handle.id + 0.5, -1, NaN, 2 ** 53]) {
      assertRefused(() => symbols.hold_handle(id), argumentOf("hold_handle", "handle"), id, "malformed");
      assertRefused(() => symbols.read_id(id), argumentOf("read_id", "handleAddress"), id, "malformed");
    }
    let held = 0;
    symbols.each_held(() => void (held += 1));
    assertStrictEquals(held, 0);
  });

  it("says of a bigint where an id belongs that it is a bigint", () => {
    using handle = Handle.create("value");
    const argument = BigInt(handle.id) as unknown as number;
    const error = assertThrows(() => symbols.hold_handle(argument), TypeError);
    assertStringIncludes(error.message, `got ${handle.id}n, and an id is a number`);
  });

  it("throws InvalidHandleError when C gives back an id that is stale or made up", () => {
    const handle = Handle.create("value");
    handle.delete();
    assertRefused(() => symbols.pass_number(handle.id), 'read what "pass_number" gave,', handle.id, "stale");
    assertRefused(() => symbols.pass_number(2n ** 63n), 'read what "pass_number" gave,', 2 ** 63, "malformed");
    assertRefused(() => symbols.pass_number(2n ** 64n - 1n), 'read what "pass_number" gave,', 2 ** 64, "malformed");
  });

  it("a handle that is deleted while C holds it gives the fallback, both ways, and is counted", () => {
    const reports: string[] = [];
    configure({ onReport: ({ kind, message }) => void reports.push(`${kind}: ${message}`) });
    const { invalidHandles } = stats().counts;
    for (const each of [symbols.each, symbols.each_by_address]) {
      const handle = Handle.create("value");
      let calls = 0;
      const sum = each(3, () => {
        calls += 1;
        handle.delete();
        return 5;
      }, handle);
      assertStrictEquals(calls, 1);
      assertStrictEquals(sum, 5);
      assertMatch(reports.pop() ?? "", /^invalid-handle: .*parameter 1.*Cannot use handle \d+: it has been deleted$/);
      assertEquals(reports, []);
    }
    assertStrictEquals(stats().counts.invalidHandles, invalidHandles + 4);
    configure({ onReport: undefined });
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

describe("HandleTable against a model", () => {
  afterEach(() => configure({ trackLeaks: false }));

  /** Creates and deletes at random, with tracking on and off, and holds the table against a `Map` all along. */
  function walk(table: HandleTable, seed: number, limits: { slotCount: number; generationCount: number }): number {
    const random = randomFrom(seed);
    const model = new Map<number, unknown>();
    const tracked = new Set<number>();
    const deleted: number[] = [];
    const issuedBySlot = new Map<number, number>();
    let tracking = false;
    configure({ trackLeaks: tracking });
    let refusals = 0;
    const liveId = () => [...model.keys()][random(model.size)];
    const mayCreate = () => {
      const liveSlots = new Set([...model.keys()].map((id) => parts(id).slot));
      const retired = [...issuedBySlot].filter(([slot, count]) =>
        count === limits.generationCount && !liveSlots.has(slot)
      );
      return model.size + retired.length < limits.slotCount;
    };
    const check = (step: number) => {
      assertStrictEquals(table.live, model.size, `live after step ${step}`);
      for (const [id, value] of model) assertStrictEquals(table.value(id), value, `${id} after step ${step}`);
      assertEquals(leaks().map(({ name }) => Number(name)), [...tracked], `leaks after step ${step}`);
    };
    for (let step = 0; step < 6000; step++) {
      const choice = random(100);
      if (choice < 45 && mayCreate()) {
        const value = { step };
        const id = table.create(value);
        assertFalse(model.has(id) || deleted.includes(id), `${id} was issued twice`);
        model.set(id, value);
        if (tracking) tracked.add(id);
        const { slot } = parts(id);
        issuedBySlot.set(slot, (issuedBySlot.get(slot) ?? 0) + 1);
      } else if (choice < 45) {
        assertThrows(() => table.create("one more"), RangeError, `full (${model.size} handles are live)`);
        refusals += 1;
      } else if (choice < 85 && model.size > 0) {
        const id = liveId();
        table.delete(id);
        model.delete(id);
        tracked.delete(id);
        deleted.push(id);
      } else if (choice < 92 && deleted.length > 0) {
        const id = deleted[random(deleted.length)];
        assertRefused(() => table.value(id), "read", id, "stale");
        assertRefused(() => table.delete(id), "delete", id, "stale");
      } else if (choice >= 96) {
        tracking = random(2) === 0;
        configure({ trackLeaks: tracking });
      }
      if (step % 20 === 0) check(step);
    }
    check(6000);
    for (const id of model.keys()) table.delete(id);
    assertStrictEquals(table.live, 0);
    assertEquals(leaks(), []);
    return refusals;
  }

  it("agrees in a random walk over many slots", () => {
    for (const seed of [1, 2, 3]) {
      const limits = { slotCount: 2 ** 22, generationCount: 2 ** 22 };
      assertStrictEquals(walk(new HandleTable(() => ({ tag: 1 })), seed, limits), 0);
    }
  });

  it("agrees in a random walk that uses up slots and generations", () => {
    for (const seed of [4, 5, 6]) {
      const limits = { slotCount: 40, generationCount: 60 };
      const refusals = walk(new HandleTable(() => ({ tag: 255, ...limits })), seed, limits);
      assert(refusals > 0, "the table was never full");
    }
  });

  it("agrees in a random walk of a table that was there before tracking", () => {
    const table = new HandleTable(() => ({ tag: 2 }));
    const ids = Array.from({ length: 200 }, (_, index) => table.create(index));
    for (const id of ids) table.delete(id);
    walk(table, 7, { slotCount: 2 ** 22, generationCount: 2 ** 22 });
    for (const id of ids) assertRefused(() => table.value(id), "read", id, "stale");
  });
});

describe("tests/lifetime/handle_test.ts", () => {
  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
    assertEquals(leaks(), []);
  });
});
