/**
 * The tests of calls and callbacks where every function that isn't nonblocking runs on a stack of its own, whatever its
 * definition says: in a copy of the project in which that is changed.
 *
 * @module
 */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "./build.ts";
import { bun, deno, main, root, run, StepError } from "./tools.ts";

/** What says when a function has such a stack. */
const changes = [
  [
    "ffi/calls/direct_call.ts",
    'nonblocking === true || stack === "own" ||',
    "nonblocking === true || nonblocking !== true || stack === undefined ||",
  ],
  ["ffi/calls/library.ts", "(entry.plain || !needsBlock(definition))", "!needsBlock(definition)"],
  [
    "ffi/calls/block_call.ts",
    'makeAtOnce(pieces, owner, stack === "own", shared)',
    "makeAtOnce(pieces, owner, true, shared)",
  ],
] as const;

/** Tests of what is otherwise there: how much of JavaScript's stack C takes, and a program that may load nothing later. */
const leftOut = [
  "callbacks/elsewhere_test.ts",
  "callbacks/signature_test.ts",
  "calls/own_stack_test.ts",
  "calls/own_stack_values_test.ts",
  "calls/suspending_test.ts",
];

/** Runs them, on both runtimes. @throws {StepError} When one fails. */
export function testOwnStacks(): void {
  build();
  const copy = mkdtempSync(join(tmpdir(), "belay-own-stacks-"));
  try {
    const skipped = ["node_modules", ".git", ".tools", "dist"];
    for (const name of readdirSync(root)) {
      if (!skipped.includes(name)) cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    for (const name of ["node_modules", ".tools"]) symlinkSync(join(root, name), join(copy, name));
    for (const [path, from, to] of changes) {
      const text = readFileSync(join(copy, path), "utf8");
      if (!text.includes(from)) {
        throw new StepError(`${path} says otherwise by now which functions have a stack of their own`);
      }
      writeFileSync(join(copy, path), text.replace(from, to));
    }
    const files = ["callbacks", "calls"].flatMap((folder) =>
      readdirSync(join(copy, "tests", folder)).filter((name) => name.endsWith("_test.ts")).map((name) =>
        `${folder}/${name}`
      )
    ).filter((file) => !leftOut.includes(file)).map((file) => `./tests/${file}`).sort();
    run(deno(), ["test", "--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", ...files], { cwd: copy });
    run(bun(), ["test", "--timeout=120000", ...files], { cwd: copy });
  } finally {
    rmSync(copy, { recursive: true });
  }
}

if (import.meta.main) await main(testOwnStacks);
