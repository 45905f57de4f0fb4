/**
 * Programs about memory that a nonblocking call uses, and memory that is transferred.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Arena, NativeMemory, pin, PointerRuleError, stats } from "@belay/ffi";
import { collectFully, collectUntil } from "../support/gc.ts";
import { c, during, hold, type PointerRuleCase } from "./pointer_rule_case.ts";

const outstanding =
  /^broken: outstanding: Cannot free the memory: memory is not freed while a nonblocking or suspending call uses it/;
const transferred = /^broken: transferred: Cannot use the memory: what NativeMemory.bytes\(\) gives is not transferred/;

/** In the order in which they are run. */
export const memoryRuleCases: readonly PointerRuleCase[] = [
  // Memory that a nonblocking call uses.
  {
    name: "memory is freed under a nonblocking call",
    run() {
      const memory = NativeMemory.alloc(16);
      return during(c()["wait"](1, memory.pointer) as Promise<unknown>, () => memory.free());
    },
    refused: outstanding,
  },
  {
    name: "memory is freed under a nonblocking call that has a pointer into it",
    run() {
      const memory = NativeMemory.alloc(16);
      return during(c()["wait"](1, memory.subarray(8).pointer) as Promise<unknown>, () => memory.free());
    },
    refused: outstanding,
  },
  {
    name: "memory is freed under a nonblocking call that has its bytes",
    run() {
      const memory = NativeMemory.alloc(16);
      return during(c()["waitBuffer"](1, memory.bytes(8)) as Promise<unknown>, () => memory.free());
    },
    refused: outstanding,
  },
  {
    name: "adopted memory is freed under a nonblocking call",
    run() {
      const whole = hold(NativeMemory.alloc(16));
      const memory = NativeMemory.adopt(whole.pointer, 16, () => {});
      return during(c()["wait"](1, memory.pointer) as Promise<unknown>, () => memory[Symbol.dispose]());
    },
    refused: outstanding,
  },
  {
    name: "an arena is disposed of under a nonblocking call",
    run() {
      const arena = new Arena();
      const text = arena.cstring("text");
      return during(c()["wait"](1, text.pointer) as Promise<unknown>, () => arena.dispose());
    },
    refused: outstanding,
  },
  {
    name: "memory that could not be freed with its arena is freed after the call",
    async run() {
      const arena = new Arena();
      const [other, memory] = [arena.alloc(16), arena.alloc(16)];
      await during(c()["wait"](1, memory.pointer) as Promise<unknown>, () => {
        assertThrows(() => arena.dispose(), PointerRuleError);
        assert(other.disposed && !memory.disposed);
        memory.setFloat64(8, 2.5);
        assertEquals(memory.getFloat64(8), 2.5);
      });
      memory.free();
      assert(memory.disposed);
      assertEquals(stats().live.memory, 0);
    },
  },
  {
    name: "memory next to what a nonblocking call uses is freed",
    run() {
      const whole = hold(NativeMemory.alloc(48));
      const adopt = (begin: number): NativeMemory =>
        NativeMemory.adopt(whole.subarray(begin, begin + 16).pointer, 16, () => {});
      const [before, used, after] = [adopt(0), adopt(16), adopt(32)];
      return during(c()["wait"](1, used.pointer) as Promise<unknown>, () => {
        before.free();
        after.free();
      });
    },
  },
  {
    name: "memory that was borrowed ends under a nonblocking call",
    run() {
      const memory = NativeMemory.borrow(hold(NativeMemory.alloc(16)).pointer, 16);
      return during(c()["wait"](1, memory.pointer) as Promise<unknown>, () => memory.free());
    },
  },
  {
    name: "memory that is dropped is collected when the nonblocking call has settled",
    async run() {
      const call = (() => c()["sumAtGate"](NativeMemory.alloc(64).pointer, 64) as Promise<unknown>)();
      await during(call, async () => {
        await collectFully();
        assertEquals(stats().live.memory, 1);
      });
      assertEquals(await call, 0n);
      assert(await collectUntil(() => stats().live.memory === 0), "was not released");
    },
  },

  // Memory that is transferred.
  {
    name: "a pinned buffer is transferred, and the pin used",
    run() {
      const array = new Uint8Array(1000);
      const pinned = hold(pin(array));
      hold(array.buffer.transfer());
      return pinned.pointer;
    },
    refused: /^broken: pinned: Cannot use the pin: a buffer is not transferred while it is pinned/,
    always: true,
  },
  ...[
    { how: "transferred", transfer: (buffer: ArrayBuffer) => buffer.transfer() },
    { how: "cloned away", transfer: (buffer: ArrayBuffer) => structuredClone(buffer, { transfer: [buffer] }) },
    { how: "grown", transfer: (buffer: ArrayBuffer) => buffer.transfer(1000) },
  ].flatMap(({ how, transfer }): PointerRuleCase[] => [
    {
      name: `C's memory is ${how}, and freed`,
      run() {
        const memory = NativeMemory.alloc(64);
        hold(transfer(memory.bytes().buffer));
        memory.free();
      },
      refused: transferred,
      always: true,
    },
    {
      name: `C's memory is ${how}, and read again and again`,
      run() {
        const memory = NativeMemory.alloc(64);
        hold(transfer(memory.bytes().buffer));
        for (let i = 0; i < 100; i++) assertEquals(memory.getUint8(i % 64), 0);
      },
      refused: transferred,
      always: true,
    },
    {
      name: `C's memory is ${how}, and its bytes asked for`,
      run() {
        const memory = NativeMemory.alloc(64);
        hold(transfer(memory.bytes().buffer));
        return memory.bytes();
      },
      refused: transferred,
      always: true,
    },
  ]),
  {
    name: "C's memory is transferred, and collected by nobody once that was seen",
    async run() {
      const moved = hold((() => {
        const memory = NativeMemory.alloc(64);
        memory.fill(7);
        const moved = memory.bytes().buffer.transfer();
        assertThrows(() => memory.free(), PointerRuleError);
        return moved;
      })());
      await collectFully();
      assertEquals(stats().live.memory, 1);
      assert(new Uint8Array(moved).every((byte) => byte === 7));
    },
  },
  {
    name: "a copy of C's memory is transferred",
    run() {
      using memory = NativeMemory.alloc(64);
      assertEquals(memory.bytes().slice().buffer.transfer().byteLength, 64);
      assertEquals(memory.getUint8(0), 0);
    },
  },
];
