/**
 * What runs of tests came to, and how long steps took: the last lines of the commands say it.
 *
 * @module
 */

import { appendFileSync } from "node:fs";
import process from "node:process";

/** What a run of tests came to. */
export interface Results {
  readonly passed: number;
  readonly failed: number;
  /** The files and how many seconds each took, the slowest first. */
  readonly files: readonly (readonly [string, number])[];
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** An attribute of an XML element's start tag. */
function attribute(tag: string, name: string): string {
  const [, value = ""] = new RegExp(`\\s${name}="([^"]*)"`).exec(tag) ?? [];
  return value.replaceAll(/&(\w+);/g, (whole, entity: string) => entities[entity] ?? whole);
}

/** Reads the JUnit report of Deno or Bun. What was left out is in neither count. */
export function readResults(xml: string): Results {
  const cases = [...xml.matchAll(/<testcase\b[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(([whole, body = ""]) => ({
    name: attribute(whole, "name"),
    failed: /<(failure|error)\b/.test(body),
    skipped: /<skipped\b/.test(body),
  }));
  // Deno has a case for each group of tests, too.
  const groups = new Set(cases.flatMap(({ name }) => {
    const parts = name.split(" > ");
    return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join(" > "));
  }));
  const tests = cases.filter(({ name }) => !groups.has(name));
  return {
    passed: tests.filter(({ failed, skipped }) => !failed && !skipped).length,
    // A group may fail alone: outside of its tests.
    failed: tests.filter(({ failed }) => failed).length || cases.filter(({ failed }) => failed).length,
    files: timesOfFiles(xml).sort(([, one], [, other]) => other - one),
  };
}

function timesOfFiles(xml: string): [string, number][] {
  const seconds = new Map<string, number>();
  let file = "";
  // Bun's groups are suites inside the file's; Deno's file is a suite whose cases are its groups.
  for (const [tag, kind] of xml.matchAll(/<(testsuite|testcase)\b[^>]*>/g)) {
    const name = attribute(tag, "name");
    if (kind === "testsuite" && /_test\.ts$/.test(name)) {
      file = name.replace(/^.*\//, "");
      const own = attribute(tag, "time");
      if (own !== "") seconds.set(file, Number(own));
    } else if (kind === "testsuite" && !attribute(tag, "file")) {
      file = "";
    } else if (kind === "testcase" && attribute(tag, "classname").endsWith(file) && file !== "") {
      seconds.set(file, (seconds.get(file) ?? 0) + Number(attribute(tag, "time")));
    }
  }
  return [...seconds];
}

/** Notes for who runs several commands (`.ci/run`) what one came to. */
export function noteResults(passed: number, failed: number): void {
  const file = process.env["BELAY_RESULTS"];
  if (file !== undefined) appendFileSync(file, `${passed} ${failed}\n`);
}

/** How long the steps of a command took. */
export class Times {
  readonly #seconds: [string, number][] = [];

  /** Takes a step's time, whether it throws or not. */
  take<T>(name: string, step: () => T): T {
    const startMs = performance.now();
    try {
      return step();
    } finally {
      this.#seconds.push([name, (performance.now() - startMs) / 1000]);
    }
  }

  /** A line that says them. */
  toString(): string {
    return `Times: ${shownTimes(this.#seconds)}`;
  }
}

/** Names and seconds in few words. */
export function shownTimes(times: readonly (readonly [string, number])[]): string {
  return times.map(([name, seconds]) => `${name} ${seconds.toFixed(seconds < 10 ? 1 : 0)} s`).join(", ");
}
