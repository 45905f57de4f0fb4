/**
 * A small binding to SQLite, the system's own: TypeScript functions inside SQL.
 *
 * What SQLite is given as user data is a handle, so one C callback of each kind serves every function of every database,
 * and SQLite's own destructor (`xDestroy`) releases the handle when SQLite no longer needs it.
 *
 * @module
 */

import process from "node:process";
import {
  answerCall,
  argument,
  callback,
  dlopen,
  fetchAddress,
  fetchAt,
  fetchCall,
  Handle,
  handle,
  LibraryLoadError,
  NativeMemory,
  out,
  pointer,
  pointerFrom,
} from "@belay/ffi";
import type { Library, Pointer } from "@belay/ffi";

/** A value of SQLite. Integers beyond 2^53 are bigints. */
export type Value = null | number | bigint | string | Uint8Array;

const database = pointer<"sqlite3">();
const statement = pointer<"sqlite3_stmt">();
const context = pointer<"sqlite3_context">();
const value = pointer<"sqlite3_value">();

type Context = Pointer<"sqlite3_context"> | null;

interface Aggregate {
  start(): unknown;
  step(state: unknown, ...values: Value[]): unknown;
  finish(state: unknown): Value;
}
type Scalar = (...values: Value[]) => Value | Promise<Value>;
type Collation = (left: string, right: string) => number;
type UpdateHook = (operation: "insert" | "update" | "delete", table: string, rowid: bigint) => void;
type Progress = () => boolean | void;

const functionCallback = { parameters: [context, "i32", "pointer"], result: "void" } as const;
const finalCallback = { parameters: [context], result: "void" } as const;
/** `argv[0]`. */
const firstValue = fetchAt(value, argument(2));
const destroyCallback = { parameters: ["usize"], result: "void" } as const;
const collationCallback = {
  parameters: [handle<Collation>(), "i32", "pointer", "i32", "pointer"],
  result: "i32",
} as const;
const updateCallback = {
  parameters: [handle<UpdateHook>(), "i32", "cstring", "cstring", "i64"],
  result: "void",
} as const;
const progressCallback = { parameters: [handle<Progress>()], result: "i32" } as const;

