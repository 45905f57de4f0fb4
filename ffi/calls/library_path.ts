/**
 * From what a program calls a library to the files that it may be.
 *
 * @module
 */

import { filePath } from "../core/path.ts";
import { TypeError } from "../ground/blame.ts";
import { ownOptions } from "../ground/options.ts";
import type { Platform } from "../types/platform.ts";

/**
 * A library by its name, as a linker takes it (`-lsqlite3`); belay tries the platform's file names in turn.
 *
 * For `{ name: "sqlite3", versions: ["0"] }` these are `libsqlite3.so.0` and `libsqlite3.so` on Linux,
 * `libsqlite3.0.dylib` and `libsqlite3.dylib` on macOS, `sqlite3.dll`, `sqlite3-0.dll` and the like on Windows.
 */
export interface LibraryName {
  /** The name without prefix, version and ending: `"sqlite3"`. */
  readonly name: string;
  /** The versions of its binary interface that will do, best first: `["0"]` for `libsqlite3.so.0`. */
  readonly versions?: readonly string[];
}

/**
 * Where a library is: a path, a bare file name, a `file:` URL, or a {@linkcode LibraryName}.
 *
 * A path with a slash is relative to the current directory of the process. The system's loader looks for a bare file
 * name, on Linux not in the current directory. `new URL("./libx.so", import.meta.url)` is a file beside the module.
 */
export type LibraryPath = string | URL | LibraryName;

/** A library's name, read once; other paths as they are. @throws {TypeError} When it has other properties. */
export function ownPath(path: LibraryPath): LibraryPath {
  if (typeof path !== "object" || path === null || path instanceof URL) return path;
  const { name, versions } = ownOptions(
    "Cannot open a library",
    path,
    ["name", "versions"],
    "a property of a library's name",
  );
  return { name, versions } as LibraryName;
}

/** What messages call a library. */
export function displayName(path: LibraryPath | null): string {
  if (path === null) return "the program";
  return typeof path === "string" ? path : path instanceof URL ? path.href : path.name;
}

/**
 * The files to try, in order.
 *
 * @throws {TypeError} When the path is none of the kinds above.
 */
export function libraryCandidates(path: LibraryPath, { os }: Platform): string[] {
  if (path instanceof URL) return [filePath(path, os === "windows")];
  if (typeof path === "object" && path !== null) return namedCandidates(ownPath(path) as LibraryName, os);
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new TypeError("Cannot open a library: its path must be a string without NUL characters, a URL or a name");
  }
  return [path.startsWith("file://") ? filePath(new URL(path), os === "windows") : path];
}

/**
 * What a program that gave this path may have meant, as a sentence for the error that says that nothing could be loaded; empty
 * where that can't be told.
 *
 * @param isFile Whether there is a file at a path, `undefined` where that can't be told.
 */
export function pathHint(
  path: LibraryPath,
  { os }: Platform,
  isFile: (path: string) => boolean | undefined,
): string {
  if (path instanceof URL) return "";
  if (typeof path === "object") return nameHint(path.name);
  if (path.startsWith("file://") || path.startsWith("/") || /^\\\\|^[A-Za-z]:/.test(path)) return "";
  if (/[/\\]/.test(path)) {
    return `"${path}" is relative to the current directory of the process; new URL("${path}", import.meta.url) is relative ` +
      "to a module.";
  }
  // Elsewhere the loader looks there.
  if (os !== "linux" || isFile(path) === false) return "";
  const there = isFile(path) === true ? "where it is" : "if it is there";
  return `The loader doesn't look for a bare file name in the current directory; ${there}, pass "./${path}" or a file: URL.`;
}

/** A file's name where a linker's name is meant. */
function nameHint(name: string): string {
  const [, plain = "", unix, unixVersion, macVersion] =
    /^(?:lib)?(.+?)(?:(\.so)(?:\.([\w.]+))?|(?:\.([\d.]+))?\.dylib|\.dll)$/.exec(name) ?? /^lib(.+)$/.exec(name) ?? [];
  if (plain === "") return "";
  const version = unix === undefined ? macVersion : unixVersion;
  const versions = version === undefined ? "" : `, versions: ["${version}"]`;
  const fileName = /\./.test(name) ? `; a file's name is passed as a string, "${name}"` : "";
  return `A name is what a linker takes, { name: "${plain}"${versions} }${fileName}.`;
}

function namedCandidates({ name, versions = [] }: LibraryName, os: Platform["os"]): string[] {
  const isPart = (part: unknown): boolean => typeof part === "string" && part !== "" && !/[/\\\0]/.test(part);
  if (!isPart(name) || !Array.isArray(versions) || !versions.every(isPart)) {
    throw new TypeError(
      'Cannot open a library: its name and versions must be strings without slashes, such as "sqlite3"',
    );
  }
  switch (os) {
    case "linux":
      return [...versions.map((version) => `lib${name}.so.${version}`), `lib${name}.so`];
    case "darwin": {
      const files = [...versions.map((version) => `lib${name}.${version}.dylib`), `lib${name}.dylib`];
      // The loader doesn't look where Homebrew on Apple silicon puts libraries.
      return [...files, ...files.map((file) => `/opt/homebrew/lib/${file}`)];
    }
    case "windows":
      return [
        `${name}.dll`,
        ...versions.flatMap((version) => [`${name}-${version}.dll`, `lib${name}-${version}.dll`]),
        `lib${name}.dll`,
      ];
  }
}
