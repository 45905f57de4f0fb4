/** What callbacks and memory have to stand for a long time, in short: `deno task soak` takes longer. Each runs in a child process. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { alive } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { runCase, runCases, type SoakCase, soakCases } from "./soak_cases.ts";

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

  it("go on after a case that doesn't end in time, or can't be read, which is not well (in child processes)", () => {
    const caseOf = (name: string, timeoutMs: number, wrong: SoakCase["wrong"] = () => []): SoakCase => {
      return {
        name,
        program: "stuck.ts",
        args: [name],
        options: { timeoutMs },
        leftOut: undefined,
        wrong,
        shown: String,
      };
    };
    const lines: string[] = [];
    const cases = [
      caseOf("stuck", 300),
      caseOf("unread", 60_000, () => {
        throw new TypeError("no figures");
      }),
      caseOf("well", 60_000),
    ];
    assertEquals(runCases(cases, (line) => lines.push(line)), ["stuck", "unread"]);
    assertEquals(lines.map((line) => line.replace(/[\d.]+ s$/, "… s")), [
      "\nstuck",
      '  WRONG: Error: Cannot run "stuck.ts": it has not ended in time',
      "  NOT WELL, … s",
      "\nunread",
      "  WRONG: TypeError: no figures",
      "  NOT WELL, … s",
      "\nwell",
      "  1",
      "  well, … s",
    ]);
  });

  it("leave nothing alive here", () => {
    assertEquals(alive(), before);
  });
});
