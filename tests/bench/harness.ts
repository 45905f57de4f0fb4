/**
 * Paired timings: in each round every subject of a case runs once, in turn, so that a change of the machine's speed hits
 * all of them; what counts is the median of the rounds' ratios.
 *
 * @module
 */

import process from "node:process";

/** One subject's figure, as `--json` prints it. */
export interface Figure {
  readonly case: string;
  readonly runtime: string;
  readonly subject: string;
  readonly nsPerOp: number;
}

/** A case's outcome: its figures, and how belay compares to each other subject. */
export interface Outcome {
  readonly figures: Figure[];
  /** The median of the rounds' `belay` times divided by the other subject's. */
  readonly ratios: Readonly<Record<string, number>>;
}

/**
 * Does `count` operations. A loop of its own for each subject, with what it calls as a constant of its module. Answers how
 * many milliseconds it took where it knows better than a clock around it.
 */
export type Subject = (count: number) => number | void;

const small = process.argv.includes("--small");
/** The runtime this runs on. */
export const runtime: "bun" | "deno" = "Bun" in globalThis ? "bun" : "deno";
const outcomes: Outcome[] = [];

/** The middle value. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Options of {@linkcode compare}. */
export interface CompareOptions {
  /** Operations in a round. */
  readonly count: number;
  /** 21 by default. */
  readonly rounds?: number;
}

/** Times a case. */
export function compare(name: string, subjects: Readonly<Record<string, Subject>>, options: CompareOptions): void {
  const count = small ? Math.max(1, Math.floor(options.count / 1000)) : options.count;
  const rounds = small ? 3 : options.rounds ?? 21;
  const names = Object.keys(subjects);
  const times: Record<string, number[]> = Object.fromEntries(names.map((subject) => [subject, []]));
  // Until the engine has compiled the loops for good.
  for (let round = 0; round < 4; round++) for (const subject of names) subjects[subject](count);
  for (let round = 0; round < rounds; round++) {
    // Whoever comes first must not always be the same.
    const order = round % 2 === 0 ? names : names.toReversed();
    for (const subject of order) {
      const start = performance.now();
      const ms = subjects[subject](count) ?? performance.now() - start;
      times[subject].push(ms * 1e6 / count);
    }
  }
  outcomes.push({
    figures: names.map((subject) => ({ case: name, runtime, subject, nsPerOp: median(times[subject]) })),
    ratios: Object.fromEntries(
      names.filter((subject) => subject !== "belay").map((subject) => [
        subject,
        median(times[subject].map((time, round) => times["belay"][round] / time)),
      ]),
    ),
  });
}

/** One measurement of an asynchronous subject: its figures by name, in nanoseconds. */
export type AsyncSubject = () => Promise<Readonly<Record<string, number>>>;

/**
 * As {@linkcode compare}, for what has to wait for the event loop. Each subject measures itself, and may have figures of
 * several cases.
 */
export async function compareAsync(
  subjects: Readonly<Record<string, AsyncSubject>>,
  { rounds = 11 }: { readonly rounds?: number } = {},
): Promise<void> {
  const names = Object.keys(subjects);
  const figures: Record<string, Record<string, number[]>> = {};
  for (let round = -1; round < (small ? 1 : rounds); round++) {
    for (const subject of round % 2 === 0 ? names : names.toReversed()) {
      for (const [name, ns] of Object.entries(await subjects[subject]())) {
        // The first round is for the engines.
        if (round >= 0) ((figures[name] ??= {})[subject] ??= []).push(ns);
      }
    }
  }
  for (const [name, bySubject] of Object.entries(figures)) {
    const measured = Object.entries(bySubject);
    outcomes.push({
      figures: measured.map(([subject, ns]) => ({ case: name, runtime, subject, nsPerOp: median(ns) })),
      ratios: Object.fromEntries(
        measured.filter(([subject]) => subject !== "belay").map(([subject, ns]) => [
          subject,
          median(ns.map((other, round) => bySubject["belay"][round] / other)),
        ]),
      ),
    });
  }
}

/** Whether this run is only to show that everything works. */
export const isSmall: boolean = small;

/** Prints what was timed, for the script that started this. */
export function finish(): void {
  console.log(JSON.stringify(outcomes));
}
