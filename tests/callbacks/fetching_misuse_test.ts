/** What would lead the core astray where it asks C for a callback's arguments. All of it runs in child processes. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";

function run(wanted: string): string {
  const { code, signal, stdout, stderr } = runChild("fetching_misuse.ts", [wanted, testLibrary]);
  assertEquals([code, signal, stderr], [0, null, ""]);
  return stdout.trim();
}

describe("a callback whose thunk is another one's before all is fetched", () => {
  for (const kind of ["plain", "own", "later"]) {
    it(`answers with its fallback, in a call of the kind "${kind}" (in a child process)`, () => {
      assertEquals(run(kind), "true -1");
    });
  }

  it("leaves the queue as it is in which calls of the one before are (in a child process)", () => {
    assertEquals(run("requeued"), "60");
  });
});

it("values that only look like what is fetched are refused, and others are read once (in a child process)", () => {
  const refused = new Array(8).fill("TypeError").join(" ");
  assertEquals(run("forged"), `${refused} 1 1\n-2 3`);
});

it("a definition that changes is what it was when belay first saw it (in a child process)", () => {
  assertStringIncludes(run("changed"), 'thread "wait" takes no answer');
});
