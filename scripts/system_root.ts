/**
 * Folders with another system's files, and programs that run in one of them as if it were this machine's root. Needs
 * Linux, and either root or namespaces for everybody.
 *
 * @module
 */

import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Command } from "./beside.ts";
import { MissingError } from "./packages.ts";
import { output, root, toolsFolder } from "./tools.ts";

/**
 * Mounts what programs need, in namespaces of their own that end with the program: devices, what the kernel tells, processes,
 * and this project where it is. Temporary files are the folder's own: under Wine, Bun can't read a project that is inside
 * of a mount in memory. `sh` stays as the first process, whose duty it is to wait for others' orphans.
 */
const script = `set -e
root=$0; project=$1; tools=$2; last=$3; here=$PWD; shift 3
for folder in /dev /sys; do mount --rbind "$folder" "$root$folder"; done
mount -t proc proc "$root/proc"
for folder in "$project" "$tools"; do mkdir -p "$root$folder"; mount --rbind "$folder" "$root$folder"; done
[ $# = 0 ] && exit
set +e
unshare --root="$root" --wd="$here" "$@"
status=$?
[ -z "$last" ] || unshare --root="$root" --wd="$here" $last
exit $status`;

/**
 * The command that comes before a program's own, so that it runs with `folder` as its root. Its working folder is
 * that of the command, which is in this project. Then `last` runs, before the processes that are left are ended.
 */
export function inRoot(folder: string, last: string = ""): Command {
  const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
  const rights = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  // Zig's folder may be a link that leads out of the project.
  mkdirSync(join(toolsFolder, "zig"), { recursive: true });
  const tools = realpathSync(join(toolsFolder, "zig"));
  return ["unshare", ...rights, ...namespaces, "sh", "-c", script, folder, root, tools, last];
}

/** Prepares a folder for {@linkcode inRoot}. @throws {MissingError} When this machine doesn't let it be a root. */
export function prepareRoot(folder: string): void {
  for (const name of ["dev", "sys", "proc", "tmp"]) mkdirSync(join(folder, name), { recursive: true });
  const [command, ...args] = inRoot(folder);
  if (process.platform !== "linux" || output(command, args) === undefined) {
    throw new MissingError(
      "Cannot run programs with another root: that takes Linux, and either root or namespaces for everybody (unshare)",
    );
  }
}
