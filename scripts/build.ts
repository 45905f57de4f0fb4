/**
 * Builds the native core for this machine, and the C library of the tests, unless what is there is up to date.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { main, root, runZig } from "./tools.ts";

const os = process.platform === "win32" ? "windows" : process.platform;
const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
const platform = `${os}-${arch}`;
const fileNames: Record<string, (name: string) => string> = {
  linux: (name) => `lib${name}.so`,
  darwin: (name) => `lib${name}.dylib`,
  windows: (name) => `${name}.dll`,
};

/** What a library called `name` is called on this machine. */
export function libraryFile(name: string): string {
  return (fileNames[os] ?? fileNames["linux"])(name);
}

/** The C library of the tests. */
export const testLibrary: string = join(root, "tests", "native", "build", platform, libraryFile("testlib"));

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
export function build(): void {
  const native = join(root, "native");
  const core = join(native, "lib", platform, libraryFile("belay"));
  update(core, sources(native), "Building the native core …", () => {
    runZig(["build", "-Doptimize=ReleaseFast"], { cwd: native, quiet: true });
    copyFileSync(join(native, "zig-out", os === "windows" ? "bin" : "lib", libraryFile("belay")), core);
  });
  const fixtures = sources(join(root, "tests", "native"));
  update(testLibrary, fixtures, "Building the tests' C library …", () => {
    runZig(["cc", "-shared", "-O2", "-fPIC", "-o", testLibrary, ...fixtures.filter((file) => file.endsWith(".c"))], {
      quiet: true,
    });
  });
}

if (import.meta.main) await main(build);
