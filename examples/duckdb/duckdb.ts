/**
 * A small binding to DuckDB: SQL functions in TypeScript that get whole columns, as typed arrays onto DuckDB's own vectors.
 *
 * DuckDB calls a function once for some 2,000 rows. An error that it throws is told to DuckDB, and is the `cause` of the
 * query's own. A query runs in one of three ways: JavaScript waits for it; DuckDB waits for `async` functions; or it runs on
 * other threads.
 *
 * It needs DuckDB's library (npm: `libduckdb.so` in `@duckdb/node-bindings-linux-x64`).
 *
 * @module
 */

import { callback, cstringAt, Handle, native, type NativeMemory, type Pointer, pointerValue } from "@belay/ffi";
import { chunkFunction, duckdb, Result, type Run } from "./library.ts";
import {
  type Column,
  InputVector,
  type OutputColumn,
  OutputVector,
  type TypeName,
  types,
  type Value,
} from "./vectors.ts";
import type { Values } from "./vectors.ts";

export { duckdb };
export type { Column, OutputColumn, TypeName, Value, Values };

/** The types of a function. */
export interface Signature<P extends readonly TypeName[], R extends TypeName> {
  readonly parameters: P;
  readonly result: R;
  /** Whether the function decides about rows with a NULL. By default their result is NULL, whatever it writes. */
  readonly nulls?: boolean;
}

type Columns<P extends readonly TypeName[]> = { [K in keyof P]: Column<P[K]> };
type Elements<P extends readonly TypeName[]> = { [K in keyof P]: Values[P[K]][number] };

/** A row of a result. */
export type Row = Record<string, Value>;

/** DuckDB's message. If a function threw, the `cause` is what it threw. */
export class DuckDBError extends Error {
  override name = "DuckDBError";
}

/** A query that is running, until the end of a block. */
interface Running extends Disposable {
  readonly connection: Pointer<"duckdb_connection">;
  readonly result: NativeMemory;
}

/** A database. Close it, or let `using` do so: DuckDB then gives back every function. */
export class Database {
  readonly #duckdb = duckdb();
  readonly #database: Pointer<"duckdb_database">;
  /** Connections that no query uses. Each query has one for itself: a function may run queries, too. */
  readonly #idle: Pointer<"duckdb_connection">[] = [];
  #threads = 1;
  #running = 0;
  #closed = false;
  /** What functions threw, by the text that DuckDB was told. */
  readonly #thrown = new Map<string, unknown>();

