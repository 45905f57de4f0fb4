/**
 * A function in SQL, called a million times, and what that takes over the same query without it: belay's example binding with
 * SQLite on a stack of its own and without, one by hand, `node:sqlite`, Bun's own functions, and better-sqlite3 on Node.js.
 */

import { join } from "node:path";
import { Database } from "../../examples/sqlite/sqlite.ts";
import { betterSqlite3 } from "../../scripts/better_sqlite3.ts";
import { MissingError } from "../../scripts/packages.ts";
import { root } from "../../scripts/tools.ts";
import { type AsyncSubject, compareAsync, finish, isSmall, runtime } from "./harness.ts";
import { OtherProcess } from "./other_process.ts";

const rows = isSmall ? 1000 : 1_000_000;
const sql = (value: string): string =>
  `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ${rows}) SELECT sum(${value}) AS sum FROM n`;
const halve = (value: number): number => value / 2;
const whole = rows * (rows + 1) / 2;

/** The nanoseconds that a query takes for each row, whose sum has to be right. */
function time(query: (sql: string) => unknown, value: string, expected: number): number {
  const start = performance.now();
  const sum = query(sql(value));
  const ns = (performance.now() - start) * 1e6 / rows;
  if (sum !== expected) throw new Error(`wrong sum ${String(sum)} of ${rows} rows`);
  return ns;
}

/** What calling the function takes. @param bare Runs the query without it, where that is another one. */
function over(query: (sql: string) => unknown, bare = query): number {
  return time(query, "f(x)", whole / 2) - time(bare, "x", whole);
}

const onOwnStack = "sqlite/udf-1M-rows";
const onPlainStack = "sqlite/udf-1M-rows-plain-stack";
const own = new Database(":memory:");
const plain = new Database(":memory:", { ownStack: false });
for (const database of [own, plain]) database.function("f", (value) => halve(value as number));
const sumOf = (database: Database) => (sql: string): unknown => database.query(sql)[0]["sum"];
const subjects: Record<string, AsyncSubject> = {
  belay: () => Promise.resolve({ [onOwnStack]: over(sumOf(own)), [onPlainStack]: over(sumOf(plain)) }),
};
/** A peer, which has one way. */
const add = (name: string, query: (sql: string) => unknown): void => {
  subjects[name] = () => {
    const ns = over(query);
    return Promise.resolve({ [onOwnStack]: ns, [onPlainStack]: ns });
  };
};

const { DatabaseSync } = await import("node:sqlite");
const builtIn = new DatabaseSync(":memory:");
builtIn.function("f", (value) => halve(value as number));
add("node:sqlite", (sql) => builtIn.prepare(sql).get()?.["sum"]);
if (runtime === "deno") {
  const byHand = await import("./sqlite_raw.ts");
  byHand.defineFunction("f", halve);
  add("raw", (sql) => byHand.queryNumber(sql));
} else {
  const { Database: BunDatabase } = await import("bun:sqlite");
  const bun = new BunDatabase(":memory:");
  // Its types don't know it yet.
  (bun as unknown as { function(name: string, fn: (value: number) => number): void }).function("f", halve);
  add("bun:sqlite", (sql) => (bun.query(sql).get() as { sum: number }).sum);
}

let node: OtherProcess | undefined;
// Only a whole run is worth what it takes to compile.
if (!isSmall) {
  try {
    const program = join(root, "tests", "bench", "sqlite_bench.cjs");
    const started = node = await OtherProcess.start("node", [program, String(rows)], { NODE_PATH: betterSqlite3() });
    subjects["better-sqlite3"] = async () => {
      const ns = await started.figure();
      return { [onOwnStack]: ns, [onPlainStack]: ns };
    };
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    console.error(`Left out: better-sqlite3. ${error.message}`);
  }
}
await compareAsync(subjects, { rounds: 15 });
node?.end();
finish();
own.close();
plain.close();
