/** Native memory that is freed when the object that owns it is garbage-collected. */

import { addCleanup, dlopen } from "@belay/ffi";
import type { Cleanup, Pointer } from "@belay/ffi";
import { libcPath } from "./libc.ts";

const libc = dlopen(libcPath, {
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
});
const { malloc, free } = libc.symbols;
let freed = 0;

class Block {
  readonly pointer: Pointer | null;
  readonly #cleanup: Cleanup;

  constructor(byteLength: number) {
    this.pointer = malloc(byteLength);
    // The cleanup gets the pointer, not the block: it must not keep alive what it waits for.
    this.#cleanup = addCleanup(this, release, this.pointer);
  }

  [Symbol.dispose](): void {
    this.#cleanup.stop();
    release(this.pointer);
  }
}

function release(pointer: Pointer | null): void {
  free(pointer);
  freed += 1;
}

{
  using block = new Block(1024);
  if (block.pointer === null) throw new Error("out of memory");
}
console.log(`${freed} block freed at the end of its scope`); // 1 block freed …

const engine = globalThis as unknown as { Bun?: { gc(force: boolean): void }; gc?: (force: boolean) => void };
for (let i = 0; i < 100; i++) new Block(1024); // nobody keeps these
for (let tries = 0; freed < 101 && tries < 200; tries++) {
  // Programs don't do this; the garbage collector runs when it likes.
  (engine.Bun?.gc ?? engine.gc)?.(true);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
console.log(`${freed - 1} blocks freed after a garbage collection`); // 100 blocks freed …
if (freed < 90) throw new Error("expected the blocks to be freed");
libc.close();
