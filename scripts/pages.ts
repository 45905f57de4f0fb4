/**
 * The files in `docs/` that scripts write as a whole, and the gate's check that each is as its script would write it.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crashMatrixPage } from "../tests/crash_matrix/page.ts";
import { benchmarksPage, type Results } from "./benchmarks.ts";
import { speedPicture } from "./speed_picture.ts";
import { deno, main, root, StepError } from "./tools.ts";

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

/** A text as `deno fmt` has it. */
export function formatted(text: string, extension: string): string {
  // Deno's formatter can end in a signal; see `run`.
  for (let attempt = 0;; attempt++) {
    const { status, signal, stdout, stderr } = spawnSync(deno(), ["fmt", "--ext", extension, "-"], {
      cwd: root,
      input: text,
      encoding: "utf8",
    });
    if (status === 0) return stdout;
    if (signal === null || attempt > 0) throw new StepError(`Cannot format ${extension}: ${signal ?? stderr}`);
  }
}

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
