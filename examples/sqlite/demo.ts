/**
 * The main job: a database with one row for each file of this checkout, and SQL that calls TypeScript.
 *
 * @module
 */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { stats } from "@belay/ffi";
import { Database, type Value } from "./sqlite.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const leftOut = new Set([".git", "node_modules", ".tools", ".zig-cache", "zig-out", "lib", "build"]);

/** Every file below a folder, what is built or installed aside. */
function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (leftOut.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : entry.isFile() ? [path] : [];
  });
}

function printTable(title: string, rows: readonly Record<string, Value>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column])))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index].length)));
  const isNumber = columns.map((column) => typeof rows[0]?.[column] === "number");
  const lines = cells.map((line) =>
    line.map((cell, index) => isNumber[index] ? cell.padStart(widths[index]) : cell.padEnd(widths[index])).join("  ")
  );
  lines.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  console.log(`\n${title}\n${lines.map((line) => `  ${line.trimEnd()}`).join("\n")}`);
}

const numbers = /(\d+)/;
/** The order in which people count: file 2 before file 10. */
function naturalOrder(left: string, right: string): number {
  const [a, b] = [left.split(numbers), right.split(numbers)];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = i % 2 === 1 ? Number(a[i]) - Number(b[i]) : 0;
    if (difference !== 0) return difference;
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return a.length - b.length;
}

function defineFunctions(database: Database): void {
  // `path REGEXP pattern` is a call of regexp(pattern, path).
  const patterns = new Map<Value, RegExp>();
  database.function("regexp", (pattern, text) => {
    let expression = patterns.get(pattern);
    if (expression === undefined) patterns.set(pattern, expression = new RegExp(String(pattern)));
    return expression.test(String(text)) ? 1 : 0;
  });
  database.aggregate("median", {
    start: (): number[] => [],
    step: (values, value) => (values.push(Number(value)), values),
    finish: (values) => {
      values.sort((a, b) => a - b);
      const middle = values.length >> 1;
      return values.length % 2 === 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    },
  });
  database.collation("natural", naturalOrder);
}

function fill(database: Database): number {
  database.query("CREATE TABLE files (path TEXT PRIMARY KEY, extension TEXT, bytes INTEGER, lines INTEGER)");
  let inserted = 0;
  database.onUpdate((operation) => {
    if (operation === "insert") inserted += 1;
  });
  database.query("BEGIN");
  for (const path of files(root)) {
    const content = readFileSync(path);
    const lines = content.toString("utf8").split("\n").length - 1;
    const name = relative(root, path).replaceAll("\\", "/");
    database.query("INSERT INTO files VALUES (?, ?, ?, ?)", name, extname(path), content.length, lines);
  }
  database.query("COMMIT");
  return inserted;
}

/** Sums up a long series, under a progress bar that SQLite's progress handler draws. */
function sumWithProgress(database: Database): void {
  const count = 400_000;
  const width = 40;
  // Steps of SQLite's virtual machine for a row of this query, about.
  const calls = count * 15 / 20_000;
  let call = 0;
  let drawn = 0;
  const draw = (wanted: number): void => {
    process.stdout.write("#".repeat(Math.max(0, wanted - drawn)));
    drawn = Math.max(drawn, wanted);
  };
  process.stdout.write("\nA sum, while the progress handler draws: [");
  database.onProgress(20_000, () => draw(Math.min(width, Math.floor(++call / calls * width))));
  const rows = database.query(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT sum(i) AS sum FROM n",
    count,
  );
  if (drawn === 0) throw new Error("expected the progress handler to be called");
  draw(width);
  console.log(`] ${rows[0]["sum"]}`);
}

/** Queries of two databases at once: their SQL asks a server, which answers no question before both have asked it. */
async function askServer(): Promise<void> {
  const open = new Map<string, ServerResponse>();
  const server = createServer(({ url = "" }, response) => {
    const other = open.get(url);
    if (other === undefined) return void open.set(url, response);
    open.delete(url);
    for (const waiting of [other, response]) waiting.end(url.slice(1).toUpperCase());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const asked: string[] = [];
  const ask = async (name: string): Promise<Value> => {
    using database = new Database(":memory:");
    database.functionAsync("upper_case", async (word) => {
      asked.push(name);
      return await (await fetch(`http://127.0.0.1:${port}/${word}`)).text();
    });
    const words = "WITH words(word) AS (VALUES ('c'), ('waits'), ('here'))";
    const rows = await database.queryAsync(`${words} SELECT group_concat(upper_case(word), ' ') AS said FROM words`);
    return rows[0]["said"];
  };
  try {
    const answers = await Promise.all(["left", "right"].map(ask));
    console.log(`\nTwo databases ask a server, in turns (${asked.join(", ")}):\n  ${answers.join(" / ")}`);
    if (answers.some((answer) => answer !== "C WAITS HERE")) throw new Error("expected the server's answers");
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const folder = mkdtempSync(join(tmpdir(), "belay-"));
try {
  using database = new Database(join(folder, "files.sqlite"));
  console.log(`SQLite ${database.version}, ${stats().live.callbacks} callbacks`);
  defineFunctions(database);
  console.log(`The update hook saw ${fill(database)} rows arrive, one for each file of this checkout.`);

  printTable(
    "Where the tests are: WHERE path REGEXP … ORDER BY path COLLATE natural",
    database.query(
      `SELECT path, lines FROM files WHERE path REGEXP ? ORDER BY path COLLATE "natural" LIMIT 8`,
      "^(tests|examples)/.*\\.ts$",
    ),
  );
  printTable(
    "Sizes by kind: median(bytes)",
    database.query(
      `SELECT extension, count(*) AS files, sum(lines) AS lines, median(bytes) AS "median bytes"
       FROM files WHERE extension <> '' GROUP BY extension ORDER BY lines DESC LIMIT 8`,
    ),
  );
  sumWithProgress(database);
  await askServer();

  let caught: unknown;
  try {
    database.query("SELECT path FROM files WHERE path REGEXP '('");
  } catch (error) {
    caught = error;
  }
  console.log(`\nA bad pattern comes out of the query as what RegExp threw:\n  ${String(caught)}`);
  if (!(caught instanceof SyntaxError)) throw new Error("expected a SyntaxError");
  console.log(
    `\nAlive before the database is closed: ${stats().live.handles} handles, ${stats().live.callbacks} callbacks`,
  );
} finally {
  rmSync(folder, { recursive: true });
}

const { live, counts } = stats();
console.log("After it was closed:");
for (const [name, count] of Object.entries({ ...live, ...counts })) console.log(`  ${name.padEnd(17)} ${count}`);
const alive = live.handles + live.callbacks + live.libraries + live.thunks + live.waitingErrors;
const wrong = counts.staleCalls + counts.misplacedCalls + counts.invalidHandles;
if (alive + wrong !== 0) throw new Error("expected nothing alive, and nothing counted");
console.log("Nothing is left alive.");
