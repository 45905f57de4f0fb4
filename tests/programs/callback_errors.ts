/**
 * What goes wrong in callbacks where nobody can catch it, by the name of the case. Prints what the native call gave, and
 * "end" a second later, if the process lives that long.
 */

import process from "node:process";
import { callback, configure, dlopen, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";

const definition = { parameters: ["i32"], result: "i32" } as const;
const raw = rawOpen(testLibrary, { relay_i32: { parameters: ["u64", "i32"], result: "i32" } });
const library = dlopen(testLibrary, { relay_i32: { parameters: [definition, "i32"], result: "i32" } });

function fail(message: string): never {
  throw new Error(message);
}

/** A call that belay doesn't know of. */
function callRaw(onError?: (error: unknown) => void): void {
  const failing = callback(definition, () => fail("thrown by the callback"), { fallback: -1, onError });
  console.log(raw["relay_i32"](pointerValue(failing.pointer), 1));
}

/** Calls a callback that returns what TypeScript wouldn't let it. */
function callWith(result: () => unknown): void {
  try {
    library.symbols.relay_i32(result as () => number, 1);
  } catch (error) {
    console.log(String(error));
  }
}

const cases: Record<string, () => void> = {
  "no onError": () => callRaw(),
  "onError throws": () => callRaw(() => fail("thrown by onError")),
  "onReport throws": () => {
    configure({ onReport: () => fail("thrown by onReport") });
    const stale = callback(definition, (value) => value, { fallback: -1 });
    stale.close();
    console.log(library.symbols.relay_i32(stale.pointer, 1));
  },
  "rejected promise": () => callWith(() => Promise.reject(new Error("rejected"))),
  "async function that throws": () =>
    callWith(async () => {
      await undefined;
      fail("rejected later");
    }),
};

cases[process.argv[2]]();
// Long after an uncaught error has ended the process, also on a busy machine.
setTimeout(() => console.log("end"), 1000);
