/**
 * Holds the imports in `ffi/` against the layers that docs/architecture/README.md draws: arrows point down only, and a runtime is
 * named in its own file and nowhere else.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { main, root, StepError } from "./tools.ts";

/** From the top. A file may import files of its own layer that come before it in the row, and anything below. */
const layers: readonly (readonly string[])[] = [
  ["stats", "scope", "arena"],
  ["library_path", "downcall", "block_call", "library"],
  ["pointer", "memory", "pin", "struct", "native", "channel", "contracts", "callback"],
  ["pointer_rules", "marshal", "aggregate", "thunk_pool", "upcall", "outgoing"],
  ["calls", "wake", "helpers"],
  ["core", "core_memory", "core_library", "core_thunks"],
  ["runtime"],
  ["backend_deno", "backend_bun"],
  ["backend", "abi"],
  ["handle", "cleanup", "keep_alive"],
  ["report", "types", "text", "spellings", "channel_data"],
  ["data_type"],
  ["errors", "options", "tracking"],
  ["blame", "present"],
  ["buffers", "inside", "stack"],
];

/** These know no runtime: nothing below them may lead to one. */
const runtimeFree = new Set([
  "handle",
  "cleanup",
  "errors",
  "report",
  "tracking",
  "types",
  "abi",
  "thunk_pool",
  "keep_alive",
  "text",
  "spellings",
  "channel_data",
  "options",
  "buffers",
  "inside",
  "stack",
]);
const aboutRuntimes = new Set([
  "backend_deno",
  "backend_bun",
  "runtime",
  "core",
  "core_memory",
  "core_library",
  "core_thunks",
  "helpers",
]);

/** What is wrong with the imports of a module. */
export function violations(name: string, source: string): string[] {
  const place = (module: string): [number, number] => {
    const layer = layers.findIndex((row) => row.includes(module));
    return [layer, layer < 0 ? -1 : layers[layer].indexOf(module)];
  };
  const [layer, position] = place(name);
  if (layer < 0) return [`ffi/${name}.ts is in no layer`];
  const imports = [...source.matchAll(/^(import|export) (type )?[^;]*?from "\.\/(\w+)\.ts";/gms)];
  const found = imports.flatMap(([, , type, module]) => {
    const [otherLayer, otherPosition] = place(module);
    if (otherLayer < 0) return [`ffi/${name}.ts imports ffi/${module}.ts, which is in no layer`];
    // A type costs nothing at run time; it may come from anywhere but from a runtime's file.
    if (type !== undefined && !aboutRuntimes.has(module)) return [];
    const down = otherLayer > layer || (otherLayer === layer && otherPosition < position);
    if (!down) return [`ffi/${name}.ts imports ffi/${module}.ts, which is not below it`];
    if (runtimeFree.has(name) && aboutRuntimes.has(module)) return [`ffi/${name}.ts must not know of a runtime`];
    return [];
  });
  const names = /\b(Deno\.|Bun\.|bun:ffi|UnsafeCallback|JSCallback)/;
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  const exempt = name === "backend_deno" || name === "backend_bun";
  return !exempt && names.test(code) ? [...found, `ffi/${name}.ts names a runtime's API`] : found;
}

/** Checks every module. @throws {StepError} With everything that is wrong. */
export function checkLayers(): void {
  const folder = join(root, "ffi");
  const modules = readdirSync(folder).filter((file) => file.endsWith(".ts")).map((file) => file.slice(0, -3));
  const found = modules.flatMap((name) => violations(name, readFileSync(join(folder, `${name}.ts`), "utf8")));
  const missing = layers.flat().filter((name) => !modules.includes(name)).map((name) => `ffi/${name}.ts is missing`);
  if (found.length + missing.length > 0) throw new StepError([...found, ...missing].join("\n"));
}

if (import.meta.main) await main(checkLayers);