const definitions = {
  sqlite3_open_v2: { parameters: ["cstring", out(database), "i32", "cstring"], result: "i32" },
  sqlite3_close_v2: { parameters: [database], result: "i32" },
  sqlite3_errmsg: { parameters: [database], result: "cstring" },
  sqlite3_libversion: { parameters: [], result: "cstring" },
  sqlite3_prepare_v2: { parameters: [database, "cstring", "i32", out(statement), "buffer"], result: "i32" },
  sqlite3_step: { parameters: [statement], result: "i32" },
  /** The same where functions of TypeScript are about: callbacks are faster from a stack of C's own. */
  step_calling: { name: "sqlite3_step", parameters: [statement], result: "i32", stack: "own" },
  /** The same for statements whose functions may be `async`: SQLite waits for them. */
  step_later: { name: "sqlite3_step", parameters: [statement], result: "i32", suspends: true },
  sqlite3_finalize: { parameters: [statement], result: "i32" },
  sqlite3_bind_parameter_count: { parameters: [statement], result: "i32" },
  sqlite3_bind_null: { parameters: [statement, "i32"], result: "i32" },
  sqlite3_bind_int64: { parameters: [statement, "i32", "i64"], result: "i32" },
  sqlite3_bind_double: { parameters: [statement, "i32", "f64"], result: "i32" },
  sqlite3_bind_text: { parameters: [statement, "i32", "buffer", "i32", "isize"], result: "i32" },
  sqlite3_bind_blob: { parameters: [statement, "i32", "buffer", "i32", "isize"], result: "i32" },
  sqlite3_column_count: { parameters: [statement], result: "i32" },
  sqlite3_column_name: { parameters: [statement, "i32"], result: "cstring" },
  sqlite3_column_value: { parameters: [statement, "i32"], result: value },
  sqlite3_value_type: { parameters: [value], result: "i32" },
  sqlite3_value_double: { parameters: [value], result: "f64" },
  sqlite3_value_int64: { parameters: [value], result: "i64" },
  sqlite3_value_bytes: { parameters: [value], result: "i32" },
  sqlite3_value_text: { parameters: [value], result: "pointer" },
  sqlite3_value_blob: { parameters: [value], result: "pointer" },
  sqlite3_result_null: { parameters: [context], result: "void" },
  sqlite3_result_int64: { parameters: [context, "i64"], result: "void" },
  sqlite3_result_double: { parameters: [context, "f64"], result: "void" },
  sqlite3_result_text: { parameters: [context, "buffer", "i32", "isize"], result: "void" },
  sqlite3_result_blob: { parameters: [context, "buffer", "i32", "isize"], result: "void" },
  sqlite3_result_error: { parameters: [context, "cstring", "i32"], result: "void" },
  sqlite3_create_function_v2: {
    parameters: [
      database,
      "cstring",
      "i32",
      "i32",
      "handle",
      functionCallback,
      functionCallback,
      finalCallback,
      destroyCallback,
    ],
    result: "i32",
  },
  scalar_user_data: { name: "sqlite3_user_data", parameters: [context], result: handle<Scalar>() },
  aggregate_user_data: { name: "sqlite3_user_data", parameters: [context], result: handle<Aggregate>() },
  sqlite3_aggregate_context: { parameters: [context, "i32"], result: "pointer" },
  sqlite3_create_collation_v2: {
    parameters: [database, "cstring", "i32", "handle", collationCallback, destroyCallback],
    result: "i32",
  },
  sqlite3_update_hook: { parameters: [database, updateCallback, "handle"], result: "pointer" },
  sqlite3_progress_handler: { parameters: [database, "i32", progressCallback, "handle"], result: "void" },
} as const;

/** belay has none on arm64 Windows. */
const hasOwnStacks = process.platform !== "win32" || process.arch !== "arm64";

const ok = 0;
const row = 100;
const done = 101;
const utf8 = 1;
/** A function takes any number of arguments: its `length` doesn't tell, with defaults or a rest parameter. */
const anyCount = -1;
const openReadWriteCreate = 6;
/** Tells SQLite to copy text and blobs: they are ours only for the time of the call. */
const transient = -1;
const types = { integer: 1, double: 2, text: 3, blob: 4 } as const;

const encoder = new TextEncoder();

/** What SQLite said when a call failed. */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
}

function openLibrary(): Library<typeof definitions> {
  try {
    return dlopen({ name: "sqlite3", versions: ["0"] }, definitions);
  } catch (error) {
    if (!(error instanceof LibraryLoadError)) throw error;
    throw new Error("SQLite's library is missing; install it (Debian: apt-get install libsqlite3-0)", { cause: error });
  }
}

/** The library, and the C callbacks that all databases share. */
class Sqlite {
  readonly #library = openLibrary();
  readonly symbols = this.#library.symbols;
  /** The aggregate states of the statement that is running. */
  #states = new Set<number>();
  /** How many statements are running that may wait. */
  #waiting = 0;
  /** Whether the statement that is running can wait for a promise. */
  #canWait = true;

