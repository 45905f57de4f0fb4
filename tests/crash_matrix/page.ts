/**
 * The page `docs/crash_matrix.md`: what the tests expect of belay, beside what was seen of the runtimes without it.
 *
 * @module
 */

import { table } from "../../scripts/markdown.ts";
import { type Expected, expectedOn } from "./event.ts";
import { events } from "./events.ts";
import { ownEvents } from "./own_events.ts";
import { alike, bare, notPromised, observation } from "./seen.ts";

/** The cell for what a process is expected to say and to do. */
export function expectedCell({ words, code = 0 }: Expected): string {
  const parts = [...words, ...(code === 0 ? [] : [`exit code ${code}`])];
  return parts.length === 0 ? "normal end" : parts.join(", ");
}

/** One cell for both runtimes, which says the difference where there is one. */
export function bothCell(deno: string, bun: string): string {
  return deno === bun ? deno : `Deno: ${deno}; Bun: ${bun}`;
}

/** The cell for what was seen. */
const seenCell = (seen: string | undefined): string => seen ?? "–";

const { date, system, versions } = observation;

/** The page, before it is formatted. */
export function crashMatrixPage(): string {
  return `<!-- \`deno task crash-matrix --write\` writes this page. Edit tests/crash_matrix/ instead. -->

# Crash matrix

A C library can call a callback too late, from another thread, or from a place where JavaScript can't run. The tables
show what happens then, on Deno and on Bun, without belay and with it.

- **belay** is tested. Each row is a program in a process of its own, on Deno and on Bun
  (\`tests/package/crash_matrix_test.ts\`).
- **Deno** and **Bun** are a record of what their own FFI did on ${date}, with Deno ${versions.deno} and Bun
  ${versions.bun} on ${system}. Much of it is undefined behaviour and may end differently the next time.
- Deno ${alike.deno} did the same in these rows: ${alike.events.map((event) => `*${event}*`).join("; ")}.

## The words

A cell lists what the program saw, in order. Words in bold say how the process ended, or that it didn't.

${
    table(["words", "meaning"], [
      ["fallback", "C got the callback's fallback"],
      ["a made-up result", "C got a number that the function didn't return"],
      ["the function ran", "C called, and the callback's function ran"],
      ["the rest got 0", "C got 0 from every later comparison"],
      ["TypeError caught", "the native call threw it, and the program caught it"],
      ["the next call works", "after all that, a callback could be made and called"],
      ["the second file", "this test file ran when C called, which it does twice in each file"],
      ["exit code 7", "the process ended with this code"],
      ["**segmentation fault**", "this signal ended the process; so do **abort** and **illegal instruction**"],
      ["**panic**", "Deno ended the process with a message of its own"],
      ["**hangs**", "the process hadn't ended after ten seconds"],
      ["–", "not observed"],
    ])
  }

## What belay promises

${
    table(
      ["event", "Deno", "Bun", "belay"],
      events.map((event) => {
        const [deno, bun] = [expectedOn(event, "deno"), expectedOn(event, "bun")].map(expectedCell);
        return [event.name, seenCell(bare[event.name]?.deno), seenCell(bare[event.name]?.bun), bothCell(deno, bun)];
      }),
    )
  }

## On stacks of C's own

The runtimes have none: a definition of belay's says \`stack: "own"\` or \`suspends: true\`, see
[stacks of C's own](guide/own_stacks.md).

${
    table(
      ["event", "belay"],
      ownEvents.map((event) => {
        const [deno, bun] = [expectedOn(event, "deno"), expectedOn(event, "bun")].map(expectedCell);
        return [event.name, bothCell(deno, bun)];
      }),
    )
  }

## What belay doesn't promise

In these cases belay can't tell in time that JavaScript must not be entered. All four columns are a record of that day,
of five runs each.

${
    table(
      ["event", "Deno", "Bun", "Deno with belay", "Bun with belay"],
      notPromised.map(({ event, bare, belay }) => [event, bare.deno, bare.bun, belay.deno, belay.bun].map(seenCell)),
    )
  }
`;
}
