/**
 * Builds the native core and the C library of the tests, for this machine or another, unless what is there is up to
 * date.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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

const systems = {
  linux: { zig: "linux-gnu", outputFolder: "lib", file: (name: string) => `lib${name}.so` },
  darwin: { zig: "macos", outputFolder: "lib", file: (name: string) => `lib${name}.dylib` },
  windows: { zig: "windows", outputFolder: "bin", file: (name: string) => `${name}.dll` },
} as const;

/** What Zig calls a target. */
export function zigTarget({ os, arch, musl = false }: Target): string {
  return `${arch}-${musl ? "linux-musl" : systems[os].zig}`;
}

/** What Zig is told to make a C library of the tests with, before its sources. */
export function compileArgs(target: Target, flags: readonly string[]): string[] {
  return ["cc", "-target", zigTarget(target), "-shared", "-fPIC", ...flags];
}

/** Where the C library of the tests is built. */
export function testLibraryOf({ os, arch, musl = false }: Target): string {
  return join(root, "tests", "native", "build", `${os}-${arch}${musl ? "-musl" : ""}`, systems[os].file("testlib"));
}

/** The C library of the tests, for this machine. */
export const testLibrary: string = testLibraryOf(host);

/** Every file below a folder, caches and outputs aside. */
function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) =>
      entry.isFile() && /\.(zig|zon|h|c)$/.test(entry.name) && !entry.parentPath.includes(".zig-cache")
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Makes `target` by calling `make`, if what it is made of, or how, has changed since it was. */
function update(
  target: string,
  inputs: readonly string[],
  args: readonly string[],
  message: string,
  make: () => void,
): void {
  const hash = createHash("sha256").update(args.join("\0"));
  for (const input of inputs) hash.update(input.slice(root.length)).update(readFileSync(input));
  const stamp = `${target}.sha256`;
  const digest = hash.digest("hex");
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  console.error(message);
  mkdirSync(dirname(target), { recursive: true });
  make();
  writeFileSync(stamp, digest);
}

function forWhat(target: Target): string {
  return zigTarget(target) === zigTarget(host) ? "" : ` for ${target.os}-${target.arch}${target.musl ? "-musl" : ""}`;
}

/**
 * Builds what is out of date, for any processor of the target's kind and, on Linux, for older C libraries than this
 * machine's: what is built here may be packed.
 */
export function build(target: Target = host): void {
  const { os, arch } = target;
  const { outputFolder, file } = systems[os];
  const native = join(root, "native");
  const core = join(native, "lib", `${os}-${arch}`, file("belay"));
  const coreArgs = ["build", "-Doptimize=ReleaseFast", `-Dtarget=${zigTarget({ os, arch })}`, "-Dcpu=baseline"];
  update(core, sources(native), coreArgs, `Building the native core${forWhat(target)} …`, () => {
    runZig(coreArgs, { cwd: native, quiet: true });
    copyFileSync(join(native, "zig-out", outputFolder, file("belay")), core);
  });
  const library = testLibraryOf(target);
  const librarySources = sources(join(root, "tests", "native"));
  // The threads of Windows: Zig's winpthreads.
  const libraryArgs = compileArgs(target, ["-O2", ...(os === "windows" ? ["-lpthread"] : [])]);
  update(library, librarySources, libraryArgs, `Building the tests' C library${forWhat(target)} …`, () => {
    const inputs = librarySources.filter((path) => path.endsWith(".c"));
    runZig([...libraryArgs, "-o", library, ...inputs], { quiet: true });
  });
}

if (import.meta.main) await main(() => build());
