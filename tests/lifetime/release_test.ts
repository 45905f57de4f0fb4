/** `native.releaseHandle`: C deletes handles, from any thread. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import {
  callback,
  configure,
  dlopen,
  Handle,
  handle,
  InvalidHandleError,
  leaks,
  LibraryLoadError,
  native,
  pin,
  type Pointer,
  pointerFrom,
  pointerValue,
  stats,
} from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collectUntil, isLive } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { runsExitHandlers, slowness } from "../support/machine.ts";
import { settledIsolates } from "../support/until.ts";
import type { ReleaseAnswer, ReleaseQuestion } from "../programs/release_worker.ts";
import { slotOf } from "./handle_ids.ts";

const before = alive();
const voidToVoid = { parameters: [], result: "void" } as const;
const library = dlopen(testLibrary, {
  destroy_each: { parameters: ["function", "buffer", "u32", "u32"], result: "void" },
  destroy_and_call: { parameters: ["function", "handle", voidToVoid], result: "void" },
  start_destroyers: { parameters: ["function", "buffer", "u32", "u32", "u32"], result: "bool" },
  join_destroyers: { parameters: [], result: "void" },
  start_consumer: { parameters: ["function"], result: "bool" },
  hand_over: { parameters: ["handle"], result: "void" },
  stop_consumer: { parameters: [], result: "void" },
  destroy_in_signal: { parameters: ["function", "handle"], result: "void", optional: true },
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
});
const { symbols } = library;
/** Calls that belay knows nothing of: it doesn't look after them. */
const bare = rawOpen(testLibrary, {
  destroy_each: { parameters: ["pointer", "buffer", "u32", "u32"], result: "void" },
  call_void: { parameters: ["pointer"], result: "void" },
});

function create(count: number, value: unknown = "value"): number[] {
  return Array.from({ length: count }, () => Handle.create(value).id);
}

/** Releases ids, or whatever bits these are, on this thread. */
function release(ids: Iterable<number | bigint>, times = 1): void {
  const bits = BigUint64Array.from(ids, BigInt);
  symbols.destroy_each(native.releaseHandle, bits, bits.length, times);
}

/** A pointer as the bare runtime's functions take it. */
function barePointer(pointer: Pointer): unknown {
  const address = pointerValue(pointer);
  if ("Bun" in globalThis) return Number(address);
  const { Deno } = globalThis as unknown as { Deno: { UnsafePointer: { create(address: bigint): unknown } } };
  return Deno.UnsafePointer.create(address);
}

/** The same without belay's noticing that C was called. */
function releaseUnnoticed(ids: readonly number[]): void {
  const bits = BigUint64Array.from(ids, BigInt);
  // On Bun a small array's memory stays in its place once somebody has asked for it.
  void bits.buffer;
  const { destroy_each } = bare;
  destroy_each(barePointer(native.releaseHandle), bits, bits.length, 1);
}

function randomBits(count: number): BigUint64Array<ArrayBuffer> {
  const bits = new BigUint64Array(count);
  // No more than 65,536 bytes at once.
  for (let start = 0; start < count; start += 8192) crypto.getRandomValues(bits.subarray(start, start + 8192));
  return bits;
}

/** Shows what a function adds to the counts. */
function assertCounts(fn: () => void, expected: { handles?: number; staleReleases?: number }): void {
  const { live: { handles }, counts: { staleReleases } } = stats();
  fn();
  const after = stats();
  assertEquals(
    { handles: after.live.handles - handles, staleReleases: after.counts.staleReleases - staleReleases },
    { handles: 0, staleReleases: 0, ...expected },
  );
}

