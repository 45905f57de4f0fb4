/**
 * better-sqlite3 from npm, in an ignored folder, for Node to run: the benchmark compares with it. npm compiles it where there is no
 * binary for it.
 *
 * @module
 */

import { join } from "node:path";
import { MissingError, once } from "./packages.ts";
import { output, run, StepError, toolsFolder } from "./tools.ts";

export const betterSqlite3Version = "12.11.1";

/** The folder that Node finds the package in, by NODE_PATH. It is installed once. @throws {MissingError} If it can't be. */
export function betterSqlite3(): string {
  const version = output("node", ["--version"]);
  if (version === undefined) throw new MissingError('Cannot get "better-sqlite3": there is no Node.js');
  try {
    const folder = once(
      join(toolsFolder, "better-sqlite3", `${betterSqlite3Version}-${version.trim()}`),
      (temporary) => {
        console.error(`Installing better-sqlite3 ${betterSqlite3Version} from npm …`);
        const args = [
          "install",
          "--no-audit",
          "--no-fund",
          "--prefix",
          temporary,
          `better-sqlite3@${betterSqlite3Version}`,
        ];
        run("npm", args, { quiet: true });
        run("node", [
          "-e",
          `require(${JSON.stringify(join(temporary, "node_modules", "better-sqlite3"))})(":memory:")`,
        ]);
      },
    );
    return join(folder, "node_modules");
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    throw new MissingError(`Cannot get "better-sqlite3": ${error.message}`);
  }
}
