/** Where what is alive was created. */

import { inspect } from "node:util";
import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { afterEach, describe, it } from "@std/testing/bdd";
import { addCleanup, callback, configure, Handle, leaks, type Report } from "@belay/ffi";
import { ownRuntime, runChild } from "../support/child.ts";
import { alive, collectUntil, isLive } from "../support/gc.ts";

const before = alive();

describe("a leak's stack", () => {
  const usual = { begins: true, hasFrames: true, calledMeanwhile: 0, isAsBefore: true };
  const isBun = ownRuntime.name === "bun";
  const ways: Readonly<Record<string, object>> = {
    nothing: { ...usual, calledLater: 0 },
    sites: { ...usual, calledLater: 1 },
    fails: { ...usual, calledLater: 1 },
    "read only": { ...usual, calledLater: isBun ? 0 : 1 },
    "an accessor": { ...usual, calledLater: isBun ? 0 : 1 },
    // It can't be switched off; what it throws is nobody's.
    frozen: { ...usual, hasFrames: false, calledMeanwhile: 1, calledLater: 1 },
    "limit 0": { ...usual, hasFrames: false, calledLater: 0 },
    "limit undefined": { ...usual, hasFrames: false, calledLater: 0 },
    "limit text": { ...usual, hasFrames: false, calledLater: 0 },
    "limit read only": { ...usual, hasFrames: false, calledLater: 0 },
  };
  for (const [way, expected] of Object.entries(ways)) {
    it(`is the engine's text, whatever the program does to its own stacks: ${way} (in a child process)`, () => {
      const { code, stdout, stderr } = runChild("leak_formatter.ts", [way]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(JSON.parse(stdout), expected);
    });
  }
});

describe("leaks()", () => {
  afterEach(() => configure({ trackLeaks: false, onReport: undefined }));

  it("gives plain objects: what reads, copies or shows them sees the stack", () => {
    configure({ trackLeaks: true });
    using handle = Handle.create("value");
    const [leak] = leaks();
    assert(leak !== undefined);
    assertEquals(Object.keys(leak), ["kind", "name", "stack"]);
    const plain = { kind: "handle", name: String(handle.id), stack: leak.stack } as const;
    assertStringIncludes(plain.stack, "leaks_test.ts");
    assertEquals(JSON.parse(JSON.stringify(leak)), plain);
    assertEquals({ ...leak }, plain);
    assertEquals(structuredClone(leak), plain);
    assertStrictEquals(inspect(leak), inspect(plain));
  });

  it("keeps nothing alive that the stack's functions belong to", async () => {
    const reports: Report[] = [];
    configure({ trackLeaks: true, onReport: (report) => reports.push(report) });
    const ids: number[] = [];
    class Owner {
      readonly callback = callback({ parameters: [], result: "void" }, () => {}, { name: "an owner's" });
      constructor() {
        const { id } = Handle.create("an owner's");
        ids.push(id);
        addCleanup(this, Handle.delete, id);
      }
    }
    for (let i = 0; i < 50; i++) new Owner();
    const gone = (): number => ids.filter((id) => !isLive(id)).length;
    // A collector that scans stacks may miss some.
    assert(await collectUntil(() => gone() >= 45 && reports.length >= 45), `${gone()} of 50 owners were collected`);
    assertEquals(new Set(reports.map(({ kind }) => kind)), new Set(["leak"]));
    assertStringIncludes(String(reports[0]?.cause), "leaks_test.ts");
    await collectUntil(() => gone() === 50 && reports.length === 50);
    for (const id of ids) if (isLive(id)) Handle.delete(id);
  });
});

it("nothing of these tests is left alive", async () => {
  assert(await collectUntil(() => JSON.stringify(alive()) === JSON.stringify(before)), JSON.stringify(alive()));
});
