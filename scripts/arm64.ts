/**
 * Runs the tests with the arm64 Linux builds of Deno and Bun, under QEMU. Arguments as those of `deno task test`;
 * `--chosen` runs those files that have most to say of arm64, about a third of all by time; `--if-available` makes it no
 * failure that QEMU isn't there.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { MissingError, qemu } from "./emulators.ts";
import { type Machine, test, testFiles } from "./test.ts";
import { main, output, root, run, runtimes, StepError, toolsFolder } from "./tools.ts";

const folder = join(toolsFolder, "arm64");

/**
 * The files whose code is another one on arm64: calling conventions, structures by value, thunks, and what threads share. The
 * rest is the same TypeScript on every processor, or starts many processes, which takes QEMU seconds each.
 */
const chosenFiles = [
  // Calling conventions: registers, stack, variadic functions, structures by value.
  "types/calling_convention",
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

/** A package of the lock file, unpacked: its folder. The lock file pins what is inside. */
function lockedPackage(name: string): string {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity: string } | undefined>;
  };
  const locked = packages[`node_modules/${name}`];
  if (locked === undefined) throw new StepError(`Cannot install "${name}": package-lock.json doesn't name it`);
  const target = join(folder, `${name.replace(/^@/, "").replace("/", "-")}-${locked.version}`);
  if (existsSync(target)) return join(target, "package");
  console.error(`Installing ${name} ${locked.version} from npm …`);
  const temporary = `${target}.new`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  // npm installs no packages for other processors, but it does download them.
  const packed = output("npm", [
    "pack",
    "--silent",
    "--json",
    "--pack-destination",
    temporary,
    `${name}@${locked.version}`,
  ]);
  if (packed === undefined) throw new StepError(`Cannot install "${name}": npm pack failed`);
  const [{ filename, integrity }] = JSON.parse(packed) as { filename: string; integrity: string }[];
  if (integrity !== locked.integrity) {
    throw new StepError(`Cannot install "${name}": expected ${locked.integrity}, got ${integrity}`);
  }
  const archive = join(temporary, filename.replace(/^@/, "").replace("/", "-"));
  run("tar", ["-xzf", archive, "-C", temporary], { quiet: true });
  rmSync(archive);
  renameSync(temporary, target);
  return join(target, "package");
}

/**
 * The folder of arm64's SQLite library, where Debian's tools can get it; the tests say themselves when they lack it.
 * With package lists of our own, so that neither root nor a change of the system is needed.
 */
function sqliteFolder(): string | undefined {
  const sqlite = join(folder, "sqlite");
  const libraries = join(sqlite, "usr", "lib", "aarch64-linux-gnu");
  if (existsSync(join(libraries, "libsqlite3.so.0"))) return libraries;
  if (output("apt-get", ["--version"]) === undefined) return undefined;
  console.error("Downloading SQLite for arm64 …");
  const apt = join(folder, "apt");
  mkdirSync(join(apt, "lists", "partial"), { recursive: true });
  mkdirSync(join(apt, "cache", "archives", "partial"), { recursive: true });
  const settings = {
    "Dir::State": apt,
    "Dir::State::status": "/dev/null",
    "Dir::Cache": join(apt, "cache"),
    "APT::Architecture": "arm64",
    "APT::Architectures": "arm64",
    // apt leaves root for a user who can't write here.
    "APT::Sandbox::User": "root",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  try {
    run("apt-get", [...options, "-qq", "update"], { quiet: true });
    run("apt-get", [...options, "-qq", "download", "libsqlite3-0"], { cwd: apt, quiet: true });
    run("sh", ["-c", 'dpkg-deb -x libsqlite3-0_*.deb "$0"', sqlite], { cwd: apt, quiet: true });
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
    return undefined;
  } finally {
    rmSync(apt, { recursive: true, force: true });
  }
  return libraries;
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
    deno: () => [path, join(lockedPackage("@deno/linux-arm64-glibc"), "deno")],
    bun: () => [path, join(lockedPackage("@oven/bun-linux-aarch64"), "bin", "bun")],
    env: { ...env, BELAY_RUNNER: path, ...(sqlite === undefined ? {} : { LD_LIBRARY_PATH: sqlite }) },
    slowness: 20,
  };
  try {
    test(files, on, machine);
  } finally {
    watching.kill();
  }
}

await main(() => {
  const args = process.argv.slice(2);
  const chosen = args.filter((arg) => !arg.startsWith("--"));
  try {
    const files = chosen.length > 0 ? chosen : args.includes("--chosen") ? chosenFiles : testFiles();
    testArm64(files, runtimes(args));
  } catch (error) {
    if (!(error instanceof MissingError) || !args.includes("--if-available")) throw error;
    console.log(`\nLeft out: the tests on arm64 Linux. ${error.message}`);
  }
});
