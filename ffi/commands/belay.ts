/**
 * belay as programs see it, loaded when a command needs it: a command can tell why that fails.
 *
 * @module
 */

export type { LibraryPath, Pointer } from "../../mod.ts";

/** What `mod.ts` exports. */
export type Belay = typeof import("../../mod.ts");

/** Loads belay. */
export function loadBelay(): Promise<Belay> {
  return import("../../mod.ts");
}

/** Belay's native core, which it has opened. */
export function openedCore({ stats }: Belay): { readonly path: string; readonly source: string } {
  const { core } = stats();
  if (core === undefined) throw new Error("belay has not opened its core");
  return core;
}

/** Where belay's module is, for a worker: beside `ffi/`, or in the npm package a folder above the commands. */
export function belayUrl(): URL {
  const [, folder, extension = "ts"] = /(\/ffi)?\/commands\/[^/]*\.(\w+)$/.exec(import.meta.url) ?? [];
  return new URL(folder === undefined ? "../belay_ffi.js" : `../../mod.${extension}`, import.meta.url);
}
