/** `addCleanup`: a function that runs when its target is garbage. */

import { assert, assertEquals, assertFalse, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { addCleanup, Handle, leaks, stats } from "@belay/ffi";
import { runChild } from "../support/child.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";

const before = alive();

// What is dropped is made in functions of its own, so that no variable of a test holds it.

describe("addCleanup", () => {
  it("runs the cleanup once, with the very argument", async () => {
    const args: unknown[] = [
      { name: "object" },
      null,
      undefined,
      0,
      NaN,
      "text",
      2n ** 64n,
      Handle,
      Symbol("symbol"),
      () => {},
    ];
    const seen: unknown[] = [];
    const add = () => {
      for (const arg of args) addCleanup({}, (got) => void seen.push(got), arg);
    };
    add();
    assertEquals(seen, []);
    assert(await collectUntil(() => seen.length >= args.length), `${seen.length} of ${args.length} cleanups ran`);
    await collectFully();
    assertStrictEquals(seen.length, args.length);
    // The very same, in any order: not only equal ones.
    for (const arg of args) assert(seen.includes(arg), `${String(arg)} is missing`);
  });

  it("does not run the cleanup while the target is reachable", async () => {
    let runs = 0;
    const target = { name: "target" };
    addCleanup(target, () => void (runs += 1), undefined);
    await collectFully();
    assertStrictEquals(runs, 0);
    assertStrictEquals(target.name, "target");
  });

  it("takes a function as the target", async () => {
    let runs = 0;
    const add = () => {
      for (let i = 0; i < 10; i++) addCleanup(() => i, () => void (runs += 1), undefined);
    };
    add();
    assert(await collectUntil(() => runs === 10), `${runs} of 10 cleanups ran`);
  });

  it("runs all three cleanups of one target", async () => {
    const seen: string[] = [];
    const add = () => {
      const target = {};
      for (const name of ["a", "b", "c"]) addCleanup(target, (arg) => void seen.push(arg), name);
    };
    add();
    assert(await collectUntil(() => seen.length >= 3), `ran: ${seen}`);
    await collectFully();
    assertEquals(seen.sort(), ["a", "b", "c"]);
  });

  it("runs the same function twice when it was added twice", async () => {
    let runs = 0;
    const cleanup = () => void (runs += 1);
    const add = () => {
      const target = {};
      addCleanup(target, cleanup, "same");
      addCleanup(target, cleanup, "same");
    };
    add();
    assert(await collectUntil(() => runs >= 2), `${runs} runs`);
    await collectFully();
    assertStrictEquals(runs, 2);
  });

  it("refuses a primitive target with a TypeError", () => {
    const cleanup = () => {};
    const primitives: [unknown, string][] = [
      [null, "null"],
      [undefined, "undefined"],
      [1, "number"],
      ["text", "string"],
      [true, "boolean"],
      [1n, "bigint"],
      [Symbol("symbol"), "symbol"],
      [Symbol.for("registered"), "symbol"],
    ];
    for (const [target, kind] of primitives) {
      const message = `Cannot add a cleanup to a ${kind}: expected an object`;
      assertThrows(() => addCleanup(target as object, cleanup, "arg"), TypeError, message);
    }
  });

  it("refuses a cleanup that is no function with a TypeError, rather than fail when the target is gone", () => {
    const target = {};
    for (const wrong of [undefined, null, "text", {}]) {
      let refusal: unknown;
      try {
        addCleanup(target, wrong as unknown as () => void, "arg").stop();
      } catch (error) {
        refusal = error;
      }
      assert(refusal instanceof TypeError, `${String(wrong)} was taken`);
    }
  });

  it("refuses a target that is its own argument with a TypeError, and never runs that cleanup", async () => {
    let runs = 0;
    const add = () => {
      for (const target of [{}, [], () => {}]) {
        assertThrows(() => addCleanup(target, () => void (runs += 1), target), TypeError, "argument is its target");
      }
    };
    add();
    await collectFully();
    assertStrictEquals(runs, 0);
  });

  it("never brings the target back", async () => {
    const seen: boolean[] = [];
    const add = () => {
      for (let i = 0; i < 100; i++) {
        const target = { i };
        addCleanup(target, (reference) => void seen.push(reference.deref() === undefined), new WeakRef(target));
      }
    };
    add();
    assert(await collectUntil(() => seen.length === 100), `${seen.length} of 100 cleanups ran`);
    assertEquals(seen.filter((gone) => !gone), []);
  });

  it("loses none of 20,000", async () => {
    const count = 20_000;
    const runs = new Uint8Array(count);
    let total = 0;
    const add = () =>
      Array.from(runs, (_, i) => {
        const target = { i };
        addCleanup(target, (index) => {
          runs[index] += 1;
          total += 1;
        }, i);
        return new WeakRef(target);
      });
    const targets = add();
    // A collector that scans stacks may keep some targets: fewer than there are batches of cleanups.
    const least = "Bun" in globalThis ? count - 5 : count;
    assert(await collectUntil(() => total >= least), `${total} of ${count} cleanups ran`);
    // Of those that are gone, each cleanup runs.
    const isKept = (i: number): boolean => targets[i].deref() !== undefined;
    assert(await collectUntil(() => runs.every((times, i) => times === 1 || isKept(i))), "a cleanup was lost");
    await collectFully();
    assertFalse(runs.some((times, i) => times > 1 || times === 1 && isKept(i)), "a cleanup ran twice or too soon");
  });

  it("a cleanup may add a cleanup, and create and delete handles", async () => {
    const seen: string[] = [];
    const add = (i: number) => {
      addCleanup({}, (outer) => {
        using handle = Handle.create(outer);
        seen.push(handle.value);
        addCleanup({}, (inner) => void seen.push(inner), `inner ${i}`);
      }, `outer ${i}`);
    };
    // Of several, since a collector that scans stacks may miss some.
    for (let i = 0; i < 20; i++) add(i);
    const ofInner = () => seen.filter((each) => each.startsWith("inner"));
    assert(await collectUntil(() => ofInner().length > 0), `ran: ${seen}`);
    assertStrictEquals(new Set(seen).size, seen.length, `ran twice: ${seen}`);
    for (const inner of ofInner()) {
      const outer = seen.indexOf(inner.replace("inner", "outer"));
      assert(outer >= 0 && outer < seen.indexOf(inner), `ran: ${seen}`);
    }
  });

  it("deletes a handle whose owner is gone, with Handle.delete as the cleanup", async () => {
    const { handles } = stats().live;
    const add = () => {
      const ids = [];
      for (let i = 0; i < 10; i++) {
        const owner = { handle: Handle.create({ i }) };
        addCleanup(owner, Handle.delete, owner.handle.id);
        ids.push(owner.handle.id);
      }
      return ids;
    };
    const ids = add();
    assertStrictEquals(stats().live.handles, handles + 10);
    assert(
      await collectUntil(() => stats().live.handles === handles),
      `${stats().live.handles - handles} handles are left`,
    );
    for (const id of ids) assertThrows(() => Handle.value(id), Error, "it has been deleted");
  });
});

describe("Cleanup.stop", () => {
  it("before the target is gone: the cleanup never runs", async () => {
    const seen: string[] = [];
    const add = () => {
      const stopped = addCleanup({}, (arg) => void seen.push(arg), "stopped");
      addCleanup({}, (arg) => void seen.push(arg), "not stopped");
      stopped.stop();
    };
    add();
    assert(await collectUntil(() => seen.length > 0), "nothing ran");
    await collectFully();
    assertEquals(seen, ["not stopped"]);
  });

  it("twice: the second does nothing", async () => {
    const seen: string[] = [];
    const add = () => {
      const target = {};
      const stopped = addCleanup(target, (arg) => void seen.push(arg), "stopped");
      addCleanup(target, (arg) => void seen.push(arg), "not stopped");
      stopped.stop();
      stopped.stop();
    };
    add();
    assert(await collectUntil(() => seen.length > 0), "nothing ran");
    await collectFully();
    assertEquals(seen, ["not stopped"]);
  });

  it("after the cleanup ran: does nothing", async () => {
    let runs = 0;
    const add = () => addCleanup({}, () => void (runs += 1), undefined);
    const cleanup = add();
    assert(await collectUntil(() => runs === 1), "the cleanup did not run");
    cleanup.stop();
    cleanup.stop();
    await collectFully();
    assertStrictEquals(runs, 1);
  });

  it("of the cleanup that is running: does nothing", async () => {
    let runs = 0;
    const add = () => {
      const cleanup = addCleanup({}, () => {
        cleanup.stop();
        runs += 1;
      }, undefined);
    };
    add();
    assert(await collectUntil(() => runs > 0), "the cleanup did not run");
    await collectFully();
    assertStrictEquals(runs, 1);
  });

  it("of every second of 1,000, some targets having several: exactly the others run", async () => {
    const seen = new Set<number>();
    const add = () => {
      let target = {};
      for (let i = 0; i < 1000; i++) {
        if (i % 3 === 0) target = {};
        const cleanup = addCleanup(target, (index) => {
          assertFalse(seen.has(index), `cleanup ${index} ran twice`);
          seen.add(index);
        }, i);
        if (i % 2 === 0) cleanup.stop();
      }
    };
    add();
    assert(await collectUntil(() => seen.size >= 500), `${seen.size} of 500 cleanups ran`);
    await collectFully();
    assertStrictEquals(seen.size, 500);
    assertFalse([...seen].some((index) => index % 2 === 0));
  });

  it("of another cleanup that is due with this one: only one of the two runs", async () => {
    const seen: string[] = [];
    const add = () => {
      const target = {};
      const first = addCleanup(target, (arg) => {
        seen.push(arg);
        second.stop();
      }, "first");
      const second = addCleanup(target, (arg) => {
        seen.push(arg);
        first.stop();
      }, "second");
    };
    add();
    assert(await collectUntil(() => seen.length > 0), "nothing ran");
    await collectFully();
    assertStrictEquals(seen.length, 1);
  });

  it("lets go of the argument and of the cleanup itself, though the target lives on", async () => {
    const target = { name: "target" };
    const add = () => {
      const args = Array.from({ length: 100 }, (_, index) => ({ index }));
      const cleanups = args.map((arg) => addCleanup(target, () => {}, arg));
      for (const cleanup of cleanups) cleanup.stop();
      return [...args, ...cleanups].map((dropped) => new WeakRef(dropped));
    };
    const references = add();
    const gone = () => references.filter((reference) => reference.deref() === undefined).length;
    // A stack may still show some to a collector that scans stacks.
    assert(await collectUntil(() => gone() >= 196), `${gone()} of 200 objects were collected`);
    assertStrictEquals(target.name, "target");
  });
});

describe("a cleanup that throws", () => {
  it("doesn't keep the others from running, and its error comes uncaught", () => {
    const { code, signal, stdout, stderr } = runChild("cleanup_throws.ts", ["handled"]);
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
    assertEquals(JSON.parse(stdout), {
      ran: ["first", "second", "third"],
      uncaught: ["the first cleanup failed", "the second cleanup failed"],
    });
  });

  it("makes a process that handles no uncaught errors fail, and is printed", () => {
    const { code, signal, stderr } = runChild("cleanup_throws.ts");
    assertEquals({ code, signal }, { code: 1, signal: null });
    assertStringIncludes(stderr, "cleanup failed");
  });
});

describe("tests/lifetime/cleanup_test.ts", () => {
  it("leaves nothing alive", async () => {
    await collectUntil(() =>
      stats().live.callbacks === before.callbacks && stats().live.libraries === before.libraries
    );
    assertEquals(alive(), before);
    assertEquals(leaks(), []);
  });
});