  readonly scalar = callback(functionCallback, (context, count, values) => {
    const fn = this.symbols.scalar_user_data(context);
    try {
      const value = count === 1 ? fn(this.#argument(values, 0)) : fn(...this.#arguments(count, values));
      return value instanceof Promise ? this.#later(context, value) : this.answer(context, value);
    } catch (error) {
      this.#fail(context, error);
    }
  }, { name: "SQL function", suspends: true });

  /** The same for one argument. belay asks SQLite for it before it calls the function, and gives SQLite the number. */
  readonly scalarOfOne = callback(
    {
      ...functionCallback,
      fetch: [
        fetchCall(this.symbols.scalar_user_data, argument(0)),
        fetchAddress(argument(0)),
        fetchAddress(firstValue),
        fetchCall(this.symbols.sqlite3_value_type, firstValue),
        fetchCall(this.symbols.sqlite3_value_double, firstValue),
      ],
      answer: answerCall(this.symbols.sqlite3_result_double, argument(0)),
    },
    (fn, contextAddress, valueAddress, type, double) => {
      try {
        const isNumber = type === types.double || type === types.integer && Number.isSafeInteger(double);
        const result = fn(isNumber ? double : this.read(pointerFrom(valueAddress)));
        if (typeof result === "number") return result;
        const context: Context = pointerFrom(contextAddress);
        return result instanceof Promise ? this.#later(context, result) : this.answer(context, result);
      } catch (error) {
        this.#fail(pointerFrom(contextAddress), error);
      }
    },
    { name: "SQL function", suspends: true },
  );

  readonly step = callback(functionCallback, (context, count, values) => {
    const aggregate = this.symbols.aggregate_user_data(context);
    try {
      const state = this.#state(context, aggregate);
      state.value = aggregate.step(state.value, ...this.#arguments(count, values));
    } catch (error) {
      this.#fail(context, error);
    }
  }, { name: "SQL aggregate step" });

  readonly final = callback(finalCallback, (context) => {
    const aggregate = this.symbols.aggregate_user_data(context);
    try {
      const state = this.#state(context, aggregate);
      this.#endState(state.id);
      this.answer(context, aggregate.finish(state.value));
    } catch (error) {
      this.#fail(context, error);
    }
  }, { name: "SQL aggregate result" });

  readonly collate = callback(
    collationCallback,
    (compare, leftLength, left, rightLength, right) =>
      Math.sign(compare(text(left, leftLength), text(right, rightLength))),
    { name: "SQL collation" },
  );

  readonly update = callback(updateCallback, (hook, operation, _database, table, rowid) => {
    hook(operation === 18 ? "insert" : operation === 23 ? "update" : "delete", table ?? "", rowid);
  }, { name: "SQL update hook" });

  readonly progress = callback(progressCallback, (progress) => progress() === false ? 1 : 0, {
    name: "SQL progress handler",
    fallback: 1,
  });

  /** SQLite's `xDestroy`: called when a function is replaced or its database closed. */
  readonly destroy = callback(destroyCallback, (id) => Handle.delete(Number(id)), { name: "xDestroy" });

  close(): void {
    const { scalar, scalarOfOne, step, final, collate, update, progress, destroy } = this;
    for (const callback of [scalar, scalarOfOne, step, final, collate, update, progress, destroy]) callback.close();
    this.#library.close();
  }

  read(pointer: Pointer<"sqlite3_value"> | null): Value {
    switch (this.symbols.sqlite3_value_type(pointer)) {
      case types.integer: {
        const double = this.symbols.sqlite3_value_double(pointer);
        return Number.isSafeInteger(double) ? double : this.symbols.sqlite3_value_int64(pointer);
      }
      case types.double:
        return this.symbols.sqlite3_value_double(pointer);
      case types.text:
        return text(this.symbols.sqlite3_value_text(pointer), this.symbols.sqlite3_value_bytes(pointer));
      case types.blob: {
        const blob = this.symbols.sqlite3_value_blob(pointer);
        const bytes = new Uint8Array(this.symbols.sqlite3_value_bytes(pointer));
        if (blob !== null) NativeMemory.borrow(blob, bytes.length).copyTo(bytes);
        return bytes;
      }
      default:
        return null;
    }
  }

  answer(context: Context, value: Value): undefined {
    if (typeof value === "number") {
      this.symbols.sqlite3_result_double(context, value);
    } else if (typeof value === "string") {
      const bytes = encoder.encode(value);
      this.symbols.sqlite3_result_text(context, bytes, bytes.length, transient);
    } else if (typeof value === "bigint") {
      this.symbols.sqlite3_result_int64(context, value);
    } else if (value === null) {
      this.symbols.sqlite3_result_null(context);
    } else {
      this.symbols.sqlite3_result_blob(context, value, value.length, transient);
    }
  }

  /** Answers when SQLite goes on. Where it can't wait, the promise is refused: when it settles, the context is gone. */
  #later(context: Context, value: Promise<Value>): Promise<undefined> {
    if (!this.#canWait) return value as Promise<never>;
    return value.then((later) => this.answer(context, later)).catch((error) => this.#fail(context, error));
  }

  /** Makes SQLite stop at once. The error itself comes out of the native call that the function ran in. */
  #fail(context: Context, error: unknown): never {
    this.symbols.sqlite3_result_error(context, String(error).replaceAll("\0", ""), -1);
    throw error;
  }

  #argument(values: Pointer | null, index: number): Value {
    if (values === null) return null;
    return this.read(NativeMemory.borrow(values, 8 * (index + 1)).getPointer(8 * index) as Pointer<"sqlite3_value">);
  }

  #arguments(count: number, values: Pointer | null): Value[] {
    return Array.from({ length: count }, (_, index) => this.#argument(values, index));
  }

  /** An aggregate's state is a handle too: SQLite keeps eight zeroed bytes for each group, which get its id. */
  #state(context: Context, aggregate: Aggregate): { id: number; value: unknown } {
    const address = this.symbols.sqlite3_aggregate_context(context, 8);
    if (address === null) throw new SqliteError("out of memory");
    const cell = NativeMemory.borrow(address, 8);
    const id = Number(cell.getBigUint64(0));
    if (id !== 0) return Handle.value(id) as { id: number; value: unknown };
    const state = { id: 0, value: aggregate.start() };
    state.id = Handle.create(state).id;
    this.#states.add(state.id);
    cell.setBigUint64(0, BigInt(state.id));
    return state;
  }

