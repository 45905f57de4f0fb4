/** Nothing but a signal's timer could go on with this program. */

import { dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const { each } = dlopen(testLibrary, {
  each: {
    parameters: ["i32", { parameters: ["pointer", "i32"], result: "i32" }, "pointer"],
    result: "i32",
    suspends: true,
  },
}).symbols;
each(1, () => new Promise(() => {}), null, { signal: AbortSignal.timeout(20) })
  .catch((error) => console.log((error as Error).name));
