/** The table behind `Handle`: its slots and generations, stores that it inherits, and what C releases. */

import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { afterEach, describe, it } from "@std/testing/bdd";
import { configure, leaks } from "@belay/ffi";
import { HandleTable, type IdStore } from "../../ffi/lifetime/handle.ts";
import { alive } from "../support/gc.ts";
import { randomFrom } from "../support/random.ts";
import { assertRefused, generationUnit, parts, slotOf } from "./handle_ids.ts";

const before = alive();

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

describe("HandleTable with a list of released handles", () => {
  /** A list as the core makes one, by hand. */
  function tableWithList(slotCount: number): { table: HandleTable; list: (...ids: number[]) => void } {
    const ids = new Float64Array(64);
    const links = new Int32Array(128);
    const head = new Int32Array(1);
    const releases = { head, links: (length: number) => links.subarray(0, length * 2) };
    const store = { used: new Uint32Array(1), grow: (length: number) => ids.subarray(0, length), releases };
    return {
      table: new HandleTable(() => ({ tag: 3, store, slotCount })),
      list(...listed) {
        for (const id of listed) {
          const slot = slotOf(id);
          // The core's own bits are not JavaScript's business.
          links[2 * slot] = head[0] | 0x80800000;
          links[2 * slot + 1] = Math.floor(id / 2 ** 31);
          head[0] = slot + 1;
        }
      },
    };
  }

  it("creates a handle when all slots are taken, but C has released some", () => {
    const { table, list } = tableWithList(4);
    const ids = [1, 2, 3, 4].map((value) => table.create(value));
    assertThrows(() => table.create(5), RangeError, "full (4 handles are live)");
    list(ids[1], ids[3]);
    assertEquals([table.value(table.create(5)), table.value(table.create(6))], [5, 6]);
    assertThrows(() => table.create(7), RangeError, "full (4 handles are live)");
    assertEquals([table.has(ids[0]), table.has(ids[1]), table.has(ids[2]), table.has(ids[3])], [
      true,
      false,
      true,
      false,
    ]);
    assertStrictEquals(table.staleReleases, 0);
  });

  it("uses the slots that C has released before it takes memory for more", () => {
    const { table, list } = tableWithList(2 ** 22);
    for (let round = 0; round < 5; round++) {
      const ids = Array.from({ length: 64 }, (_, value) => table.create(value));
      for (const id of ids) assert(slotOf(id) < 64, `slot ${slotOf(id)}`);
      list(...ids);
    }
    assertStrictEquals(table.live, 0);
    assertStrictEquals(table.staleReleases, 0);
  });

  it("leaves a list alone until there is a handle, and then finds it stale", () => {
    const { table, list } = tableWithList(4);
    list(3 * 2 ** 23);
    assertStrictEquals(table.live, 0);
    const id = table.create("value");
    table.delete(id);
    list(table.create("next"));
    assertStrictEquals(table.live, 0);
    assert(table.staleReleases <= 1);
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

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
});
