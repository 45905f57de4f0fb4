/**
 * The doctor: tells whether belay works here, and what to do if it doesn't.
 *
 * ```sh
 * deno run -A jsr:@belay/ffi/doctor
 * bunx @belay/ffi doctor
 * ```
 *
 * @module
 */

import process from "node:process";
import { addChecks } from "./doctor_checks.ts";
import { addFacts, addPermissions } from "./doctor_facts.ts";
import { Rows } from "./doctor_rows.ts";
import { summary, tablePrinter } from "./doctor_table.ts";
import { isColored } from "./surroundings.ts";

const usage = `doctor tells whether belay works here, and what to do if it doesn't.

  deno run -A jsr:@belay/ffi/doctor [--json]
  bunx @belay/ffi doctor [--json]

  --json    print one object in place of the table
  --help    print this

The exit code is 0 if everything that belay needs works, 1 if not, 2 for a wrong option.`;

const optionNames = ["--json", "--help"];

/**
 * Checks whether belay works here, and prints a table of what it found.
 *
 * If something fails, it is a row of the table: the function doesn't throw. It asks for no permission. A check that gets
 * no answer may keep the event loop alive, so a program ends by `process.exit` with the code.
 *
 * @param args The command's options: `--json` prints one object in place of the table, `--help` the options.
 * @returns The exit code: 0 if everything that belay needs works, 1 if not, 2 for a wrong option.
 */
export async function doctor(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => !optionNames.includes(arg));
  if (unknown !== undefined) {
    console.error(`Cannot run the doctor: "${unknown}" is not an option; these are: ${optionNames.join(", ")}`);
    return 2;
  }
  if (args.includes("--help")) {
    console.log(usage);
    return 0;
  }
  if (args.includes("--json")) {
    const rows = new Rows(() => {});
    await examine(rows);
    console.log(JSON.stringify(rows.diagnosis, null, 2));
    return rows.diagnosis.ok ? 0 : 1;
  }
  const rows = new Rows(tablePrinter(isColored()));
  await examine(rows);
  console.log(`\n${summary(rows)}`);
  return rows.diagnosis.ok ? 0 : 1;
}

async function examine(rows: Rows): Promise<void> {
  const belay = await addFacts(rows);
  addPermissions(rows);
  await addChecks(rows, belay);
}

// What didn't answer in time may still keep the event loop alive.
if (import.meta.main) process.exit(await doctor(process.argv.slice(2)));
