/**
 * Runs Zig for tests in another system, which can't start it, until it is ended itself: `zig_requests.ts <folder>`. A
 * request is a file with Zig's arguments as JSON; the answer is a file with the error's text, which is empty on success.
 *
 * @module
 */

import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { runZig } from "./tools.ts";

const [folder] = process.argv.slice(2);
const lookEveryMs = 50;

function failureOf(args: readonly string[]): string {
  try {
    runZig(args, { quiet: true });
    return "";
  } catch (error) {
    return String(error);
  }
}

setInterval(() => {
  for (const name of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    const path = join(folder, name);
    const failure = failureOf(JSON.parse(readFileSync(path, "utf8")) as string[]);
    rmSync(path);
    const answer = path.replace(/json$/, "answer");
    writeFileSync(`${answer}.new`, failure);
    renameSync(`${answer}.new`, answer);
  }
}, lookEveryMs);
