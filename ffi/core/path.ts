/**
 * Where the core's file is.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { type EmbeddedCore, embeddedCore } from "../ground/embedded.ts";
import { LibraryLoadError } from "../ground/errors.ts";
import { place } from "../ground/place.ts";
import { isDenied, messageOf } from "../ground/thrown.ts";
import { onCorePath } from "../lifetime/settings.ts";
import { backend } from "../runtime/choose.ts";
import { libraryFile } from "../runtime/library_file.ts";
import { folderVariable } from "../runtime/private_file.ts";

/** The file that the core is opened from. */
export interface CoreFile {
  readonly path: string;
  /** It came with the `"package"`, was `"embedded"` in its modules or a bundle, or the program `"configured"` it. */
  readonly source: "package" | "embedded" | "configured";
}

let configured: string | undefined;
let found: CoreFile | undefined;
/** Whether the core has been opened from the file that was found. */
let kept = false;
/** What can be tried when the file that was found doesn't load. */
let other: (() => CoreFile) | undefined;

onCorePath((core) => {
  const path = typeof core === "string" ? core : filePath(core, backend().platform.os === "windows");
  // It is opened several times, and the current directory may change.
  if (!/^(\/|\\\\|[A-Za-z]:[\\/])/.test(path)) {
    throw new TypeError(`Cannot configure "core": expected an absolute path or a file: URL, got "${path}"`);
  }
  if (kept && found?.path !== path) {
    throw new TypeError(`Cannot configure "core": belay has opened "${found?.path}" already`);
  }
  configured = path;
  if (!kept) found = undefined;
});

/** The core's file: the same one for every caller. @throws {LibraryLoadError} When the package has none that can be a file. */
export function coreFile(): CoreFile {
  return found ??= find();
}

/** Notes that the core has been opened: from now on its file is this one. */
export function keepCoreFile(): void {
  kept = true;
  other = undefined;
}

/** Has the file looked for again, if the core hasn't been opened: something may have changed when a program tries again. */
export function forgetCoreFile(): void {
  if (!kept) found = undefined;
}

/** The file to try when the first one didn't load; `undefined` when there is none. */
export function otherCoreFile(): CoreFile | undefined {
  const make = other;
  other = undefined;
  return make === undefined ? undefined : found = make();
}

/** The file, if one has been looked for: asking makes none. */
export function knownCoreFile(): CoreFile | undefined {
  return found;
}

function find(): CoreFile {
  if (configured !== undefined) return { path: configured, source: "configured" };
  const { os, arch } = backend().platform;
  const folder = `${os}-${arch}`;
  const file = os === "windows" ? "belay.dll" : os === "darwin" ? "libbelay.dylib" : "libbelay.so";
  const { kind } = place();
  // The package's one file has them beside it.
  const embedded = kind === "package" ? undefined : embeddedCore(folder);
  if (embedded !== undefined) return madeOf(embedded, file);
  if (kind === "bundle") {
    throw notThere(folder, "this bundle carries no core for it", "Leave @belay/ffi out of the bundle, as external");
  }
  const { dirname, url } = import.meta as { readonly dirname?: string; readonly url: string };
  const path = `native/lib/${folder}/${file}`;
  // The root of the package is above dist/, or ffi/core/. Half a millisecond is saved where no URL has to be taken apart; both
  // runtimes have `dirname` for modules that are files.
  const isPackage = kind === "package";
  if (dirname === undefined) {
    const file = new URL(`${isPackage ? ".." : "../.."}/${path}`, url);
    return { path: filePath(file, os === "windows"), source: "package" };
  }
  const above = folderOf(dirname);
  return { path: `${isPackage ? above : folderOf(above)}/${path}`, source: "package" };
}

/** The folder that a folder is in. */
function folderOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")));
}

/** A file of bytes. */
function madeOf({ base64, among, sum }: EmbeddedCore, file: string): CoreFile {
  const runtime = backend();
  const name = file.replace(".", `-${sum.slice(0, 16)}.`);
  const from64 = Uint8Array as unknown as { fromBase64(text: string): Uint8Array<ArrayBuffer> };
  const bytes = (): Uint8Array<ArrayBuffer> => {
    const decoded = from64.fromBase64(base64);
    return among === undefined ? decoded : runtime.decompress(decoded).slice(among.start, among.end);
  };
  const made = (make: () => string): CoreFile => {
    try {
      return { path: make(), source: "embedded" };
    } catch (error) {
      if (isDenied(error)) throw error;
      const variable = folderVariable(runtime.platform);
      throw notThere(
        name,
        messageOf(error),
        `Set ${variable} to a folder that the program may write to and load libraries from`,
      );
    }
  };
  return made(() => {
    const { path, other: inFolder } = libraryFile(runtime, name, bytes);
    other = inFolder === undefined ? undefined : () => made(inFolder);
    return path;
  });
}

function notThere(path: string, reason: string, hint: string): LibraryLoadError {
  const configure = "or name the file of the core: configure({ core: path })";
  return new LibraryLoadError("belay's native core", [{ path, reason }], `${hint}, ${configure}.`);
}

/** The path of a file URL, as the loader wants it. */
export function filePath(url: URL, windows: boolean): string {
  if (url.protocol !== "file:") throw new TypeError(`Cannot open "${url.href}": expected a file: URL`);
  const path = decodeURIComponent(url.pathname);
  if (path.includes("\0")) throw new TypeError(`Cannot open "${url.href}": the path contains a NUL character`);
  return windows ? path.replace(/^\/([A-Za-z]:)/, "$1").replaceAll("/", "\\") : path;
}
