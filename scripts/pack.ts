/**
 * What `npm pack` runs before and after (`prepack` and `postpack` in package.json). The package holds the sources, which
 * Bun runs, JavaScript with declarations in `dist/`, since Deno takes no TypeScript from `node_modules`, and the native
 * core for this machine's platform. `--clean` takes `dist/` away again.
 *
 * @module
 */

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { build } from "./build.ts";
import { main, root, runTypeScript, StepError } from "./tools.ts";

const dist = join(root, "dist");

/** Replaces in a file what must be there. */
function replace(file: string, pattern: RegExp, by: string): void {
  const text = readFileSync(file, "utf8");
  if (!pattern.test(text)) throw new StepError(`Cannot pack "${file}": it has no ${pattern}`);
  writeFileSync(file, text.replaceAll(pattern, by));
}

/** Compiles the sources to JavaScript and declarations of them, in a folder `dist` of the package. */
export function compile(folder: string): void {
  runTypeScript(["--project", "tsconfig.package.json", "--outDir", folder]);
  // The JavaScript is a folder deeper than the sources, and has the core in common with them.
  replace(join(folder, "ffi", "core", "path.js"), /\.\.\/\.\.\/native\/lib/g, "../../../native/lib");
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".d.ts")) continue;
    // The compiler makes `.js` of `.ts` in the imports of JavaScript only.
    const file = join(entry.parentPath, entry.name);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"'));
  }
}

/** Copies what else of the package type checkers read. */
export function copySources(folder: string): void {
  for (const name of ["package.json", "mod.ts", "ffi"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
}

if (import.meta.main) {
  await main(() => {
    rmSync(dist, { recursive: true, force: true });
    if (process.argv.includes("--clean")) return;
    build();
    compile(dist);
  });
}
