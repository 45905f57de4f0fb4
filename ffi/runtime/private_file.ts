/**
 * A library that is bytes, as a file in a folder that only the user can write to.
 *
 * @module
 */

import type { Backend, Files } from "./backend.ts";

/** What says where files go that can be made again, in each system's order. */
const places = {
  linux: [["XDG_CACHE_HOME", ""], ["HOME", "/.cache"]],
  darwin: [["HOME", "/Library/Caches"]],
  windows: [["LOCALAPPDATA", ""]],
} as const;

const writableByOthers = 0o022;

/** The variable that says where belay's files go, the one to set. */
export function folderVariable({ os }: Backend["platform"]): string {
  return places[os][0][0];
}

/** The folder in which belay keeps files. @throws {Error} When the environment names none. */
function folderIn({ os }: Backend["platform"], files: Files): string {
  const choices = places[os];
  for (const [name, below] of choices) {
    const value = files.env(name);
    // A relative one is to be ignored (XDG Base Directory Specification).
    if (value !== undefined && /^(\/|\\\\|[A-Za-z]:)/.test(value)) return `${value}${below}/belay`;
  }
  throw new Error(`there is no folder for it: ${choices.map(([name]) => name).join(" or ")} must be set`);
}

/**
 * The path of a file with these bytes, which every process of the user shares. It is written aside and renamed, so nobody finds
 * half of it; what is there already is used only if nobody else can have written it and it has these bytes.
 *
 * @param name The file's name; it says what the bytes are.
 * @throws {Error} When there is no such folder or file and none can be made. The message says why.
 */
export function privateFile(runtime: Backend, name: string, bytes: Uint8Array<ArrayBuffer>): string {
  const files = runtime.files();
  const folder = folderIn(runtime.platform, files);
  const user = userOf(runtime);
  files.makeFolder(folder);
  if (user !== undefined) requirePrivate(files, folder, user);
  const path = `${folder}/${name}`;
  if (isWhole(files, path, bytes, user)) return path;
  const aside = `${path}.${files.unique()}`;
  try {
    files.write(aside, bytes);
    files.rename(aside, path);
  } catch (error) {
    files.remove(aside);
    // On Windows a library that is in use can't be replaced: another process may have made it meanwhile.
    if (!isWhole(files, path, bytes, user)) throw error;
  }
  return path;
}

/** The number of the user that the program runs as, from C, since Deno tells it with one more permission; Windows has none. */
function userOf(runtime: Backend): number | undefined {
  const { os } = runtime.platform;
  if (os === "windows") return undefined;
  const path = os === "darwin" ? "/usr/lib/libSystem.B.dylib" : "libc.so.6";
  const library = runtime.open(path, [{ name: "geteuid", parameters: [], result: "u32" }]);
  try {
    return library.functionAt(0)() as number;
  } finally {
    library.close();
  }
}

/** @throws {Error} When somebody else can write to a folder. */
function requirePrivate(files: Files, folder: string, user: number): void {
  const status = files.status(folder);
  if (status?.kind !== "folder") throw new Error(`"${folder}" is no folder`);
  if (status.user !== user) throw new Error(`"${folder}" belongs to another user`);
  if ((status.mode & writableByOthers) !== 0) throw new Error(`others can write to "${folder}": its mode must be 0700`);
}

/** Whether a path is a file of the user's own that has these bytes. */
function isWhole(files: Files, path: string, bytes: Uint8Array, user: number | undefined): boolean {
  const status = files.status(path);
  if (status?.kind !== "file") return false;
  if (user !== undefined && (status.user !== user || (status.mode & writableByOthers) !== 0)) return false;
  const there = files.read(path);
  return there.length === bytes.length && there.every((byte, i) => byte === bytes[i]);
}
