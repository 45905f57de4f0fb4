/** Values that lie about what they are, or run code in the middle of a check. */

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { runChild } from "../support/child.ts";

describe("values that lie, or run code in the middle", () => {
  it("are refused before C is entered, at every place that takes such a value", () => {
    const { code, signal, stdout, stderr } = runChild("forged_values.ts");
    assertMatch(stdout + stderr, /^refused \d{3}\n$/);
    assertEquals([code, signal], [0, null]);
  });
});
