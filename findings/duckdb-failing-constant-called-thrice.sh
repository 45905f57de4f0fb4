#!/usr/bin/env bash
# Guess: an SQL function whose arguments are constants is called once for a
#   statement, when the optimizer folds it, or once for each row. If it throws,
#   that one error is the statement's.
# Seen: if it succeeds, it is called once. If it throws, it is called three times
#   for `SELECT f(1)`, also over a table of three rows, and nine times where WHERE
#   compares it. Only the last error is told. (Inferred: passes of the optimizer try
#   to fold it, drop its error, and leave it to the execution.)
# Versions: DuckDB for Python 2.0.1, NumPy 2.4.6, linux x64 (glibc). Functions that
#   report an error by the C API of 1.5.6 are called three times, too.
# Why it matters: a binding that turns a callback's error into its own, and ends the
#   query's other callbacks after it, would end a query that DuckDB goes on with.
#   The error to rethrow is the one that the statement fails with, not the first.
#   Side effects of a function that fails happen several times.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --only-binary=:all: --no-deps \
  --target "$dir/packages" duckdb==2.0.1 numpy==2.4.6

cat > calls.py <<'PY'
import duckdb

connection = duckdb.connect()
connection.execute("CREATE TABLE three AS SELECT range AS i FROM range(3)")
calls = 0


def define(name, fails):
    def function(x):
        global calls
        calls += 1
        if fails:
            raise ValueError(f"call {calls}")
        return x

    connection.create_function(name, function, ["BIGINT"], "BIGINT")


define("works", False)
define("fails", True)
for statement in [
    "SELECT works(1)",
    "SELECT works(1) FROM three",
    "SELECT fails(i) FROM three",
    "SELECT fails(1)",
    "SELECT fails(1) FROM three",
    "SELECT 1 WHERE fails(1) = 2",
]:
    calls = 0
    try:
        connection.execute(statement).fetchall()
        told = "no error"
    except duckdb.Error as error:
        told = str(error).split("ValueError: ")[1].split("\n")[0]
    print(f"{statement}: {calls}, {told}")
PY
PYTHONPATH="$dir/packages" python3 calls.py > seen.txt
diff seen.txt - <<'SEEN'
SELECT works(1): 1, no error
SELECT works(1) FROM three: 1, no error
SELECT fails(i) FROM three: 1, call 1
SELECT fails(1): 3, call 3
SELECT fails(1) FROM three: 3, call 3
SELECT 1 WHERE fails(1) = 2: 9, call 9
SEEN
echo "as seen: a function that fails with constants is called three times, or nine"
