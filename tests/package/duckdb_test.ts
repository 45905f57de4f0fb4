/** DuckDB, a C++ engine with threads of its own, calls TypeScript for whole columns, by `examples/duckdb`. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stats } from "@belay/ffi";
import { Database, duckdb, DuckDBError } from "../../examples/duckdb/duckdb.ts";
import { duckdbLibrary } from "../../scripts/duckdb.ts";
import { MissingError } from "../../scripts/packages.ts";
import { runChild } from "../support/child.ts";
import { alive, turn } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";

function findLibrary(): string | undefined {
  try {
    const path = duckdbLibrary();
    duckdb(path);
    return path;
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    leftOut(`the tests of examples/duckdb. ${error.message}`);
    return undefined;
  }
}

const library = findLibrary();

/** A test after which nothing more is alive than before. */
function test(name: string, body: () => void | Promise<void>): void {
  (library === undefined ? it.skip : it)(name, async () => {
    const before = alive();
    await body();
    assertEquals(alive(), before);
    assertEquals(stats().live.ownStacks, 0);
  });
}

/** What a query is rejected with. */
async function errorOf(query: Promise<unknown>): Promise<DuckDBError> {
  const error = await query.then(() => new Error("nothing was rejected"), (error: unknown) => error);
  assertInstanceOf(error, DuckDBError);
  return error;
}

/** The three ways to run a query, as functions of the same type. */
const ways = {
  "on a stack of its own": (database: Database, sql: string) => Promise.try(() => database.query(sql)),
  "that suspends": (database: Database, sql: string) => database.querySuspending(sql),
  "on another thread": (database: Database, sql: string) => database.queryNonblocking(sql),
};

const someRows = "FROM range(10000) t(i)";

/** Defines `double(DOUBLE)`, over columns. */
function defineDouble(database: Database): void {
  database.function("double", { parameters: ["DOUBLE"], result: "DOUBLE" }, ({ values }, { values: doubled }) => {
    for (let row = 0; row < doubled.length; row++) doubled[row] = 2 * values[row];
  });
}

