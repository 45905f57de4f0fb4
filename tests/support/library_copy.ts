/**
 * Copies of the test library, whose mapping only their own test looks at.
 *
 * @module
 */

import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { it } from "@std/testing/bdd";
import { host, testLibrary } from "../../scripts/build.ts";
import { leftOut } from "./left_out.ts";

export const itOnLinux = process.platform === "linux" ? it : it.skip;
if (process.platform !== "linux") leftOut("what is mapped after a library was closed, which only Linux tells");

/** Whether the loader unmaps a library that is closed for the last time: musl's never does. */
export const unmaps: boolean = host.musl !== true;
if (!unmaps) leftOut("that a library is unmapped: musl's loader never does that");

/** A fresh copy of the test library, which nobody else has opened. */
export function copyLibrary(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "belay grüße 100% "));
  const path = join(folder, basename(testLibrary));
  copyFileSync(testLibrary, path);
  return {
    path,
    [Symbol.dispose]() {
      // Windows doesn't delete a library that is mapped.
      if (process.platform !== "win32") rmSync(folder, { recursive: true });
    },
  };
}

export const isMapped = (path: string): boolean => readFileSync("/proc/self/maps", "utf8").includes(path);
