/**
 * A function over a column of ten million doubles in DuckDB, whose queries have one thread: belay's example binding, the same
 * in SQL, and Python's DuckDB with NumPy over Arrow, where that is installed.
 */

import { join } from "node:path";
import { Database, duckdb, type Row } from "../../examples/duckdb/duckdb.ts";
import { duckdbLibrary, duckdbPython } from "../../scripts/duckdb.ts";
import { root } from "../../scripts/tools.ts";
import { type AsyncSubject, compareAsync, finish, isSmall } from "./harness.ts";
import { OtherProcess } from "./other_process.ts";

const rows = isSmall ? 10_000 : 10_000_000;
const sum = 3 * (rows - 1) * rows / 2 + rows;
const onThisThread = "duckdb/scalar-10M";
const nonblocking = "duckdb/scalar-10M-nonblocking";

duckdb(duckdbLibrary());
const database = new Database();
database.function("f", { parameters: ["DOUBLE"], result: "DOUBLE" }, ({ values: x }, { values: y }) => {
  for (let row = 0; row < y.length; row++) y[row] = x[row] * 3 + 1;
});
database.query(`CREATE TABLE numbers AS SELECT i::DOUBLE AS x FROM range(${rows}) t(i)`);
const sql = "SELECT sum(f(x)) AS sum FROM numbers";

/** The nanoseconds a row that a query takes. */
async function time(query: () => Row[] | Promise<Row[]>): Promise<number> {
  const start = performance.now();
  const [row] = await query();
  const ms = performance.now() - start;
  if (row["sum"] !== sum) throw new Error(`wrong sum ${row["sum"]} of ${rows} rows`);
  return ms * 1e6 / rows;
}

const subjects: Record<string, AsyncSubject> = {
  belay: async () => ({
    [onThisThread]: await time(() => database.query(sql)),
    [nonblocking]: await time(() => database.queryNonblocking(sql)),
  }),
  sql: async () => ({ [onThisThread]: await time(() => database.query("SELECT sum(x * 3 + 1) AS sum FROM numbers")) }),
};
let python: OtherProcess | undefined;
// Only a whole run is worth their download.
if (!isSmall) {
  const { command, path } = duckdbPython();
  const program = join(root, "tests", "bench", "duckdb_bench.py");
  const started = python = await OtherProcess.start(command, [program, String(rows)], { PYTHONPATH: path });
  subjects["python"] = async () => {
    const ns = await started.figure() * 1e6 / rows;
    return { [onThisThread]: ns, [nonblocking]: ns };
  };
}
await compareAsync(subjects);
python?.end();
finish();
database.close();
