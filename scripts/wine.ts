/**
 * Wine, which runs x64 Windows programs, in a folder with a Debian that has a new one: the runtimes' builds start with
 * Wine 10, not with 8.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Command } from "./beside.ts";
import { host } from "./build.ts";
import { mergedFolders, MissingError, once, unpackDebian } from "./packages.ts";
import { inRoot, prepareRoot } from "./system_root.ts";
import { run, toolsFolder } from "./tools.ts";

export const windowsFolder: string = join(toolsFolder, "windows");
/** The first release of Debian with Wine 10. */
const release = "trixie";
const packages = ["wine64", "libwine", "libz-mingw-w64", "libc-bin"];
const program = "/usr/lib/wine/wine64";
const server = "/usr/lib/wine/wineserver64";

/** Has Wine look for no display. */
const registry = String.raw`WINE REGISTRY Version 2
;; All keys relative to \\User\\S-1-5-21-0-0-0-1000

#arch=win64

[Software\\Wine\\Drivers]
"Graphics"="null"
`;

/** Wine's command, and what its environment has to say. */
export interface Wine {
  readonly command: Command;
  readonly env: Readonly<Record<string, string>>;
}

/** Adds a library that Wine's own import, as the package's installation script does: marked as one of Wine's. */
function addZlib(root: string, from: string, to: string): void {
  const bytes = readFileSync(join(root, "usr", `${from}-w64-mingw32`, "lib", "zlib1.dll"));
  bytes.fill(0, 64, 96).write("Wine builtin DLL", 64, "latin1");
  writeFileSync(join(root, "usr", "lib", "x86_64-linux-gnu", "wine", `${to}-windows`, "zlib1.dll"), bytes);
}

/** Makes Wine's folder, if it isn't there. @throws {MissingError} When that isn't possible here. */
export function wineCommand(): Wine {
  if (host.os !== "linux" || host.arch !== "x86_64" || process.platform !== "linux") {
    throw new MissingError('Cannot run "Windows": Wine\'s folder is made on x64 Linux only');
  }
  const root = join(windowsFolder, `wine-${release}`);
  once(root, (temporary) => {
    console.error("Making a folder with Wine, of Debian's packages …");
    mergedFolders(temporary);
    // With what it draws windows by, too: programs that open none wait for ever where it can't try to.
    unpackDebian({ names: packages, release, dependencies: true }, temporary);
    for (const [from, to] of [["i686", "i386"], ["x86_64", "x86_64"]]) addZlib(temporary, from, to);
  });
  prepareRoot(root);
  const env = (prefix: string) => ({
    HOME: "/tmp",
    // Wine takes file names for text of the locale.
    LC_ALL: "C.UTF-8",
    WINEPREFIX: prefix,
    WINESERVER: server,
    // Wine's own messages aren't ours, and without the overrides it asks in a window whether to install .NET and HTML.
    WINEDEBUG: "-all",
    WINEDLLOVERRIDES: "mscoree,mshtml=",
  });
  const prefix = once(join(windowsFolder, "prefix"), (temporary) => {
    console.error("Making Wine's drive C: …");
    writeFileSync(join(temporary, "user.reg"), registry);
    // Its server writes the registry when the last program has ended.
    const [command, ...args] = inRoot(root, `${server} -w`);
    run(command, [...args, program, "wineboot", "--init"], { env: env(temporary), quiet: true });
  });
  return { command: [...inRoot(root), program], env: env(prefix) };
}
