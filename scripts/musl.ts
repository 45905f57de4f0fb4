/**
 * Runs the tests with Bun's build for musl, in a folder with musl that is made of packages. (Deno has no such build.)
 * Arguments are the test files; all by default. `--chosen` runs those files that have most to say of another C library;
 * `--if-available` makes it no failure that the folder can't be made.
 *
 * @module
 */

import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { host, type Target } from "./build.ts";
import { testGuest } from "./guest.ts";
import { lockedPackage, mergedFolders, MissingError, once, unpackDebian, unpackWheel } from "./packages.ts";
import { sqliteFolder } from "./sqlite.ts";
import { inRoot, prepareRoot } from "./system_root.ts";
import { testElsewhere } from "./test.ts";
import { main, StepError, toolsFolder } from "./tools.ts";

const folder = join(toolsFolder, "musl");
const target: Target = { os: "linux", arch: "x86_64", musl: true };
/** Bun's build ends in a segmentation fault with musl 1.2.3, which Debian had before. */
const release = "trixie";
/** A package of PyPI that brings libstdc++ and libgcc for musl. */
const wheel = "greenlet==3.5.6";

/** The files that have most to say of another C library: how libraries are loaded, threads, processes' ends, structures. */
const chosenFiles = [
  "core/core",
  "core/fork",
  "calls/block_call",
  "calls/function_at",
  "calls/library",
  "calls/library_path",
  "calls/nonblocking",
  "calls/own_stack",
  "calls/suspending",
  "calls/variable",
  "callbacks/callback",
  "callbacks/fetching",
  "callbacks/elsewhere",
  "callbacks/post",
  "callbacks/thread_crash",
  "callbacks/wait",
  "channels/channel",
  "lifetime/release",
  "memory/struct",
  "memory/struct_fuzz",
  "package/crash_matrix",
  "package/worker",
].map((name) => `./tests/${name}_test.ts`);

/** Makes the folder. @throws {MissingError} When that isn't possible here. */
function muslRoot(): string {
  if (host.os !== "linux" || host.arch !== "x86_64") {
    throw new MissingError('Cannot run "musl": its folder is made on x64 Linux only');
  }
  const target = join(folder, `root-${release}-${wheel}`);
  once(target, (temporary) => {
    console.error("Making a folder with musl, of Debian's packages and PyPI's …");
    mergedFolders(temporary);
    unpackDebian({ names: ["musl"], release, dependencies: false }, temporary);
    const libraries = join(temporary, "usr", "lib");
    const unpacked = join(temporary, "wheel");
    mkdirSync(unpacked);
    unpackWheel(wheel, "musllinux_1_2_x86_64", unpacked);
    const [brought = ""] = readdirSync(unpacked).filter((name) => name.endsWith(".libs"));
    for (const name of readdirSync(join(unpacked, brought))) {
      renameSync(join(unpacked, brought, name), join(libraries, name));
      // `libstdc++-1a2b3c4d.so.6.0.32` is what the wheel's other libraries call `libstdc++.so.6`.
      const [, plain, version] = /^(.+)-[\da-f]+(\.so\.\d+)/.exec(name) ?? [];
      if (plain !== undefined) symlinkSync(name, join(libraries, `${plain}${version}`));
    }
    rmSync(unpacked, { recursive: true });
    symlinkSync("ld-musl-x86_64.so.1", join(libraries, "libc.musl-x86_64.so.1"));
  });
  prepareRoot(target);
  return target;
}

function testMusl(files: readonly string[]): void {
  const rootFolder = muslRoot();
  const bun = join(lockedPackage("@oven/bun-linux-x64-musl", folder), "bin", "bun");
  testGuest(files, ["bun"], {
    name: "Linux with musl",
    target,
    deno() {
      throw new StepError('Cannot run Deno on "Linux with musl": there is no such build of Deno');
    },
    bun: () => [...inRoot(rootFolder), bun],
    env: { HOME: "/tmp", LD_LIBRARY_PATH: `/usr/lib:${sqliteFolder(target, folder)}` },
    slowness: 1,
  });
}

await main(() => testElsewhere("Linux with musl", chosenFiles, testMusl));
