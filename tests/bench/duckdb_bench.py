"""DuckDB for Python: the function of duckdb_bench.ts with NumPy over Arrow. For each line that it reads, it runs the query, checks
the sum and prints the milliseconds. Its argument is the number of rows."""

import sys
import time

import duckdb
import pyarrow

rows = int(sys.argv[1])


def f(x):
    return pyarrow.array(x.to_numpy() * 3 + 1)


connection = duckdb.connect()
connection.execute("SET threads TO 1")
connection.create_function("f", f, ["DOUBLE"], "DOUBLE", type="arrow")
connection.execute(f"CREATE TABLE numbers AS SELECT i::DOUBLE AS x FROM range({rows}) t(i)")
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    (total,) = connection.execute("SELECT sum(f(x)) FROM numbers").fetchone()
    ms = (time.perf_counter() - start) * 1000
    assert total == 3 * (rows - 1) * rows / 2 + rows, total
    print(ms, flush=True)
