/**
 * Programs that run what is built for other platforms: QEMU for arm64 Linux, which the system has or hasn't, and Wine for
 * Windows.
 *
 * @module
 */

import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { host } from "./build.ts";
import { MissingError } from "./packages.ts";
import { output, toolsFolder } from "./tools.ts";
import { wineCommand } from "./wine.ts";

/** A program that runs other platforms' programs. */
export interface Emulator {
  /** Its absolute path. */
  readonly path: string;
  /** What its environment has to say. */
  readonly env: Readonly<Record<string, string>>;
}

/** Where Debian's packages for cross-compiling put the system's libraries. */
const arm64Libraries = "/usr/aarch64-linux-gnu";

/** Where a program is. */
function which(name: string): string | undefined {
  return output("sh", ["-c", `command -v ${name}`]);
}

/** QEMU for arm64 Linux programs, with what they link to. @throws {MissingError} When it or that isn't there. */
export function qemu(): Emulator {
  if (host.os !== "linux" || process.platform !== "linux") {
    throw new MissingError('Cannot emulate "arm64 Linux": QEMU runs single programs on Linux only');
  }
  if (host.arch === "aarch64") {
    throw new MissingError('Cannot emulate "arm64 Linux": this machine is that; the other steps run on it');
  }
  const path = which("qemu-aarch64") ?? which("qemu-aarch64-static");
  const libraries = ["ld-linux-aarch64.so.1", "libgcc_s.so.1"].map((name) => join(arm64Libraries, "lib", name));
  if (path === undefined || !libraries.every((library) => existsSync(library))) {
    throw new MissingError(
      'Cannot emulate "arm64 Linux": QEMU or arm64\'s libraries are missing ' +
        "(Debian: apt-get install qemu-user-static libc6-arm64-cross libgcc-s1-arm64-cross)",
    );
  }
  const env = {
    QEMU_LD_PREFIX: arm64Libraries,
    // A processor without pointer authentication: QEMU computes its signatures in software, and the runtimes, which sign
    // every return address, then take ten times as long.
    QEMU_CPU: "neoverse-n1",
    // Bun stops a worker that is busy by patching its machine code while it runs, which ends under QEMU in a segmentation
    // fault of nearly every process that terminates 50 such workers, without belay, too. So it has to ask instead.
    BUN_JSC_usePollingTraps: "1",
  };
  return { path, env };
}

/** Wine for x64 Windows programs, as one program. @throws {MissingError} When it can't be there. */
export function wine(): Emulator {
  const { command, env } = wineCommand();
  const path = join(toolsFolder, "emulators", "run_wine");
  mkdirSync(dirname(path), { recursive: true });
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  writeFileSync(path, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`, { mode: 0o755 });
  return { path, env };
}

/** The environment in which Zig finds an emulator, under the one name that it looks for. */
export function environmentForZig({ path, env }: Emulator, name: string): Record<string, string> {
  const folder = join(toolsFolder, "emulators");
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, name), { force: true });
  symlinkSync(path, join(folder, name));
  return { ...env, PATH: `${folder}:${process.env["PATH"] ?? ""}` };
}
