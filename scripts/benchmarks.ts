/**
 * The figures of a run of the benchmarks, `docs/benchmarks.json`, and the page that is drawn from them.
 *
 * @module
 */

import { betterSqlite3Version } from "./better_sqlite3.ts";
import { pythonPackages } from "./duckdb.ts";
import { table } from "./markdown.ts";

/** How belay compares to one other subject in a case, on one runtime. */
export interface Comparison {
  readonly case: string;
  readonly runtime: string;
  /** What belay takes, in nanoseconds. */
  readonly ns: number;
  readonly against: string;
  /** What the other subject takes, in nanoseconds. */
  readonly otherNs: number;
  /** The median of the rounds' ratios, which needn't be that of the two times. */
  readonly ratio: number;
}

/** What a run measured, when, and on what. */
export interface Results {
  /** As 2026-11-30. */
  readonly date: string;
  readonly machine: { readonly system: string; readonly architecture: string; readonly cores: number };
  /** Of Deno and Bun, and of Go where it was measured. */
  readonly versions: Readonly<Record<string, string>>;
  readonly comparisons: readonly Comparison[];
}

/** The text of `docs/benchmarks.json`: a comparison a line, sorted, with four digits. */
export function resultsText({ comparisons, ...rest }: Results): string {
  const round = (value: number): number => Number(value.toPrecision(4));
  const lines = sorted(comparisons).map((each) =>
    JSON.stringify({ ...each, ns: round(each.ns), otherNs: round(each.otherNs), ratio: round(each.ratio) })
  );
  return `{${JSON.stringify(rest).slice(1, -1)},\n"comparisons": [\n${lines.join(",\n")}\n]}\n`;
}

