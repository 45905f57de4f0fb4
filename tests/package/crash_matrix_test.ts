/** What becomes of callbacks that go wrong, with belay; and that the record of the runtimes without it is whole. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { ownRuntime } from "../support/child.ts";
import { type Event, type Expected, expectedOn } from "../crash_matrix/event.ts";
import { events } from "../crash_matrix/events.ts";
import { words } from "../crash_matrix/observe.ts";
import { ownEvents } from "../crash_matrix/own_events.ts";
import { runEvent, wordsOf } from "../crash_matrix/outcome.ts";
import { bothCell, expectedCell } from "../crash_matrix/page.ts";
import { alike, bare, notPromised } from "../crash_matrix/seen.ts";
import { leftOut } from "../support/left_out.ts";
import { seesChanges } from "../support/machine.ts";

/** Events that can be shown on this machine. */
const possible = [...events, ...ownEvents].filter(({ name, needs, run }) => {
  if (!seesChanges && typeof run !== "function" && run.as === "watch") {
    leftOut(`"${name}", since Bun doesn't see under Wine that a file changes`);
    return false;
  }
  if (needs === undefined) return true;
  using library = dlopen(testLibrary, { [needs]: { parameters: [], result: "void", optional: true } });
  if (library.symbols[needs] !== null) return true;
  leftOut(`"${name}", since the test library has no ${needs} here`);
  return false;
});

function check(event: Event, { words, code = 0, reports = [] }: Expected): void {
  const result = runEvent(event);
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
  for (const event of possible) it(event.name, () => check(event, expectedOn(event, ownRuntime.name)));
});

describe("the record of the runtimes without belay", () => {
  const names = events.map(({ name }) => name);

  it("has each event, and no other", () => assertEquals(Object.keys(bare).toSorted(), names.toSorted()));

  it("says of which events another version did the same", () => {
    for (const name of alike.events) assert(names.includes(name), name);
  });

  it("is in the words of the programs, and in those for how a process ends", () => {
    const ends = ["segmentation fault", "illegal instruction", "abort", "panic", "hangs"].map((end) => `**${end}**`);
    const known = new Set<string>([...words, ...ends, "exit code 7"]);
    for (const { deno, bun } of [...Object.values(bare), ...notPromised.flatMap(({ bare, belay }) => [bare, belay])]) {
      for (const seen of [deno, bun]) {
        for (const part of seen?.split(/, | or /) ?? []) assert(known.has(part), `${part} in "${seen}"`);
      }
    }
  });
});

describe("the page's cells", () => {
  it("say what a process says, and its exit code unless that is 0", () => {
    assertEquals(expectedCell({ words: ["fallback", "no error"] }), "fallback, no error");
    assertEquals(expectedCell({ words: ["fallback"], code: 7 }), "fallback, exit code 7");
    assertEquals(expectedCell({ words: [] }), "normal end");
  });

  it("name the runtimes where they differ", () => {
    assertEquals(bothCell("fallback", "fallback"), "fallback");
    assertEquals(bothCell("fallback", "no error"), "Deno: fallback; Bun: no error");
  });
});
