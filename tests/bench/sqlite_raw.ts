/**
 * A straightforward binding to SQLite written for Deno by hand, as its manual shows how: an `UnsafeCallback` for the
 * function, its user data through a `Map`, and an `UnsafePointerView` for the arguments. What belay is measured against.
 *
 * @module
 */

/// <reference lib="deno.ns" />

const library = Deno.dlopen("libsqlite3.so.0", {
  sqlite3_open: { parameters: ["buffer", "buffer"], result: "i32" },
  sqlite3_create_function: {
    parameters: ["pointer", "buffer", "i32", "i32", "pointer", "function", "function", "function"],
    result: "i32",
  },
  sqlite3_user_data: { parameters: ["pointer"], result: "pointer" },
  sqlite3_prepare_v2: { parameters: ["pointer", "buffer", "i32", "buffer", "pointer"], result: "i32" },
  sqlite3_step: { parameters: ["pointer"], result: "i32" },
  sqlite3_column_double: { parameters: ["pointer", "i32"], result: "f64" },
  sqlite3_finalize: { parameters: ["pointer"], result: "i32" },
  sqlite3_value_type: { parameters: ["pointer"], result: "i32" },
  sqlite3_value_double: { parameters: ["pointer"], result: "f64" },
  sqlite3_result_double: { parameters: ["pointer", "f64"], result: "void" },
});
const sqlite = library.symbols;
const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`${value}\0`);

const functions = new Map<bigint, (value: number) => number>();
const callback = new Deno.UnsafeCallback(
  { parameters: ["pointer", "i32", "pointer"], result: "void" },
  (context, _count, values) => {
    const fn = functions.get(Deno.UnsafePointer.value(sqlite.sqlite3_user_data(context)));
    if (fn === undefined || values === null) return;
    const value = new Deno.UnsafePointerView(values).getPointer();
    if (sqlite.sqlite3_value_type(value) > 2) throw new TypeError("expected a number");
    sqlite.sqlite3_result_double(context, fn(sqlite.sqlite3_value_double(value)));
  },
);

const out = new BigUint64Array(1);
if (sqlite.sqlite3_open(text(":memory:"), out) !== 0) throw new Error("sqlite3_open failed");
const database = Deno.UnsafePointer.create(out[0]);

/** Defines an SQL function of one number. */
export function defineFunction(name: string, fn: (value: number) => number): void {
  const id = BigInt(functions.size + 1);
  functions.set(id, fn);
  const user = Deno.UnsafePointer.create(id);
  sqlite.sqlite3_create_function(database, text(name), 1, 1, user, callback.pointer, null, null);
}

/** The one number that a query gives. */
export function queryNumber(sql: string): number {
  if (sqlite.sqlite3_prepare_v2(database, text(sql), -1, out, null) !== 0) throw new Error("sqlite3_prepare_v2 failed");
  const statement = Deno.UnsafePointer.create(out[0]);
  sqlite.sqlite3_step(statement);
  const result = sqlite.sqlite3_column_double(statement, 0);
  sqlite.sqlite3_finalize(statement);
  return result;
}
