/**
 * Programs about what crosses to C: results of callbacks, what is stored, and pointers into arguments.
 *
 * @module
 */

import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { Arena, cstringAt, Handle, NativeMemory, pin, type Pointer, pointerFrom, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { collectFully } from "../support/gc.ts";
import { callbackUnchecked } from "../support/unchecked.ts";
import {
  answer,
  c,
  hold,
  intoArray,
  libc,
  type PointerRuleCase,
  pointerToPointer,
  store,
  useAfter,
} from "./pointer_rule_case.ts";

const result = /^broken: result: Cannot return a buffer: a callback returns a pointer/;
const buffer = /^broken: buffer: Cannot store a buffer: a buffer is pinned before C's memory points to it/;
const temporary = /^broken: temporary: Cannot use the pointer: a pointer into an argument is not used after the call/;

/** In the order in which they are run. */
export const argumentRuleCases: readonly PointerRuleCase[] = [
  // What a callback returns.
  { name: "a callback returns an array", run: () => answer(new Uint8Array(8)), refused: result },
  { name: "a callback returns an ArrayBuffer", run: () => answer(new ArrayBuffer(8)), refused: result },
  { name: "a callback returns a SharedArrayBuffer", run: () => answer(new SharedArrayBuffer(8)), refused: result },
  { name: "a callback returns a DataView", run: () => answer(new DataView(new ArrayBuffer(8))), refused: result },
  {
    name: "a callback of a nonblocking call returns an array",
    run: () => c()["relayLater"](() => new Uint8Array(8), new Uint8Array(8)),
    refused: result,
  },
  {
    name: "a callback's fallback is an array",
    run: () => callbackUnchecked(pointerToPointer, () => null, { fallback: new Uint8Array(8) }),
    refused: result,
  },
  {
    name: "onError answers an array",
    async run() {
      const raw = rawOpen(testLibrary, { relay_i64: { parameters: ["u64", "i64"], result: "i64" } });
      const failing = hold(callbackUnchecked(pointerToPointer, (value: unknown) => BigInt(value as string), {
        onError: () => new Uint8Array(8),
      }));
      const uncaught = new Promise((resolve) => process.on("uncaughtException", resolve));
      raw["relay_i64"](pointerValue(failing.pointer), 0n);
      throw await Promise.race([uncaught, new Promise((resolve) => setTimeout(resolve, 20_000))]);
    },
    refused: result,
  },
  { name: "a callback returns null", run: () => answer(null) },
  { name: "a callback returns the pointer of a pin", run: () => answer(hold(pin(new Uint8Array(8))).pointer) },
  { name: "a callback returns C's memory", run: () => answer(hold(NativeMemory.alloc(8)).pointer) },
  { name: "a callback returns its argument", run: () => c()["relay"]((value: unknown) => value, pointerFrom(4096)) },

  // What C's memory points to.
  { name: "an array is stored", run: () => store(new Uint8Array(8)), refused: buffer },
  { name: "an ArrayBuffer is stored", run: () => store(new ArrayBuffer(8)), refused: buffer },
  { name: "a SharedArrayBuffer is stored", run: () => store(new SharedArrayBuffer(8)), refused: buffer },
  {
    name: "an object with a pointer is stored",
    run: () => store({ pointer: hold(NativeMemory.alloc(8)).pointer }),
    refused: /^broken: owner: Cannot store an object: what is stored is a pointer/,
  },
  { name: "a Pin is stored", run: () => store(hold(pin(new Uint8Array(8)))) },
  { name: "a NativeMemory is stored", run: () => store(hold(NativeMemory.alloc(8))) },
  {
    name: "a string is stored",
    run: () => store("12"),
    refused: /^broken: text: Cannot store a string: C's memory points to C's strings/,
  },
  {
    name: "a function is stored",
    run: () => store(() => {}),
    refused: /^broken: function: Cannot store a function: a function is stored as a callback\(\)/,
  },
  { name: "the pointer of a pin is stored", run: () => store(hold(pin(new Uint8Array(8))).pointer) },
  { name: "a string of an arena is stored", run: () => store(hold(new Arena()).cstring("text").pointer) },
  {
    name: "the pointer of a callback is stored",
    run: () => store(hold(callbackUnchecked({ parameters: [], result: "void" }, () => {})).pointer),
  },
  { name: "NULL is stored", run: () => store(null) },

  // Pointers into arguments of calls that have returned.
  {
    name: "what strchr found is an argument",
    run: () => c()["ofPointer"](libc().strchr("a=b", 61)),
    refused: temporary,
  },
  {
    name: "what strstr found is an argument",
    run: () => c()["ofPointer"](libc().strstr("one two", "two")),
    refused: temporary,
  },
  {
    name: "what memchr found is an argument of a nonblocking call",
    run: () => c()["ofPointerLater"](intoArray()),
    refused: temporary,
  },
  { name: "what memchr found is borrowed", run: () => NativeMemory.borrow(intoArray(), 1), refused: temporary },
  {
    name: "what memchr found is adopted",
    run: () => NativeMemory.adopt(intoArray(), 1, () => {}),
    refused: temporary,
  },
  { name: "what memchr found is read as a string", run: () => cstringAt(intoArray()), refused: temporary },
  { name: "what memchr found is stored", run: () => store(intoArray()), refused: temporary },
  { name: "what memchr found is what a callback returns", run: () => answer(intoArray()), refused: temporary },
  {
    name: "the address of a handle's cell is used",
    run: () => c()["ofPointer"](c()["ofCell"](Handle.create("value"))),
    refused: temporary,
  },
  {
    name: "what a nonblocking call found in a buffer is used",
    run: async () => c()["ofPointer"](await c()["ofBufferLater"](hold(new Uint8Array(8)))),
    refused: temporary,
  },
  {
    name: "what a nonblocking call found in a string is used",
    run: async () => c()["ofPointer"](await c()["ofTextLater"]("text")),
    refused: temporary,
  },
  {
    name: "where strtol stopped in a nonblocking call is used",
    run: async () => c()["ofPointer"]((await libc().strtolLater("42 x", 10))[1]),
    refused: temporary,
  },
  {
    name: "a callback returns what another call found, and then the call's result is used",
    run: () => c()["ofPointer"](c()["relayText"]((value: unknown) => value, "text")),
    refused: temporary,
  },
  {
    name: "a pointer into a buffer is used after the buffer was unpinned",
    run() {
      const array = hold(new Uint8Array(8));
      const pinned = pin(array);
      const pointer = intoArray(array);
      assertEquals(NativeMemory.borrow(pointer, 1).getUint8(0), 0);
      pinned.unpin();
      NativeMemory.borrow(pointer, 1);
    },
    refused: temporary,
  },
  {
    name: "what was found is still refused when 1,000 calls have found something else",
    run: () => useAfter(1000),
    refused: temporary,
  },
  { name: "what was found is forgotten when 1,024 calls have found something else", run: () => useAfter(1024) },
  { name: "what strchr found is compared with NULL", run: () => assert(libc().strchr("a=b", 61) !== null) },
  {
    name: "what memchr found is a place in the array",
    run() {
      const array = hold(new Uint8Array([1, 2, 3]));
      const { memchr } = libc();
      assertEquals(pointerValue(memchr(array, 3, 3)) - pointerValue(memchr(array, 1, 3)), 2n);
    },
  },
  { name: "strchr finds nothing", run: () => assertEquals(c()["ofPointer"](libc().strchr("ab", 61)), null) },
  {
    name: "a pointer to C's own memory comes of a call with a string",
    run: () => assert(cstringAt(libc().getenv("PATH"))),
  },
  {
    name: "what memchr found in a pinned buffer is used",
    run() {
      const array = new Uint8Array(100);
      using _pinned = pin(array);
      assertEquals(libc().strlen(intoArray(array)), 0n);
    },
  },
  {
    name: "what memchr found is used after the buffer was pinned",
    run() {
      const array = new Uint8Array(100);
      const pointer = intoArray(array);
      using _pinned = pin(array.buffer);
      assertEquals(libc().strlen(pointer), 0n);
    },
  },
  {
    name: "what memchr found in C's memory is used",
    run() {
      using memory = NativeMemory.alloc(100);
      assertEquals(libc().strlen(intoArray(memory.bytes(10))), 0n);
    },
  },
  {
    name: "a callback uses what C passes it of an array that was searched before",
    run() {
      const { bsearch, qsort } = libc();
      const numbers = new Int32Array([1, 2, 3]);
      const at = (pointer: unknown): number => NativeMemory.borrow(pointer as Pointer, 4).getInt32(0);
      const compare = (a: unknown, b: unknown): number => at(a) - at(b);
      for (const number of numbers) assert(bsearch(new Int32Array([number]), numbers, 3, 4, compare) !== null);
      qsort(numbers, 3, 4, (a, b) => compare(b, a));
      assertEquals([...numbers], [3, 2, 1]);
    },
  },
  {
    name: "a callback of a nonblocking call uses what C passes it of an array that was searched before",
    async run() {
      const array = new Uint8Array(8);
      intoArray(array);
      let seen = -1;
      await c()["relayLater"]((value: unknown) => {
        seen = NativeMemory.borrow(value as Pointer, 1).getUint8(0);
        return value;
      }, array);
      assertEquals(seen, 0);
    },
  },
  {
    name: "a callback returns what C passes it of an array",
    run() {
      const array = hold(new Uint8Array(8));
      for (let i = 0; i < 2; i++) c()["relayBuffer"]((value: unknown) => value, array);
    },
  },
  {
    name: "a long loop keeps no copies of strings",
    run() {
      const { strchr } = libc();
      const text = "=".repeat(20_000);
      for (let i = 0; i < 100_000; i++) strchr(text, 61);
      const residentMegabytes = process.memoryUsage().rss / 1e6;
      assert(residentMegabytes < 1000, `${residentMegabytes} MB`);
    },
  },
  {
    name: "addresses of strings that were collected are C's own again",
    async run() {
      const { strchr, strlen } = libc();
      for (let i = 0; i < 200; i++) strchr("=".repeat(1000), 61);
      await collectFully();
      const memories = Array.from({ length: 2000 }, () => NativeMemory.alloc(1001));
      for (const { pointer } of memories) assertEquals(strlen(pointer), 0n);
      for (const memory of memories) memory.free();
    },
  },
  {
    name: "an array's address is another buffer's when it was transferred",
    run() {
      const array = new Uint8Array(10_000);
      const pointer = intoArray(array);
      const moved = hold(structuredClone(array.buffer, { transfer: [array.buffer] }));
      using pinned = pin(moved);
      assertEquals(pinned.pointer, pointer);
      assertEquals(libc().strlen(pointer), 0n);
    },
  },
];
