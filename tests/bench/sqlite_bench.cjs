/**
 * better-sqlite3 on Node.js: what its function takes in the query of sqlite_bench.ts. For each line that it reads, it prints the
 * nanoseconds a row, over the query without it. Its argument is the number of rows.
 */

const { createInterface } = require("node:readline");
const Database = require("better-sqlite3");

const rows = Number(process.argv[2]);
const database = new Database(":memory:");
database.function("f", (value) => value / 2);
const whole = rows * (rows + 1) / 2;

function time(value, expected) {
  const start = performance.now();
  const { sum } = database.prepare(
    `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ${rows}) SELECT sum(${value}) AS sum FROM n`,
  ).get();
  const ns = (performance.now() - start) * 1e6 / rows;
  if (sum !== expected) throw new Error(`wrong sum ${sum} of ${rows} rows`);
  return ns;
}

console.log("ready");
createInterface(process.stdin).on("line", () => console.log(time("f(x)", whole / 2) - time("x", whole)));
