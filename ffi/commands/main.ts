#!/usr/bin/env bun
/**
 * The npm package's program `belay`: runs one of belay's commands.
 *
 * @module
 */

import process from "node:process";

const usage = `Usage: bunx @belay/ffi <command>

  create   starts a library of your own, in Zig or in C
  doctor   says whether belay works here, and what to do if not

\`bunx @belay/ffi <command> --help\` says more.
`;

/** Runs a command and gives its exit code. */
async function run([command, ...args]: readonly string[]): Promise<number> {
  switch (command) {
    case "create":
      return (await import("./create.ts")).create(args);
    case "doctor":
      return (await import("./doctor.ts")).doctor(args);
    case "--help":
    case "-h":
      console.log(usage);
      return 0;
    default:
      if (command !== undefined) console.error(`belay has no command "${command}"`);
      console.error(usage);
      return 1;
  }
}

// A check of the doctor that got no answer would keep the event loop alive.
// Older versions of Node, where the doctor says what to do, do not know `main`.
if (import.meta.main !== false) process.exit(await run(process.argv.slice(2)));
