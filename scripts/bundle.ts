/**
 * Makes one file of the modules, for the npm package: loading 70 modules takes longer than all that they do at first. Bun runs
 * this, since its bundler is at hand: `bundle.ts <folder>` writes `mod.js` there. The module of the embedded cores stays
 * outside: `pack.ts` puts another one in. The commands lose their comments.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { filesIn } from "./tools.ts";

/** The part of Bun's bundler that is used here. */
declare const Bun: {
  build(options: object): Promise<{ readonly success: boolean; readonly logs: readonly unknown[] }>;
  readonly Transpiler: new (options: object) => { transformSync(text: string): string };
};

interface Resolver {
  onResolve(filter: { filter: RegExp }, resolve: () => { path: string; external: boolean }): void;
}

const root = join(import.meta.dirname as string, "..");
const [, , folder = ""] = process.argv;

const { success, logs } = await Bun.build({
  entrypoints: [join(root, "mod.ts")],
  outdir: folder,
  root,
  target: "node",
  format: "esm",
  // The names are as they were written, without types and comments, so it needs no map. A map to sources that the package
  // doesn't have makes Deno print their lines beside this file's name.
  sourcemap: "none",
  plugins: [{
    name: "embedded cores",
    setup(resolver: Resolver) {
      resolver.onResolve({ filter: /\/embedded\.ts$/ }, () => ({ path: "./embedded.js", external: true }));
    },
  }],
});
// Its readers have the sources.
const transpiler = new Bun.Transpiler({ loader: "js", target: "node", minifyWhitespace: true });
for (const file of filesIn(join(folder, "commands"), ".js").map((name) => join(folder, "commands", name))) {
  const text = readFileSync(file, "utf8");
  const [interpreter = ""] = /^#!.*\n/.exec(text) ?? [];
  writeFileSync(file, interpreter + transpiler.transformSync(text));
}
for (const log of logs) console.error(log);
if (!success) process.exitCode = 1;
