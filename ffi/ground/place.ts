/**
 * Where belay's code is: in modules of its own, in the one file of the npm package, or inside a program's bundle.
 *
 * @module
 */

import { embeddedUrl } from "./embedded.ts";

/** Where belay's code is. */
export interface Place {
  /** `"modules"` are a checkout or JSR's, `"package"` is npm's, a `"bundle"` has the program's code in the same file. */
  readonly kind: "modules" | "package" | "bundle";
  /** How URLs and stacks spell the beginning of belay's own files; a bundle has none. */
  readonly prefixes: readonly string[];
}

/** What the code of one module knows of where it is. */
interface Meta {
  /** Bundles of CommonJS have none. */
  readonly url?: string | undefined;
  /** Both runtimes have it where a module is a file. */
  readonly dirname?: string | undefined;
}

/** Where code is that is in two modules, this one and the one of the cores. */
export function placeOf({ url = "", dirname }: Meta, embedded: string | undefined): Place {
  const [, base, file = ""] = /^(.*\/)(ground\/place\.[jt]s|mod\.js)$/.exec(url) ?? [];
  const isPackage = file === "mod.js";
  // The package's two files are one in a bundle, whatever that is called.
  const inTwo = base !== undefined &&
    embedded === `${base}${isPackage ? "embedded.js" : `ground/embedded.${file.slice(-2)}`}`;
  if (!inTwo) return { kind: "bundle", prefixes: [] };
  const end = isPackage ? "mod.js" : "";
  const folder = isPackage ? dirname : dirname?.replace(/[/\\]ground$/, "");
  const inFolder = folder === undefined ? [] : [`${folder}/${end}`, `${folder}\\${end}`];
  return { kind: isPackage ? "package" : "modules", prefixes: [`${base}${end}`, ...inFolder] };
}

let found: Place | undefined;

/** Where this code is. */
export function place(): Place {
  const { url, dirname } = import.meta as Meta;
  return found ??= placeOf({ url, dirname }, embeddedUrl);
}
