/**
 * Takes the space between the words out of a JavaScript file, and makes the names of functions' own variables short. A statement
 * of the module stays a line, and has its name, which stacks show. `scripts/pack.ts` runs it in a process of its own, since it
 * needs a package: nothing that a task imports may, for it is the task that installs them.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { minifySync, parseSync } from "rolldown/utils";

const [file = ""] = process.argv.slice(2);
const options = {
  module: true,
  compress: false,
  mangle: { toplevel: false },
  codegen: { removeWhitespace: true },
} as const;
const { code, errors } = minifySync(file, readFileSync(file, "utf8"), options);
const { program } = parseSync(file, code);
if (errors.length > 0 || program.body.length < 100) throw new Error(`Cannot make ${file} dense: ${errors.join()}`);
writeFileSync(file, program.body.map(({ start, end }) => `${code.slice(start, end)}\n`).join(""));