/** How much of another subject's time belay may take, by case, runtime and subject. */
export const limits: Readonly<Record<string, number>> = {
  "handle/create-value-delete deno map": 1 / 3,
  "handle/create-value-delete bun map": 1 / 3,
  "handle/create-value-delete-500k-live deno map": 1 / 3,
  "handle/create-value-delete-500k-live bun map": 1 / 3,
  "handle/create-value-delete deno go": 1 / 15,
  "handle/create-value-delete bun go": 1 / 15,
  "handle/create-value-delete-500k-live deno go": 1 / 15,
  "handle/create-value-delete-500k-live bun go": 1 / 15,
  "handle/create-tracked deno error": 2.5,
  "handle/create-tracked bun error": 4,
  "call/add-i32 deno raw": 2.2,
  "call/add-i32 bun raw": 1.6,
  "call/function-pointer deno library": 1.3,
  "call/function-pointer bun library": 1.3,
  "call/function-pointer deno raw": 0.5,
  "call/function-pointer bun raw": 1.3,
  "call/nonblocking deno raw": 1.1,
  "call/nonblocking bun deno": 1.1,
  "call/nonblocking-1000 deno raw": 1 / 5,
  "call/nonblocking-1000 bun deno": 1 / 5,
  "callback/i32-i32-own-stack deno raw": 0.35,
  "callback/i32-i32-own-stack bun raw": 0.16,
  "call/own-stack deno plain": 4,
  "call/own-stack bun plain": 4,
  "qsort/20k-i32 deno borrowed": 1 / 5,
  "qsort/20k-i32 bun borrowed": 1 / 10,
  "suspend/await-null deno await": 4,
  "suspend/await-null bun await": 4,
  "start/import deno files": 0.45,
  "start/import bun files": 0.8,
  "start/import-jsr deno files": 1.2,
  "start/import-jsr bun files": 1.2,
  "start/first-callback deno raw": 2,
  "start/first-callback bun raw": 3,
  "start/first-dlopen deno raw": 2,
  "start/first-dlopen bun raw": 5,
  "callback/user-data deno raw": 1.25,
  "callback/user-data bun raw": 1.25,
  "callback/throw deno plain": 8,
  "callback/throw bun plain": 8,
  "callback/i32-i32 deno raw": 1.1,
  "callback/i32-i32 bun raw": 1.1,
  "closure/create-dispose deno raw": 1 / 8,
  "closure/create-dispose bun raw": 1 / 8,
  "handle-closure/create-dispose deno raw": 1 / 30,
  "handle-closure/create-dispose bun raw": 1 / 30,
  "struct/point-by-value deno raw": 1.5,
  "struct/point-by-value bun scalar": 3,
  "struct/read-100k deno array": 3,
  "struct/read-100k bun array": 3,
  "struct/read-at-pointer deno getters": 1.2,
  "struct/read-at-pointer bun getters": 1.6,
  "memory/read-f64 deno dataview": 2,
  "memory/read-f64 bun dataview": 2,
  "memory/read-f64-borrowed-mapped deno dataview": 1.3,
  "memory/read-f64-borrowed-mapped bun dataview": 1.3,
  "memory/read-f64-small deno dataview": 1.3,
  "memory/read-f64-small bun dataview": 1.3,
  "string/in-64 deno raw": 1.05,
  "string/in-64 bun raw": 1.05,
  "string/out-64 deno raw": 1.05,
  "string/out-64 bun raw": 1.05,
  "text/at-pointer-20 deno cstring": 0.8,
  "text/at-pointer-20 bun cstring": 2.4,
  "thread/post deno raw": 1 / 1000,
  "thread/post bun raw": 1 / 20,
  // At least 0.8 times as many events a second.
  "thread/post-4-threads deno one-thread": 1 / 0.8,
  "thread/post-4-threads bun one-thread": 1 / 0.8,
  "thread/wait deno raw": 1,
  "thread/wake-latency deno raw": 1.5,
  "thread/wake-latency bun raw": 2,
  "channel/event deno loop": 6,
  "channel/event bun loop": 6,
  "duckdb/scalar-10M deno python": 0.25,
  "duckdb/scalar-10M bun python": 0.25,
  "duckdb/scalar-10M-nonblocking deno python": 0.5,
  "duckdb/scalar-10M-nonblocking bun python": 0.5,
  "sqlite/udf-1M-rows deno raw": 0.75,
  "sqlite/udf-1M-rows deno node:sqlite": 0.5,
  "sqlite/udf-1M-rows bun bun:sqlite": 1,
  "sqlite/udf-1M-rows-plain-stack deno node:sqlite": 0.75,
  "sqlite/udf-1M-rows-plain-stack bun bun:sqlite": 2,
};

/** What came out in several runs, where a run can miss its limit, by case, runtime and subject. */
export const spread: Readonly<Record<string, string>> = {
  "callback/i32-i32 bun raw": "1.07 to 1.15",
  "duckdb/scalar-10M deno python": "0.22 to 0.28",
  "handle/create-value-delete bun go": "0.05 to 0.14, both runtimes together",
  "handle/create-value-delete deno go": "0.05 to 0.14, both runtimes together",
  "memory/read-f64-small deno dataview": "0.75 to 1.29",
  "sqlite/udf-1M-rows bun bun:sqlite": "0.84 to 1.46",
  "sqlite/udf-1M-rows-plain-stack bun bun:sqlite": "2.4 to 3.5",
  "start/first-callback bun raw": "2.8 to 3.3",
  "start/first-callback deno raw": "1.8 to 2.2",
  "start/first-dlopen bun raw": "4.7 to 5.6",
  "start/import bun files": "0.74 to 0.82",
  "start/import-jsr deno files": "1.08 to 1.24",
  "string/out-64 deno raw": "1.11 in one run of six",
  "struct/point-by-value bun scalar": "3.8 in one run of six, else 2.2 to 2.6",
  "thread/post bun raw": "0.040 to 0.113",
  "thread/post deno raw": "0.0005 to 0.005",
  "thread/wait deno raw": "0.05 to 1.09",
};