describe("native.releaseHandle", () => {
  it("is the same C function each time", () => {
    assertStrictEquals(native.releaseHandle, native.releaseHandle);
    assert(pointerValue(native.releaseHandle) > 0n);
  });

  it("deletes a handle that C releases by the time that the native call returns", () => {
    assertCounts(() => {
      using other = Handle.create("other");
      const { id } = Handle.create("value");
      release([id]);
      assert(!isLive(id));
      assertStrictEquals(other.value, "other");
    }, {});
  });

  it("deletes it before a callback runs", () => {
    assertCounts(() => {
      const released = Handle.create("value");
      let seen: boolean | undefined;
      symbols.destroy_and_call(native.releaseHandle, released, () => {
        seen = isLive(released.id);
      });
      assertStrictEquals(seen, false);
    }, {});
  });

  it("makes the handle of a callback that runs afterwards a stale one", () => {
    using destroy_and_pass = dlopen(testLibrary, {
      destroy_each: { parameters: ["function", "buffer", "u32", "u32"], result: "void" },
      each: { parameters: ["i32", { parameters: [handle(), "i32"], result: "i32" }, "handle"], result: "i32" },
    });
    configure({ onReport: () => {} });
    const made = Handle.create("value");
    const bits = BigUint64Array.of(BigInt(made.id));
    let calls = 0;
    destroy_and_pass.symbols.each(3, () => {
      calls += 1;
      destroy_and_pass.symbols.destroy_each(native.releaseHandle, bits, 1, 1);
      return 0;
    }, made);
    configure({ onReport: undefined });
    assertStrictEquals(calls, 1);
  });

  it("leaves a handle as it is until somebody looks: a native call, a callback, stats(), leaks()", () => {
    using looking = callback(voidToVoid, () => {});
    const looks: Record<string, () => unknown> = {
      "a native call": () => symbols.add_i32(1, 2),
      "a callback": () => bare["call_void"](barePointer(looking.pointer)),
      "stats()": () => stats(),
      "leaks()": () => leaks(),
    };
    for (const [name, look] of Object.entries(looks)) {
      configure({ trackLeaks: true });
      const { id } = Handle.create("value");
      releaseUnnoticed([id]);
      assert(isLive(id), name);
      look();
      assert(!isLive(id), name);
      configure({ trackLeaks: false });
    }
  });

  it("deletes the handles that it is to delete, and their values can be collected", async () => {
    const values: WeakRef<object>[] = [];
    (() => {
      const objects = Array.from({ length: 100 }, (_, index) => ({ index }));
      for (const object of objects) values.push(new WeakRef(object));
      release(objects.map((object) => Handle.create(object).id));
    })();
    const collected = () => values.filter((value) => value.deref() === undefined).length;
    assert(await collectUntil(() => collected() >= 99), `${collected()} of 100 values were collected`);
  });

  it("counts a handle that is released again, deleted or made up, and deletes no other", () => {
    const witnesses = create(100, "witness");
    const [deleted] = create(1);
    Handle.delete(deleted);
    // It has the slot of the deleted one.
    const successor = Handle.create("successor");
    assertStrictEquals(slotOf(successor.id), slotOf(deleted));
    assertCounts(() => release([deleted, deleted]), { staleReleases: 2 });
    assertCounts(() => release([create(1)[0]], 3), { staleReleases: 2 });
    // What is another slot's parity, an unissued generation, too many bits.
    const { id } = successor;
    const none = [1n, BigInt(id) ^ 1n, BigInt(id) + 2n ** 31n, BigInt(id) + 2n ** 53n, 2n ** 64n - 1n];
    assertCounts(() => release(none), { staleReleases: none.length });
    assertStrictEquals(successor.value, "successor");
    for (const witness of witnesses) assertStrictEquals(Handle.value(witness), "witness");
    assertCounts(() => release([successor.id, ...witnesses]), { handles: -101 });
  });

  it("does nothing with NULL, which C frees all the time, and doesn't count it", () => {
    using witness = Handle.create("witness");
    assertCounts(() => release([0n, 0n, 0n]), {});
    assertStrictEquals(witness.value, "witness");
  });

  it("a handle that is deleted after C has released it is stale, and another one in its slot stays", () => {
    assertCounts(() => {
      const first = Handle.create("first");
      releaseUnnoticed([first.id]);
      first.delete();
      using second = Handle.create("second");
      assertStrictEquals(slotOf(second.id), slotOf(first.id));
      symbols.add_i32(1, 2);
      assertStrictEquals(second.value, "second");
    }, { staleReleases: 1 });
  });

  it("a handle that is released while its slot's last one waits on the list is deleted all the same", () => {
    assertCounts(() => {
      const witnesses = create(3);
      const first = Handle.create("first");
      releaseUnnoticed([witnesses[0], first.id, witnesses[1]]);
      first.delete();
      const second = Handle.create("second");
      assertStrictEquals(slotOf(second.id), slotOf(first.id));
      releaseUnnoticed([first.id, second.id, second.id, witnesses[2]]);
      assert(isLive(second.id));
      symbols.add_i32(1, 2);
      for (const id of [second.id, ...witnesses]) assert(!isLive(id));
    }, { staleReleases: 3 });
  });

  it("any 64 bits do nothing", () => {
    const witnesses = create(1000, "witness");
    const isolate = BigInt(witnesses[0]) >> 23n & 0xffn;
    const count = 20_000;
    const random = randomBits(count);
    const alike = randomBits(count).map((bits) =>
      // This isolate's tag, and a slot that may be in use; a generation that is not.
      (bits & 0xfffn) | isolate << 23n | (1n << 21n | bits >> 45n) << 31n & (1n << 53n) - 1n
    );
    const { staleReleases } = stats().counts;
    release(random);
    release(alike);
    assert(
      stats().counts.staleReleases - staleReleases > 1.9 * count,
      `${stats().counts.staleReleases - staleReleases}`,
    );
    for (const witness of witnesses) assertStrictEquals(Handle.value(witness), "witness");
    assertCounts(() => release(witnesses), { handles: -1000 });
  });

  it("loses none of those that eight threads release at once", () => {
    const witnesses = create(100, "witness");
    const count = 200_000;
    const ids = create(count);
    const bits = BigUint64Array.from(ids, BigInt);
    using _pinned = pin(bits);
    assertCounts(() => {
      assert(symbols.start_destroyers(native.releaseHandle, bits, count, 1, 8));
      // It looks over and over meanwhile.
      for (let i = 0; i < 1000; i++) symbols.add_i32(i, 1);
      symbols.join_destroyers();
    }, { handles: -count });
    assert(!ids.filter((_, index) => index % 100 === 0).some(isLive));
    for (const witness of witnesses) assertStrictEquals(Handle.value(witness), "witness");
    release(witnesses);
  });

  it("deletes each once when eight threads release the same ones", () => {
    const count = 2000;
    const bits = new BigUint64Array(count * 8);
    using _pinned = pin(bits);
    create(count).forEach((id, index) => bits.fill(BigInt(id), index * 8, index * 8 + 8));
    assertCounts(() => {
      assert(symbols.start_destroyers(native.releaseHandle, bits, bits.length, 2, 8));
      for (let i = 0; i < 1000; i++) symbols.add_i32(i, 1);
      symbols.join_destroyers();
    }, { handles: -count, staleReleases: 15 * count });
  });

  it("agrees with what JavaScript creates and deletes while another thread releases", () => {
    const witnesses = create(50, "witness");
    let deletedHere = 0;
    let deletedThere = 0;
    const { live: { handles }, counts: { staleReleases } } = stats();
    assert(symbols.start_consumer(native.releaseHandle));
    const turns = Math.floor(300_000 / slowness);
    for (let i = 0; i < turns; i++) {
      const made = Handle.create(i);
      symbols.hand_over(made);
      if (i % 3 !== 0) continue;
      try {
        made.delete();
        deletedHere += 1;
      } catch (error) {
        assert(error instanceof InvalidHandleError && error.reason === "stale", String(error));
        deletedThere += 1;
      }
    }
    symbols.stop_consumer();
    const after = stats();
    assertStrictEquals(after.live.handles, handles);
    // Each was handed over: what was deleted here was stale there.
    assertStrictEquals(after.counts.staleReleases - staleReleases, deletedHere);
    assertStrictEquals(deletedHere + deletedThere, Math.ceil(turns / 3));
    for (const witness of witnesses) assertStrictEquals(Handle.value(witness), "witness");
    release(witnesses);
  });

  const { destroy_in_signal } = symbols;
  if (destroy_in_signal === null) leftOut("native.releaseHandle in a signal's handler, which needs signals");
  (destroy_in_signal === null ? it.skip : it)("works in a signal's handler", () => {
    assertCounts(() => destroy_in_signal?.(native.releaseHandle, Handle.create("value")), {});
  });

  it("does nothing when the program has ended (in a child process)", () => {
    for (const ending of ["runtime", "C"]) {
      const { code, signal, stdout, stderr } = runChild("release_at_exit.ts", [ending]);
      assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
      const destroyed = ending === "C" || runsExitHandlers ? ["destroyed"] : [];
      assertEquals(stdout.trim().split("\n"), ["end", ...destroyed]);
    }
  });
});

