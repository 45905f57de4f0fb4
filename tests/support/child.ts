/**
 * Programs that run in a process of their own: those that may crash, measure memory, or end with an uncaught error.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { isAbsolute, join } from "node:path";
import process from "node:process";
import { bun, deno, root } from "../../scripts/tools.ts";
import { emulator, slowness, withoutWine } from "./machine.ts";

/** How a child process ended, and what it printed. */
export interface ChildResult {
  /** Its exit code, `null` when a signal ended it. */
  readonly code: number | null;
  /** The signal that ended it, such as `SIGSEGV`. */
  readonly signal: string | null;
  /** What it printed. */
  readonly stdout: string;
  /** What it printed as errors and warnings. */
  readonly stderr: string;
  /** Whether it had to be ended because its time was up. */
  readonly timedOut: boolean;
}

/** A runtime that can run a child process. */
export interface Runtime {
  readonly name: "deno" | "bun";
  /** The path of its binary. */
  readonly binary: string;
}

/** The runtime that the tests run on. */
export const ownRuntime: Runtime = { name: "Bun" in globalThis ? "bun" : "deno", binary: process.execPath };

/** One of the pinned runtimes. */
export function pinnedRuntime(name: Runtime["name"]): Runtime {
  return { name, binary: name === "bun" ? bun() : deno() };
}

/** Options of {@linkcode runFiles} and {@linkcode runChild}. */
export interface ChildOptions {
  readonly runtime?: Runtime;
  /**
   * `test`: as tests, one after another in one process. `watch`: as a program that starts again in the same process when
   * a file that it imports changes. `run` by default.
   */
  readonly as?: "run" | "test" | "watch";
  readonly args?: readonly string[];
  /** What the program may do, on Deno: everything by default. */
  readonly permissions?: readonly string[];
  /** More flags for Deno's engine. */
  readonly v8Flags?: readonly string[];
  /** More flags of the runtime's. */
  readonly flags?: readonly string[];
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** 100 seconds by default; more where the machine is slow. */
  readonly timeoutMs?: number;
}

/** Runs a file of `tests/programs/` on the runtime that the tests run on, from the project's folder, and waits. */
export function runChild(program: string, args: readonly string[] = [], options: ChildOptions = {}): ChildResult {
  const result = runFiles([join("tests", "programs", program)], { ...options, args });
  if (result.timedOut) throw new Error(`Cannot run "${program}": it has not ended in time`);
  return result;
}

/** What comes first on the command line. Deno's quiet tests would swallow what they print. */
const verbs = {
  deno: { run: ["run", "--quiet"], test: ["test"], watch: ["run", "--quiet", "--watch"] },
  bun: { run: ["run"], test: ["test"], watch: ["--hot", "run"] },
} as const;

/** The program and its arguments that run a program from the project's folder, or several test files. */
export function childCommand(files: readonly string[], options: ChildOptions = {}): [string, ...string[]] {
  const { runtime = ownRuntime, as = "run", args = [], v8Flags = [], permissions = ["-A"], flags = [] } = options;
  const engine = `--v8-flags=${["--expose-gc", ...v8Flags].join()}`;
  const command = [
    runtime.binary,
    ...verbs[runtime.name][as],
    ...(runtime.name === "bun" ? [] : [...permissions, "--no-check", engine]),
    ...flags,
    ...files.map((file) => isAbsolute(file) ? file : `./${file}`),
    ...args,
  ] as const;
  return emulator === undefined ? [...command] : [emulator, ...command];
}

/** The environment of children. A test's crash is nothing that Bun's makers want to be told of. */
export function childEnvironment(env: Readonly<Record<string, string>> = {}): Record<string, string | undefined> {
  return { ...process.env, NO_COLOR: "1", BUN_ENABLE_CRASH_REPORTING: "0", ...env };
}

/** Runs a program from the project's folder, or several test files, and waits. */
export function runFiles(files: readonly string[], options: ChildOptions = {}): ChildResult {
  const { env = {}, timeoutMs = 100_000 } = options;
  const [program, ...rest] = childCommand(files, options);
  const start = () =>
    spawnSync(program, rest, {
      cwd: root,
      encoding: "utf8",
      env: childEnvironment(env),
      timeout: timeoutMs * slowness,
      // One that hangs may not listen to a milder signal.
      killSignal: "SIGKILL",
    });
  let ended = start();
  // One that the emulator has never started; see `scripts/stuck_children.ts`.
  const wasStuck = emulator !== undefined && ended.error === undefined && ended.signal === "SIGKILL";
  if (wasStuck && ended.stdout === "" && ended.stderr === "") ended = start();
  const { status, signal, stdout, stderr, error } = ended;
  const timedOut = (error as { code?: string } | undefined)?.code === "ETIMEDOUT";
  if (error !== undefined && !timedOut) throw error;
  return { code: status, signal, stdout, stderr: withoutWine(stderr), timedOut };
}
