/** Expressions within DuckDB's limit of their depth, and far beyond it, on a stack of C's own and on another thread's. */

import process from "node:process";
import { Database, duckdb } from "../../examples/duckdb/duckdb.ts";

duckdb(process.argv[2]);
using database = new Database();
database.scalar("f", { parameters: ["BIGINT"], result: "BIGINT" }, (n) => n);
const ways = [(sql: string) => database.query(sql), (sql: string) => database.queryNonblocking(sql)];
for (const [open, close] of [["f(", ")"], ["-(", ")"], ["i + ", ""]]) {
  // It takes DuckDB seconds to run what is nearly as deep as its limit of a thousand.
  for (const depth of [300, 100_000]) {
    const sql = `SELECT ${open.repeat(depth)}i${close.repeat(depth)} AS n FROM range(3) t(i)`;
    for (const run of ways) {
      try {
        console.log(depth, (await run(sql)).length);
      } catch (error) {
        console.log(depth, (error as Error).message.split(":")[0]);
      }
    }
  }
}