describe("native.releaseHandle and workers", () => {
  async function ask(question: Partial<ReleaseQuestion>): Promise<ReleaseAnswer> {
    const worker = new Worker(new URL("../programs/release_worker.ts", import.meta.url).href, { type: "module" });
    try {
      return await new Promise((resolve, reject) => {
        worker.onmessage = (event) => resolve(event.data as ReleaseAnswer);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage({ testLibrary, others: [], count: 0, released: 0, ...question });
      });
    } finally {
      worker.terminate();
    }
  }

  it("deletes this isolate's handles when C releases them on a worker's thread", async () => {
    const ids = create(1000);
    using witness = Handle.create("witness");
    const { live: { handles }, counts: { staleReleases } } = stats();
    const answer = await ask({ others: ids, count: 10, released: 4 });
    assertEquals([answer.handles, answer.staleReleases], [6, 0]);
    assertEquals([stats().live.handles - handles, stats().counts.staleReleases - staleReleases], [-1000, 0]);
    assertStrictEquals(witness.value, "witness");
  });

  it("does nothing for handles of a worker that is gone, whoever has its tag", async () => {
    await settledIsolates(1);
    const { live: { handles }, counts: { staleReleases } } = stats();
    let gone: number[] = [];
    for (let i = 0; i < 20; i++) {
      const { ids, ...counts } = await ask({ count: 100, released: 50, others: gone });
      assertStrictEquals(ids.length, 50);
      // The worker that has the tag of the one before finds its handles stale, or there is none that has it.
      assertStrictEquals(counts.handles, 50);
      assert(counts.staleReleases === 0 || counts.staleReleases === gone.length, `${counts.staleReleases}`);
      await settledIsolates(1);
      release(ids);
      gone = [...ids];
    }
    assertEquals([stats().live.handles, stats().counts.staleReleases], [handles, staleReleases]);
  });

  it("takes releases of a worker's handles at any time while it is terminated", async () => {
    for (let i = 0; i < 10; i++) {
      const { ids } = await ask({ count: 20_000 });
      const bits = BigUint64Array.from(ids, BigInt);
      using _pinned = pin(bits);
      assert(symbols.start_destroyers(native.releaseHandle, bits, bits.length, 20, 2));
      // The next worker gets its tag meanwhile, or another.
      const next = await ask({ count: 1000, released: 1000 });
      assertStrictEquals(next.handles, 0);
      symbols.join_destroyers();
      await settledIsolates(1);
    }
  });
});

