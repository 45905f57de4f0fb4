/**
 * Where the core's file is.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import { backend } from "../runtime/choose.ts";

/** Where the core is, beside these modules: `native/lib/<os>-<arch>/`. */
export function corePath(): string {
  const { os, arch } = backend().platform;
  const file = os === "windows" ? "belay.dll" : os === "darwin" ? "libbelay.dylib" : "libbelay.so";
  // Half a millisecond is saved where no URL has to be taken apart; both runtimes have it for modules that are files.
  const { dirname, url } = import.meta as { readonly dirname?: string; readonly url: string };
  const path = `../../native/lib/${os}-${arch}/${file}`;
  return dirname === undefined ? filePath(new URL(path, url), os === "windows") : `${dirname}/${path}`;
}

/** The path of a file URL, as the loader wants it. */
export function filePath(url: URL, windows: boolean): string {
  if (url.protocol !== "file:") throw new TypeError(`Cannot open "${url.href}": expected a file: URL`);
  const path = decodeURIComponent(url.pathname);
  if (path.includes("\0")) throw new TypeError(`Cannot open "${url.href}": the path contains a NUL character`);
  return windows ? path.replace(/^\/([A-Za-z]:)/, "$1").replaceAll("/", "\\") : path;
}
