/** The worker of `installed.ts`: it is called back, too, and says how many isolates there are in its core. */

import { dlopen, stats } from "@belay/ffi";

/** A sum that C asks a function for. */
export function squares(library: string, count: number): number {
  using opened = dlopen(library, {
    repeat: { parameters: [{ parameters: ["i32", "i32"], result: "i32" }, "i32"], result: "i32" },
  });
  return opened.symbols.repeat((value) => value * value, count);
}

const scope = globalThis as unknown as {
  document?: unknown;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage?: (message: string) => void;
};
// The main thread imports the function only.
if (scope.postMessage !== undefined) {
  scope.onmessage = ({ data }) => {
    scope.postMessage?.(`${squares(String(data), 5)} of ${stats().process.isolates}`);
  };
}
