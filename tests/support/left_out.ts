/**
 * Tests that can't run on a machine say so: at once, and to the test command, which repeats it at its end.
 *
 * @module
 */

import { appendFileSync } from "node:fs";
import process from "node:process";

/** Notes that something was left out, and why. */
export function leftOut(what: string): void {
  console.log(`left out: ${what}`);
  const file = process.env["BELAY_LEFT_OUT"];
  if (file !== undefined) appendFileSync(file, `${what}\n`);
}
