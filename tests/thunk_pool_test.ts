import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { runChild } from "./child.ts";
import { type RestingThunks, ThunkPool } from "../ffi/thunk_pool.ts";
import { alive } from "./gc.ts";

const restingFrees = 256;
const before = alive();

/** A pool over so many numbers from 0 on, claimed in chunks of 64. */
function poolOf(count: number): { pool: ThunkPool; claims: () => number } {
  let claimed = 0;
  const pool = new ThunkPool(() => {
    const chunk = Array.from({ length: Math.min(64, count - claimed) }, (_, index) => claimed + index);
    claimed += chunk.length;
    return chunk;
  });
  return { pool, claims: () => claimed };
}

function shape(): RestingThunks {
  return { entries: [], taken: 0 };
}

/** Acquires so many thunks for a shape. */
function acquire(pool: ThunkPool, resting: RestingThunks, count: number): number[] {
  return Array.from({ length: count }, () => pool.acquire(resting));
}

describe("ThunkPool", () => {
  it("claims nothing before the first thunk is wanted, and then a chunk at a time", () => {
    const { pool, claims } = poolOf(1000);
    assertEquals(claims(), 0);
    const resting = shape();
    assertEquals(acquire(pool, resting, 64), Array.from({ length: 64 }, (_, index) => index));
    assertEquals(claims(), 64);
    assertEquals(pool.acquire(resting), 64);
    assertEquals(claims(), 128);
  });

  it("hands out fresh thunks while freed ones rest", () => {
    const { pool } = poolOf(1000);
    const resting = shape();
    for (let i = 0; i < restingFrees; i++) {
      const number = pool.acquire(resting);
      assertEquals(number, i);
      pool.release(number, resting);
    }
  });

  it("hands out a freed thunk after 256 younger frees, not after 255", () => {
    const { pool } = poolOf(1000);
    const resting = shape();
    const numbers = acquire(pool, resting, 300);
    for (const number of numbers.slice(0, 256)) pool.release(number, resting);
    // 255 are younger than the first.
    assertEquals(pool.acquire(resting), 300);
    pool.release(numbers[256], resting);
    assertEquals(pool.acquire(resting), numbers[0]);
    // 255 are younger than the second.
    assertEquals(pool.acquire(resting), 301);
  });

  it("counts frees of every shape as younger", () => {
    const { pool } = poolOf(1000);
    const [mine, other] = [shape(), shape()];
    const number = pool.acquire(mine);
    const others = acquire(pool, other, 256);
    pool.release(number, mine);
    for (const freed of others) pool.release(freed, other);
    assertEquals(pool.acquire(mine), number);
  });

  it("hands out freed thunks in the order in which they were freed", () => {
    const { pool } = poolOf(64);
    const resting = shape();
    const order = acquire(pool, resting, 64).map((_, index) => (index * 23) % 64);
    for (const number of order) pool.release(number, resting);
    assertEquals(acquire(pool, resting, 64), order);
  });

  it("hands out what still rests when no fresh thunk is left", () => {
    const { pool } = poolOf(64);
    const resting = shape();
    acquire(pool, resting, 64);
    pool.release(7, resting);
    assertEquals(pool.acquire(resting), 7);
  });

  it("never hands out a thunk to another shape, also when there is no other", () => {
    const { pool } = poolOf(64);
    const [mine, other] = [shape(), shape()];
    for (const number of acquire(pool, mine, 64)) pool.release(number, mine);
    assertThrows(() => pool.acquire(other), RangeError, "Cannot create a callback");
    assertEquals(acquire(pool, mine, 64).length, 64);
  });

  it("throws a RangeError when every thunk is in use, and goes on once one is freed", () => {
    const { pool } = poolOf(100);
    const resting = shape();
    const numbers = acquire(pool, resting, 100);
    assertEquals(new Set(numbers).size, 100);
    for (let i = 0; i < 3; i++) {
      assertThrows(
        () => pool.acquire(resting),
        RangeError,
        "no thunk is left for its shape (100 are in use by this isolate,",
      );
    }
    assertEquals(pool.inUse, 100);
    pool.release(42, resting);
    assertEquals(pool.inUse, 99);
    assertEquals(pool.acquire(resting), 42);
    assertThrows(() => pool.acquire(resting), RangeError);
  });

  it("never hands out a thunk twice, and counts those in use, through 20,000 steps at random", () => {
    const { pool } = poolOf(512);
    const shapes = [shape(), shape(), shape()];
    const live: { number: number; resting: RestingThunks }[] = [];
    const shapeOf = new Map<number, RestingThunks>();
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor(seed / 2 ** 32 * below);
    };
    let acquired = 0;
    for (let step = 0; step < 20_000; step++) {
      if (live.length === 0 || (live.length < 100 && random(2) === 0)) {
        const resting = shapes[random(3)];
        const number = pool.acquire(resting);
        assertFalse(live.some((thunk) => thunk.number === number), `thunk ${number} was handed out twice`);
        assert((shapeOf.get(number) ?? resting) === resting, `thunk ${number} changed its shape`);
        shapeOf.set(number, resting);
        live.push({ number, resting });
        acquired += 1;
      } else {
        const [{ number, resting }] = live.splice(random(live.length), 1);
        pool.release(number, resting);
      }
      assertEquals(pool.inUse, live.length);
    }
    assert(acquired > 9000, `${acquired} were acquired`);
  });

  it("takes bounded memory and bounded thunks however many come and go", () => {
    const { pool, claims } = poolOf(4096);
    const resting = shape();
    let longest = 0;
    for (let i = 0; i < 100_000; i++) {
      pool.release(pool.acquire(resting), resting);
      longest = Math.max(longest, resting.entries.length);
    }
    assertEquals(pool.inUse, 0);
    assert(claims() <= 5 * 64, `${claims()} thunks were claimed`);
    assert(longest < 1024 + 2 * restingFrees, `${longest} entries were kept`);
  });
});

describe("callback", () => {
  it("gives another pointer while a disposed callback's rests, and the same one after 256 younger frees", () => {
    const { code, stdout } = runChild("thunk_rest.ts");
    assertEquals([code, stdout.trim()], [0, String(restingFrees)]);
  });

  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
  });
});
