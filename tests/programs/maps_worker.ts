/** A worker that looks at the process's mappings, as often as it can, for memory that can be written and executed. */

import { executableMappings, type Range, without } from "../support/maps.ts";

const scope = globalThis as unknown as {
  onmessage: (event: { data: Int32Array }) => void;
  postMessage(message: unknown): void;
};

// The first word: 0 until the state of things has been noted, 1 while there is something to see, 2 when it is over. The
// second: 1 when this is about to wait for that, 2 when it looks.
scope.onmessage = ({ data: word }) => {
  Atomics.store(word, 1, 1);
  Atomics.wait(word, 0, 0);
  const before = executableMappings().filter(({ writable }) => writable);
  const found: Range[] = [];
  let looks = 0;
  while (Atomics.load(word, 0) === 1) {
    Atomics.store(word, 1, 2);
    looks += 1;
    found.push(...without(executableMappings().filter(({ writable }) => writable), before));
  }
  scope.postMessage({ looks, found: found.length });
};
scope.postMessage("ready");
