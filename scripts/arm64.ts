/**
 * Runs the tests with the arm64 Linux builds of Deno and Bun, under QEMU. Arguments as those of `deno task test`;
 * `--chosen` runs those files that have most to say of arm64, about a third of all by time; `--if-available` makes it no
 * failure that QEMU isn't there.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { qemu } from "./emulators.ts";
import { lockedPackage, MissingError, once, unpackDebian } from "./packages.ts";
import { type Machine, test, testElsewhere } from "./test.ts";
import { main, root, toolsFolder } from "./tools.ts";

const folder = join(toolsFolder, "arm64");

/**
 * The files whose code is another one on arm64: calling conventions, structures by value, thunks, and what threads share. The
 * rest is the same TypeScript on every processor, or starts many processes, which takes QEMU seconds each.
 */
const chosenFiles = [
  // Calling conventions: registers, stack, variadic functions, structures by value.
  "types/calling_convention",
  "calls/function_at",
  "calls/library",
  "calls/library_path",
  "calls/arguments",
  "calls/variable",
  "calls/block_call",
  "crossing/definition",
  "crossing/marshal",
  "memory/struct",
  "memory/struct_fuzz",
  // The dispatcher and the thunks.
  "callbacks/callback",
  "callbacks/fetching",
  "callbacks/callback_model",
  "callbacks/handle_parameters",
  "callbacks/invoker",
  "callbacks/on_error",
  "callbacks/signature",
  // Atomics: handles that C releases, rings of events, the pool of calls, the queue of calls from other threads.
  "lifetime/handle",
  "lifetime/handle_in_c",
  "lifetime/handle_table",
  "lifetime/release",
  "channels/channel",
  "channels/channel_data",
  "channels/ring_reader",
  "calls/nonblocking",
  "calls/nonblocking_values",
  "calls/own_stack",
  "calls/suspending",
  "callbacks/post",
  "callbacks/wait",
  "callbacks/queued",
  "callbacks/queued_arguments",
  // Memory that is mapped onto C's.
  "memory/mapping",
  "memory/native_memory",
  "memory/native_memory_access",
  "memory/pointer",
].map((name) => `./tests/${name}_test.ts`);

/** The folder of arm64's SQLite library, where Debian's tools can get it; the tests say themselves when they lack it. */
function sqliteFolder(): string | undefined {
  const sqlite = join(folder, "sqlite");
  try {
    once(sqlite, (temporary) => {
      console.error("Downloading SQLite for arm64 …");
      unpackDebian({ names: ["libsqlite3-0"], architecture: "arm64", dependencies: false }, temporary);
    });
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    console.error(error.message);
    return undefined;
  }
  return join(sqlite, "usr", "lib", "aarch64-linux-gnu");
}

/** Runs test files on the arm64 builds. @throws {MissingError} When QEMU isn't there. */
function testArm64(files: readonly string[], on: readonly ("deno" | "bun")[]): void {
  const { path, env } = qemu();
  const sqlite = sqliteFolder();
  const watcher = join(root, "scripts", "stuck_children.ts");
  const watching = spawn(process.execPath, ["run", "-A", "--no-check", "--quiet", watcher, path], { stdio: "inherit" });
  const machine: Machine = {
    name: "arm64 Linux",
    target: { os: "linux", arch: "aarch64" },
    deno: () => [path, join(lockedPackage("@deno/linux-arm64-glibc", folder), "deno")],
    bun: () => [path, join(lockedPackage("@oven/bun-linux-aarch64", folder), "bin", "bun")],
    env: { ...env, BELAY_RUNNER: path, ...(sqlite === undefined ? {} : { LD_LIBRARY_PATH: sqlite }) },
    slowness: 20,
  };
  try {
    test(files, on, machine);
  } finally {
    watching.kill();
  }
}

await main(() => testElsewhere("arm64 Linux", chosenFiles, testArm64));