/** The tables: a heading, and what each of its cases times. */
const groups: readonly (readonly [heading: string, cases: Readonly<Record<string, string>>])[] = [
  ["Calls", {
    "call/add-i32": "calling a C function that adds two `i32`",
    "call/function-pointer": "the same function, of which C has given the address",
    "call/nonblocking": "a nonblocking call of that function, one at a time",
    "call/nonblocking-1000": "the same for each of 1,000 calls that are outstanding",
  }],
  ["Callbacks", {
    "callback/i32-i32": "C calls a callback with two `i32`",
    "callback/throw": "C calls a callback that throws, and the native call throws the error",
    "callback/user-data": "C calls a callback with a handle and an `i32`",
    "closure/create-dispose": "making and closing a callback",
    "handle-closure/create-dispose":
      "making and deleting a function's handle, which C's user data makes enough: all share one callback",
  }],
  ["Stacks of C's own", {
    "call/own-stack": "calling a C function that adds two `i32` and is defined with a stack of its own",
    "callback/i32-i32-own-stack": "C calls a callback with two `i32`, on a stack of its own",
    "qsort/20k-i32": "C's `qsort` of 20,000 `i32`, on a stack of its own, by a comparator whose values are fetched",
    "suspend/await-null": "an `async` callback of a suspending call that has its answer at once",
  }],
  ["Calls from other threads", {
    "thread/post": 'an event of a burst: one thread calls a `"post"` callback a million times',
    "thread/post-4-threads": "the same from four threads at once",
    "thread/wait": 'a thread calls a `"wait"` callback, which answers it',
    "thread/wait-idle": "the same, with a pause of a millisecond before each call",
    "thread/wake-latency": "from C's call to the running function while the event loop is idle, the median",
    "thread/wake-latency-p99": "the same, the 99th percentile",
  }],
  ["Channels", {
    "channel/event": "reading an event of a channel, which has a handle and 8 bytes",
  }],
  ["Handles", {
    "handle/create-tracked": "making and deleting a handle with leak tracking",
    "handle/create-value-delete": "making a handle, reading its value and deleting it",
    "handle/create-value-delete-500k-live": "the same while 500,000 others are live",
  }],
  ["Memory", {
    "memory/bytes": "reading a byte of an array from `bytes()`",
    "memory/read-f64": "reading a double in 8,000 bytes of `NativeMemory`",
    "memory/read-f64-borrowed": "the same in borrowed memory",
    "memory/read-f64-borrowed-mapped": "the same in borrowed memory that is mapped at once",
    "memory/read-f64-small": "the same in 128 bytes",
    "memory/write-i32": "writing an `i32` in 8,000 bytes of `NativeMemory`",
  }],
  ["Structures", {
    "struct/point-by-value": "passing a structure of two doubles by value and getting one back",
    "struct/read-100k": "reading a field of one in 100,000 structures through a view",
    "struct/read-at-pointer": "a callback that reads a structure of four fields at a pointer",
  }],
  ["Strings", {
    "string/in-64": "passing a string of 64 characters to C",
    "string/out-64": "getting a string of 64 characters from C",
    "text/at-pointer-20": "reading text of 20 bytes at a pointer",
  }],
  ["SQLite", {
    "sqlite/udf-1M-rows":
      "a TypeScript function in SQL, for each of a million rows: what that takes over the same query without it",
    "sqlite/udf-1M-rows-plain-stack": "the same with SQLite on JavaScript's stack",
  }],
  ["DuckDB", {
    "duckdb/scalar-10M": "a row of ten million: a TypeScript function over a column in SQL, on a stack of its own",
    "duckdb/scalar-10M-nonblocking": "the same in a nonblocking call, which has one thread",
  }],
  ["Start", {
    "start/first-callback": "opening belay's core and making the first callback, with the npm package",
    "start/first-dlopen": "after that, opening the first library, of three functions, and calling one",
    "start/import": "importing the npm package and making the first callback",
    "start/import-jsr": "the same with JSR's modules",
  }],
];

