/**
 * Runs the programs of the documents that are followed by what they print, on both runtimes, and compares.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { build } from "./build.ts";
import { bun, deno, main, root, StepError, toolsFolder } from "./tools.ts";

/** A program, and what its document says that it prints. */
export interface Shown {
  /** The document, and the line on which the program begins. */
  readonly place: string;
  readonly program: string;
  readonly output: string;
}

/** The programs of a document that a block of text follows. Fragments, which are `ts ignore`, aren't programs. */
export function shownIn(path: string, text: string): Shown[] {
  const blocks = text.matchAll(/^```ts\n((?:(?!```).*\n)*)```\n\n?```text\n([\s\S]*?)^```$/gm);
  return Array.from(blocks, ({ index, 1: program = "", 2: output = "" }) => ({
    place: `${path}:${text.slice(0, index).split("\n").length}`,
    program,
    output,
  }));
}

/** What a program prints instead, or `undefined` when it prints what its document says. */
function printedInstead(file: string, output: string, runtime: "deno" | "bun"): string | undefined {
  const [command, args] = runtime === "deno" ? [deno(), ["run", "-A", "--quiet", "--no-check"]] : [bun(), ["run"]];
  const { stdout, stderr, error } = spawnSync(command, [...args, file], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: 60_000,
  });
  if (error !== undefined) return String(error);
  // What the default listener of reports prints is on the other stream.
  return stdout === output || stdout + stderr === output ? undefined : stdout + stderr;
}

/** Runs them all. @throws {StepError} With what is printed otherwise. */
export function checkOutputs(): void {
  build();
  const guides = readdirSync(join(root, "docs", "guide")).sort().map((file) => `docs/guide/${file}`);
  const shown = ["README.md", "docs/errors.md", ...guides].flatMap((path) =>
    shownIn(path, readFileSync(join(root, path), "utf8"))
  );
  if (shown.length === 0) throw new StepError("No program is followed by what it prints");
  mkdirSync(toolsFolder, { recursive: true });
  // In the checkout, so that the programs find belay by its name.
  const folder = mkdtempSync(join(toolsFolder, "outputs-"));
  const wrong: string[] = [];
  try {
    for (const [index, { place, program, output }] of shown.entries()) {
      const file = join(folder, `program_${index}.ts`);
      writeFileSync(file, program);
      for (const runtime of ["deno", "bun"] as const) {
        const printed = printedInstead(file, output, runtime);
        if (printed !== undefined) wrong.push(`${place} on ${runtime} prints\n${printed}\nand not\n${output}`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  if (wrong.length > 0) throw new StepError(wrong.join("\n"));
  console.log(`${shown.length} programs print what their documents say, on both runtimes`);
}

if (import.meta.main) await main(checkOutputs);
