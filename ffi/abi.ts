/**
 * Where a callback's arguments are when C calls: the platforms' calling conventions, as far as scalars go.
 *
 * @module
 */

import type { Platform } from "./backend.ts";

/** How wide an argument is, and which registers carry it. */
export interface ArgumentClass {
  readonly byteLength: 1 | 2 | 4 | 8;
  readonly float: boolean;
}

/** Where the arguments of a signature are, in the words that the native core shares (`belay.h`). */
export interface ArgumentLayout {
  /** The byte offset of each argument from the first word. */
  readonly byteOffsets: readonly number[];
  /** How many 8-byte words arrived on the stack. */
  readonly stackWords: number;
  /**
   * How many words of each kind there are, as a `belay_thunk` has it: bytes for the stack, the integer and the float
   * registers.
   */
  readonly bits: number;
}

const wordByteLength = 8;
const floatRegisters = 8 * wordByteLength;
const stack = 16 * wordByteLength;
const maxStackWords = 48;

/** Registers by kind: System V has 6 and 8; AArch64 8 and 8; Windows 4, which floats and integers share by position. */
function registerCounts({ os, arch }: Platform): { integers: number; floats: number; positional: boolean } {
  if (arch === "aarch64") return { integers: 8, floats: 8, positional: false };
  if (os === "windows") return { integers: 4, floats: 4, positional: true };
  return { integers: 6, floats: 8, positional: false };
}

/**
 * Which of the words that a signature's arguments take is at a byte offset: integer registers first, then float registers,
 * then the stack.
 */
export function wordIndex({ bits }: ArgumentLayout, byteOffset: number): number {
  const integers = bits >> 8 & 0xff;
  if (byteOffset < floatRegisters) return byteOffset / wordByteLength;
  if (byteOffset < stack) return integers + (byteOffset - floatRegisters) / wordByteLength;
  return integers + (bits >> 16) + (byteOffset - stack) / wordByteLength;
}

/** Whether an argument at an offset has no more space than its own width. */
export function isPacked(platform: Platform, byteOffset: number): boolean {
  return packsStack(platform) && byteOffset >= stack;
}

/** Apple packs stack arguments at their natural alignment; everyone else gives each a word. */
function packsStack({ os, arch }: Platform): boolean {
  return os === "darwin" && arch === "aarch64";
}

/**
 * @param what What is being defined.
 * @throws {RangeError} When more than 48 words of arguments would arrive on the stack.
 */
export function argumentLayout(
  classes: readonly ArgumentClass[],
  platform: Platform,
  what = "a callback",
): ArgumentLayout {
  const { integers, floats, positional } = registerCounts(platform);
  const packed = packsStack(platform);
  let nextInteger = 0;
  let nextFloat = 0;
  let stackBytes = 0;
  const byteOffsets: number[] = [];
  for (const { byteLength, float } of classes) {
    const position = byteOffsets.length;
    if (positional ? position < integers : float ? nextFloat < floats : nextInteger < integers) {
      const index = positional ? position : float ? nextFloat++ : nextInteger++;
      byteOffsets.push(index * wordByteLength + (float ? floatRegisters : 0));
    } else {
      const slot = packed ? byteLength : wordByteLength;
      const offset = Math.ceil(stackBytes / slot) * slot;
      stackBytes = offset + slot;
      byteOffsets.push(stack + offset);
    }
  }
  const stackWords = Math.ceil(stackBytes / wordByteLength);
  if (stackWords > maxStackWords) {
    throw new RangeError(`Cannot define ${what}: ${stackWords} words of arguments on the stack, at most 48 work`);
  }
  // Where registers are positional, both kinds are in use as far as there are arguments.
  const integerWords = positional ? Math.min(classes.length, integers) : nextInteger;
  const floatWords = positional ? integerWords : nextFloat;
  return { byteOffsets, stackWords, bits: stackWords | integerWords << 8 | floatWords << 16 };
}
