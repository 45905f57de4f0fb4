/**
 * What a new project and its things are called.
 *
 * @module
 */

/** The languages that a library may be written in. */
export type Language = "zig" | "c";

/** The names in a project, which follow from that of its package. */
export interface Names {
  /** The package, `@me/my-lib`. */
  readonly package: string;
  /** Its folder, `my-lib`. */
  readonly folder: string;
  /** The library, and the beginning of its functions' names: `my_lib`. */
  readonly library: string;
}

/** So long that no line of the templates gets too long. */
const mostCharacters = 40;

/** Windows has no files of these names. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/** The names of a project whose package is called so, or `undefined` when a package can't be. */
export function namesOf(packageName: string): Names | undefined {
  const [, folder = ""] = /^(?:@[a-z0-9][a-z0-9-]*\/)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)$/.exec(packageName) ?? [];
  if (folder === "" || packageName.length > mostCharacters || devices.test(folder)) return undefined;
  return { package: packageName, folder, library: folder.replaceAll("-", "_") };
}
