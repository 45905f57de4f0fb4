/** A program's own folder, with the packed npm package in it, as somebody has it who has never seen a checkout. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { packedForNpm } from "../../scripts/pack.ts";
import { bun } from "../../scripts/tools.ts";

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export function runProgram(
  command: string,
  args: readonly string[],
  { cwd, env = {}, timeoutMs = 60_000 }: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly timeoutMs?: number;
  } = {},
): Ended {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    ...(cwd === undefined ? {} : { cwd }),
    encoding: "utf8",
    timeout: timeoutMs,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}

/** A folder for a program, and what is run there. */
export class ProgramFolder {
  /** Above the program's folder: what the test keeps elsewhere. */
  readonly above: string = realpathSync(mkdtempSync(join(tmpdir(), "belay-program-")));
  /** The program's folder. */
  readonly path: string = join(this.above, "app");

  constructor() {
    mkdirSync(this.path);
    this.write("package.json", JSON.stringify({ name: "app", private: true, type: "module" }));
  }

  /** Writes a file of the program's. */
  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), text);
  }

  /** Runs a command there, with caches of its own: the user's may have another package of the same version. */
  run(command: string, args: readonly string[], { cwd = this.path, env = {} }: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {}): Ended {
    return runProgram(command, args, { cwd, env: { BUN_INSTALL_CACHE_DIR: join(this.above, "cache"), ...env } });
  }

  /** Runs a command that must end well; its output. */
  done(command: string, args: readonly string[], options?: Parameters<ProgramFolder["run"]>[2]): string {
    const { code, stdout, stderr } = this.run(command, args, options);
    assertEquals(code, 0, `${command} ${args.join(" ")}\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** Installs the packed package, and others by their names and versions. */
  install(...others: readonly string[]): void {
    this.done(bun(), ["add", packedForNpm(), ...others]);
  }

  remove(): void {
    rmSync(this.above, { recursive: true, force: true });
  }
}
