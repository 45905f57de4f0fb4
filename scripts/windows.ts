/**
 * Runs the tests with the Windows builds of Deno and Bun, under Wine. Arguments as those of `deno task test`; `--chosen` runs
 * those files that have most to say of Windows, and take little time; `--if-available` makes it no failure that Wine
 * can't be there.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Target } from "./build.ts";
import { testGuest } from "./guest.ts";
import { lockedPackage } from "./packages.ts";
import { sqliteFolder } from "./sqlite.ts";
import { testElsewhere } from "./test.ts";
import { main, root } from "./tools.ts";
import { windowsFolder, wineCommand } from "./wine.ts";

const target: Target = { os: "windows", arch: "x86_64" };

/** Calling conventions, how libraries are found and loaded, and how threads reach the event loop. */
const chosenFiles = [
  "core/core",
  "calls/arguments",
  "calls/block_call",
  "calls/function_at",
  "calls/library",
  "calls/library_path",
  "calls/nonblocking",
  "calls/own_stack",
  "calls/suspending",
  "calls/undefined_bits",
  "calls/variable",
  "calls/wide_call",
  "callbacks/callback",
  "callbacks/fetching",
  "callbacks/elsewhere",
  "callbacks/errors",
  "callbacks/post",
  "callbacks/signature",
  "callbacks/thread_crash",
  "callbacks/wait",
  "channels/channel",
  "memory/native_memory",
  "memory/struct",
  "memory/struct_fuzz",
  "package/crash_matrix",
].map((name) => `./tests/${name}_test.ts`);

/** Wine calls its root `Z:`. */
function pathThere(path: string): string {
  return `Z:${path.replaceAll("/", "\\")}`;
}

/** Runs test files on the Windows builds. @throws {MissingError} When Wine can't be there. */
function testWindows(files: readonly string[], on: readonly ("deno" | "bun")[]): void {
  const { command, env } = wineCommand();
  const requests = join(windowsFolder, "zig");
  rmSync(requests, { recursive: true, force: true });
  mkdirSync(requests, { recursive: true });
  const watcher = join(root, "scripts", "zig_requests.ts");
  const watching = spawn(process.execPath, ["run", "-A", "--no-check", "--quiet", watcher, requests], {
    stdio: "inherit",
  });
  try {
    testGuest(files, on, {
      name: "Windows under Wine",
      target,
      deno: () => [...command, join(lockedPackage("@deno/win32-x64", windowsFolder), "deno.exe")],
      bun: () => [...command, join(lockedPackage("@oven/bun-windows-x64", windowsFolder), "bin", "bun.exe")],
      env: {
        ...env,
        // Wine has this folder come first in the programs' PATH.
        WINEPATH: pathThere(sqliteFolder(target, windowsFolder)),
        BELAY_ZIG_REQUESTS: requests,
        // Else each process of Deno's leaves a copy of its binary on drive C: it has a link to it that Wine doesn't replace.
        DENO_DISABLE_NODE_SHIM: "1",
      },
      pathThere,
      slowness: 4,
      fileLimitS: 900,
    });
  } finally {
    watching.kill();
  }
}

await main(() => testElsewhere("Windows", chosenFiles, testWindows));
