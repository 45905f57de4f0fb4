/** The pool of thunks: which thunk a new callback gets, and how long a freed one rests. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type ShapeThunks, shapeThunks, ThunkPool } from "../../ffi/callbacks/thunk_pool.ts";
import { testLibrary } from "../../scripts/build.ts";
import { root } from "../../scripts/tools.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { randomFrom } from "../support/random.ts";

const restingFrees = 256;
const chunkLength = 16;
const before = alive();

/** A pool over a core that has so many thunks. */
interface TestPool<P extends ThunkPool = ThunkPool> {
  readonly pool: P;
  /** The names of the shapes that claimed, in order. */
  readonly claims: string[];
  /** How many thunks were claimed. */
  claimed(): number;
}

function poolOf(count: number): TestPool;
function poolOf<P extends ThunkPool>(count: number, Pool: new (claim: (shape: string) => number) => P): TestPool<P>;
function poolOf(count: number, Pool: new (claim: (shape: string) => number) => ThunkPool = ThunkPool): TestPool {
  const claims: string[] = [];
  const pool = new Pool((shape) => {
    if ((claims.length + 1) * chunkLength > count) return 0;
    claims.push(shape);
    return chunkLength;
  });
  return { pool, claims, claimed: () => claims.length * chunkLength };
}

/** Acquires so many thunks for a shape. */
function acquire(pool: ThunkPool, shape: ShapeThunks, count: number): number[] {
  return Array.from({ length: count }, () => pool.acquire(shape));
}

function range(start: number, length: number): number[] {
  return Array.from({ length }, (_, index) => start + index);
}

