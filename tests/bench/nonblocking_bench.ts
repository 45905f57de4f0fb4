/**
 * Calls that JavaScript doesn't wait for, against Deno's own. Bun has none: there Deno's figures come from a process of
 * their own, which measures in turn with this one.
 */

import { dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { compareAsync, finish, runtime } from "./harness.ts";
import { type AddLater, denoProcess, measure, rawAdd } from "./nonblocking_raw.ts";

const { symbols } = dlopen(testLibrary, {
  add_i32: { parameters: ["i32", "i32"], result: "i32", nonblocking: true },
});
const belay = (): Promise<Record<string, number>> => measure(symbols.add_i32 as AddLater);

if (runtime === "deno") {
  const add = rawAdd();
  await compareAsync({ belay, raw: () => measure(add) });
} else {
  const other = denoProcess();
  await compareAsync({ belay, deno: other.subject });
  other.end();
}
finish();
