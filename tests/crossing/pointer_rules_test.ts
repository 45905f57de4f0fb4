/** The rules for pointers: programs that keep or break one, each in a process of its own. */

import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { configure } from "@belay/ffi";
import { type ChildResult, runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { pointerRuleCases } from "./pointer_rules_cases.ts";

const before = alive();

/** What a program printed; it has ended well. */
function printed({ code, signal, stdout, stderr }: ChildResult): string {
  assertEquals({ code, signal }, { code: 0, signal: null }, stderr);
  return stdout.trim();
}

describe("the rules for pointers, each program in a process of its own", () => {
  for (const { name, refused, always = false } of pointerRuleCases) {
    it(`${refused === undefined ? "passes" : "refused"}: ${name}`, () => {
      const said = printed(runChild("pointer_rules.ts", [name]));
      if (refused === undefined) return assertStrictEquals(said, "passed");
      assertMatch(said, /^broken: /);
      assertMatch(said, refused);
      const unchecked = printed(runChild("pointer_rules.ts", [name, "off"]));
      assertStrictEquals(unchecked.startsWith("broken: "), always, unchecked);
    });
  }

  it("has each name once", () => {
    const names = pointerRuleCases.map(({ name }) => name);
    assert(names.length >= 30);
    assertEquals([...new Set(names)], names);
  });
});

describe("configure", () => {
  it("refuses pointerChecks that is no boolean", () => {
    for (const wrong of [null, 1, "off"]) {
      assertThrows(() => configure({ pointerChecks: wrong as never }), TypeError, "pointerChecks");
    }
    configure({ pointerChecks: true });
  });

  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
  });
});
