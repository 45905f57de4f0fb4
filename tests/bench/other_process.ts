/**
 * A subject that is a program of another language or runtime: it measures whenever it is asked to.
 *
 * @module
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

/** Such a program, which is running. It prints a line when it is ready, and the figure for each line that it reads. */
export class OtherProcess {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #name: string;

  private constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#name = command;
    this.#process = spawn(command, [...args], { env: { ...process.env, ...env } });
    this.#process.stderr.pipe(process.stderr);
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
  }

  /** Starts it, and waits until it is ready. */
  static async start(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<OtherProcess> {
    const started = new OtherProcess(command, args, env);
    await started.#line();
    return started;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.#name} has ended`);
    return value;
  }

  /** The figure of one more measurement. */
  async figure(): Promise<number> {
    this.#process.stdin.write("\n");
    return Number(await this.#line());
  }

  end(): void {
    this.#process.stdin.end();
  }
}