  #endState(id: number): void {
    this.#states.delete(id);
    Handle.delete(id);
  }

  /** As {@linkcode Sqlite.run}, for statements that wait, of which several may be running: the last one ends what is left. */
  async runLater<T>(statement: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    try {
      return await statement();
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) { for (const id of this.#states) this.#endState(id); }
    }
  }

  /** Begins what may wait. It comes back as soon as it waits. */
  later<T>(step: () => Promise<T>): Promise<T> {
    const outer = this.#canWait;
    this.#canWait = true;
    try {
      return step();
    } finally {
      this.#canWait = outer;
    }
  }

  /** Runs a statement. After an error SQLite's last calls answer with their fallback: states that are left end here. */
  run<T>(statement: () => T): T {
    const outer = { states: this.#states, canWait: this.#canWait };
    this.#states = new Set();
    this.#canWait = false;
    try {
      return statement();
    } finally {
      for (const id of this.#states) this.#endState(id);
      this.#states = outer.states;
      this.#canWait = outer.canWait;
    }
  }
}

function text(pointer: Pointer | null, byteLength: number): string {
  return pointer === null ? "" : NativeMemory.borrow(pointer, byteLength).text();
}

/** What SQLite calls for a function. */
interface FunctionCallbacks {
  readonly scalar?: Sqlite["scalar" | "scalarOfOne"];
  readonly step?: Sqlite["step"];
  readonly final?: Sqlite["final"];
}

let shared: { sqlite: Sqlite; users: number } | undefined;

/** A database file. Close it, or let `using` do so: SQLite then gives back every function. */
export class Database {
  readonly #sqlite: Sqlite;
  readonly #pointer: Pointer<"sqlite3"> | null;
  #updateHook: Handle | undefined;
  #progressHandler: Handle | undefined;
  #closed = false;
  /** Whether SQLite may call functions of the program, and has a stack of its own then. */
  #calls = false;
  readonly #ownStack: boolean;
  /** Statements that are running: a function of one may run another. */
  #running = 0;

  /**
   * Opens a database file.
   *
   * @param path The file, which is created if it isn't there; `":memory:"` for none.
   * @param options Whether SQLite runs on a stack of its own where it calls functions, which takes half of the time.
   */
  constructor(path: string, { ownStack = hasOwnStacks }: { readonly ownStack?: boolean } = {}) {
    this.#ownStack = ownStack;
    shared ??= { sqlite: new Sqlite(), users: 0 };
    shared.users += 1;
    this.#sqlite = shared.sqlite;
    const [code, pointer] = this.#symbols.sqlite3_open_v2(path, openReadWriteCreate, null);
    this.#pointer = pointer;
    if (code === ok) return;
    const message = this.#message();
    this.close();
    throw new SqliteError(`${path}: ${message}`);
  }

  /** The version of the library. */
  get version(): string {
    return this.#symbols.sqlite3_libversion() ?? "";
  }

  /** Defines an SQL function. Its value can be an error: what it throws comes out of the query. */
  function(name: string, fn: (...values: Value[]) => Value): void {
    this.functionAsync(name, fn);
  }

  /** Defines an SQL function that may be `async`, for {@linkcode Database.queryAsync}: SQLite waits for its promise. */
  functionAsync(name: string, fn: Scalar): void {
    const { scalar, scalarOfOne } = this.#sqlite;
    this.#define(name, fn, { scalar }, { scalar: scalarOfOne });
  }

  /** Defines an SQL aggregate. */
  aggregate<S>(name: string, aggregate: {
    start(): S;
    step(state: S, ...values: Value[]): S;
    finish(state: S): Value;
  }): void {
    const { step, final } = this.#sqlite;
    this.#define(name, aggregate, { step, final });
  }

  /** Defines an order of texts. */
  collation(name: string, compare: Collation): void {
    const { collate, destroy } = this.#sqlite;
    const symbols = this.#symbols;
    const user = Handle.create(compare);
    const code = symbols.sqlite3_create_collation_v2(this.#pointer, name, utf8, user, collate, destroy);
    // The one function of SQLite's that does not call xDestroy when it fails.
    if (code !== ok) user.delete();
    this.#check(code);
  }

  /** Has a function called for each row that is inserted, updated or deleted. */
  onUpdate(hook: UpdateHook): void {
    const symbols = this.#symbols;
    const user = Handle.create(hook);
    symbols.sqlite3_update_hook(this.#pointer, this.#sqlite.update, user);
    this.#updateHook?.delete();
    this.#updateHook = user;
  }

  /** Has a function called every `steps` steps of SQLite's machine; `false` interrupts the query. */
  onProgress(steps: number, progress: Progress): void {
    const symbols = this.#symbols;
    const user = Handle.create(progress);
    symbols.sqlite3_progress_handler(this.#pointer, steps, this.#sqlite.progress, user);
    this.#progressHandler?.delete();
    this.#progressHandler = user;
  }

  /** Runs one statement and gives its rows. */
  query(sql: string, ...parameters: Value[]): Record<string, Value>[] {
    const [code, statement] = this.#symbols.sqlite3_prepare_v2(this.#pointer, sql, -1, null);
    this.#check(code);
    if (statement === null) return [];
    this.#running += 1;
    try {
      parameters.forEach((parameter, index) => this.#check(this.#bind(statement, index + 1, parameter)));
      return this.#sqlite.run(() => this.#rows(statement));
    } finally {
      this.#running -= 1;
      this.#symbols.sqlite3_finalize(statement);
    }
  }

  /**
   * Runs one statement and gives its rows, while the event loop runs: functions of the statement may be `async`. Queries of
   * several databases may be running; of one database only one at a time, since SQLite is in the midst of it.
   */
  async queryAsync(sql: string, ...parameters: Value[]): Promise<Record<string, Value>[]> {
    const [code, statement] = this.#symbols.sqlite3_prepare_v2(this.#pointer, sql, -1, null);
    this.#check(code);
    if (statement === null) return [];
    const symbols = this.#symbols;
    this.#running += 1;
    try {
      parameters.forEach((parameter, index) => this.#check(this.#bind(statement, index + 1, parameter)));
      return await this.#sqlite.runLater(async () => {
        const columns = this.#columns(statement);
        const rows: Record<string, Value>[] = [];
        let code: number;
        const step = (): Promise<number> => this.#sqlite.later(() => symbols.step_later(statement));
        while ((code = await step()) === row) rows.push(this.#row(statement, columns));
        if (code !== done) this.#check(code);
        return rows;
      });
    } finally {
      this.#running -= 1;
      symbols.sqlite3_finalize(statement);
    }
  }

  /** Closes the database. The last one closes the library, too. */
  close(): void {
    if (this.#closed) return;
    if (this.#running > 0) throw new SqliteError("a function of a statement can't close its database");
    this.#sqlite.symbols.sqlite3_close_v2(this.#pointer);
    this.#closed = true;
    this.#updateHook?.delete();
    this.#progressHandler?.delete();
    if (shared === undefined || --shared.users > 0) return;
    shared = undefined;
    this.#sqlite.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #symbols(): Sqlite["symbols"] {
    if (this.#closed) throw new SqliteError("the database is closed");
    return this.#sqlite.symbols;
  }

  /** Defines a function, whose calls with one argument may go elsewhere. */
  #define(name: string, userData: unknown, callbacks: FunctionCallbacks, ofOne: FunctionCallbacks = callbacks): void {
    const symbols = this.#symbols;
    // SQLite's from here on, whatever comes of it: it calls xDestroy when it fails, too.
    const user = Handle.create(userData);
    this.#calls = true;
    // Both have the handle, and the first one releases it: SQLite refuses to define either while a statement runs.
    for (
      const [count, functions, destroy] of [[anyCount, callbacks, this.#sqlite.destroy], [1, ofOne, null]] as const
    ) {
      const { scalar = null, step = null, final = null } = functions;
      this.#check(
        symbols.sqlite3_create_function_v2(this.#pointer, name, count, utf8, user, scalar, step, final, destroy),
      );
    }
  }

  #rows(statement: Pointer<"sqlite3_stmt">): Record<string, Value>[] {
    const symbols = this.#symbols;
    const columns = this.#columns(statement);
    const rows: Record<string, Value>[] = [];
    let code: number;
    const step = this.#calls && this.#ownStack ? symbols.step_calling : symbols.sqlite3_step;
    while ((code = step(statement)) === row) rows.push(this.#row(statement, columns));
    if (code !== done) this.#check(code);
    return rows;
  }

  #columns(statement: Pointer<"sqlite3_stmt">): string[] {
    const symbols = this.#symbols;
    return Array.from(
      { length: symbols.sqlite3_column_count(statement) },
      (_, index) => symbols.sqlite3_column_name(statement, index) ?? "",
    );
  }

  #row(statement: Pointer<"sqlite3_stmt">, columns: readonly string[]): Record<string, Value> {
    const symbols = this.#symbols;
    const entries = columns.map((name, index): [string, Value] => [
      name,
      this.#sqlite.read(symbols.sqlite3_column_value(statement, index)),
    ]);
    return Object.fromEntries(entries);
  }

  #bind(statement: Pointer<"sqlite3_stmt">, index: number, parameter: Value): number {
    const symbols = this.#symbols;
    if (parameter === null) return symbols.sqlite3_bind_null(statement, index);
    if (typeof parameter === "bigint") return symbols.sqlite3_bind_int64(statement, index, parameter);
    if (typeof parameter === "number") {
      return Number.isSafeInteger(parameter)
        ? symbols.sqlite3_bind_int64(statement, index, parameter)
        : symbols.sqlite3_bind_double(statement, index, parameter);
    }
    if (typeof parameter === "string") {
      const bytes = encoder.encode(parameter);
      return symbols.sqlite3_bind_text(statement, index, bytes, bytes.length, transient);
    }
    return symbols.sqlite3_bind_blob(statement, index, parameter, parameter.length, transient);
  }

  #check(code: number): void {
    if (code !== ok) throw new SqliteError(this.#message());
  }

  #message(): string {
    return this.#symbols.sqlite3_errmsg(this.#pointer) ?? "unknown error";
  }
}
