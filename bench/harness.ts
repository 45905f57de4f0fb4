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

/** Prints what was timed, for the script that started this. */
export function finish(): void {
  console.log(JSON.stringify(outcomes));
}
