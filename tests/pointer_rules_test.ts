import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { configure, dlopen, NativeMemory } from "@belay/ffi";
import { dangling } from "../ffi/pointer_rules.ts";
import { type ChildResult, runChild } from "./child.ts";
import { alive, collectUntil } from "./gc.ts";
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

describe("pointers into arguments of calls that have returned", () => {
  it("are remembered until the memory is collected", async () => {
    using libc = dlopen({ name: "c", versions: ["6"] }, {
      memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" },
      strchr: { parameters: ["cstring", "i32"], result: "pointer" },
    });
    const { memchr, strchr } = libc.symbols;
    // Other files in the same process may have some.
    assert(await collectUntil(() => !dangling.some));
    assert(strchr("text", 61) === null && !dangling.some, "nothing was found");
    (() => {
      for (let i = 0; i < 10; i++) memchr(new Uint8Array(100), 0, 100);
      strchr("a=b", 61);
      // Strings that are passed on Deno share a piece of memory until it is used up.
      const long = "x".repeat(1000);
      for (let i = 0; i < 100; i++) strchr(long, 61);
    })();
    assert(dangling.some);
    assert(await collectUntil(() => !dangling.some), "are still remembered");
    using memory = NativeMemory.alloc(8);
    memory.setPointer(0, memory.pointer);
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
