/** Isolates: workers beside the main thread, and what is left of them. */

import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, Handle } from "@belay/ffi";
import { testLibrary } from "../scripts/build.ts";
import { root } from "../scripts/tools.ts";
import { runChild } from "./child.ts";
import { alive } from "./gc.ts";
import { leftOut } from "./left_out.ts";
import type { Answer, Question } from "./fixtures/worker.ts";

/** Asks a new worker, and terminates it when it has answered. */
async function ask(question: Question): Promise<Answer> {
  const worker = new Worker(new URL("./fixtures/worker.ts", import.meta.url).href, { type: "module" });
  try {
    return await new Promise<Answer>((resolve, reject) => {
      worker.onmessage = (event) => resolve(event.data as Answer);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(question);
    });
  } finally {
    worker.terminate();
  }
}

const before = alive();
const maps = "/proc/self/maps";
const hasMaps = existsSync(maps);
if (!hasMaps) leftOut("a look at what stays mapped after a worker, since there is no /proc/self/maps");

describe("isolates", () => {
  it("a worker has a registry tag of its own, and refuses another isolate's handle as such", async () => {
    using handle = Handle.create("main");
    const answer = await ask({ testLibrary, foreignId: handle.id });
    assertEquals(answer.foreignReason, "foreign");
    assertNotEquals(Math.floor(answer.id / 2 ** 23) % 256, Math.floor(handle.id / 2 ** 23) % 256);
    assertEquals(answer.sum, 12);
    assertEquals(handle.value, "main");
  });

  it("twenty workers in turn never issue the same id, though they get the tags of those that are gone", async () => {
    const ids: number[] = [];
    for (let i = 0; i < 20; i++) ids.push((await ask({ testLibrary, foreignId: 2 })).id);
    assertEquals(new Set(ids).size, ids.length);
    const tags = new Set(ids.map((id) => Math.floor(id / 2 ** 23) % 256));
    assert(tags.size < ids.length, `expected tags to be used again, got ${[...tags]}`);
  });

  it("a callback of a worker that is gone answers with its fallback and is counted as foreign", async () => {
    using library = dlopen(testLibrary, { call_kept: { parameters: ["i32"], result: "i32" } });
    await ask({ testLibrary, foreignId: 2 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(library.symbols.call_kept(1), -7);
    assertEquals(library.symbols.call_kept(2), -7);
  });

  (hasMaps ? it : it.skip)(
    "a library that only a terminated worker had opened stays mapped (read in /proc/self/maps)",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "belay-"));
      try {
        const ownLibrary = join(folder, "only_in_a_worker.so");
        copyFileSync(testLibrary, ownLibrary);
        await ask({ testLibrary, foreignId: 2, ownLibrary });
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert(readFileSync(maps, "utf8").includes("only_in_a_worker.so"));
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  it("two copies of the package in one world have an isolate each (in a child process)", () => {
    const folder = mkdtempSync(join(tmpdir(), "belay-"));
    try {
      cpSync(join(root, "ffi"), join(folder, "ffi"), { recursive: true });
      copyFileSync(join(root, "mod.ts"), join(folder, "mod.ts"));
      mkdirSync(join(folder, "native"));
      // The same core, as the loader sees it.
      symlinkSync(join(root, "native", "lib"), join(folder, "native", "lib"));
      const { code, stdout, stderr } = runChild("two_copies.ts", [folder]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(JSON.parse(stdout), {
        ids: 5060,
        mine: 2,
        theirs: 3,
        crossed: 3,
        values: true,
        theirValues: true,
        foreignCalls: 0,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const kind of ["live", "disposed", "exit"]) {
    it(`C calls a callback while the process exits: it answers with its fallback (${kind}, in a child process)`, () => {
      const { code, signal, stdout } = runChild("at_exit.ts", [kind]);
      assertEquals([code, signal], [0, null]);
      // Bun ends without running `atexit` handlers.
      const called = "Bun" in globalThis ? [] : ["at exit: -5"];
      assertEquals(stdout.trim().split("\n"), ["end", ...called]);
    });
  }

  it("nothing is left alive here", () => {
    assertEquals(alive(), before);
  });
});
