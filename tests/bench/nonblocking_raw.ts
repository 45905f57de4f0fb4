/**
 * Deno's own nonblocking calls: in the benchmark's process where that is Deno's, else in one of their own, which measures
 * whenever a line comes in.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { testLibrary } from "../../scripts/build.ts";
import { deno, root } from "../../scripts/tools.ts";
import { type AsyncSubject, isSmall } from "./harness.ts";
import { rawOpen } from "./raw.ts";

/** A function of two numbers that answers their sum later. */
export type AddLater = (a: number, b: number) => Promise<unknown>;

const oneAtATime = isSmall ? 20 : 4_000;
const atOnce = 1_000;
const rounds = isSmall ? 1 : 20;

/** Nanoseconds for a call: one at a time, and of a thousand that are outstanding. */
export async function measure(add: AddLater): Promise<Record<string, number>> {
  let startMs = performance.now();
  for (let i = 0; i < oneAtATime; i++) await add(i, 1);
  const one = (performance.now() - startMs) * 1e6 / oneAtATime;
  startMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    const all: Promise<unknown>[] = [];
    for (let i = 0; i < atOnce; i++) all.push(add(i, round));
    await Promise.all(all);
  }
  const many = (performance.now() - startMs) * 1e6 / (rounds * atOnce);
  return { "call/nonblocking": one, "call/nonblocking-1000": many };
}

/** Deno's own, in this process. */
export function rawAdd(): AddLater {
  const definition = { parameters: ["i32", "i32"], result: "i32", nonblocking: true };
  return rawOpen(testLibrary, { add_i32: definition })["add_i32"] as AddLater;
}

/** Deno's own, in a process of its own, and the end of that. */
export function denoProcess(): { readonly subject: AsyncSubject; readonly end: () => void } {
  const args = [
    "run",
    "-A",
    "--quiet",
    "--no-check",
    "./tests/bench/nonblocking_raw.ts",
    ...(isSmall ? ["--small"] : []),
  ];
  const child: ChildProcess = spawn(deno(), args, { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  if (child.stdout === null || child.stdin === null) throw new TypeError("Cannot talk to Deno's process");
  const { stdin } = child;
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line));
  return {
    subject: () =>
      new Promise((resolve) => {
        waiting.push((line) => resolve(JSON.parse(line) as Record<string, number>));
        stdin.write("\n");
      }),
    end: () => stdin.end(),
  };
}

if (import.meta.main) {
  const add = rawAdd();
  for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify(await measure(add)));
}
