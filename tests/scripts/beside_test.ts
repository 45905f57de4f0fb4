/** Commands side by side: what they print comes in order, and one that fails is not lost. */

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { deno, root } from "../../scripts/tools.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

if (!hasHostPrograms) leftOut("commands side by side, which are the host's");
const itOnHost = hasHostPrograms ? it : it.skip;

/** Runs programs side by side. */
function beside(...programs: readonly string[]): { status: number | null; stdout: string } {
  const commands = programs.map((program) => [deno(), "eval", "--quiet", program]);
  const args = ["run", "-A", "--quiet", "--no-check", "scripts/beside.ts", JSON.stringify(commands)];
  const { status, stdout } = spawnSync(deno(), args, { cwd: root, encoding: "utf8", env: { ...process.env } });
  return { status, stdout };
}

itOnHost("what the first prints comes first, however long it takes, and one that fails fails them all", () => {
  const slow = "await new Promise((resolve) => setTimeout(resolve, 300)); console.log('slow');";
  assertEquals(beside(slow, "console.log('quick');"), { status: 0, stdout: "slow\nquick\n" });
  assertEquals(beside(slow, "console.log('failing'); Deno.exit(3);"), { status: 1, stdout: "slow\nfailing\n" });
  assertEquals(beside("Deno.exit(3);", "console.log('well');"), { status: 1, stdout: "well\n" });
  assertEquals(beside(), { status: 1, stdout: "" });
});
