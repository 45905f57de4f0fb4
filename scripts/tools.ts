/**
 * The tools that the project runs on, all pinned: Deno and Bun from npm, Zig from the machine or from PyPI. What is
 * there is used as it is; what isn't is installed into ignored folders of the project.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const root: string = dirname(dirname(fileURLToPath(import.meta.url)));
/** What is installed besides `node_modules`, in folders of their own. */
export const toolsFolder: string = join(root, ".tools");
/** 0.17.0 works too, but its build runner alone takes three minutes to compile in an empty cache. */
const zigVersion = "0.16.0";
const windows = process.platform === "win32";

/** A step failed; the message is for a person, without a stack. */
export class StepError extends Error {
  override readonly name = "StepError";
}

/** Runs the main function of a script; a failed step ends the process with its message. */
export async function main(body: () => void | Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** Options of {@linkcode run}. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Keep the output to oneself unless the command fails. */
  readonly quiet?: boolean;
  /**
   * Run it once more when a signal ends it. Only for tools that run none of this project's code: Deno's formatter was
   * seen to end in a segmentation fault, once in some hundred runs, when its threads were detached.
   */
  readonly retryAfterSignal?: boolean;
}

/** Runs a command and waits. @throws {StepError} When it fails. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): void {
  const { cwd = root, env = {}, quiet = false } = options;
  const result = spawnSync(command, [...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    // npm is a script on Windows.
    shell: windows && command === "npm",
  });
  if (result.status === 0) return;
  if (options.retryAfterSignal === true && result.signal !== null) {
    console.error(`${command} ${args[0]} was ended by ${result.signal}; once more`);
    return run(command, args, { ...options, retryAfterSignal: false });
  }
  if (quiet) console.error(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  const reason = result.error?.message ?? (result.signal === null ? `exit code ${result.status}` : result.signal);
  throw new StepError(`Cannot ${[command, ...args].join(" ")}: ${reason}`);
}

/** What a command prints, or undefined when it can't be run or fails. */
export function output(command: string, args: readonly string[]): string | undefined {
  const result = spawnSync(command, [...args], { cwd: root, encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** Installs the npm development dependencies, unless those of the lock file are there. */
function installPackages(): void {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  const stamp = join(root, "node_modules", ".belay-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.error("Installing Deno, Bun and TypeScript from npm …");
  if (output("npm", ["--version"]) === undefined && !windows) {
    throw new StepError("Cannot set up: npm is missing. Install Node.js with npm (Debian: apt-get install npm)");
  }
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { quiet: true });
  writeFileSync(stamp, lock);
}

/** The binary in one of the platform packages of a scope: their npm shims need install scripts, they don't. */
function platformBinary(scope: string, prefix: string, path: string): string {
  const folder = join(root, "node_modules", scope);
  const packages = existsSync(folder) ? readdirSync(folder).sort() : [];
  for (const name of packages) {
    const binary = join(folder, name, path + (windows ? ".exe" : ""));
    if (name.startsWith(prefix) && output(binary, ["--version"]) !== undefined) return binary;
  }
  throw new StepError(`Cannot set up: npm has no working build of ${prefix} for ${process.platform} ${process.arch}`);
}

/** Remembers where a tool was found, so that a second run looks for nothing. */
function remembered(name: string, find: () => string): string {
  const file = join(toolsFolder, `${name}.path`);
  const known = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (known !== "" && existsSync(known)) return known;
  const found = find();
  mkdirSync(toolsFolder, { recursive: true });
  writeFileSync(file, found);
  return found;
}

/** The pinned Deno. */
export function deno(): string {
  installPackages();
  return remembered("deno", () => platformBinary("@deno", "", "deno"));
}

/** The pinned Bun. */
export function bun(): string {
  installPackages();
  return remembered("bun", () => platformBinary("@oven", "bun-", join("bin", "bun")));
}

/** The runtimes to run on: both, or that of `--only=deno` or `--only=bun`. */
export function runtimes(args: readonly string[]): readonly ("deno" | "bun")[] {
  const only = args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length);
  if (only === undefined) return ["deno", "bun"];
  if (only === "deno" || only === "bun") return [only];
  throw new StepError(`Cannot run only on "${only}": expected "deno" or "bun"`);
}

/** The pinned versions of TypeScript: the newest, and the last that is written in JavaScript. */
export type TypeScriptName = "typescript" | "typescript-5.9";

/** Runs the pinned TypeScript compiler, which Node.js runs: npm brought it. */
export function runTypeScript(args: readonly string[], version: TypeScriptName = "typescript"): void {
  installPackages();
  run(windows ? "node.exe" : "node", [join(root, "node_modules", version, "bin", "tsc"), ...args]);
}

/** Zig: `$ZIG` or the one on the PATH if it has the version, else PyPI's. */
export function zig(): string {
  const installed = join(toolsFolder, "zig", "ziglang", windows ? "zig.exe" : "zig");
  for (const candidate of [process.env["ZIG"], "zig", installed]) {
    if (candidate !== undefined && candidate !== "" && output(candidate, ["version"]) === zigVersion) return candidate;
  }
  const target = join(toolsFolder, "zig");
  const args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
  for (const python of ["python3", "python"]) {
    if (output(python, ["-m", "pip", "--version"]) === undefined) continue;
    console.error(`Installing Zig ${zigVersion} from PyPI …`);
    rmSync(target, { recursive: true, force: true });
    run(python, [...args, "--target", target, `ziglang==${zigVersion}`], { quiet: true });
    return installed;
  }
  throw new StepError(
    `Cannot build the native core: Zig ${zigVersion} is missing. Put it on the PATH, name it in $ZIG, or install ` +
      "Python with pip (Debian: apt-get install python3-pip), from which it is installed into this folder",
  );
}

/** Runs Zig with its caches inside the project. */
export function runZig(args: readonly string[], options: RunOptions = {}): void {
  const cache = join(toolsFolder, "zig-cache");
  run(zig(), args, { ...options, env: { ...options.env, ZIG_GLOBAL_CACHE_DIR: cache } });
}

/** Every file below a folder whose name has an ending, by its path there with slashes. */
export function filesIn(folder: string, ending = ""): string[] {
  // Not `recursive`: on Windows Bun has no paths for what is two folders down.
  const paths = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? filesIn(join(folder, entry.name), ending).map((path) => `${entry.name}/${path}`)
      : entry.isFile() && entry.name.endsWith(ending)
      ? [entry.name]
      : []
  );
  return paths.sort();
}

/** The TypeScript files in a folder of the project, those in its folders among them, by their paths from the root: `./…`. */
export function typeScriptIn(folder: string): string[] {
  const paths = filesIn(join(root, folder), ".ts").map((path) => `./${folder}/${path}`);
  return paths.filter((path) => !path.includes("/build/"));
}

/** A text as `deno fmt` has it. */
export function formatted(text: string, extension: string): string {
  // Deno's formatter can end in a signal; see `run`.
  for (let attempt = 0;; attempt++) {
    const { status, signal, stdout, stderr } = spawnSync(deno(), ["fmt", "--ext", extension, "-"], {
      cwd: root,
      input: text,
      encoding: "utf8",
    });
    if (status === 0) return stdout;
    if (signal === null || attempt > 0) throw new StepError(`Cannot format ${extension}: ${signal ?? stderr}`);
  }
}
