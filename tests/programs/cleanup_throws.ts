/** Three cleanups of which two throw. With the argument `handled`, prints what ran and what came uncaught. */

import process from "node:process";
import { addCleanup } from "@belay/ffi";
import { collectUntil } from "../support/gc.ts";

const ran: string[] = [];
const uncaught: string[] = [];
if (process.argv.includes("handled")) {
  process.on("uncaughtException", (error: Error) => void uncaught.push(error.message));
}

function addAll(): void {
  for (const name of ["first", "second", "third"]) {
    addCleanup({}, (arg) => {
      ran.push(arg);
      if (arg !== "third") throw new Error(`the ${arg} cleanup failed`);
    }, name);
  }
}

addAll();
await collectUntil(() => ran.length === 3);
await collectUntil(() => true);
console.log(JSON.stringify({ ran: ran.sort(), uncaught: uncaught.sort() }));
