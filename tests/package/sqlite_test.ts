/** The main job, `examples/sqlite`: TypeScript functions inside the system's SQLite. */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, MemoryFreedError, NativeMemory, pointer, pointerFrom, stats } from "@belay/ffi";
import type { Library, Pointer } from "@belay/ffi";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { collectUntil } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { Database, SqliteError } from "../../examples/sqlite/sqlite.ts";

function canOpen(): boolean {
  try {
    new Database(":memory:").close();
    return true;
  } catch (error) {
    if (!String(error).includes("apt-get install libsqlite3-0")) throw error;
    return false;
  }
}

const installed = canOpen();
if (!installed) leftOut("the tests of examples/sqlite, since SQLite's library is not installed");

/** A test after which nothing more is alive than before. Not an `afterEach`: Deno's `node:test` ignores what one throws. */
function test(name: string, body: () => void | Promise<void>): void {
  (installed ? it : it.skip)(name, async () => {
    const before = stats();
    await body();
    const { live, counts } = stats();
    assertEquals({ live, counts }, { live: before.live, counts: before.counts });
  });
}

/** What a promise is rejected with. */
async function caught(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was rejected");
}

const thousand = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)";

describe("examples/sqlite", () => {
  test("values of every kind go through a function and come back", () => {
    using database = new Database(":memory:");
    database.function("same", (value) => value);
    const values = [null, 0, -1, 2 ** 31, 2 ** 53 - 1, 2n ** 62n, 0.5, "grüß", "", new Uint8Array([0, 1, 255])];
    for (const value of values) {
      assertEquals(database.query("SELECT same(?) AS value", value), [{ value }]);
    }
  });

  test("functions may be async: they ask a server, for two databases at once", async () => {
    /** Questions that wait for the other database's: neither query could end before the other has begun. */
    const open = new Map<number, ServerResponse>();
    let mostStacks = 0;
    const server = createServer((request, response) => {
      const id = Number(request.url?.slice(1));
      if (id === 13) return void response.writeHead(404).end();
      const other = open.get(id);
      if (other === undefined) return void open.set(id, response);
      mostStacks = Math.max(mostStacks, stats().live.ownStacks);
      open.delete(id);
      for (const waiting of [other, response]) waiting.end(String(id * 10));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const asked: string[] = [];
    const priced = (name: string): Database => {
      const database = new Database(":memory:");
      database.functionAsync("price", async (id) => {
        asked.push(`${name} ${id}`);
        const response = await fetch(`http://127.0.0.1:${port}/${id}`);
        const text = await response.text();
        if (!response.ok) throw new Error(`no price for ${id}`);
        return Number(text);
      });
      return database;
    };
    try {
      using one = priced("one");
      using other = priced("other");
      const sql =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12) SELECT sum(price(i)) AS sum FROM n";
      assertEquals(await Promise.all([one.queryAsync(sql), other.queryAsync(sql)]), [[{ sum: 780 }], [{ sum: 780 }]]);
      assertEquals([asked.length, mostStacks], [24, 2]);
      for (let id = 1; id <= 12; id++) {
        assertEquals(asked.slice(2 * id - 2, 2 * id).sort(), [`one ${id}`, `other ${id}`]);
      }
      assertEquals((await caught(one.queryAsync("SELECT price(13) AS price"))).message, "no price for 13");
      const both = await Promise.all([one, other].map((each) => each.queryAsync("SELECT price(?) AS price", 2)));
      assertEquals(both, [[{ price: 20 }], [{ price: 20 }]]);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test("functions that are async are refused by a query that can't wait, and their answer is nobody's", async () => {
    using database = new Database(":memory:");
    using other = new Database(":memory:");
    let touched = 0;
    const late = new Uint8Array(1);
    Object.defineProperty(late, "length", { get: () => (touched++, 1) });
    for (const each of [database, other]) each.functionAsync("late", () => Promise.resolve(late));
    const error = assertThrows(() => database.query("SELECT late()"), TypeError);
    assertStringIncludes(error.message, "suspends: true");
    await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(touched, 0);
    let inside: Promise<unknown> | undefined;
    database.function("start", () => (inside = other.queryAsync("SELECT late() AS late"), 1));
    assertEquals(database.query("SELECT start() AS started"), [{ started: 1 }]);
    assertEquals([await inside, touched > 0], [[{ late: new Uint8Array(1) }], true]);
  });

  test("an error that a function throws comes out of the query, the same object, and the database works on", () => {
    using database = new Database(":memory:");
    const error = new Error("not this row");
    let calls = 0;
    database.function("picky", (value) => {
      calls += 1;
      if (value === 10) throw error;
      return value;
    });
    const sql = `${thousand} SELECT sum(picky(i)) AS sum FROM n`;
    const thrown = assertThrows(() => database.query(sql));
    assertStrictEquals(thrown, error);
    assertEquals(calls, 11);
    assertEquals(database.query("SELECT picky(3) AS value"), [{ value: 3 }]);
  });

  test("an aggregate has a state for each group, and an error in a step comes out of the query", () => {
    using database = new Database(":memory:");
    database.aggregate("longest", {
      start: () => "",
      step: (longest: string, value) => {
        if (value === "bad") throw new RangeError("bad value");
        return String(value).length > longest.length ? String(value) : longest;
      },
      finish: (longest) => longest,
    });
    database.query("CREATE TABLE words (kind, word)");
    for (const [kind, word] of [[1, "a"], [2, "bbb"], [1, "aa"], [2, "b"], [3, "bad"]] as const) {
      database.query("INSERT INTO words VALUES (?, ?)", kind, word);
    }
    const groups = "SELECT kind, longest(word) AS word FROM words WHERE kind < ? GROUP BY kind";
    assertEquals(database.query(groups, 3), [{ kind: 1, word: "aa" }, { kind: 2, word: "bbb" }]);
    assertEquals(database.query("SELECT longest(word) AS word FROM words WHERE kind > 9"), [{ word: "" }]);
    assertThrows(() => database.query(groups, 4), RangeError, "bad value");
  });

  test("a collation orders, and its error comes out of the query", () => {
    using database = new Database(":memory:");
    database.collation("by_length", (left, right) => left.length - right.length);
    database.collation("broken", () => {
      throw new Error("no order");
    });
    const words = "WITH w(word) AS (VALUES ('ccc'), ('a'), ('bb')) SELECT word FROM w ORDER BY word COLLATE";
    assertEquals(database.query(`${words} by_length`).map(({ word }) => word), ["a", "bb", "ccc"]);
    assertThrows(() => database.query(`${words} broken`), Error, "no order");
  });

  test("a function that is defined again releases the one before, through SQLite's xDestroy", () => {
    const { handles } = stats().live;
    using database = new Database(":memory:");
    for (let i = 0; i < 10; i++) database.function("f", () => i);
    assertEquals(stats().live.handles - handles, 1);
    assertEquals(database.query("SELECT f() AS value"), [{ value: 9 }]);
  });

  test("an update hook sees each row, and a hook that is replaced is released", () => {
    const { handles } = stats().live;
    using database = new Database(":memory:");
    const seen: string[] = [];
    database.onUpdate(() => seen.push("replaced"));
    database.onUpdate((operation, table, rowid) => seen.push(`${operation} ${table} ${rowid}`));
    assertEquals(stats().live.handles - handles, 1);
    database.query("CREATE TABLE t (x)");
    database.query("INSERT INTO t VALUES (1)");
    database.query("UPDATE t SET x = 2");
    database.query("DELETE FROM t WHERE x = 2");
    assertEquals(seen, ["insert t 1", "update t 1", "delete t 1"]);
  });

  test("a progress handler is called, can interrupt, and its error comes out of the query", () => {
    using database = new Database(":memory:");
    const sql = `${thousand} SELECT sum(i) AS sum FROM n`;
    let calls = 0;
    database.onProgress(100, () => void (calls += 1));
    assertEquals(database.query(sql), [{ sum: 499_500 }]);
    assert(calls > 10);
    database.onProgress(100, () => false);
    assertThrows(() => database.query(sql), SqliteError, "interrupted");
    database.onProgress(100, () => {
      throw new Error("stop");
    });
    assertThrows(() => database.query(sql), Error, "stop");
  });

  test("functions take what they are called with: defaults, rest parameters, the wrong count", () => {
    using database = new Database(":memory:");
    database.function("twice", (value, factor = 2) => Number(value) * Number(factor));
    database.function("count", (...values) => values.length);
    const sql = "SELECT twice(4) AS a, twice(4, 3) AS b, count() AS c, count(1, 2, 3) AS d, count(x'') AS e";
    assertEquals(database.query(sql), [{ a: 8, b: 12, c: 0, d: 3, e: 1 }]);
  });

  test("a function can run another statement, but not close its database; a closed one refuses everything", () => {
    const database = new Database(":memory:");
    database.function("nested", () => database.query("SELECT 5 AS n")[0].n);
    database.function("close", () => (database.close(), null));
    assertEquals(database.query("SELECT nested() AS n"), [{ n: 5 }]);
    assertThrows(() => database.query("SELECT close()"), SqliteError, "can't close");
    database.close();
    using _other = new Database(":memory:");
    const refused: (() => void)[] = [
      () => database.query("SELECT 1"),
      () => database.function("f", () => 1),
      () => database.aggregate("a", { start: () => 0, step: (n) => n, finish: (n) => n }),
      () => database.collation("c", () => 0),
      () => database.onUpdate(() => {}),
      () => database.onProgress(1, () => {}),
    ];
    for (const use of refused) assertThrows(use, SqliteError, "is closed");
    database.close();
  });

  test("two databases share the native callbacks", () => {
    const { callbacks } = stats().live;
    using first = new Database(":memory:");
    using second = new Database(":memory:");
    first.function("which", () => 1);
    second.function("which", () => 2);
    assertEquals(stats().live.callbacks - callbacks, 8);
    assertEquals([...first.query("SELECT which() AS n"), ...second.query("SELECT which() AS n")], [{ n: 1 }, { n: 2 }]);
  });

  test("a bad statement and a file that can't be opened are errors in SQLite's words", () => {
    using database = new Database(":memory:");
    assertThrows(() => database.query("SELEKT"), SqliteError, "syntax error");
    assertThrows(() => new Database("/nowhere/to/be/found.sqlite"), SqliteError, "unable to open");
  });
});

describe("memory that SQLite allocated", () => {
  const database = pointer<"sqlite3">();
  const statement = pointer<"sqlite3_stmt">();
  const definitions = {
    sqlite3_open: { parameters: ["cstring", "buffer"], result: "i32" },
    sqlite3_close: { parameters: [database], result: "i32" },
    sqlite3_prepare_v2: { parameters: [database, "cstring", "i32", "buffer", "pointer"], result: "i32" },
    sqlite3_bind_int: { parameters: [statement, "i32", "i32"], result: "i32" },
    sqlite3_expanded_sql: { parameters: [statement], result: "pointer" },
    sqlite3_finalize: { parameters: [statement], result: "i32" },
    sqlite3_malloc: { parameters: ["i32"], result: "pointer" },
    sqlite3_memory_used: { parameters: [], result: "i64" },
    sqlite3_free: { parameters: ["pointer"], result: "void" },
  } as const;
  const open = (): Library<typeof definitions> => dlopen({ name: "sqlite3", versions: ["0"] }, definitions);

  function present<Tag extends string>(found: Pointer<Tag> | null): Pointer<Tag> {
    assert(found !== null, "expected a pointer, got null");
    return found;
  }

  test("is freed by SQLite when what adopted it is disposed of", () => {
    using sqlite = open();
    const { sqlite3_malloc, sqlite3_memory_used, sqlite3_free } = sqlite.symbols;
    const used = sqlite3_memory_used();
    {
      using memory = NativeMemory.adopt(present(sqlite3_malloc(100_000)), 100_000, sqlite3_free);
      memory.fill(0x62);
      assertStrictEquals(memory.getUint8(99_999), 0x62);
      assert(sqlite3_memory_used() >= used + 100_000n);
      memory.free();
      assertEquals(sqlite3_memory_used(), used);
      assertThrows(() => memory.getUint8(0), MemoryFreedError);
    }
    assertEquals(sqlite3_memory_used(), used);
  });

  test("is freed by SQLite after a garbage collection when it is dropped, once nothing here reaches it", async () => {
    using sqlite = open();
    const { sqlite3_malloc, sqlite3_memory_used, sqlite3_free } = sqlite.symbols;
    const used = sqlite3_memory_used();
    const adopt = (): NativeMemory => NativeMemory.adopt(present(sqlite3_malloc(1000)), 1000, sqlite3_free);
    const kept = { bytes: adopt().bytes(999) as Uint8Array | undefined };
    const each = sqlite3_memory_used() - used;
    for (let i = 0; i < 100; i++) adopt().setUint8(0, i);
    assert(sqlite3_memory_used() - used >= 101_000n);
    assert(await collectUntil(() => sqlite3_memory_used() === used + each), "was not freed");
    assert(!await collectUntil(() => sqlite3_memory_used() < used + each, 5), "was freed too soon");
    kept.bytes?.fill(1);
    kept.bytes = undefined;
    assert(await collectUntil(() => sqlite3_memory_used() === used), "was not freed");
  });

  test("that is a string is read, and outlives the statement and the database", () => {
    using sqlite = open();
    const { symbols } = sqlite;
    const used = symbols.sqlite3_memory_used();
    const out = new BigUint64Array(1);
    assertEquals(symbols.sqlite3_open(":memory:", out), 0);
    const opened = pointerFrom<"sqlite3">(out[0]);
    assertEquals(symbols.sqlite3_prepare_v2(opened, "SELECT ? AS grüß", -1, out, null), 0);
    const prepared = pointerFrom<"sqlite3_stmt">(out[0]);
    symbols.sqlite3_bind_int(prepared, 1, 42);
    const wanted = "SELECT 42 AS grüß";
    const byteLength = new TextEncoder().encode(wanted).length + 1;
    const free = symbols.sqlite3_free;
    const sql = NativeMemory.adopt(present(symbols.sqlite3_expanded_sql(prepared)), byteLength, free);
    symbols.sqlite3_finalize(prepared);
    symbols.sqlite3_close(opened);
    assert(symbols.sqlite3_memory_used() > used);
    assertStrictEquals(sql.getCString(0, { fatal: true }), wanted);
    sql.free();
    assertEquals(symbols.sqlite3_memory_used(), used);
  });
});
