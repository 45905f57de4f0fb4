/** Ends while DuckDB waits for a function that has to write texts, in two queries. */

import process from "node:process";
import { Database, duckdb } from "../../examples/duckdb/duckdb.ts";

const [, , library, end] = process.argv;
duckdb(library);
const database = new Database();
for (let query = 0; query < 2; query++) {
  let chunks = 0;
  // What the first chunks leave in DuckDB's vector are pointers to texts that it has freed.
  database.function(`texts${query}`, { parameters: ["BIGINT"], result: "VARCHAR" }, (_numbers, { values, length }) => {
    chunks += 1;
    if (chunks < 5) {
      for (let row = 0; row < length; row++) values[row] = `${row} is a text of many bytes `.repeat(20);
      return;
    }
    console.log("chunk", chunks);
    return new Promise(() => {});
  });
  void database.querySuspending(`SELECT max(length(texts${query}(i))) AS n FROM range(100000) t(i)`);
}
if (end === "exit") process.exit();
