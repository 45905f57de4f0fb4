/**
 * Builds the native core and the C library of the tests, for this machine or another, unless what is there is up to
 * date. `--all` builds the cores of all platforms.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import type { Platform } from "../ffi/types/platform.ts";
import { main, root, runZig } from "./tools.ts";

/** What the scripts build for. */
export interface Target extends Platform {
  /** Whether its C library is musl, which the tests' C library is built for. The core is one for glibc and musl. */
  readonly musl?: boolean;
}

const arch = process.arch === "arm64" ? "aarch64" : "x86_64";

/** What the scripts and the tests run on. Under an emulator the tests see the emulated machine. */
export const host: Target = {
  os: process.platform === "win32" ? "windows" : process.platform === "darwin" ? "darwin" : "linux",
  arch,
  // Some systems with glibc have musl besides.
  musl: existsSync(`/lib/ld-musl-${arch}.so.1`) && !existsSync("/etc/ld.so.cache"),
};

/** The platforms that the package brings a core for. */
export const platforms: readonly Platform[] = (["linux", "darwin", "windows"] as const).flatMap((os) =>
  (["x86_64", "aarch64"] as const).map((arch) => ({ os, arch }))
);

const systems = {
  // The core is linked with no C library, whichever one it is compiled for, and runs with glibc and with musl.
  linux: { zig: "linux-gnu", core: "linux-musl", outputFolder: "lib", file: (name: string) => `lib${name}.so` },
  darwin: { zig: "macos", core: "macos", outputFolder: "lib", file: (name: string) => `lib${name}.dylib` },
  windows: { zig: "windows", core: "windows", outputFolder: "bin", file: (name: string) => `${name}.dll` },
} as const;

/** What Zig calls a target. */
export function zigTarget({ os, arch, musl = false }: Target): string {
  return `${arch}-${musl ? "linux-musl" : systems[os].zig}`;
}

/** What Zig is told to make a C library of the tests with, before its sources. */
export function compileArgs(target: Target, flags: readonly string[]): string[] {
  return ["cc", "-target", zigTarget(target), "-shared", "-fPIC", ...flags];
}

/** The name of a platform's folder. */
export function folderOf({ os, arch }: Platform): string {
  return `${os}-${arch}`;
}

/** Where a platform's core is built. */
export function coreOf(target: Platform): string {
  return join(root, "native", "lib", folderOf(target), systems[target.os].file("belay"));
}

/** Builds a core from a copy of its sources, into `zig-out` there. The file. */
export function buildCoreIn(native: string, target: Platform): string {
  const { os, arch } = target;
  const { core, outputFolder, file } = systems[os];
  // What is called often is inlined by its definition: that is as fast as ReleaseFast, and a tenth smaller.
  const args = ["build", "-Doptimize=ReleaseSmall", `-Dtarget=${arch}-${core}`, "-Dcpu=baseline"];
  runZig(args, { cwd: native, quiet: true });
  return join(native, "zig-out", outputFolder, file("belay"));
}

/** Where the C library of the tests is built. */
export function testLibraryOf(target: Target): string {
  const folder = `${folderOf(target)}${target.musl ? "-musl" : ""}`;
  return join(root, "tests", "native", "build", folder, systems[target.os].file("testlib"));
}

/** The C library of the tests, for this machine. */
export const testLibrary: string = testLibraryOf(host);

/** Every source file below a folder, caches and outputs aside. */
export function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) =>
      entry.isFile() && /\.(zig|zon|h|c|ts)$/.test(entry.name) && !/[/\\](\.zig-cache|zig-out)/.test(entry.parentPath)
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Makes `target` by calling `make`, if what it is made of, or how, has changed since it was. */
export function update(
  target: string,
  inputs: readonly string[],
  args: readonly string[],
  message: string,
  make: () => void,
): void {
  const hash = createHash("sha256").update(args.join("\0"));
  for (const input of inputs) hash.update(input.slice(root.length).replaceAll("\\", "/")).update(readFileSync(input));
  const stamp = `${target}.sha256`;
  const digest = hash.digest("hex");
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  console.error(message);
  mkdirSync(dirname(target), { recursive: true });
  make();
  writeFileSync(stamp, digest);
}

function forWhat(target: Target): string {
  return zigTarget(target) === zigTarget(host) ? "" : ` for ${folderOf(target)}${target.musl ? "-musl" : ""}`;
}

/** Builds a platform's core if it is out of date, for any processor of its kind: what is built here may be packed. */
export function buildCore(target: Platform): void {
  const native = join(root, "native");
  // How it is built is in a file of the project's, too.
  const inputs = [...sources(native), join(root, "scripts", "build.ts")];
  update(coreOf(target), inputs, [folderOf(target)], `Building the native core${forWhat(target)} …`, () => {
    // A program that has mapped the old file keeps it.
    const aside = `${coreOf(target)}.new`;
    copyFileSync(buildCoreIn(native, target), aside);
    renameSync(aside, coreOf(target));
  });
}

/** Builds what is out of date of the core and the tests' C library. */
export function build(target: Target = host): void {
  buildCore(target);
  const library = testLibraryOf(target);
  const librarySources = sources(join(root, "tests", "native"));
  // The threads of Windows: Zig's winpthreads.
  const args = compileArgs(target, ["-O2", ...(target.os === "windows" ? ["-lpthread"] : [])]);
  update(library, librarySources, args, `Building the tests' C library${forWhat(target)} …`, () => {
    const inputs = librarySources.filter((path) => path.endsWith(".c"));
    runZig([...args, "-o", library, ...inputs], { quiet: true });
  });
}

if (import.meta.main) {
  await main(() => {
    build();
    if (process.argv.includes("--all")) platforms.forEach(buildCore);
  });
}
