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

/** The npm package's one file: a name that no program gives its bundle. */
const packageFile = "belay_ffi.js";
/** What the module of the embedded cores gives as its place there, while no bundler has changed it. */
const unchanged = "unchanged";

/** Where code is that is in two modules, this one and the one of the cores. Without regular expressions, which take longer. */
export function placeOf({ url = "", dirname }: Meta, embedded: string | undefined): Place {
  const isPackage = url.endsWith(`/${packageFile}`);
  const file = isPackage ? packageFile : `ground/place.${url.slice(-2)}`;
  const base = url.slice(0, -file.length);
  // Two modules are one in a bundle, whatever that is called.
  const other = isPackage ? unchanged : `${base}ground/embedded.${url.slice(-2)}`;
  const isBundle = !url.endsWith(`/${file}`) || embedded !== other || (isPackage && !isIn(base, dirname));
  if (isBundle) return { kind: "bundle", prefixes: [] };
  const end = isPackage ? packageFile : "";
  const folder = isPackage ? dirname : dirname?.slice(0, -"/ground".length);
  const inFolder = folder === undefined ? [] : [`${folder}/${end}`, `${folder}\\${end}`];
  return { kind: isPackage ? "package" : "modules", prefixes: [base + end, ...inFolder] };
}

/** Whether a URL and a path are of the same folder. A bundler may put in the one of its own time, and leave the other. */
function isIn(url: string, dirname: string | undefined): boolean {
  return dirname === undefined || decodeURIComponent(url).endsWith(`${dirname.replaceAll("\\", "/")}/`);
}

let found: Place | undefined;

/** Where this code is. */
export function place(): Place {
  const { url, dirname } = import.meta as Meta;
  return found ??= placeOf({ url, dirname }, embeddedUrl);
}
