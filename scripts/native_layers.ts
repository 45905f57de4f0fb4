/**
 * Holds the imports in `native/src/` against the layers of the native core: a file imports what is below it, and no files
 * import each other in a circle.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";
import { main, root, StepError } from "./tools.ts";

/** From the top: files, and folders with all that is in them. Each may import those below it; files of a folder each other. */
const layers: readonly string[] = [
  "tests.zig",
  "tests/",
  "root.zig",
  "node_module.zig",
  "lifecycle.zig",
  "dispatch.zig",
  "channel.zig",
  "stacks/",
  "calls/",
  "queued/",
  "thunks/",
  "switching/",
  "waking/",
  "handles/",
  "isolate.zig",
  "waiter.zig",
  "queue.zig",
  "memory.zig",
  "library.zig",
  "interposition.zig",
  "allocator.zig",
  "os/",
  "abi.zig",
];

/** The files that a file imports, by their paths in `native/src/`. */
function importsOf(file: string, source: string): string[] {
  const code = source.replaceAll(/^\s*\/\/.*$/gm, "");
  const found = code.matchAll(/@import\("([^"]+\.zig)"\)/g);
  return [...new Set([...found].map(([, path]) => posix.join(posix.dirname(file), path)))];
}

/** A circle among files that begins and ends with one of them, if there is any. */
function circle(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const other of imports.get(file) ?? []) {
      const found = visit(other, [...path, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What is wrong with the imports of files, which are given by their paths in `native/src/`. */
export function nativeViolations(sources: Readonly<Record<string, string>>): string[] {
  const files = Object.keys(sources);
  const layerOf = (file: string): number =>
    layers.findIndex((layer) => layer.endsWith("/") ? file.startsWith(layer) : file === layer);
  const imports = new Map(files.map((file) => [file, importsOf(file, sources[file])]));
  const found = files.flatMap((file) => {
    const layer = layerOf(file);
    if (layer < 0) return [`native/src/${file} is in no layer`];
    return (imports.get(file) ?? []).flatMap((other) => {
      if (!files.includes(other)) return [`native/src/${file} imports native/src/${other}, which is missing`];
      const below = layerOf(other) > layer || (layerOf(other) === layer && layers[layer].endsWith("/"));
      return below ? [] : [`native/src/${file} imports native/src/${other}, which is not below it`];
    });
  });
  const missing = layers.filter((_, layer) => !files.some((file) => layerOf(file) === layer));
  const inCircle = circle(imports);
  return [
    ...found,
    ...missing.map((layer) => `native/src/${layer} is missing`),
    ...inCircle === undefined ? [] : [`native/src has a circle: ${inCircle.join(" → ")}`],
  ];
}

/** The sources of the native core, by their paths in `native/src/`. */
export function nativeSources(): Record<string, string> {
  const folder = join(root, "native", "src");
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".zig"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(
    entries.map((path) => [relative(folder, path).replaceAll(sep, "/"), readFileSync(path, "utf8")]),
  );
}

/** Checks every file. @throws {StepError} With everything that is wrong. */
export function checkNativeLayers(): void {
  const found = nativeViolations(nativeSources());
  if (found.length > 0) throw new StepError(found.join("\n"));
}

if (import.meta.main) await main(checkNativeLayers);