  /** What DuckDB calls for every function, from whichever thread. */
  readonly #call = callback(
    chunkFunction,
    (info, chunk, output) => this.#duckdb.duckdb_scalar_function_get_extra_info(info)(chunk, output),
    {
      name: "SQL function",
      suspends: true,
      thread: "wait",
      // Without an answer DuckDB goes on with what is in the vector. So its threads wait however long JavaScript is busy, and
      // functions run although their query has been given up.
      timeoutMs: 2 ** 31 - 1,
      always: true,

      onError: (error, info) => {
        const text = String(error).replaceAll("\0", "");
        this.#thrown.set(text, error);
        this.#duckdb.duckdb_scalar_function_set_error(info, text);
      },
    },
  );

  /**
   * Opens a database file, which is created if it isn't there.
   *
   * @param path The file; a database in memory by default.
   * @param options With one thread, the default, a query runs on the thread that asks for it. With more, DuckDB calls functions
   * from threads of its own, and only {@linkcode Database.queryNonblocking} runs queries. SQL must not change the number.
   */
  constructor(path = ":memory:", { threads = 1 }: { readonly threads?: number } = {}) {
    // A query keeps the event loop alive while it runs; an open database doesn't.
    this.#call.unref();
    const [, database, message] = this.#duckdb.duckdb_open_ext(path, null);
    if (database === null) {
      this.#call.close();
      const text = cstringAt(message);
      this.#duckdb.duckdb_free(message);
      throw new DuckDBError(text ?? `Cannot open ${path}`);
    }
    this.#database = database;
    try {
      this.query(`SET threads TO ${threads}`);
      this.#threads = threads;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Runs SQL and gives the rows, while JavaScript waits. @throws {DuckDBError} If DuckDB or a function fails. */
  query(sql: string): Row[] {
    using running = this.#start({ onThisThread: true });
    return this.#rows(running, this.#duckdb.query(running.connection, sql, running.result));
  }

  /** Runs SQL and gives the rows. Functions may be `async`: DuckDB waits for them, and the event loop goes on. */
  async querySuspending(sql: string): Promise<Row[]> {
    using running = this.#start({ onThisThread: true });
    return this.#rows(running, await this.#duckdb.querySuspending(running.connection, sql, running.result));
  }

  /** Runs SQL on other threads, and gives the rows. The event loop serves functions, which can't be `async`. */
  async queryNonblocking(sql: string): Promise<Row[]> {
    using running = this.#start();
    return this.#rows(running, await this.#duckdb.queryNonblocking(running.connection, sql, running.result));
  }

  /**
   * Defines an SQL function over columns, in place of one with its name and parameters. The arguments are the parameters'
   * columns, then the one that it writes.
   *
   * @throws {DuckDBError} If DuckDB refuses it: because there is an aggregate of that name, for instance.
   */
  function<const P extends readonly TypeName[], R extends TypeName>(
    name: string,
    { parameters, result, nulls = false }: Signature<P, R>,
    fn: (...columns: [...Columns<P>, OutputColumn<R>]) => void | Promise<void>,
  ): void {
    const duckdb = this.#duckdb;
    const run: Run = (chunk, vector) => {
      const length = Number(duckdb.duckdb_data_chunk_get_size(chunk));
      const inputs = parameters.map((type, index) =>
        new InputVector(types[type], duckdb.duckdb_data_chunk_get_vector(chunk, index), length)
      );
      const output = new OutputVector(types[result], vector, length, nulls ? [] : inputs);
      const written = fn(...[...inputs, output] as unknown as [...Columns<P>, OutputColumn<R>]);
      return written instanceof Promise ? written.then(() => output.end()) : output.end();
    };
    using running = this.#start();
    const made = duckdb.duckdb_create_scalar_function();
    duckdb.duckdb_scalar_function_set_name(made, name);
    for (const parameter of parameters) {
      withType(parameter, (type) => duckdb.duckdb_scalar_function_add_parameter(made, type));
    }
    withType(result, (type) => duckdb.duckdb_scalar_function_set_return_type(made, type));
    if (nulls) duckdb.duckdb_scalar_function_set_special_handling(made);
    duckdb.duckdb_scalar_function_set_function(made, this.#call);
    // The handle is DuckDB's from here on, which releases it with the function.
    duckdb.duckdb_scalar_function_set_extra_info(made, Handle.create(run), native.releaseHandle);
    const status = duckdb.duckdb_register_scalar_function(running.connection, made);
    duckdb.duckdb_destroy_scalar_function(cell(made));
    if (status !== 0) throw new DuckDBError(`Cannot define ${name}(${parameters}): DuckDB refuses it`);
  }

  /** Defines an SQL function over values. It is called for each row without a NULL, and answers null for NULL. */
  scalar<const P extends readonly TypeName[], R extends TypeName>(
    name: string,
    { parameters, result }: Omit<Signature<P, R>, "nulls">,
    fn: (...values: Elements<P>) => Values[R][number] | null,
  ): void {
    this.function(name, { parameters, result }, (...columns) => {
      const output = columns.pop() as OutputColumn & { values: unknown[] };
      for (let row = 0; row < output.length; row++) {
        if (output.isNull(row)) continue;
        const value = fn(...(columns as Column[]).map(({ values }) => values[row]) as Elements<P>);
        if (value === null) output.setNull(row);
        else output.values[row] = value;
      }
    });
  }

  /** Closes the database. */
  close(): void {
    if (this.#closed) return;
    if (this.#running > 0) throw new DuckDBError("Cannot close the database: a query is running");
    this.#closed = true;
    for (const connection of this.#idle) this.#duckdb.duckdb_disconnect(cell(connection));
    this.#duckdb.duckdb_close(cell(this.#database));
    this.#call.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #start({ onThisThread = false } = {}): Running {
    if (this.#closed) throw new DuckDBError("Cannot run a query: the database is closed");
    if (onThisThread && this.#threads !== 1) {
      throw new DuckDBError("Cannot run a query on this thread: DuckDB has others, too; use queryNonblocking");
    }
    const connection = this.#idle.pop() ?? this.#duckdb.duckdb_connect(this.#database)[1];
    if (connection === null) throw new DuckDBError("Cannot connect to the database");
    const result = Result.alloc();
    this.#running += 1;
    const end = (): void => {
      this.#duckdb.duckdb_destroy_result(result);
      result.free();
      this.#idle.push(connection);
      this.#running -= 1;
      if (this.#running === 0) this.#thrown.clear();
    };
    return { connection, result, [Symbol.dispose]: end };
  }

  #rows({ result }: Running, status: number): Row[] {
    const duckdb = this.#duckdb;
    if (status !== 0) {
      const message = duckdb.duckdb_result_error(result) ?? "";
      const text = [...this.#thrown.keys()].find((text) => message.includes(text));
      throw new DuckDBError(message, text === undefined ? {} : { cause: this.#thrown.get(text) });
    }
    const given = Result.read(result);
    const columns = Array.from({ length: Number(given.columnCount) }, (_, index) => ({
      name: duckdb.duckdb_column_name(result, index) ?? "",
      type: duckdb.duckdb_column_type(result, index),
    }));
    const rows: Row[] = [];
    while (true) {
      const chunk = duckdb.duckdb_fetch_chunk(given);
      if (chunk === null) return rows;
      try {
        const length = Number(duckdb.duckdb_data_chunk_get_size(chunk));
        const values = columns.map(({ type }, index) =>
          new InputVector(type, duckdb.duckdb_data_chunk_get_vector(chunk, index), length)
        );
        for (let row = 0; row < length; row++) {
          rows.push(Object.fromEntries(columns.map(({ name }, index) => [name, values[index].value(row)])));
        }
      } finally {
        duckdb.duckdb_destroy_data_chunk(cell(chunk));
      }
    }
  }
}

/** Memory with a pointer in it, for C functions that end what it points to. */
function cell(pointer: Pointer | null): BigUint64Array<ArrayBuffer> {
  return new BigUint64Array([pointerValue(pointer)]);
}

function withType(name: TypeName, use: (type: Pointer<"duckdb_logical_type"> | null) => void): void {
  const type = duckdb().duckdb_create_logical_type(types[name]);
  use(type);
  duckdb().duckdb_destroy_logical_type(cell(type));
}