describe("examples/duckdb", () => {
  test("values of each type go through a function and come back", () => {
    using database = new Database();
    const literals = {
      BOOLEAN: ["true", "false"],
      INTEGER: ["-2147483648", "7"],
      BIGINT: ["-9223372036854775808", "7"],
      FLOAT: ["0.5", "'-Infinity'"],
      DOUBLE: ["1e300", "'NaN'"],
      VARCHAR: ["''", "'twelve bytes'", "'thirteen byte'", "'grüße 🦆, more than twelve bytes'"],
    } as const;
    for (const [type, values] of Object.entries(literals) as [keyof typeof literals, readonly string[]][]) {
      const name = `same_${type}`;
      database.scalar(name, { parameters: [type], result: type }, (value) => value);
      for (const value of [...values, "NULL"]) {
        const [row] = database.query(`SELECT v, ${name}(v) AS same FROM (SELECT CAST(${value} AS ${type}) AS v)`);
        assertEquals(row["same"], row["v"], `${type} ${value}`);
      }
    }
    database.scalar("later", { parameters: ["TIMESTAMP"], result: "TIMESTAMP" }, (us) => us + 1_000_000n);
    assertEquals(database.query("SELECT later(TIMESTAMP '2026-01-02 03:04:05')::VARCHAR AS t"), [
      { t: "2026-01-02 03:04:06" },
    ]);
    const types = "SELECT 1 = 1 AS a, sum(i) AS b, sum(-i * 1000000000000000::HUGEINT) AS c, 'ü' AS d, NULL AS e " +
      someRows;
    assertEquals(database.query(types), [{ a: true, b: 49_995_000n, c: -49_995_000n * 10n ** 15n, d: "ü", e: null }]);
    assertThrows(() => database.query("SELECT [1, 2]"), TypeError, "cast it");
    assertEquals(database.query("SELECT [1, 2]::VARCHAR AS list"), [{ list: "[1, 2]" }]);
  });

  test("a function gets columns, and sees DuckDB's own memory", () => {
    using database = new Database();
    const lengths: number[] = [];
    database.function("mix", { parameters: ["BIGINT", "DOUBLE"], result: "DOUBLE" }, (whole, part, result) => {
      assertInstanceOf(whole.values, BigInt64Array);
      assertInstanceOf(result.values, Float64Array);
      lengths.push(whole.length);
      for (let row = 0; row < result.length; row++) result.values[row] = Number(whole.values[row]) + part.values[row];
    });
    assertEquals(database.query(`SELECT sum(mix(i, 0.5)) AS sum ${someRows}`), [{ sum: 50_000_000 }]);
    assertEquals(lengths, [2048, 2048, 2048, 2048, 1808]);
  });

  test("rows with a NULL are NULL, unless the function decides", () => {
    using database = new Database();
    const signature = { parameters: ["INTEGER", "VARCHAR"], result: "VARCHAR" } as const;
    database.function("plain", signature, (_number, text, result) => {
      for (let row = 0; row < result.length; row++) result.values[row] = text.values[row] + "!";
    });
    database.function("seeing", { ...signature, nulls: true }, (number, text, result) => {
      for (let row = 0; row < result.length; row++) {
        if (number.isNull(row) && text.isNull(row)) result.setNull(row);
        else result.values[row] = number.isNull(row) ? "no number" : text.isNull(row) ? "no text" : "both";
      }
    });
    const rows = "FROM (VALUES (1, 'a'), (NULL, 'b'), (2, NULL), (NULL, NULL)) t(i, s)";
    assertEquals(database.query(`SELECT plain(i, s) AS p, seeing(i, s) AS s ${rows}`), [
      { p: "a!", s: "both" },
      { p: null, s: "no number" },
      { p: null, s: "no text" },
      { p: null, s: null },
    ]);
    database.scalar("odd", { parameters: ["BIGINT"], result: "BIGINT" }, (n) => n % 2n === 0n ? null : n);
    assertEquals(database.query(`SELECT count(odd(i)) AS n, count(plain(i::INTEGER, 'x')) AS m ${someRows}`), [
      { n: 5000n, m: 10_000n },
    ]);
    // A text that isn't written is empty.
    database.function("nothing", signature, () => {});
    assertEquals(database.query("SELECT nothing(1, 'a') AS t"), [{ t: "" }]);
  });

  for (const [way, run] of Object.entries(ways)) {
    test(`errors of DuckDB pass a thousand times in a query ${way}`, async () => {
      using database = new Database();
      defineDouble(database);
      const wrong = {
        "SELEC 1": "Parser Error",
        "SELECT nowhere FROM range(3)": "Binder Error",
        "SELECT double('x')": "Conversion Error",
        [`SELECT double(CASE WHEN i = 9999 THEN 'x' ELSE '1' END::DOUBLE) ${someRows}`]: "Conversion Error",
        [`SELECT sum(double(i)) OVER (ORDER BY error(i::VARCHAR)) ${someRows}`]: "Invalid Input Error",
      };
      for (let i = 0; i < 200; i++) {
        for (const [sql, message] of Object.entries(wrong)) {
          const error = await assertRejects(() => run(database, sql), DuckDBError, message);
          assertEquals((error as Error).cause, undefined);
        }
      }
      assertEquals(await run(database, `SELECT sum(double(i)) AS sum ${someRows}`), [{ sum: 99_990_000 }]);
    });

    test(`an error of a function is the cause of the error of a query ${way}, and the database works on`, async () => {
      using database = new Database();
      const thrown = new RangeError("not this one\0");
      let calls = 0;
      database.scalar("picky", { parameters: ["BIGINT"], result: "VARCHAR" }, (n) => {
        calls += 1;
        if (n === 5000n) throw thrown;
        return "a text of more than twelve bytes";
      });
      for (let i = 0; i < 100; i++) {
        calls = 0;
        const error = await errorOf(run(database, `SELECT max(picky(i)) ${someRows}`));
        assertStringIncludes(error.message, "Invalid Input Error: RangeError: not this one");
        assertStrictEquals(error.cause, thrown);
        assertEquals(calls, 5001);
      }
      assertEquals(await run(database, "SELECT count(picky(i)) AS n FROM range(3000) t(i)"), [{ n: 3000n }]);
      // DuckDB makes nothing of an error that a query asks it to ignore.
      assertEquals(await run(database, "SELECT TRY(picky(i)) AS t FROM range(5000, 5001) t(i)"), [{ t: null }]);
    });
  }

  test("async functions answer for whole chunks, in two queries at once, and timers go on", async () => {
    using database = new Database();
    const order: bigint[] = [];
    const signature = { parameters: ["BIGINT"], result: "VARCHAR" } as const;
    database.function("asked", signature, async ({ values }, result) => {
      order.push(values[0]);
      const answers = Array.from(values, async (value) => {
        await turn();
        return `the answer to ${value}`;
      });
      for (const [row, answer] of (await Promise.all(answers)).entries()) result.values[row] = answer;
    });
    const sql = (from: number): string =>
      `SELECT count(DISTINCT asked(i)) AS n, max(asked(i)) AS last FROM range(${from}, ${from + 5000}) t(i)`;
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const [one, other] = await Promise.all([database.querySuspending(sql(0)), database.querySuspending(sql(50_000))]);
    clearInterval(timer);
    assertEquals([one, other], [[{ n: 5000n, last: "the answer to 999" }], [{
      n: 5000n,
      last: "the answer to 54999",
    }]]);
    assert(ticks > 2, `${ticks} ticks`);
    assert(order.indexOf(50_000n) < order.lastIndexOf(4096n), order.join());
  });

  test("a rejection is a cause as well, and a query in which DuckDB can't wait says what to use", async () => {
    using database = new Database();
    const thrown = new Error("the line is dead");
    database.function("dead", { parameters: ["BIGINT"], result: "BIGINT" }, async () => {
      await turn();
      throw thrown;
    });
    for (let i = 0; i < 20; i++) {
      const both = await Promise.allSettled(
        [1, 2].map(() => database.querySuspending(`SELECT sum(dead(i)) ${someRows}`)),
      );
      for (const result of both) {
        assert(result.status === "rejected");
        assertStrictEquals((result.reason as Error).cause, thrown);
      }
    }
    const error = assertThrows(() => database.query("SELECT dead(1)"), DuckDBError);
    assertInstanceOf(error.cause, TypeError);
    assertStringIncludes(error.message, "suspends: true");
    await assertRejects(() => database.queryNonblocking("SELECT dead(1)"), DuckDBError, "suspends: true");
    // What those calls have left is rejected by now.
    await turn();
  });

  test("functions may run queries, and define functions", async () => {
    using database = new Database();
    database.query(`CREATE TABLE numbers AS SELECT i ${someRows}`);
    database.scalar(
      "counted",
      { parameters: ["BIGINT"], result: "BIGINT" },
      (n) => database.query(`SELECT count(*) AS n FROM numbers WHERE i < ${n}`)[0]["n"] as bigint,
    );
    const sql = "SELECT sum(counted(i)) AS sum FROM range(50) t(i)";
    for (const run of Object.values(ways)) assertEquals(await run(database, sql), [{ sum: 1225n }]);
    database.function("waiting", { parameters: ["BIGINT"], result: "BIGINT" }, async ({ values }, result) => {
      defineDouble(database);
      const [{ n }] = await database.querySuspending(`SELECT sum(double(i)) AS n FROM numbers`);
      for (let row = 0; row < result.length; row++) result.values[row] = values[row] + BigInt(n as number);
    });
    assertEquals(await database.querySuspending("SELECT waiting(1) AS n"), [{ n: 99_990_001n }]);
  });

  for (const threads of [1, 2, 4]) {
    test(`with ${threads} threads a query runs beside JavaScript, which serves its functions`, async () => {
      using database = new Database(":memory:", { threads });
      defineDouble(database);
      const thrown = Array.from({ length: 4 }, (_, i) => new Error(`error ${i}`));
      database.scalar("failing", { parameters: ["BIGINT", "INTEGER"], result: "VARCHAR" }, (n, which) => {
        if (n === 300_000n) throw thrown[which];
        return "a text of more than twelve bytes";
      });
      await database.queryNonblocking("CREATE TABLE numbers AS SELECT i FROM range(400000) t(i)");
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      const sums = await Promise.all(
        thrown.map(() => database.queryNonblocking("SELECT sum(double(i)) AS sum FROM numbers")),
      );
      clearInterval(timer);
      for (const sum of sums) assertEquals(sum, [{ sum: 159_999_600_000 }]);
      assert(ticks > 0);
      // Each query's error has its own cause, whichever thread called.
      const errors = await Promise.all(
        thrown.map((_, i) => errorOf(database.queryNonblocking(`SELECT max(failing(i, ${i})) FROM numbers`))),
      );
      assertEquals(errors.map(({ cause }) => cause), thrown);
      if (threads === 1) return;
      assertThrows(() => database.query("SELECT 1"), DuckDBError, "queryNonblocking");
      await assertRejects(() => database.querySuspending("SELECT 1"), DuckDBError, "queryNonblocking");
    });
  }

  test("a function that DuckDB refuses is released, and so are all when the database is closed", () => {
    const { handles } = stats().live;
    const database = new Database();
    defineDouble(database);
    for (const name of ["", "sum"]) {
      const define = () => database.scalar(name, { parameters: ["BIGINT"], result: "BIGINT" }, () => 1n);
      assertThrows(define, DuckDBError, "refuses");
    }
    assertEquals(stats().live.handles, handles + 1);
    // One of the same name and parameters takes the place of the first.
    database.scalar("double", { parameters: ["DOUBLE"], result: "DOUBLE" }, () => 5);
    assertEquals(database.query("SELECT double(1.5::DOUBLE) AS n"), [{ n: 5 }]);
    database.close();
    assertEquals(stats().live.handles, handles);
    database.close();
    for (const use of [() => database.query("SELECT 1"), () => defineDouble(database)]) {
      assertThrows(use, DuckDBError, "is closed");
    }
  });

  test("a database isn't closed while a query runs, nor opened where there is none", async () => {
    const database = new Database();
    database.scalar("close", { parameters: [], result: "BIGINT" }, () => (database.close(), 1n));
    assertThrows(() => database.query("SELECT close()"), DuckDBError, "a query is running");
    const running = database.queryNonblocking("SELECT 1 AS one");
    assertThrows(() => database.close(), DuckDBError, "a query is running");
    assertEquals(await running, [{ one: 1 }]);
    database.close();
    assertThrows(() => new Database("/nowhere/to/be/found.duckdb"), DuckDBError, "IO Error");
    assertThrows(() => new Database(":memory:", { threads: 0 }), DuckDBError, "1 thread");
  });

  test("expressions as deep as DuckDB takes, and deeper, are no trouble on a stack of its own", () => {
    const { code, signal, stdout, stderr } = runChild("duckdb_depth.ts", [library as string]);
    assertEquals([code, signal, stderr], [0, null, ""]);
    const each = "300 3\n300 3\n100000 Parser Error\n100000 Parser Error\n";
    assertEquals(stdout, each.repeat(3));
  });

  for (const end of ["nothing left", "exit"]) {
    test(`a program may end (${end}) while DuckDB waits for texts`, () => {
      const { code, signal, stdout, stderr } = runChild("duckdb_ends.ts", [library as string, end]);
      assertEquals([code, signal, stderr], [0, null, ""]);
      // DuckDB has gone on to its last chunk, with empty texts.
      assertEquals([...stdout.matchAll(/^chunk 49$/gm)].length, 2);
    });
  }
});
