/** Runs a program of the table and prints the rule that it broke, or "passed". With the argument `off`, without checks. */

import process from "node:process";
import { configure, PointerRuleError } from "@belay/ffi";
import { pointerRuleCases } from "../crossing/pointer_rules_cases.ts";

const [name, checks] = process.argv.slice(2);
const chosen = pointerRuleCases.find((row) => row.name === name);
if (chosen === undefined) throw new Error(`no program is called "${name}"`);
if (checks === "off") configure({ pointerChecks: false });
try {
  await chosen.run();
  console.log("passed");
} catch (error) {
  // An arena may have more than one.
  if (error instanceof PointerRuleError) console.log(`broken: ${error.rule}: ${error.message}`);
  else if (checks === "off" && error instanceof TypeError) console.log(`refused otherwise: ${error.message}`);
  else throw error;
}
process.exit(0);