/** What belay is held against. */
const subjects: Readonly<Record<string, string>> = {
  array: "a typed array, read in a loop",
  await: "awaiting `null`",
  "better-sqlite3": `better-sqlite3 ${betterSqlite3Version} on Node.js, in a process of its own`,
  borrowed: "JavaScript's stack, and a comparator that borrows what both pointers point to",
  "bun:sqlite": "`bun:sqlite`, and functions of its own",
  cstring: "`cstringAt` on the same text",
  dataview: "a `DataView` of JavaScript's own memory",
  deno: "Deno's own nonblocking call, in a process of its own, since Bun has none",
  error: "an `Error` that is made and dropped",
  files: "the same with a checkout's sources",
  getters: "four getters on borrowed memory",
  go: "Go's `runtime/cgo.Handle`, in a process of its own",
  library: "the same function, of an opened library",
  loop: "a loop over a typed array, which looks values up in an array",
  map: "a registry over a `Map`",
  "node:sqlite": "the runtime's own `node:sqlite`",
  "one-thread": "belay with the same number of events from one thread",
  plain: "the same without what is measured: a callback that throws nothing, JavaScript's own stack",
  python: `Python's DuckDB, with NumPy over Arrow and one thread, in a process of its own (${
    pythonPackages.join(", ")
  })`,
  raw: "the runtime's own FFI in its fastest form; for SQLite a binding by hand",
  scalar: "a call of Bun's own FFI with two doubles, since Bun passes no structures",
  sql: "the same expression in SQL, which DuckDB computes itself",
};

/** By which a comparison's limit and its spread are found. */
export function keyOf(comparison: Pick<Comparison, "case" | "runtime" | "against">): string {
  return `${comparison.case} ${comparison.runtime} ${comparison.against}`;
}

const runtimes = ["deno", "bun"];

/** Sorted by case, Deno before Bun, and by what belay is held against. */
export function sorted(comparisons: readonly Comparison[]): Comparison[] {
  const order = (one: string, other: string) => one < other ? -1 : one > other ? 1 : 0;
  return comparisons.toSorted((one, other) =>
    order(one.case, other.case) || runtimes.indexOf(one.runtime) - runtimes.indexOf(other.runtime) ||
    order(one.against, other.against)
  );
}

/** The limit as text, and whether the comparison meets it; nothing where there is none. */
export function verdict(comparison: Comparison): { limit: string; met: boolean } | undefined {
  const limit = limits[keyOf(comparison)];
  return limit === undefined ? undefined : { limit: formatRatio(limit), met: comparison.ratio <= limit };
}

/** A time in the unit that gives the fewest digits: nanoseconds with one behind the point, others with three in all. */
export function formatTime(ns: number): string {
  if (ns < 99.95) return `${ns.toFixed(1)} ns`;
  const [value, unit] = ns < 999.5 ? [ns, "ns"] : ns < 999.5e3 ? [ns / 1e3, "µs"] : [ns / 1e6, "ms"];
  return `${formatRatio(value)} ${unit}`;
}

/** Three digits, but no more than four behind the point. */
export function formatRatio(value: number): string {
  const behind = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : value >= 0.00995 ? 3 : 4;
  return value.toFixed(behind);
}

/** The table of some comparisons. */
export function comparisonTable(comparisons: readonly Comparison[]): string {
  return table(
    ["case", "runtime", "belay:", "against", "its time:", "ratio:", "limit:", ""],
    sorted(comparisons).map((comparison) => {
      const { limit, met } = verdict(comparison) ?? { limit: "", met: undefined };
      return [
        comparison.case,
        comparison.runtime,
        formatTime(comparison.ns),
        comparison.against,
        formatTime(comparison.otherNs),
        formatRatio(comparison.ratio),
        limit,
        met === undefined ? "" : met ? "met" : "**not met**",
      ];
    }),
  );
}

/**
 * The limits for which a run has no figure: all are to be measured.
 *
 * @param leftOut The subjects that aren't on this machine.
 */
