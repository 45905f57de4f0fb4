/**
 * Takes all there is of something, and prints what happens then.
 *
 * @module
 */

import process from "node:process";
import { Channel, stats } from "@belay/ffi";
import { operationAttachBeside } from "../../ffi/core/record.ts";
import { denoBackend, type DenoNamespace } from "../../ffi/runtime/deno.ts";
import { bunBackend, type BunProcess } from "../../ffi/runtime/bun.ts";
import { turn } from "../support/gc.ts";

function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return String(error);
  }
  return "no error";
}

const programs: Record<string, () => void | Promise<void>> = {
  /** Which are dropped, and given back by a collection that is only made because there are no more. */
  async channels() {
    const channels: Channel[] = [];
    const error = failure(() => {
      for (let i = 0; i < 20_000; i++) channels.push(new Channel({ capacity: 64 }));
    });
    console.log(error, channels.length === stats().live.channels);
    channels.length = 0;
    await turn();
    const again = failure(() => new Channel());
    console.log(again, stats().live.channels < 1000);
  },
  /** The core's, attached without belay's TypeScript. */
  isolates() {
    const scope = globalThis as unknown as { Deno?: DenoNamespace };
    const backend = "Bun" in globalThis
      ? bunBackend(process as unknown as BunProcess)
      : denoBackend(scope.Deno as DenoNamespace);
    const control = backend.open(process.argv.at(-1) as string, [
      { name: "belay_control", parameters: ["u32", "u32", "address", "u64", "view"], result: "address" },
    ]).functionAt(0);
    const version = Number(process.argv.at(-2));
    let count = 0;
    // As another copy of the package does, whose isolates are beside those of the same thread.
    (globalThis as unknown as Record<symbol, unknown>)[Symbol.for("@belay/ffi copies")] = new Map([["another", []]]);
    while (Number(control(operationAttachBeside, version, 0, 100_000, null)) !== 0) count += 1;
    console.log(count);
    console.log(failure(() => new Channel()));
  },
};
await programs[process.argv.at(-3) as string]();
process.exit();
