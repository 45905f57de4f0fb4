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
import type { Platform } from "../ffi/backend.ts";
import { main, root, runZig } from "./tools.ts";

/** What the scripts and the tests run on. Under an emulator the tests see the emulated machine. */
export const host: Platform = {
  os: process.platform === "win32" ? "windows" : process.platform === "darwin" ? "darwin" : "linux",
  arch: process.arch === "arm64" ? "aarch64" : "x86_64",
};

const systems = {
  linux: { zig: "linux-gnu", outputFolder: "lib", file: (name: string) => `lib${name}.so` },
  darwin: { zig: "macos", outputFolder: "lib", file: (name: string) => `lib${name}.dylib` },
  windows: { zig: "windows", outputFolder: "bin", file: (name: string) => `${name}.dll` },
} as const;

/** Every platform that the core is built for. */
export const targets: readonly Platform[] = [
  { os: "linux", arch: "x86_64" },
  { os: "linux", arch: "aarch64" },
  { os: "darwin", arch: "x86_64" },
  { os: "darwin", arch: "aarch64" },
  { os: "windows", arch: "x86_64" },
];

/** What Zig calls a target. */
export function zigTarget({ os, arch }: Platform): string {
  return `${arch}-${systems[os].zig}`;
}

/** Where the C library of the tests is built. */
export function testLibraryOf({ os, arch }: Platform): string {
  return join(root, "tests", "native", "build", `${os}-${arch}`, systems[os].file("testlib"));
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

/** Makes `target` by calling `make`, if what it is made of has changed since it was. */
function update(target: string, inputs: readonly string[], message: string, make: () => void): void {
  const hash = createHash("sha256");
  for (const input of inputs) hash.update(input.slice(root.length)).update(readFileSync(input));
  const stamp = `${target}.sha256`;
  const digest = hash.digest("hex");
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  console.error(message);
  mkdirSync(dirname(target), { recursive: true });
  make();
  writeFileSync(stamp, digest);
}

/**
 * Builds the core, if it is out of date: the file. Without a target Zig builds for just this machine's C library and
 * processor; a core that goes elsewhere is told its target.
 */
export function buildCore({ os, arch }: Platform, folder: string, zigArgs: readonly string[] = []): string {
  const { outputFolder, file } = systems[os];
  const native = join(root, "native");
  const core = join(folder, `${os}-${arch}`, file("belay"));
  update(core, sources(native), `Building the native core${forWhat({ os, arch })} …`, () => {
    runZig(["build", "-Doptimize=ReleaseFast", ...zigArgs], { cwd: native, quiet: true });
    copyFileSync(join(native, "zig-out", outputFolder, file("belay")), core);
  });
  return core;
}

function isHost({ os, arch }: Platform): boolean {
  return os === host.os && arch === host.arch;
}

function forWhat(target: Platform): string {
  return isHost(target) ? "" : ` for ${target.os}-${target.arch}`;
}

/** Builds what is out of date. */
export function build(target: Platform = host): void {
  const elsewhere = !isHost(target);
  buildCore(target, join(root, "native", "lib"), elsewhere ? [`-Dtarget=${zigTarget(target)}`] : []);
  const library = testLibraryOf(target);
  const fixtures = sources(join(root, "tests", "native"));
  update(library, fixtures, `Building the tests' C library${forWhat(target)} …`, () => {
    const targetArgs = elsewhere ? ["-target", zigTarget(target)] : [];
    const inputs = fixtures.filter((path) => path.endsWith(".c"));
    runZig(["cc", ...targetArgs, "-shared", "-O2", "-fPIC", "-o", library, ...inputs], { quiet: true });
  });
}

if (import.meta.main) await main(() => build());
