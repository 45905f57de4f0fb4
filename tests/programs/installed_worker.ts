/** The worker of `installed.ts`: it is called back, too, and says how many isolates there are in its core. */

import { stats } from "@belay/ffi";
import { squares } from "./installed_sum.ts";

const scope = globalThis as unknown as {
  onmessage: (event: { readonly data: unknown }) => void;
  postMessage: (message: string) => void;
};
scope.onmessage = ({ data }) => {
  scope.postMessage(`${squares(String(data), 5)} of ${stats().process.isolates}`);
};
