/** Calls for which the stack ends in the middle, and the second try after each. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { runChild } from "../support/child.ts";

describe("where the stack ends in the middle, a second try ends", () => {
  const kinds = ["callback", "kept", "pin", "memory", "adopted", "handle", "channel", "library", "unloaded", "scope"];
  for (const kind of kinds) {
    it(`the kind "${kind}"`, () => {
      const { code, signal, stdout, stderr } = runChild("stack_ends.ts", [kind]);
      assertEquals([stdout + stderr, code, signal], [`ended ${kind}\n`, 0, null]);
    });
  }
});
