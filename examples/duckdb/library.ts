/**
 * The functions of DuckDB's C library that the binding beside this calls.
 *
 * @module
 */

import { dlopen, handle, type Library, out, type Pointer, pointer, struct } from "@belay/ffi";

/** What DuckDB calls a function with. */
export type Chunk = Pointer<"duckdb_data_chunk"> | null;
/** A column of a chunk. */
export type Vector = Pointer<"duckdb_vector"> | null;
/** What a function's user data stands for. */
export type Run = (chunk: Chunk, output: Vector) => void | Promise<void>;

const database = pointer<"duckdb_database">();
const connection = pointer<"duckdb_connection">();
const logicalType = pointer<"duckdb_logical_type">();
const scalarFunction = pointer<"duckdb_scalar_function">();
const info = pointer<"duckdb_function_info">();
const chunk = pointer<"duckdb_data_chunk">();
const vector = pointer<"duckdb_vector">();

/** `duckdb_result`, which C takes by value, too. */
export const Result = struct({
  columnCount: "u64",
  rowCount: "u64",
  rowsChanged: "u64",
  columns: "pointer",
  message: "pointer",
  internal: "pointer",
});

/** `duckdb_scalar_function_t`. */
export const chunkFunction = { parameters: [info, chunk, vector], result: "void" } as const;

const query = { name: "duckdb_query", parameters: [connection, "cstring", "pointer"], result: "i32" } as const;

const definitions = {
  // What runs a query may call functions back. So there is one for each way to run it.
  query: { ...query, stack: "own" },
  querySuspending: { ...query, suspends: true },
  queryNonblocking: { ...query, nonblocking: true },
  duckdb_open_ext: { parameters: ["cstring", out(database), "pointer", out("pointer")], result: "i32" },
  duckdb_close: { parameters: ["buffer"], result: "void" },
  duckdb_connect: { parameters: [database, out(connection)], result: "i32" },
  duckdb_disconnect: { parameters: ["buffer"], result: "void" },
  duckdb_free: { parameters: ["pointer"], result: "void" },
  duckdb_result_error: { parameters: ["pointer"], result: "cstring" },
  duckdb_destroy_result: { parameters: ["pointer"], result: "void" },
  duckdb_column_name: { parameters: ["pointer", "u64"], result: "cstring" },
  duckdb_column_type: { parameters: ["pointer", "u64"], result: "i32" },
  duckdb_fetch_chunk: { parameters: [Result], result: chunk },
  duckdb_destroy_data_chunk: { parameters: ["buffer"], result: "void" },
  duckdb_data_chunk_get_size: { parameters: [chunk], result: "u64" },
  duckdb_data_chunk_get_vector: { parameters: [chunk, "u64"], result: vector },
  duckdb_vector_get_data: { parameters: [vector], result: "pointer" },
  duckdb_vector_get_validity: { parameters: [vector], result: "pointer" },
  duckdb_vector_ensure_validity_writable: { parameters: [vector], result: "void" },
  duckdb_vector_assign_string_element_len: { parameters: [vector, "u64", "buffer", "u64"], result: "void" },
  duckdb_create_logical_type: { parameters: ["i32"], result: logicalType },
  duckdb_destroy_logical_type: { parameters: ["buffer"], result: "void" },
  duckdb_create_scalar_function: { parameters: [], result: scalarFunction },
  duckdb_destroy_scalar_function: { parameters: ["buffer"], result: "void" },
  duckdb_scalar_function_set_name: { parameters: [scalarFunction, "cstring"], result: "void" },
  duckdb_scalar_function_add_parameter: { parameters: [scalarFunction, logicalType], result: "void" },
  duckdb_scalar_function_set_return_type: { parameters: [scalarFunction, logicalType], result: "void" },
  duckdb_scalar_function_set_special_handling: { parameters: [scalarFunction], result: "void" },
  duckdb_scalar_function_set_extra_info: { parameters: [scalarFunction, handle<Run>(), "function"], result: "void" },
  duckdb_scalar_function_set_function: { parameters: [scalarFunction, chunkFunction], result: "void" },
  duckdb_scalar_function_get_extra_info: { parameters: [info], result: handle<Run>() },
  duckdb_scalar_function_set_error: { parameters: [info, "cstring"], result: "void" },
  duckdb_register_scalar_function: { parameters: [connection, scalarFunction], result: "i32" },
} as const;

let library: Library<typeof definitions> | undefined;

/**
 * Opens DuckDB's library. Call it before the first database if the library isn't where the system looks.
 *
 * @param path Where the library is.
 * @throws {LibraryLoadError} If it isn't there.
 */
export function duckdb(path?: string): Library<typeof definitions>["symbols"] {
  return (library ??= dlopen(path ?? { name: "duckdb" }, definitions)).symbols;
}
