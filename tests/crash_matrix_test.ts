import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen } from "@belay/ffi";
import { testLibrary } from "../scripts/build.ts";
import { root } from "../scripts/tools.ts";
import { ownRuntime } from "./child.ts";
import { type Event, events, type Expected } from "./crash_matrix/events.ts";
import { cellOf, expectedCell, expectedOn, isPossible, runEvent, wordsOf } from "./crash_matrix/outcome.ts";
import { readTable } from "./crash_matrix/table.ts";
import { leftOut } from "./left_out.ts";
import { emulator } from "./machine.ts";

/** Events that can be shown on this machine. */
const possible = events.filter(({ name, needs }) => {
  if (needs === undefined) return true;
  using library = dlopen(testLibrary, { [needs]: { parameters: [], result: "void", optional: true } });
  if (library.symbols[needs] !== null) return true;
  leftOut(`"${name}", since the test library has no ${needs} here`);
  return false;
});

function check(event: Event, { words, code = 0, reports = [] }: Expected): void {
  const result = runEvent(event, "belay", ownRuntime);
  const note = `it printed:\n${result.stdout}\n${result.stderr}`;
  const { signal, timedOut } = result;
  assertEquals({ words: wordsOf(result), code: result.code, signal, timedOut }, {
    words: [...words],
    code,
    signal: null,
    timedOut: false,
  }, note);
  const lines = result.stderr.split("\n").filter((line) => line !== "");
  const reported = lines.filter((line) => line.startsWith("belay: "));
  assertEquals(reported.length, reports.length, note);
  reports.forEach((report, index) => assertStringIncludes(reported[index], report));
  // A runtime that runs tests has something to say.
  if (typeof event.run === "function") assertEquals(lines, reported, note);
}

describe("with belay, in a process of its own", () => {
  for (const event of possible) {
    const expected = expectedOn(event, ownRuntime.name);
    if (expected !== null) it(event.name, () => check(event, expected));
  }
});

// An emulator has crashes of its own.
const describeBare = emulator === undefined ? describe : describe.skip;
if (emulator !== undefined) leftOut("what bare runtimes do when callbacks go wrong, under an emulator");

describeBare("with the runtime's own API, the process says and does something that the table can have", () => {
  for (const event of possible) {
    it(event.name, () => {
      const cell = cellOf(runEvent(event, "bare", ownRuntime));
      assert(isPossible(cell), cell);
    });
  }
});

describe("the table in docs/crash_matrix.md", () => {
  const rows = readTable(readFileSync(join(root, "docs", "crash_matrix.md"), "utf8"));

  it("has a row for each event", () => {
    assertEquals(rows.map(([name]) => name), events.map(({ name }) => name));
  });

  it("says what is expected of belay, and what the runtimes can have done", () => {
    events.forEach((event, index) => {
      const [name, denoBare, deno, bunBare, bun] = rows[index];
      for (const [cell, runtime] of [[deno, "deno"], [bun, "bun"]] as const) {
        const expected = expectedOn(event, runtime);
        if (expected !== null) assertEquals(cell, expectedCell(expected), name);
      }
      for (const cell of [denoBare, deno, bunBare, bun]) assert(isPossible(cell), `${name}: ${cell}`);
    });
  });
});
