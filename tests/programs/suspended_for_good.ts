/** Calls that wait for promises which never settle: in workers that end, then in this program, which ends as well. */

import process from "node:process";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { dlopen, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const { each } = dlopen(testLibrary, {
  each: {
    parameters: ["i32", { parameters: ["pointer", "i32"], result: "i32" }, "pointer"],
    result: "i32",
    suspends: true,
  },
}).symbols;

for (let i = 0; i < 3; i++) void each(1, () => new Promise<number>(() => {}), null);
if (isMainThread) {
  console.log("suspended", stats().live.ownStacks, stats().live.ownStacks);
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(new URL(import.meta.url));
    await new Promise((resolve) => worker.on("message", resolve));
    // Whether it is terminated, or ends by itself.
    if (i % 2 === 0) await worker.terminate();
    else {
      worker.postMessage("end");
      await new Promise((resolve) => worker.on("exit", resolve));
    }
  }
  console.log("workers are gone");
} else {
  parentPort?.postMessage(stats().live.ownStacks);
  parentPort?.once("message", () => process.exit());
}
