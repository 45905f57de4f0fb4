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
import { main, root, runZig } from "./tools.ts";

/** A platform that the core is built for. */
export interface Target {
  readonly os: "linux" | "darwin" | "windows";
  readonly arch: "x86_64" | "aarch64";
}

/** What the scripts and the tests run on. Under an emulator the tests see the emulated machine. */
export const host: Target = {
  os: process.platform === "win32" ? "windows" : process.platform === "darwin" ? "darwin" : "linux",
  arch: process.arch === "arm64" ? "aarch64" : "x86_64",
};

const systems = {
  linux: { zig: "linux-gnu", outputFolder: "lib", file: (name: string) => `lib${name}.so` },
  darwin: { zig: "macos", outputFolder: "lib", file: (name: string) => `lib${name}.dylib` },
  windows: { zig: "windows", outputFolder: "bin", file: (name: string) => `${name}.dll` },
} as const;

/** What Zig calls a target. */
export function zigTarget({ os, arch }: Target): string {
  return `${arch}-${systems[os].zig}`;
}

/** Where the C library of the tests is built. */
export function testLibraryOf({ os, arch }: Target): string {
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

/** Builds what is out of date. */
export function build(target: Target = host): void {
  const { os, arch } = target;
  const { outputFolder, file } = systems[os];
  // Without a target Zig builds for just this machine's C library and processor.
  const isHost = os === host.os && arch === host.arch;
  const forWhat = isHost ? "" : ` for ${os}-${arch}`;
  const native = join(root, "native");
  const core = join(native, "lib", `${os}-${arch}`, file("belay"));
  update(core, sources(native), `Building the native core${forWhat} …`, () => {
    const targetArgs = isHost ? [] : [`-Dtarget=${zigTarget(target)}`];
    runZig(["build", "-Doptimize=ReleaseFast", ...targetArgs], { cwd: native, quiet: true });
    copyFileSync(join(native, "zig-out", outputFolder, file("belay")), core);
  });
  const library = testLibraryOf(target);
  const fixtures = sources(join(root, "tests", "native"));
  update(library, fixtures, `Building the tests' C library${forWhat} …`, () => {
    const targetArgs = isHost ? [] : ["-target", zigTarget(target)];
    const inputs = fixtures.filter((path) => path.endsWith(".c"));
    runZig(["cc", ...targetArgs, "-shared", "-O2", "-fPIC", "-o", library, ...inputs], { quiet: true });
  });
}

if (import.meta.main) await main(() => build());
