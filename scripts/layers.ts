/**
 * Holds the imports in `ffi/` against the folders, which are the layers: a folder imports those below it, no file a file
 * that imports it (types count), and a runtime is named in its own file and nowhere else.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { main, root, StepError, typeScriptIn } from "./tools.ts";

const ground = ["ground"];
const lifetime = ["lifetime", ...ground];
const types = ["types", ...lifetime];
const runtime = ["runtime", ...types];
const core = ["core", ...runtime];
const crossing = ["crossing", ...core];
const memory = ["memory", ...crossing];
const callbacks = ["callbacks", ...crossing];

/** What programs import; the commands use belay as they do. */
const publicModule = "../mod.ts";

/** The folders that the files of a folder may import beside its own; `ffi/README.md` draws them. */
const below: Readonly<Record<string, readonly string[]>> = {
  commands: [dirname(publicModule), "commands/template"],
  "commands/template": [],
  ".": ["calls", "channels", ...callbacks, "memory"],
  calls: callbacks,
  callbacks: crossing,
  channels: memory,
  memory: crossing,
  crossing: core,
  core: runtime,
  runtime: types,
  types: lifetime,
  lifetime: ground,
  ground: [],
};

/** These may name a runtime's API. */
const aboutRuntimes = ["runtime/deno.ts", "runtime/bun.ts"];
const runtimesNames = /\b(Deno\.|Bun\.|bun:ffi|UnsafeCallback|JSCallback)/;

/** The files that a module imports or exports from, by their paths in `ffi/`. */
function importsOf(path: string, source: string): string[] {
  const specifiers = source.matchAll(/(?:^(?:import|export) [^;]*?from |^import |\bimport\()"(\.[^"]+)"/gms);
  return Array.from(specifiers, ([, specifier = ""]) => posix.join(dirname(path), specifier));
}

/** Files that import each other, from one of them back to it; `undefined` where there are none. */
function circle(imports: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const walk = (path: string, above: readonly string[]): readonly string[] | undefined => {
    if (above.includes(path)) return [...above.slice(above.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const imported of imports.get(path) ?? []) {
      const found = walk(imported, [...above, path]);
      if (found !== undefined) return found;
    }
    done.add(path);
    return undefined;
  };
  for (const path of imports.keys()) {
    const found = walk(path, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What is wrong with modules, whose sources are given by their paths in `ffi/`. */
export function violations(sources: Readonly<Record<string, string>>): string[] {
  const found: string[] = [];
  const imports = new Map<string, string[]>();
  for (const [path, source] of Object.entries(sources)) {
    const folder = dirname(path);
    const mayImport = below[folder];
    if (mayImport === undefined) {
      found.push(`ffi/${path} is in no layer`);
      continue;
    }
    const imported = importsOf(path, source);
    imports.set(path, imported);
    for (const other of imported) {
      if (!(other in sources) && other !== publicModule) {
        found.push(`ffi/${path} imports ffi/${other}, which is no module`);
      } else if (dirname(other) !== folder && !mayImport.includes(dirname(other))) {
        found.push(`ffi/${path} imports ffi/${other}, which is not below it`);
      }
    }
    const code = source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    if (!aboutRuntimes.includes(path) && runtimesNames.test(code)) found.push(`ffi/${path} names a runtime's API`);
  }
  const round = circle(imports);
  if (round !== undefined) found.push(`modules import each other: ${round.map((path) => `ffi/${path}`).join(" → ")}`);
  return found;
}

/** The paths of the modules in `ffi/`. */
export function modules(): string[] {
  return typeScriptIn("ffi").map((path) => path.slice("./ffi/".length));
}

/** Checks every module. @throws {StepError} With everything that is wrong. */
export function checkLayers(): void {
  const sources = modules().map((path) => [path, readFileSync(join(root, "ffi", path), "utf8")] as const);
  const found = violations(Object.fromEntries(sources));
  if (found.length > 0) throw new StepError(found.join("\n"));
}

if (import.meta.main) await main(checkLayers);