/** What a pool has to do, without any cleverness. */
class Model {
  readonly #most: number;
  readonly #fresh = new Map<ShapeThunks, number[]>();
  readonly #freed: { index: number; shape: ShapeThunks; at: number }[] = [];
  #frees = 0;
  claimed = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** The index that comes next for a shape; `undefined` when there is none. */
  acquire(shape: ShapeThunks): number | undefined {
    const first = this.#freed.findIndex((each) => each.shape === shape);
    const rested = first >= 0 && this.#frees - this.#freed[first].at >= restingFrees;
    if (rested) return this.#freed.splice(first, 1)[0].index;
    const fresh = this.#fresh.get(shape) ?? [];
    if (fresh.length === 0 && this.claimed + chunkLength <= this.#most) {
      fresh.push(...range(this.claimed, chunkLength));
      this.claimed += chunkLength;
      this.#fresh.set(shape, fresh);
    }
    return fresh.shift() ?? (first < 0 ? undefined : this.#freed.splice(first, 1)[0].index);
  }

  release(index: number, shape: ShapeThunks): void {
    this.#frees += 1;
    this.#freed.push({ index, shape, at: this.#frees });
  }
}

/** How a random walk ended. */
interface Walk {
  acquired: number;
  refused: number;
  reused: number;
}

/** Takes random steps, each held against the model. */
function walk(pool: ThunkPool, most: number, steps: number, options: { seed: number; live: number }): Walk {
  const random = randomFrom(options.seed);
  const model = new Model(most);
  const shapes = [shapeThunks("3"), shapeThunks("1"), shapeThunks("4"), shapeThunks("2")];
  const live: { index: number; shape: ShapeThunks }[] = [];
  const shapeOf = new Map<number, ShapeThunks>();
  const walked = { acquired: 0, refused: 0, reused: 0 };
  for (let step = 0; step < steps; step++) {
    // Shapes differ in how many functions they have.
    const shape = shapes[Math.min(random(4), random(4))];
    // Up and down, so that the pool is at times full and at times nearly empty.
    const growing = Math.floor(step / 1000) % 2 === 0;
    if (live.length === 0 || (live.length < options.live && random(10) < (growing ? 6 : 4))) {
      const expected = model.acquire(shape);
      if (expected === undefined) {
        assertThrows(() => pool.acquire(shape), RangeError, "no thunk is left");
        walked.refused += 1;
      } else {
        const index = pool.acquire(shape);
        assertStrictEquals(index, expected, `step ${step}`);
        const owner = shapeOf.get(index);
        assert(owner === undefined || owner === shape, `step ${step}: thunk ${index} changed its shape`);
        if (owner !== undefined) walked.reused += 1;
        shapeOf.set(index, shape);
        live.push({ index, shape });
        walked.acquired += 1;
      }
    } else {
      const [freed] = live.splice(random(live.length), 1);
      pool.release(freed.index, freed.shape);
      model.release(freed.index, freed.shape);
    }
    assertStrictEquals(pool.inUse, live.length);
  }
  for (const { index, shape } of live) pool.release(index, shape);
  assertStrictEquals(pool.inUse, 0);
  return walked;
}

/** A pool that can be told that so many thunks were freed meanwhile: to free them takes a minute. */
interface JumpingPool extends ThunkPool {
  jump(frees: number): void;
}

/** A copy of the class with a way to its counter. */
async function jumpingPool(): Promise<new (claim: (shape: string) => number) => JumpingPool> {
  const source = readFileSync(join(root, "ffi", "callbacks", "thunk_pool.ts"), "utf8");
  const counter = "#frees = 0;";
  const changed = source.replace(counter, `${counter} jump(n) { this.#frees = (this.#frees + n) | 0; }`);
  assert(changed !== source, "expected the counter to start at 0");
  const folder = mkdtempSync(join(tmpdir(), "belay-"));
  try {
    const file = join(folder, "thunk_pool.ts");
    writeFileSync(file, changed);
    const copy = await import(pathToFileURL(file).href) as { ThunkPool: Awaited<ReturnType<typeof jumpingPool>> };
    return copy.ThunkPool;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("ThunkPool", () => {
  it("claims nothing before the first thunk is wanted, and then a chunk at a time, by the shape's name", () => {
    const { pool, claims } = poolOf(1000);
    assertEquals(claims, []);
    const shape = shapeThunks("7");
    assertEquals(acquire(pool, shape, 16), range(0, 16));
    assertEquals(claims, ["7"]);
    assertEquals(pool.acquire(shape), 16);
    assertEquals(claims, ["7", "7"]);
  });

  it("gives each shape chunks of its own", () => {
    const { pool, claims } = poolOf(1000);
    const [first, second] = [shapeThunks("1"), shapeThunks("2")];
    assertEquals([pool.acquire(first), pool.acquire(second)], [0, 16]);
    assertEquals(acquire(pool, first, 15), range(1, 15));
    assertEquals(pool.acquire(first), 32);
    assertEquals(pool.acquire(second), 17);
    assertEquals(claims, ["1", "2", "1"]);
  });

  it("takes chunks of any length, as the core makes them", () => {
    const lengths = [1, 16, 3, 0];
    const pool = new ThunkPool(() => lengths.shift() ?? 0);
    const shape = shapeThunks("1");
    assertEquals(acquire(pool, shape, 20), range(0, 20));
    assertThrows(() => pool.acquire(shape), RangeError);
  });

  it("hands out fresh thunks while freed ones rest", () => {
    const { pool } = poolOf(1000);
    const shape = shapeThunks("1");
    for (let i = 0; i < restingFrees; i++) {
      const index = pool.acquire(shape);
      assertEquals(index, i);
      pool.release(index, shape);
    }
    // The first has 255 younger frees.
    assertEquals(pool.acquire(shape), 256);
  });

  it("hands out a freed thunk after 256 younger frees, not after 255", () => {
    const { pool } = poolOf(1000);
    const shape = shapeThunks("1");
    const indices = acquire(pool, shape, 300);
    for (const index of indices.slice(0, 256)) pool.release(index, shape);
    // 255 are younger than the first.
    assertEquals(pool.acquire(shape), 300);
    pool.release(indices[256], shape);
    assertEquals(pool.acquire(shape), indices[0]);
    // 255 are younger than the second.
    assertEquals(pool.acquire(shape), 301);
  });

  it("counts frees of every shape as younger, and those after a reuse anew", () => {
    const { pool } = poolOf(1000);
    const [mine, other] = [shapeThunks("1"), shapeThunks("2")];
    const index = pool.acquire(mine);
    const others = acquire(pool, other, 256);
    for (let round = 0; round < 3; round++) {
      pool.release(index, mine);
      for (const freed of others.slice(0, 255)) pool.release(freed, other);
      const fresh = pool.acquire(mine);
      assert(fresh !== index, `round ${round}: after 255 younger frees`);
      pool.release(others[255], other);
      assertEquals(pool.acquire(mine), index);
      pool.release(fresh, mine);
      acquire(pool, other, 256).forEach((each, position) => others[position] = each);
    }
  });

  it("hands out freed thunks in the order in which they were freed", () => {
    const { pool } = poolOf(64);
    const shape = shapeThunks("1");
    const order = acquire(pool, shape, 64).map((_, index) => (index * 23) % 64);
    for (const index of order) pool.release(index, shape);
    assertEquals(acquire(pool, shape, 64), order);
    for (const index of order.toReversed()) pool.release(index, shape);
    assertEquals(acquire(pool, shape, 64), order.toReversed());
  });

  it("hands out rested thunks before fresh ones", () => {
    const { pool, claimed } = poolOf(4096);
    const shape = shapeThunks("1");
    const indices = acquire(pool, shape, 520);
    for (const index of indices) pool.release(index, shape);
    // 520 freed: the first 264 have 256 younger ones, the others rest.
    assertEquals(acquire(pool, shape, 264), indices.slice(0, 264));
    assertEquals(pool.acquire(shape), 520);
    assertEquals(claimed(), 528);
  });

  it("hands out what still rests, first freed first, when the core has no more", () => {
    const { pool } = poolOf(64);
    const shape = shapeThunks("1");
    acquire(pool, shape, 64);
    for (const index of [7, 3, 60]) pool.release(index, shape);
    assertEquals(acquire(pool, shape, 3), [7, 3, 60]);
    assertThrows(() => pool.acquire(shape), RangeError);
  });

  it("asks the core again each time that it had no more", () => {
    let available = 0;
    let asked = 0;
    const pool = new ThunkPool(() => {
      asked += 1;
      return available;
    });
    const shape = shapeThunks("1");
    assertThrows(() => pool.acquire(shape), RangeError);
    assertThrows(() => pool.acquire(shape), RangeError);
    assertEquals(asked, 2);
    available = 16;
    assertEquals(acquire(pool, shape, 16), range(0, 16));
    available = 0;
    pool.release(5, shape);
    assertEquals(pool.acquire(shape), 5);
    assertThrows(() => pool.acquire(shape), RangeError);
    available = 16;
    pool.release(9, shape);
    assertEquals(pool.acquire(shape), 16);
  });

  it("never hands out a thunk to another shape, also when there is no other", () => {
    const { pool } = poolOf(64);
    const [mine, other] = [shapeThunks("1"), shapeThunks("2")];
    for (const index of acquire(pool, mine, 64)) pool.release(index, mine);
    for (let i = 0; i < 3; i++) {
      assertThrows(() => pool.acquire(other), RangeError, "Cannot create a callback: no thunk is left");
    }
    assertEquals(acquire(pool, mine, 64), range(0, 64));
  });

  it("throws a RangeError when every thunk is in use, and goes on once one is freed", () => {
    const { pool, claimed } = poolOf(100);
    const shape = shapeThunks("1");
    assertEquals(new Set(acquire(pool, shape, 96)).size, 96);
    for (let i = 0; i < 3; i++) {
      assertThrows(
        () => pool.acquire(shape),
        RangeError,
        "Cannot create a callback: no thunk is left and no more can be mapped (96 are in use by this isolate)",
      );
    }
    assertEquals([pool.inUse, claimed()], [96, 96]);
    pool.release(42, shape);
    assertEquals(pool.inUse, 95);
    assertEquals(pool.acquire(shape), 42);
    assertThrows(() => pool.acquire(shape), RangeError);
  });

  it("leaves everything as it was when the core throws", () => {
    let failing = true;
    const pool = new ThunkPool(() => {
      if (failing) throw new Error("no core");
      return chunkLength;
    });
    const shape = shapeThunks("1");
    assertThrows(() => pool.acquire(shape), Error, "no core");
    assertEquals(pool.inUse, 0);
    failing = false;
    assertEquals(acquire(pool, shape, 17), range(0, 17));
  });

  for (const seed of [1, 2, 3]) {
    it(`does what the model says through 30,000 random steps with room enough (seed ${seed})`, () => {
      const { pool, claimed } = poolOf(4096);
      const { acquired, refused, reused } = walk(pool, 4096, 30_000, { seed, live: 200 });
      assertEquals(refused, 0);
      assert(acquired > 14_000 && reused > 10_000, `${acquired} were acquired, ${reused} of them again`);
      assert(claimed() < 1000, `${claimed()} were claimed`);
    });

    it(`does what the model says through 30,000 random steps when the core has only 320 (seed ${seed})`, () => {
      const { pool, claimed } = poolOf(320);
      const { acquired, refused, reused } = walk(pool, 320, 30_000, { seed, live: 320 });
      assert(acquired > 10_000 && reused > 10_000, `${acquired} were acquired, ${reused} of them again`);
      assert(refused > 50, `${refused} were refused`);
      assertEquals(claimed(), 320);
    });
  }

  it("claims for each shape at most what it has in use and the 256 that can rest, however long it goes on", () => {
    for (const inUse of [0, 1, 10, 1000]) {
      const { pool, claimed } = poolOf(2 ** 20);
      const shapes = range(1, 6).map((number) => shapeThunks(`${number}`));
      const live = shapes.map((shape) => acquire(pool, shape, inUse));
      const random = randomFrom(inUse);
      for (let i = 0; i < 200_000; i++) {
        // In stretches: all that rests is then of one shape, and of each in turn. It is the worst that can happen.
        const position = Math.floor(i / 500) % 6;
        const shape = shapes[position];
        const indices = live[position];
        // A new one first, then an old one goes: the most that is ever in use is one more.
        indices.push(pool.acquire(shape));
        const [gone] = indices.splice(random(indices.length), 1);
        pool.release(gone, shape);
      }
      assertEquals(pool.inUse, 6 * inUse);
      const most = 6 * Math.ceil((inUse + 1 + restingFrees) / chunkLength) * chunkLength;
      assert(claimed() <= most, `${claimed()} were claimed with ${inUse} of each shape, expected at most ${most}`);
    }
  });

  it("claims what is in use, 256 that rest and the rest of each shape's last chunk when shapes take turns", () => {
    for (const inUse of [0, 1, 10, 1000]) {
      const { pool, claimed } = poolOf(2 ** 20);
      const shapes = range(1, 8).map((number) => shapeThunks(`${number}`));
      for (const shape of shapes) acquire(pool, shape, inUse);
      for (let i = 0; i < 500_000; i++) {
        const shape = shapes[i % 8];
        pool.release(pool.acquire(shape), shape);
      }
      // Of those that rest, each shape has 32, and one is being used.
      assertEquals(claimed(), 8 * Math.ceil((inUse + 33) / chunkLength) * chunkLength);
      assert(claimed() <= 8 * inUse + restingFrees + 8 * chunkLength);
    }
  });

  // 2^31 is where a 32-bit counter changes its sign, 2^32 where it starts again.
  for (const [name, frees] of [["2^31", 2 ** 31], ["2^32", 2 ** 32]] as const) {
    it(`keeps rest, order and shapes when its counter of frees passes ${name}`, async () => {
      const Pool = await jumpingPool();
      for (const distance of [1, 100, 255, 256, 257, 15_000]) {
        const { pool } = poolOf(1000, Pool);
        pool.jump(frees - distance);
        const shape = shapeThunks("1");
        const indices = acquire(pool, shape, 300);
        for (const index of indices.slice(0, 256)) pool.release(index, shape);
        assertEquals(pool.acquire(shape), 300, `${distance} before: after 255 younger frees`);
        pool.release(indices[256], shape);
        assertEquals(pool.acquire(shape), indices[0], `${distance} before: after 256 younger frees`);
        const again = poolOf(4096, Pool);
        again.pool.jump(frees - distance);
        const { reused } = walk(again.pool, 4096, 30_000, { seed: distance, live: 200 });
        assert(reused > 10_000, `${reused} were acquired again`);
      }
    });

    it(`finds what was freed ${name} younger frees ago, and longer`, async () => {
      const Pool = await jumpingPool();
      for (const more of [0, 1, 255, 256, 10_000, 2 ** 30]) {
        const { pool } = poolOf(16, Pool);
        const shape = shapeThunks("1");
        const [first] = acquire(pool, shape, 16);
        pool.release(first, shape);
        pool.jump(frees + more);
        assertEquals(pool.acquire(shape), first, `${more} more`);
      }
    });
  }
});

describe("callback", () => {
  it("has the thunks that came with the core's opening for the shape that they are of (in a child process)", () => {
    for (const args of [[testLibrary], [testLibrary, "long"]]) {
      const { code, stdout, stderr } = runChild("first_chunk.ts", args);
      assertEquals([stdout.trim().split("\n").at(-1), code, stderr], ["80 80", 0, ""]);
    }
  });

  it("gives another pointer while a disposed callback's rests, and the same one after 256 younger frees", () => {
    const { code, stdout } = runChild("thunk_rest.ts");
    assertEquals([code, stdout.trim()], [0, String(restingFrees)]);
  });

  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
  });
});
