/** How calls end that C waits in: their library is closed, the isolate ends; and what their stacks take until then. */

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { callback, dlopen, LibraryClosedError, stats, tailCall } from "@belay/ffi";
import { host, testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { emulator } from "../support/machine.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";
import { copyLibrary, isMapped, itOnLinux, unmaps } from "../support/library_copy.ts";

const binary = { parameters: ["i32", "i32"], result: "i32" } as const;
const each = { parameters: ["i32", binary, "i32"], result: "i32" } as const;
const definitions = { each: { ...each, suspends: true }, add_i32: { ...binary } } as const;
const later = <T extends "pointer" | "function">(type: T) =>
  ({ name: "each", parameters: ["i32", type, "i32"], result: "i32", suspends: true }) as const;
const never = (): Promise<number> => new Promise(() => {});
const before = alive();

describe("a library that is closed while C waits", () => {
  it("ends the call: C gets fallbacks and returns, the promise is rejected", async () => {
    const library = dlopen(testLibrary, definitions);
    let calls = 0;
    const waiting = library.symbols.each(5, () => (calls++, never()), 0);
    const other = dlopen(testLibrary, definitions);
    let answer = (_: number): void => {};
    const goesOn = other.symbols.each(1, () => new Promise((resolve) => answer = resolve), 0);
    library.close();
    await assertRejects(() => waiting, LibraryClosedError, 'Cannot call "each"');
    assertEquals([calls, stats().live.ownStacks], [1, 1]);
    answer(9);
    assertEquals(await goesOn, 9);
    other.close();
  });

  it("is not waited for inside of a callback: C goes on when that has returned", async () => {
    const library = dlopen(testLibrary, definitions);
    let calls = 0;
    const call = library.symbols.each(3, () => {
      calls++;
      library.close();
      return 1;
    }, 0);
    await assertRejects(() => call, LibraryClosedError);
    assertEquals([calls, stats().live.ownStacks], [1, 0]);
  });

  itOnLinux("with unload is unmapped when C has returned", async () => {
    using copy = copyLibrary();
    const library = dlopen(copy.path, definitions, { unload: true });
    const waiting = library.symbols.each(5, never, 0);
    assert(isMapped(copy.path));
    library.close();
    await assertRejects(() => waiting, LibraryClosedError);
    assertEquals(isMapped(copy.path), !unmaps);
  });
});

describe("a promise of a callback that comes when its call was given up", () => {
  it("has C call nothing: its tail call isn't made", async () => {
    using library = dlopen(testLibrary, {
      ...definitions,
      again: { ...each, name: "each", parameters: ["i32", "pointer", "i32"] },
    });
    const { each: eachLater, again } = library.symbols;
    for (const givenUp of [false, true]) {
      const controller = new AbortController();
      let answer = (): void => {};
      let made = 0;
      using counts = callback(binary, () => ++made);
      const { pointer } = counts;
      const ask = async () => (await new Promise<void>((resolve) => answer = resolve), tailCall(again, 1, pointer, 0));
      const waiting = eachLater(1, ask, 0, { signal: controller.signal });
      if (givenUp) controller.abort(new Error("given up"));
      answer();
      await (givenUp ? assertRejects(() => waiting, Error, "given up") : waiting);
      await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals(made, givenUp ? 0 : 1);
    }
  });
});

describe("an isolate that ends while C waits", () => {
  it("lets C come to its end, in 100 ms and 256 callbacks, whatever ends it (in child processes)", () => {
    for (const end of ["exit", "idle"]) {
      const { code, stdout, stderr } = runChild("ends_suspended.ts", [end]);
      assertEquals([code, stdout, stderr], [0, "waiting\nanswered 1\nanswered 2\n", ""], end);
    }
  });

  it("is not kept by C that goes on and on, which is reported, nor inside of a callback (in child processes)", () => {
    for (const [end, expected] of [["blocked", 5], ["blocked-idle", 6], ["blocked-well", 1]] as const) {
      const { code, stdout, stderr } = runChild("ends_suspended.ts", [end]);
      assertEquals([code, stdout], [expected, "waiting\n"]);
      assertStringIncludes(stderr, "C has not returned at the program's end");
    }
    const endless = runChild("ends_suspended.ts", ["endless"]);
    assertEquals([endless.code, endless.stdout], [0, "waiting\n"]);
    assertStringIncludes(endless.stderr, '"each" had called back 256 times, or for 100 ms');
    const inside = runChild("ends_suspended.ts", ["inside"]);
    assertEquals([inside.code, inside.stdout, inside.stderr], [0, "waiting\n", ""]);
  });
});

describe("a Callback that is passed to a call in which C waits", () => {
  it("is not collected before C has returned, whoever else has it", async () => {
    using library = dlopen(testLibrary, {
      ...definitions,
      byPointer: { ...later("pointer") },
      byFunction: later("function"),
    });
    const { each, byPointer, byFunction } = library.symbols;
    const { live: { callbacks }, counts: { staleCalls } } = stats();
    for (const call of [each, byPointer, byFunction] as const) {
      let answer = (_: number): void => {};
      let calls = 0;
      const fn = (): number | Promise<number> => calls++ === 0 ? new Promise<number>((resolve) => answer = resolve) : 1;
      const waiting = call(3, callback(binary, fn, { suspends: true }) as never, 0);
      await collectFully();
      answer(1);
      assertEquals([await waiting, calls], [3, 3]);
    }
    await collectUntil(() => stats().live.callbacks === callbacks);
    assertEquals(stats().counts.staleCalls, staleCalls);
  });
});

describe("stacks of C's own", () => {
  it("are as large as a definition says", async () => {
    const deep = {
      name: "call_deep",
      parameters: [{ parameters: ["i32"], result: "i32" }, "i32"],
      result: "i32",
    } as const;
    const onWindows = host.os === "windows";
    using library = dlopen(testLibrary, {
      small: { ...deep, stack: "own", stackSize: 128 * 1024 },
      large: { ...deep, suspends: true, stackSize: 2 ** 26 },
      usual: { ...deep, stack: "own" },
    });
    const { small, large, usual } = library.symbols;
    // Frames of a kilobyte, and a little.
    for (let i = 0; i < 10; i++) assertEquals(small((value) => value + i, 100), 1 + i);
    assertEquals(usual((value) => value, onWindows ? 800 : 7000), 1);
    assertEquals(await large((value) => Promise.resolve(value), 50_000), 1);
    assertEquals(stats().live.ownStacks, 0);
  });

  it("are refused where they can't be that large", () => {
    const open = (more: object) => () => dlopen(testLibrary, { each: { ...each, ...more } } as never);
    assertThrows(open({ stackSize: 2 ** 20 }), TypeError, 'stackSize is for stack: "own", or suspends');
    assertThrows(open({ stack: "own", stackSize: "1" }), TypeError, "stackSize must be an integer");
    assertThrows(open({ stack: "own", stackSize: 131_071 }), TypeError, "stackSize must be from 131072 to 1073741824");
    assertThrows(open({ suspends: true, stackSize: 2 ** 31 }), TypeError, "stackSize must be from");
  });

  // An emulator takes memory of its own for them.
  (emulator === undefined ? it : it.skip)(
    "take less than 40 MB for a thousand calls that wait, and give that back (in a child process)",
    () => {
      const { code, stdout, stderr } = runChild("thousand_suspended.ts", [host.os]);
      assertEquals([code, stdout, stderr], [0, "done\n", ""]);
    },
  );
});

describe("nothing of these tests", () => {
  afterAll(() => {
    // These tests collect garbage, which may be memory of another file's in this process.
    const { memories } = alive();
    assert(memories <= before.memories);
    assertEquals(alive(), { ...before, memories });
  });
  it("is left alive", () => {
    assertEquals(stats().live.ownStacks, 0);
  });
});

describe("a call that takes long while another one waits on the same thread", () => {
  it("is told of by the core after 10 s, since JavaScript can't: C may want what that one holds", () => {
    const quick = runChild("blocked_while_suspended.ts", ["1500"]);
    assertEquals([quick.stdout, quick.stderr, quick.code], ["7\n", "", 0]);
    const { stdout, stderr, code } = runChild("blocked_while_suspended.ts", ["12500"]);
    assertEquals([stdout, code], ["7\n", 0]);
    const name = host.os === "windows" ? "" : ": each";
    assertStringIncludes(
      stderr,
      `belay: a call of C has not returned for 10 s. On its thread these wait for promises${name}.`,
    );
    assertEquals(stderr.split("belay:").length, 2);
  });
});
