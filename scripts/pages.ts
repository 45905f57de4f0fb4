/**
 * The files in `docs/` that scripts write as a whole, and the gate's check that each is as its script would write it.
 *
 * @module
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crashMatrixPage } from "../tests/crash_matrix/page.ts";
import { benchmarksPage, type Results } from "./benchmarks.ts";
import { speedPicture } from "./speed_picture.ts";
import { formatted, main, root, StepError } from "./tools.ts";

/** Where the figures of the last benchmark are, from the project's folder. */
export const resultsPath = "docs/benchmarks.json";

interface Page {
  /** The page's text, before it is formatted. */
  readonly make: () => string;
  /** The command that writes it. */
  readonly command: string;
}

const results = (): Results => JSON.parse(readFileSync(join(root, resultsPath), "utf8")) as Results;

const pages: Readonly<Record<string, Page>> = {
  "docs/crash_matrix.md": { make: crashMatrixPage, command: "deno task crash-matrix --write" },
  "docs/benchmarks.md": { make: () => benchmarksPage(results()), command: "deno task bench --draw" },
  "docs/speed.svg": { make: () => speedPicture(results()), command: "deno task bench --draw" },
};

/** What a page has to say. */
export function page(path: string): string {
  return formatted(pages[path].make(), path.slice(path.lastIndexOf(".") + 1));
}

/** Writes a page. */
export function writePage(path: string): void {
  writeFileSync(join(root, path), page(path));
}

/** What is wrong with a file that has to have some text: nothing, if it has. */
export function staleness(path: string, text: string | undefined, wanted: string, command: string): string | undefined {
  if (text === wanted) return undefined;
  return `${path} ${text === undefined ? "is missing" : "is stale"}: \`${command}\` writes it`;
}

/** Checks every page. @throws {StepError} With those that their script would write otherwise. */
export function checkPages(): void {
  const stale = Object.entries(pages).flatMap(([path, { command }]) => {
    const file = join(root, path);
    const text = existsSync(file) ? readFileSync(file, "utf8") : undefined;
    return staleness(path, text, page(path), command) ?? [];
  });
  if (stale.length > 0) throw new StepError(`Cannot pass: ${stale.join("; ")}`);
}

if (import.meta.main) await main(checkPages);