describe("native.releaseHandle as SQLite's xDestroy", () => {
  const scalar = { parameters: ["pointer", "i32", "pointer"], result: "void" } as const;
  function openSqlite() {
    return dlopen({ name: "sqlite3", versions: ["0"] }, {
      sqlite3_open: { parameters: ["cstring", "buffer"], result: "i32" },
      sqlite3_close: { parameters: ["pointer"], result: "i32" },
      sqlite3_exec: { parameters: ["pointer", "cstring", "pointer", "pointer", "pointer"], result: "i32" },
      sqlite3_user_data: { parameters: ["pointer"], result: handle<{ calls: number }>() },
      sqlite3_create_function_v2: {
        parameters: ["pointer", "cstring", "i32", "i32", "handle", scalar, "pointer", "pointer", "function"],
        result: "i32",
      },
    });
  }
  function isInstalled(): boolean {
    try {
      openSqlite().close();
      return true;
    } catch (error) {
      if (!(error instanceof LibraryLoadError)) throw error;
      return false;
    }
  }
  const installed = isInstalled();
  if (!installed) leftOut("native.releaseHandle in SQLite, whose library is not installed");

  (installed ? it : it.skip)("the registry is empty when functions are replaced, dropped, refused, or closed", () => {
    assertCounts(() => {
      using sqlite = openSqlite();
      const { sqlite3_open, sqlite3_close, sqlite3_exec, sqlite3_create_function_v2, sqlite3_user_data } =
        sqlite.symbols;
      using call = callback(scalar, (context) => {
        sqlite3_user_data(context).calls += 1;
      });
      const out = new BigUint64Array(1);
      assertStrictEquals(sqlite3_open(":memory:", out), 0);
      const database = pointerFrom(out[0]);
      const define = (name: string, user: Handle, arguments_ = 0): number =>
        sqlite3_create_function_v2(database, name, arguments_, 1, user, call, null, null, native.releaseHandle);
      const { handles: live } = stats().live;
      const states = Array.from({ length: 10 }, () => ({ calls: 0 }));
      for (const state of states) {
        assertStrictEquals(define("f", Handle.create(state)), 0);
        assertStrictEquals(stats().live.handles, live + 1);
        assertStrictEquals(sqlite3_exec(database, "SELECT f()", null, null, null), 0);
        assertStrictEquals(state.calls, 1);
      }
      // Refused: too many arguments. SQLite destroys the user data then, too.
      assertStrictEquals(define("g", Handle.create({}), 40_000), 21);
      assertStrictEquals(stats().live.handles, live + 1);
      for (let i = 0; i < 100; i++) assertStrictEquals(define(`f${i}`, Handle.create({})), 0);
      assertStrictEquals(stats().live.handles, live + 101);
      assertStrictEquals(sqlite3_close(database), 0);
      assertStrictEquals(stats().live.handles, live);
    }, {});
  });
});

describe("tests/lifetime/release_test.ts", () => {
  afterAll(() => library.close());

  it("leaves nothing alive but its library", () => {
    assertEquals(alive(), { ...before, libraries: before.libraries + 1 });
  });
});
