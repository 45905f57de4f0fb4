/** `pin`: a buffer that stays where it is while C has its pointer. */

import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Arena, configure, dlopen, pin, PointerRuleError, pointerValue, type Report, stats } from "@belay/ffi";
import { rawPointer } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { canResize } from "../support/machine.ts";
import { leftOut } from "../support/left_out.ts";
import { alive, collectFully, collectUntil } from "../support/gc.ts";

const before = alive();
const isBun = "Bun" in globalThis;
if (!isBun) leftOut("a small array that moves, which is Bun's");
if (!canResize) leftOut("resizable buffers, which end Bun under QEMU");
const library = dlopen(testLibrary, {
  sum_bytes: { parameters: ["pointer", "usize"], result: "u64" },
  sum_at_gate: { parameters: ["pointer", "usize"], result: "u64", nonblocking: true },
  set_gate: { parameters: ["bool"], result: "void" },
});
const { sum_bytes, sum_at_gate, set_gate } = library.symbols;

describe("pin", () => {
  for (const length of [1, 8, 100, 100_000]) {
    it(`gives an address that stays, of an array of ${length} bytes`, async () => {
      const array = new Uint8Array(length).fill(1);
      using pinned = pin(array);
      assertStrictEquals(pinned.byteLength, length);
      const address = pointerValue(pinned.pointer);
      void array.buffer;
      for (let i = 0; i < 10_000; i++) array[i % length] = 2;
      await collectFully();
      assertEquals([pointerValue(pinned.pointer), rawPointer(array)], [address, address]);
      array.fill(3);
      assertStrictEquals(sum_bytes(pinned.pointer, length), BigInt(3 * length));
    });
  }

  (isBun ? it : it.skip)("does what the bare address of a small array doesn't", () => {
    const array = new Uint8Array(8);
    const bare = rawPointer(array);
    void array.buffer;
    assertNotEquals(rawPointer(array), bare, "expected the array to move");
    const other = new Uint8Array(8);
    using pinned = pin(other);
    void other.buffer;
    assertEquals(pointerValue(pinned.pointer), rawPointer(other));
  });

  it("takes buffers, views and parts of them, as often as wanted", () => {
    const { pins } = stats().live;
    const buffer = new ArrayBuffer(64);
    using whole = pin(buffer);
    using view = pin(new DataView(buffer, 8, 16));
    using part = pin(new Float64Array(buffer, 16, 2));
    using again = pin(buffer);
    assertStrictEquals(stats().live.pins, pins + 4);
    const address = pointerValue(whole.pointer);
    assertEquals([view, part, again].map(({ pointer }) => pointerValue(pointer) - address), [8n, 16n, 0n]);
    assertEquals([whole, view, part, again].map(({ byteLength }) => byteLength), [64, 16, 16, 64]);
    again.unpin();
    again.unpin();
    assertStrictEquals(stats().live.pins, pins + 3);
    assert(again.disposed && !whole.disposed);
    assertThrows(() => again.pointer, PointerRuleError, "until it is unpinned");
    assertStrictEquals(pointerValue(whole.pointer), address);
  });

  it("says at the next use that the buffer was transferred", () => {
    const buffer = new ArrayBuffer(1000);
    using pinned = pin(buffer);
    const moved = structuredClone(buffer, { transfer: [buffer] });
    const error = assertThrows(() => pinned.pointer, PointerRuleError, "not transferred while it is pinned");
    assertStrictEquals((error as PointerRuleError).rule, "pinned");
    assertStrictEquals(moved.byteLength, 1000);
  });

  it("says at the next use that the memory of a WebAssembly module has grown", () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    using pinned = pin(memory.buffer);
    assert(pinned.pointer !== null);
    memory.grow(1);
    assertThrows(() => pinned.pointer, PointerRuleError, "not transferred while it is pinned");
  });

  it("refuses what can move, or is no memory", () => {
    const detached = new ArrayBuffer(8);
    structuredClone(detached, { transfer: [detached] });
    const resizable = canResize ? [new ArrayBuffer(8, { maxByteLength: 16 })] : [];
    const views = resizable.map((buffer) => new Uint8Array(buffer));
    for (const wrong of [detached, ...resizable, ...views, "text", 1, null, undefined, [1]]) {
      assertThrows(() => pin(wrong as never), TypeError, "Cannot pin");
    }
  });

  it("that is dropped lets the buffer go after a garbage collection, and is a leak", async () => {
    const reports: Report[] = [];
    configure({ trackLeaks: true, onReport: (report) => void reports.push(report) });
    try {
      const { pins } = stats().live;
      (() => void pin(new Uint8Array(77)).pointer)();
      assert(await collectUntil(() => stats().live.pins === pins), "was not released");
      assert(reports.some(({ kind, message }) => kind === "leak" && message.includes('pin "77 bytes"')));
    } finally {
      configure({ trackLeaks: false, onReport: undefined });
    }
  });

  it("that ends while a nonblocking call has its pointer lets the buffer go after the call", async () => {
    const length = 4 << 20;
    const start = (end: "unpin" | "drop"): Promise<bigint> => {
      const pinned = pin(new Uint8Array(length).fill(1));
      const sum = sum_at_gate(pinned.pointer, length);
      if (end === "unpin") pinned.unpin();
      return sum;
    };
    for (const end of ["unpin", "drop"] as const) {
      const { pins } = stats().live;
      set_gate(false);
      const sum = start(end);
      await collectFully();
      assertStrictEquals(stats().live.pins, pins + 1);
      set_gate(true);
      assertStrictEquals(await sum, BigInt(length));
      assert(await collectUntil(() => stats().live.pins === pins), end);
    }
  });

  it("has as many bytes as its buffer, none too", () => {
    using pinned = pin(new Uint8Array(0));
    assertStrictEquals(pinned.byteLength, 0);
    assertStrictEquals(sum_bytes(pinned.pointer, 0), 0n);
  });

  it("is released with its arena", () => {
    const arena = new Arena();
    const pinned = arena.pin(new Uint8Array(4));
    assert(!pinned.disposed);
    arena.dispose();
    assert(pinned.disposed);
    assertThrows(() => arena.pin(new Uint8Array(4)), ReferenceError);
  });

  it("leaves nothing alive", () => {
    library.close();
    assertEquals(alive(), before);
  });
});
