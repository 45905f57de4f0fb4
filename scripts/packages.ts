/**
 * Packages of npm, PyPI and Debian that are downloaded and unpacked into ignored folders: what runs the tests of other
 * systems. Nothing is installed on this machine.
 *
 * @module
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { output, root, run, StepError } from "./tools.ts";

/** What a step needs isn't there, so the step is left out. The message says why, and what to install. */
export class MissingError extends StepError {}

/** Runs a step. With `--if-available` on the command line it says what it left out, where what it needs isn't there. */
export async function ifAvailable(what: string, run: () => void | Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof MissingError) || !process.argv.includes("--if-available")) throw error;
    console.log(`\nLeft out: ${what}. ${error.message}`);
  }
}

/** A package of npm. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** What pins its contents. */
  readonly integrity: string;
}

/** A package of the lock file, unpacked below `folder`: its own folder. The lock file pins what is inside. */
export function lockedPackage(name: string, folder: string): string {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity: string } | undefined>;
  };
  const locked = packages[`node_modules/${name}`];
  if (locked === undefined) throw new StepError(`Cannot install "${name}": package-lock.json doesn't name it`);
  return npmPackage({ name, ...locked }, folder);
}

/**
 * A package, unpacked below `folder`: its own folder. npm installs none for other systems, but it does download them.
 *
 * @throws {MissingError} When npm can't get it.
 */
export function npmPackage({ name, version, integrity: expected }: NpmPackage, folder: string): string {
  const target = join(folder, `${name.replace(/^@/, "").replace("/", "-")}-${version}`);
  once(target, (temporary) => {
    console.error(`Installing ${name} ${version} from npm …`);
    const options = ["--silent", "--json", "--pack-destination", temporary];
    const packed = output("npm", ["pack", ...options, `${name}@${version}`]);
    if (packed === undefined) throw new MissingError(`Cannot install "${name}": npm pack failed`);
    const [{ filename, integrity }] = JSON.parse(packed) as { filename: string; integrity: string }[];
    if (integrity !== expected) {
      throw new StepError(`Cannot install "${name}": expected ${expected}, got ${integrity}`);
    }
    const archive = join(temporary, filename.replace(/^@/, "").replace("/", "-"));
    run("tar", ["-xzf", archive, "-C", temporary], { quiet: true });
    rmSync(archive);
  });
  return join(target, "package");
}

/** Makes a folder unless it is there: whole, or not at all. Answers it. */
export function once(target: string, make: (temporary: string) => void): string {
  if (existsSync(target)) return target;
  const temporary = `${target}.new`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  make(temporary);
  renameSync(temporary, target);
  return target;
}

/** Which packages of Debian. */
export interface DebianPackages {
  readonly names: readonly string[];
  /** The release, if it isn't this machine's. */
  readonly release?: string;
  /** The processor, if it isn't this machine's: `arm64`. */
  readonly architecture?: string;
  /** Whether what they depend on is wanted, too. */
  readonly dependencies: boolean;
}

/** The server that this machine has its own release from. */
function mirror(): string {
  const [, codename = ""] = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8")) ?? [];
  const lists = output("apt-get", ["-o", "Debug::NoLocking=true", "--print-uris", "update"]) ?? "";
  const site = lists.split("\n").map((line) => line.slice(1).split(`/dists/${codename}/InRelease'`))
    .find(([, rest]) => rest !== undefined)?.[0];
  if (site === undefined) throw new MissingError(`Cannot find a server of Debian: apt has none for "${codename}"`);
  return site;
}

/**
 * Downloads packages of Debian and unpacks them into a folder. With package lists of our own, so that neither root nor a
 * change of the system is needed. The packages' own installation scripts aren't run.
 *
 * @throws {MissingError} When apt isn't there, or can't get them.
 */
export function unpackDebian({ names, release, architecture, dependencies }: DebianPackages, target: string): void {
  if (output("apt-get", ["--version"]) === undefined || output("dpkg-deb", ["--version"]) === undefined) {
    throw new MissingError(`Cannot download ${names.join(", ")}: Debian's tools (apt-get, dpkg-deb) are missing`);
  }
  const apt = `${target}.apt`;
  const archives = join(apt, "cache", "archives");
  rmSync(apt, { recursive: true, force: true });
  mkdirSync(join(apt, "lists", "partial"), { recursive: true });
  mkdirSync(join(archives, "partial"), { recursive: true });
  const settings: Record<string, string> = {
    "Dir::State": apt,
    "Dir::State::status": "/dev/null",
    "Dir::Cache": join(apt, "cache"),
    "APT::Install-Recommends": "false",
    // apt leaves root for a user who can't write here.
    "APT::Sandbox::User": "root",
    "Debug::NoLocking": "true",
  };
  if (architecture !== undefined) {
    settings["APT::Architecture"] = architecture;
    settings["APT::Architectures"] = architecture;
  }
  if (release !== undefined) {
    settings["Dir::Etc::SourceList"] = join(apt, "sources.list");
    settings["Dir::Etc::SourceParts"] = "/dev/null";
    writeFileSync(settings["Dir::Etc::SourceList"], `deb ${mirror()} ${release} main\n`);
  }
  const options = ["-qq", ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
  try {
    run("apt-get", [...options, "update"], { quiet: true });
    if (dependencies) run("apt-get", [...options, "-y", "--download-only", "install", ...names], { quiet: true });
    else run("apt-get", [...options, "download", ...names], { cwd: archives, quiet: true });
    for (const file of readdirSync(archives).filter((file) => file.endsWith(".deb"))) {
      run("dpkg-deb", ["-x", join(archives, file), target], { quiet: true });
    }
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    throw new MissingError(`Cannot download ${names.join(", ")}: ${error.message}`);
  } finally {
    rmSync(apt, { recursive: true, force: true });
  }
}

/** Makes the folders that Debian's packages expect to be links. */
export function mergedFolders(target: string): void {
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    mkdirSync(join(target, "usr", name), { recursive: true });
    symlinkSync(join("usr", name), join(target, name));
  }
}

/** Downloads a wheel of PyPI and unpacks it. @throws {MissingError} When pip isn't there, or can't get it. */
export function unpackWheel(requirement: string, platform: string, target: string): void {
  const python = ["python3", "python"].find((name) => output(name, ["-m", "pip", "--version"]) !== undefined);
  if (python === undefined) {
    throw new MissingError(`Cannot download ${requirement}: Python with pip is missing (Debian: python3-pip)`);
  }
  const wheels = join(target, "wheels");
  mkdirSync(wheels, { recursive: true });
  const options = [
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--only-binary=:all:",
    "--platform",
    platform,
  ];
  try {
    run(python, ["-m", "pip", "download", ...options, "--dest", wheels, requirement], { quiet: true });
    for (const file of readdirSync(wheels)) {
      run(python, ["-m", "zipfile", "-e", join(wheels, file), target], { quiet: true });
    }
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    throw new MissingError(`Cannot download ${requirement}: ${error.message}`);
  } finally {
    rmSync(wheels, { recursive: true, force: true });
  }
}
