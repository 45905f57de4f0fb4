/**
 * Makes the npm package, for Bun and for Deno: JavaScript with declarations, since Deno takes no TypeScript from
 * `node_modules`, and the native core for this machine's platform. It is put together in a folder of its own: beside the
 * sources, JavaScript that was left over would be run in their place.
 *
 * `--to=<folder>` says where the package goes, the project's folder by default; `--every-platform` puts the core for
 * every platform in.
 *
 * @module
 */

import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { buildCore, host, targets, zigTarget } from "./build.ts";
import { main, root, run, runTypeScript, toolsFolder } from "./tools.ts";

/** Where `tsconfig.package.json` puts the JavaScript. */
const folder = join(toolsFolder, "package");

/** Puts the package together, and packs it: the file's path. */
export function pack(to: string = root, platforms: typeof targets = [host]): string {
  rmSync(folder, { recursive: true, force: true });
  runTypeScript(["--project", "tsconfig.package.json"]);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".d.ts")) continue;
    const file = join(entry.parentPath, entry.name);
    // The compiler makes `.js` of `.ts` in the imports of JavaScript only.
    const text = readFileSync(file, "utf8").replaceAll(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"');
    writeFileSync(file, text);
  }
  for (const platform of platforms) {
    // For the target rather than for this machine: an older processor or C library will do.
    const core = buildCore(platform, join(toolsFolder, "cores"), [`-Dtarget=${zigTarget(platform)}`]);
    const target = join(folder, "native", "lib", core.slice(join(toolsFolder, "cores").length));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(core, target);
  }
  cpSync(join(root, "native", "include"), join(folder, "native", "include"), { recursive: true });
  for (const file of ["README.md", "CHANGELOG.md", "LICENSE"]) copyFileSync(join(root, file), join(folder, file));
  const { name, version, description, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const exports = { ".": { types: "./mod.d.ts", default: "./mod.js" } };
  const manifest = { name, version, description, license, type: "module", exports };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  run("npm", ["pack", "--silent"], { cwd: folder, quiet: true });
  const [packed] = readdirSync(folder).filter((file) => file.endsWith(".tgz"));
  copyFileSync(join(folder, packed), join(to, packed));
  return join(to, packed);
}

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    const to = args.find((arg) => arg.startsWith("--to="))?.slice("--to=".length) ?? root;
    console.log(pack(resolve(to), args.includes("--every-platform") ? targets : [host]));
  });
}