export function unmeasured(comparisons: readonly Comparison[], leftOut: readonly string[]): string[] {
  const measured = new Set(comparisons.map(keyOf));
  return Object.keys(limits).filter((key) => !measured.has(key) && !leftOut.some((one) => key.endsWith(` ${one}`)));
}

function groupText([heading, cases]: typeof groups[number], comparisons: readonly Comparison[]): string {
  const own = comparisons.filter((comparison) => comparison.case in cases);
  const measured = Object.entries(cases).filter(([name]) => own.some((comparison) => comparison.case === name));
  if (measured.length === 0) return "";
  const list = measured.map(([name, what]) => `- \`${name}\`: ${what}`).join("\n");
  return `### ${heading}\n\n${list}\n\n${comparisonTable(own)}`;
}

const systems: Readonly<Record<string, string>> = { linux: "Linux", darwin: "macOS", windows: "Windows" };

/** The kind of a machine, without its name. */
export function machineText({ system, architecture, cores }: Results["machine"]): string {
  return `${cores} cores, ${architecture.replace("_", "-")}, ${systems[system] ?? system}`;
}

/** The page `docs/benchmarks.md`, before it is formatted. @throws {TypeError} When it has no words for a case. */
export function benchmarksPage({ date, machine, versions, comparisons }: Results): string {
  for (const { case: name, against } of comparisons) {
    if (!groups.some(([, cases]) => name in cases)) throw new TypeError(`Cannot describe "${name}": it is in no group`);
    if (!(against in subjects)) throw new TypeError(`Cannot describe "${against}": no subject is called so`);
  }
  const used = Object.entries(subjects).filter(([name]) => comparisons.some(({ against }) => against === name));
  const judged = comparisons.map(verdict).filter((each) => each !== undefined);
  const runtimeNames = { deno: "Deno", bun: "Bun", go: "Go" } as Readonly<Record<string, string>>;
  const spelled = Object.entries(versions).map(([name, version]) => `${runtimeNames[name] ?? name} ${version}`);
  return `<!-- \`deno task bench --write\` measures, and writes docs/benchmarks.json and this page. \`deno task bench --draw\` draws
this page from that file. Edit scripts/benchmarks.ts instead. -->

# Benchmarks

![belay beside the runtimes' own FFI](speed.svg)

## How it is measured

\`\`\`sh
deno task bench           # measures and prints the table
deno task bench --write   # measures and writes this page
deno task bench --draw    # draws this page from docs/benchmarks.json
\`\`\`

- A case has subjects: belay, and the programs that belay is held against.
- In each round every subject runs once, in one process, one after the other. The order changes with each round.
- A time is the median of the rounds' times, for one operation.
- A ratio is belay's time divided by the other subject's. It is the median of the rounds' ratios, so it isn't always the
  quotient of the two times.
- A ratio below 1 means that belay takes less time.
- A limit is what the project aims at, for the ratio.

| | |
| --- | --- |
| measured on | ${date} |
| machine | ${machineText(machine)}; shared with other programs |
| versions | ${spelled.join(", ")} |
| limits met | ${judged.filter(({ met }) => met).length} of ${judged.length} |

The times move with the machine. The ratios are the point.

## What belay is held against

${used.map(([name, what]) => `- \`${name}\`: ${what}`).join("\n")}

## The figures

${groups.map((group) => groupText(group, comparisons)).filter((text) => text !== "").join("\n\n")}

## Limits that a run can miss

The machine is shared, and half as fast at times. In several runs these comparisons came out on both sides of their
limit, or beyond it:

${
    table(
      ["case", "runtime", "against", "in several runs", "limit:"],
      Object.keys(spread).toSorted().map((key) => {
        const [name, runtime, against] = key.split(" ");
        return [name, runtime, against, spread[key], formatRatio(limits[key])];
      }),
    )
  }

- \`thread/post\` on Deno depends on how fast Deno wakes its own event loop.
- The wakes' times come in two kinds: the thread that wakes goes on first, or the event loop does. So one run's ratio can
  differ from the next one's.
`;
}
