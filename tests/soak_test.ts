/** What callbacks and memory have to stand for a long time, in short: `deno task soak` takes longer. Each runs in a child process. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { alive } from "./gc.ts";
import { leftOut } from "./left_out.ts";
import { runCase, soakCases } from "./soak_cases.ts";

const before = alive();

describe("callbacks and memory", () => {
  for (const soakCase of soakCases({ long: false, seeds: [1] })) {
    const { name, leftOut: reason } = soakCase;
    if (reason !== undefined) leftOut(`${name}: ${reason}`);
    (reason === undefined ? it : it.skip)(`${name} (in a child process)`, () => {
      const { wrong, figures } = runCase(soakCase);
      assertEquals(wrong, [], `${wrong.join("\n")}\n${figures}`);
    });
  }

  it("leave nothing alive here", () => {
    assertEquals(alive(), before);
  });
});
