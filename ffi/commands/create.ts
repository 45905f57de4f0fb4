/**
 * Starts a library: writes a project with a small library in Zig or in C, its binding, tests, and what builds and packs
 * it. `deno run -A jsr:@belay/ffi/create my-lib`, or `bunx @belay/ffi create my-lib`.
 *
 * @module
 */

import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { type Language, type Names, namesOf } from "./template/names.ts";
import { projectFiles } from "./template/project.ts";
import { version } from "./version.ts";

const onBun = process.versions["bun"] !== undefined;

const usage = `Usage: ${onBun ? "bunx @belay/ffi create" : "deno run -A jsr:@belay/ffi/create"} <name> [--c | --zig]

Starts a library in a new folder: its code, its TypeScript binding, tests for Deno and Bun, and what builds and packs it
for all platforms.

  <name>   the package's name, such as my-lib or @me/my-lib
  --zig    the library is in Zig (the default)
  --c      the library is in C
  --help   shows this
`;

/** Something that the user has to change; the message is all that there is to say. */
class Refusal extends Error {}

/** What the arguments ask for. */
function parse(args: readonly string[]): { readonly names: Names; readonly language: Language } {
  const options = args.filter((arg) => arg.startsWith("-"));
  const given = args.filter((arg) => !arg.startsWith("-"));
  const unknown = options.find((option) => option !== "--c" && option !== "--zig");
  if (unknown !== undefined) {
    throw new Refusal(`Cannot create a library: "${unknown}" is not an option; there are --c, --zig and --help`);
  }
  if (given.length !== 1) throw new Refusal(`Cannot create a library: expected one name, got ${given.length}`);
  const [name = ""] = given;
  if (options.includes("--c") && options.includes("--zig")) {
    throw new Refusal(`Cannot create "${name}": it is in C or in Zig; expected --c or --zig, got both`);
  }
  const names = namesOf(name);
  if (names === undefined) {
    throw new Refusal(
      `Cannot create "${name}": a library's name has at most 40 small letters, digits and single hyphens, a letter first; ` +
        'expected one such as "my-lib" or "@me/my-lib"',
    );
  }
  return { names, language: options.includes("--c") ? "c" : "zig" };
}

/** Makes sure that the folder is there or can be made, and that nothing is in it. */
function requireEmpty(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isDirectory()) throw new Refusal(`Cannot create "${folder}": there is a file of this name`);
  if (readdirSync(folder).length > 0) {
    throw new Refusal(`Cannot create "${folder}": the folder isn't empty; choose another name, or empty it`);
  }
}

/** Writes the files of a project, by their paths in its folder. */
function write(folder: string, files: Readonly<Record<string, string>>): void {
  try {
    requireEmpty(folder);
    for (const [path, text] of Object.entries(files)) {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text, { flag: "wx" });
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // The system's reason, or Deno's.
    throw new Refusal(`Cannot create "${folder}": ${error instanceof Error ? error.message : error}`);
  }
}

/** What a project has, and the commands that come next. */
function summary(folder: string, paths: readonly string[]): string {
  const commands = onBun
    ? ["bun install", "bun run build", "bun test", "bun pm pack"]
    : ["deno install", "deno task build", "deno task test", "npm pack"];
  const indented = (lines: readonly string[]): string => lines.map((line) => `  ${line}\n`).join("");
  return `The folder ${folder} has:

${indented(paths)}
Build the library, test it, and pack it for all platforms:

${indented([`cd ${folder}`, ...commands])}`;
}

/**
 * Writes a new project into a folder below the current directory, and prints what to do next.
 *
 * @param args The arguments of the command line.
 * @returns The exit code: 0, or 1 if there is no project, for a reason that was printed.
 */
export function create(args: readonly string[]): number {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(usage);
    return 0;
  }
  try {
    const { names, language } = parse(args);
    const files = projectFiles(names, language, version);
    write(names.folder, files);
    console.log(summary(names.folder, Object.keys(files)));
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(args.length === 0 ? usage : error.message);
    return 1;
  }
}

if (import.meta.main) process.exitCode = create(process.argv.slice(2));
