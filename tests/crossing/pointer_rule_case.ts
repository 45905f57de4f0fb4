/**
 * A program that keeps or breaks the rules for pointers, and what such programs are made of.
 *
 * @module
 */

import { assert } from "@std/assert";
import { dlopen, NativeMemory, out, type Pointer } from "@belay/ffi";
import { openUnchecked } from "../support/unchecked.ts";
import { libcPath } from "../../examples/libc.ts";

/** A program, and whether it keeps the rules. */
export interface PointerRuleCase {
  readonly name: string;
  readonly run: () => unknown;
  /** What the broken rule says; without it the program passes. */
  readonly refused?: RegExp;
  /** Whether it is refused without the checks, too. */
  readonly always?: boolean;
}

export const pointerToPointer = { parameters: ["pointer"], result: "pointer" };
const same = { name: "identity_pointer", result: "pointer" };

/** C functions that look at no memory but their callers' own, so that a broken rule can't crash. */
export const c = () =>
  openUnchecked({
    relay: { name: "relay_pointer", parameters: [pointerToPointer, "pointer"], result: "pointer" },
    relayText: { name: "relay_pointer", parameters: [pointerToPointer, "cstring"], result: "pointer" },
    relayBuffer: { name: "relay_pointer", parameters: [pointerToPointer, "buffer"], result: "pointer" },
    relayLater: {
      name: "relay_pointer",
      parameters: [pointerToPointer, "buffer"],
      result: "pointer",
      nonblocking: true,
    },
    ofPointer: { ...same, parameters: ["pointer"] },
    ofText: { ...same, parameters: ["cstring"] },
    ofBuffer: { ...same, parameters: ["buffer"] },
    ofCell: { ...same, parameters: ["handleAddress"] },
    ofBufferLater: { ...same, parameters: ["buffer"], nonblocking: true },
    ofTextLater: { ...same, parameters: ["cstring"], nonblocking: true },
    ofPointerLater: { ...same, parameters: ["pointer"], nonblocking: true },
    wait: { name: "wait_at_gate", parameters: ["i32", "pointer"], result: "i32", nonblocking: true },
    waitBuffer: { name: "wait_at_gate", parameters: ["i32", "buffer"], result: "i32", nonblocking: true },
    sumAtGate: { name: "sum_at_gate", parameters: ["pointer", "usize"], result: "u64", nonblocking: true },
    openGate: { name: "set_gate", parameters: ["bool"], result: "void" },
  }).symbols;

export const libc = () =>
  dlopen(libcPath, {
    strchr: { parameters: ["cstring", "i32"], result: "pointer" },
    strtolLater: {
      name: "strtol",
      parameters: ["cstring", out("pointer"), "i32"],
      result: "isize",
      nonblocking: true,
    },
    strstr: { parameters: ["cstring", "cstring"], result: "pointer" },
    memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" },
    bsearch: {
      parameters: ["buffer", "buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
      result: "pointer",
    },
    qsort: {
      parameters: ["buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
      result: "void",
    },
    strlen: { parameters: ["pointer"], result: "usize" },
    getenv: { parameters: ["cstring"], result: "pointer" },
  }).symbols;

/** What programs keep to the end of the process, so that it is not collected under them. */
const held: unknown[] = [];

export function hold<T>(value: T): T {
  held.push(value);
  return value;
}

/** A pointer into an array that is not pinned, which a call has returned. */
export function intoArray(array: Uint8Array = hold(new Uint8Array(100)), { memchr } = libc()): Pointer {
  const pointer = memchr(array, 0, array.length);
  assert(pointer !== null);
  return pointer;
}

/** What a call has found in an array, used when so many calls have found something else. */
export function useAfter(count: number): void {
  const pointer = intoArray();
  const array = hold(new Uint8Array(count));
  const functions = libc();
  for (let i = 0; i < count; i++) intoArray(array.subarray(i), functions);
  NativeMemory.borrow(pointer, 1);
}

/** What a callback answers C with. */
export function answer(value: unknown): void {
  c()["relay"](() => value, null);
}

export function store(value: unknown): void {
  NativeMemory.alloc(8).setPointer(0, value as Pointer);
}

/** Runs a program while a nonblocking call is at the gate. */
export async function during(call: Promise<unknown>, program: () => unknown): Promise<void> {
  try {
    await program();
  } finally {
    c()["openGate"](true);
    await call;
  }
}
