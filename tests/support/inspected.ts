/**
 * Programs that wait for a debugger, and the debugger: Deno's speak Chrome's protocol, Bun's WebKit's.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "../../scripts/tools.ts";
import { childCommand, childEnvironment, ownRuntime } from "./child.ts";

/** How long a program may run, in milliseconds. */
const longestMs = 120_000;

// deno-lint-ignore no-explicit-any -- the protocols' messages
type Message = any;

/** A program of `tests/programs/` that runs under this debugger, on the runtime that the tests run on. */
export class InspectedProgram {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #socket!: WebSocket;
  #printed = "";
  #lastId = 0;
  readonly #answers = new Map<number, PromiseWithResolvers<Message>>();
  readonly #events = new Map<string, PromiseWithResolvers<Message>>();
  /** The pieces of a heap snapshot that Deno sends. */
  readonly chunks: string[] = [];

  private constructor(program: string, args: readonly string[]) {
    const flags = ["--inspect-wait=127.0.0.1:0"];
    const whole = childCommand([join("tests", "programs", program)], { args, flags });
    // A quiet one doesn't say where it listens.
    const [command = "", ...rest] = whole.filter((argument) => argument !== "--quiet");
    // One that nobody ends, as when the test itself is ended, doesn't stay.
    const end = { timeout: longestMs, killSignal: "SIGKILL" } as const;
    this.#child = spawn(command, rest, {
      cwd: root,
      env: childEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
      ...end,
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", (code) => resolve(code)));
  }

  /** Starts a program, and lets it run when the debugger is there. */
  static async start(program: string, args: readonly string[]): Promise<InspectedProgram> {
    const inspected = new InspectedProgram(program, args);
    try {
      await inspected.#begin();
      return inspected;
    } catch (error) {
      inspected[Symbol.dispose]();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const url = await this.#url();
    const socket = this.#socket = new WebSocket(url);
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    await this.send("Runtime.enable");
    await this.send("Debugger.enable");
    if (ownRuntime.name === "deno") {
      await this.send("Runtime.runIfWaitingForDebugger");
    } else {
      await this.send("Debugger.setBreakpointsActive", { active: true });
      await this.send("Debugger.setPauseOnDebuggerStatements", { enabled: true });
      await this.send("Inspector.enable");
      await this.send("Inspector.initialized");
    }
    // Only now its modules are loaded.
    while (await this.evaluate("typeof inspected") === "undefined") {
      await new Promise((turn) => setTimeout(turn, 10));
    }
  }

  /** Where it listens, which it prints. */
  #url(): Promise<string> {
    return new Promise((resolve, reject) => {
      const onData = (data: unknown) => {
        this.#printed += String(data);
        const [url] = /ws:\/\/\S+/.exec(this.#printed) ?? [];
        if (url !== undefined) resolve(url);
      };
      this.#child.stdout?.on("data", onData);
      this.#child.stderr?.on("data", onData);
      void this.#ended.then(() => reject(new Error(`Cannot inspect the program: it printed "${this.#printed}"`)));
    });
  }

  #receive(message: Message): void {
    const { id, method, params, result, error } = message;
    if (method === "HeapProfiler.addHeapSnapshotChunk") this.chunks.push(params.chunk);
    if (id === undefined) {
      this.#events.get(method)?.resolve(params);
      this.#events.delete(method);
    } else if (error !== undefined) this.#answers.get(id)?.reject(new Error(JSON.stringify(error)));
    else this.#answers.get(id)?.resolve(result);
  }

  /** Sends a command. What it is answered with. */
  send(method: string, params: object = {}): Promise<Message> {
    const answer = Promise.withResolvers<Message>();
    this.#answers.set(++this.#lastId, answer);
    this.#socket.send(JSON.stringify({ id: this.#lastId, method, params }));
    return answer.promise;
  }

  /** The next event of a name. */
  event(method: string): Promise<Message> {
    const event = Promise.withResolvers<Message>();
    this.#events.set(method, event);
    return event.promise;
  }

  /** Evaluates an expression, in a frame of a program that pauses. */
  async evaluate(expression: string, frame?: { readonly callFrameId: string }): Promise<unknown> {
    const answer = frame === undefined
      ? await this.send("Runtime.evaluate", { expression })
      : await this.send("Debugger.evaluateOnCallFrame", { expression, callFrameId: frame.callFrameId });
    const { result: { value, description }, wasThrown, exceptionDetails } = answer;
    if (wasThrown || exceptionDetails !== undefined) throw new Error(`Cannot evaluate "${expression}": ${description}`);
    return value;
  }

  /** Lets a program that pauses go on. Before it does, it would answer another pause with nothing. */
  async resume(): Promise<void> {
    const resumed = this.event("Debugger.resumed");
    await this.send("Debugger.resume");
    await resumed;
  }

  /** Goes away, and waits until the program has ended: its exit code, and what it printed. */
  async end(): Promise<{ readonly code: number | null; readonly printed: string }> {
    this.#socket.close();
    return { code: await this.#ended, printed: this.#printed };
  }

  /** Ends the program if it is there yet. */
  [Symbol.dispose](): void {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
  }
}
