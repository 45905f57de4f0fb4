/** Prints how much memory a million live handles take, the values and the array of their ids aside. */

import process from "node:process";
import { Handle, stats } from "@belay/ffi";
import { collectFully } from "../support/gc.ts";

const count = 1_000_000;
const value = { shared: "by all handles" };
const ids = new Float64Array(count).fill(1);

async function residentBytes(): Promise<number> {
  await collectFully();
  return process.memoryUsage().rss;
}

// Opens the core, so that it does not count as a handle's memory.
Handle.create(value).delete();
const before = await residentBytes();
for (let i = 0; i < count; i++) ids[i] = Handle.create(value).id;
const after = await residentBytes();

const live = stats().live.handles;
const distinct = new Set(ids).size;
const resolving = ids.filter((id) => Handle.value(id) === value).length;
for (const id of ids) Handle.delete(id);
console.log(JSON.stringify({ bytes: after - before, live, distinct, resolving, left: stats().live.handles }));
