/** A function in SQL, called a million times: belay's example binding, one by hand, and `node:sqlite`. */

import process from "node:process";
import { Database } from "../../examples/sqlite/sqlite.ts";
import { compare, finish, runtime, type Subject } from "./harness.ts";

const small = process.argv.includes("--small");
const rows = small ? 1000 : 1_000_000;
const sql = (count: number): string =>
  `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ${count}) SELECT sum(f(x)) AS sum FROM n`;
const halve = (value: number): number => value / 2;

function check(sum: unknown, count: number): void {
  if (sum !== count * (count + 1) / 4) throw new Error(`wrong sum ${String(sum)} of ${count} rows`);
}

const database = new Database(":memory:");
database.function("f", (value) => halve(value as number));

const subjects: Record<string, Subject> = {
  belay: (count) => check(database.query(sql(count))[0]["sum"], count),
};

if (runtime === "deno") {
  const byHand = await import("./sqlite_raw.ts");
  byHand.defineFunction("f", halve);
  subjects["raw"] = (count) => check(byHand.queryNumber(sql(count)), count);

  const { DatabaseSync } = await import("node:sqlite");
  const builtIn = new DatabaseSync(":memory:");
  builtIn.function("f", (value) => halve(value as number));
  subjects["node:sqlite"] = (count) => check(builtIn.prepare(sql(count)).get()?.["sum"], count);
}

compare("sqlite/udf-1M-rows", subjects, { count: rows * (small ? 1000 : 1), rounds: 15 });
finish();
database.close();
