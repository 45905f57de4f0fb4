/** What `onError` answers that it must not, by the name of the case. Prints what C got. */

import process from "node:process";
import { callback, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";

const raw = rawOpen(testLibrary, {
  relay_i32: { parameters: ["u64", "i32"], result: "i32" },
  call_void: { parameters: ["u64"], result: "void" },
});

function fail(message: string): never {
  throw new Error(message);
}

function answer(onError: () => unknown): void {
  const failing = callback({ parameters: ["i32"], result: "i32" }, () => fail("thrown by the callback"), {
    fallback: -1,
    onError: onError as () => number,
  });
  console.log(raw["relay_i32"](pointerValue(failing.pointer), 1));
}

const cases: Record<string, () => void> = {
  "a number that doesn't fit": () => answer(() => 2 ** 31),
  "a text": () => answer(() => "1"),
  "a promise": () => answer(() => Promise.resolve(1)),
  "an error of its own": () => answer(() => fail("thrown by onError")),
  "a promise for void"() {
    const failing = callback({ parameters: [], result: "void" }, () => fail("thrown by the callback"), {
      onError: (async () => {}) as () => void,
    });
    raw["call_void"](pointerValue(failing.pointer));
    console.log("C went on");
  },
};

cases[process.argv[2]]();
