/** The handle registry against the one that bindings write by hand: a `Map` and a counter. */

import { configure, Handle } from "@belay/ffi";
import { compare, finish } from "./harness.ts";

class MapRegistry {
  #values = new Map<number, unknown>();
  #last = 0;

  create(value: unknown): number {
    this.#last += 1;
    this.#values.set(this.#last, value);
    return this.#last;
  }

  value(id: number): unknown {
    if (!this.#values.has(id)) throw new Error("no such handle");
    return this.#values.get(id);
  }

  delete(id: number): void {
    if (!this.#values.delete(id)) throw new Error("no such handle");
  }
}

const registry = new MapRegistry();
const value = { name: "value" };

function belay(count: number): void {
  for (let i = 0; i < count; i++) {
    const { id } = Handle.create(value);
    if (Handle.value(id) !== value) throw new Error("wrong value");
    Handle.delete(id);
  }
}

function map(count: number): void {
  for (let i = 0; i < count; i++) {
    const id = registry.create(value);
    if (registry.value(id) !== value) throw new Error("wrong value");
    registry.delete(id);
  }
}

compare("handle/create-value-delete", { belay, map }, { count: 1_000_000 });

// What tracking can't do without: the error whose stack says where.
configure({ trackLeaks: true });
compare("handle/create-tracked", {
  belay: (count) => {
    for (let i = 0; i < count; i++) Handle.create(value).delete();
  },
  error: (count) => {
    for (let i = 0; i < count; i++) new Error("was created");
  },
}, { count: 20_000 });
configure({ trackLeaks: false });

for (let i = 0; i < 500_000; i++) {
  Handle.create(value);
  registry.create(value);
}
compare("handle/create-value-delete-500k-live", { belay, map }, { count: 1_000_000 });
finish();
