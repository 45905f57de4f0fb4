/**
 * Where arguments and results are when C calls or is called: the platforms' calling conventions.
 *
 * @module
 */

import { RangeError } from "../ground/blame.ts";
import { present } from "../ground/present.ts";
import type { Platform } from "./platform.ts";

/** How wide an argument is, and which registers carry it. */
export interface ScalarClass {
  readonly byteLength: 1 | 2 | 4 | 8;
  readonly float: boolean;
}

/** A scalar of a structure, and where it is in there. */
export interface Leaf extends ScalarClass {
  readonly byteOffset: number;
}

/** A structure that is passed by value. */
export interface StructureClass {
  readonly byteLength: number;
  /** Its scalars, those of nested structures, arrays and unions among them; as far as 64 bytes, beyond which none matters. */
  readonly leaves: readonly Leaf[];
}

/** What is passed. */
export type ArgumentClass = ScalarClass | StructureClass;

/** 8 bytes of a structure, or its last ones, or one of the floats of which it consists. */
export interface Piece {
  /** Where it is in the structure. */
  readonly from: number;
  /** Where it is passed: from the first argument word; for a result from the first integer register, before the floats'. */
  readonly to: number;
  readonly byteLength: number;
}

/** How a structure is passed. */
export interface StructurePlace {
  /** Where it is passed as a whole, if it is: from where `to` of a piece counts. */
  readonly whole: number | undefined;
  /** Else in these, if there are any. */
  readonly pieces: readonly Piece[];
  /** Else by its address, which is there. */
  readonly address: number | undefined;
  /** Where a call has a copy of it, if it isn't passed as a whole: among the words after the stack's. */
  readonly copy: number | undefined;
}

/** Where a structure that is returned is: in result registers, or in memory whose address the caller passes. */
export type ResultPlace = { readonly memory: false; readonly place: StructurePlace; readonly byteLength: number } | {
  readonly memory: true;
  /** Where its address is passed: an argument's place, or `undefined` for AArch64's register of its own. */
  readonly address: number | undefined;
  /** Where a call has the memory, among the words after the stack's. */
  readonly copy: number;
};

/** Where the arguments of a signature are, in the words that the native core shares (`core.h`). */
export interface ArgumentLayout {
  /** The byte offset of each argument from the first word; a structure's first one. */
  readonly byteOffsets: readonly number[];
  /** How structures are passed, by the index of the argument. */
  readonly structures: readonly (StructurePlace | undefined)[];
  /** Where a structure is returned. */
  readonly result: ResultPlace | undefined;
  /** How many 8-byte words arrived on the stack. */
  readonly stackWords: number;
  /**
   * How many words of each kind there are, as a `belay_thunk` has it: bytes for the stack, the integer and the float
   * registers, and for how a structure is returned.
   */
  readonly bits: number;
}

/** What a layout may depend on beside its arguments. */
export interface LayoutOptions {
  /** What is being defined, for errors. */
  readonly what?: () => string;
  /** The structure that is returned. */
  readonly result?: StructureClass | undefined;
  /** How many arguments come before the `...` of a variadic function. */
  readonly fixed?: number | undefined;
}

const wordByteLength = 8;
const floatRegisters = 8 * wordByteLength;
const stack = 16 * wordByteLength;
const maxStackWords = 128;

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
  return integers + (bits >> 16 & 0xff) + (byteOffset - stack) / wordByteLength;
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
 * Whether arguments are in registers where an address stands in front of them, which the core takes and moves them over. The
 * core's assembly for it has one register of integers less than the platform; Windows on x64 counts both kinds together.
 */
export function fitsBehindAddress({ os, arch }: Platform, types: readonly ScalarClass[]): boolean {
  const floats = types.filter(({ float }) => float).length;
  if (arch === "aarch64") return floats <= 8 && types.length - floats <= 7;
  return os === "windows" ? types.length <= 3 : floats <= 8 && types.length - floats <= 5;
}

/** Whether a structure is passed. */
export function isStructureClass(type: ArgumentClass): type is StructureClass {
  return "leaves" in type;
}

/** The floats of which a structure consists and nothing else, at most four of one width: AArch64 has a register for each. */
function homogeneousFloats({ byteLength, leaves }: StructureClass): readonly number[] | undefined {
  const [first] = leaves;
  if (first === undefined || byteLength > 4 * first.byteLength) return undefined;
  if (!leaves.every((leaf) => leaf.float && leaf.byteLength === first.byteLength)) return undefined;
  // A union's are at the same places.
  const offsets = [...new Set(leaves.map((leaf) => leaf.byteOffset))].sort((a, b) => a - b);
  return offsets.length * first.byteLength === byteLength ? offsets : undefined;
}

/** Which registers System V wants for each 8 bytes of a structure; `undefined` when it goes through memory. */
function eightbytes({ byteLength, leaves }: StructureClass): { float: boolean }[] | undefined {
  if (byteLength > 2 * wordByteLength) return undefined;
  if (leaves.some((leaf) => leaf.byteOffset % leaf.byteLength !== 0)) return undefined;
  const words = new Array<{ float: boolean }>(Math.ceil(byteLength / wordByteLength));
  for (let word = 0; word < words.length; word++) {
    const inside = leaves.filter((leaf) => Math.floor(leaf.byteOffset / wordByteLength) === word);
    words[word] = { float: inside.every((leaf) => leaf.float) };
  }
  return words;
}

/** A structure in consecutive words. */
function whole(byteOffset: number): StructurePlace {
  return { whole: byteOffset, pieces: [], address: undefined, copy: undefined };
}

/** A structure in pieces, or as a whole where these follow one another. */
function inPieces(pieces: readonly Piece[]): StructurePlace {
  const [first] = pieces;
  if (first !== undefined && pieces.every(({ from, to }) => to - from === first.to - first.from)) {
    return whole(first.to - first.from);
  }
  return { whole: undefined, pieces, address: undefined, copy: undefined };
}

/** Which registers and words of the stack are taken. Plain functions work on it: engines compile those ahead of time. */
interface Allocation {
  readonly platform: Platform;
  readonly counts: ReturnType<typeof registerCounts>;
  integers: number;
  floats: number;
  position: number;
  stackBytes: number;
  /** Whether floats are passed as integers. */
  readonly noFloats: boolean;
  /** Set from the `...` of a variadic function on. */
  variadic: boolean;
}

function nothingTaken(platform: Platform, isVariadic: boolean): Allocation {
  const counts = registerCounts(platform);
  const noFloats = variadicAsIntegers(platform, isVariadic);
  return { platform, counts, integers: 0, floats: 0, position: 0, stackBytes: 0, noFloats, variadic: false };
}

/** The next ones are behind the `...` of a variadic function. */
function beginVariadic(taken: Allocation): void {
  taken.variadic = packsStack(taken.platform);
  if (taken.variadic) taken.stackBytes = Math.ceil(taken.stackBytes / wordByteLength) * wordByteLength;
}

/** Where the next scalar goes. */
function takeScalar(taken: Allocation, { byteLength, float: isFloat }: ScalarClass): number {
  const { integers, floats, positional } = taken.counts;
  const float = isFloat && !taken.noFloats;
  const position = taken.position++;
  const inRegister = !taken.variadic &&
    (positional ? position < integers : float ? taken.floats < floats : taken.integers < integers);
  if (!inRegister) return takeStack(taken, byteLength, byteLength);
  const index = positional ? position : float ? taken.floats++ : taken.integers++;
  return index * wordByteLength + (float ? floatRegisters : 0);
}

/** Where a structure goes that takes registers of its own, or as many words of the stack. */
function takeStructure(taken: Allocation, type: StructureClass): StructurePlace | undefined {
  const { byteLength } = type;
  if (taken.counts.positional) {
    if (![1, 2, 4, 8].includes(byteLength)) return undefined;
    return whole(takeScalar(taken, { byteLength: wordByteLength, float: false }));
  }
  if (taken.platform.arch === "aarch64") return takeStructureOnArm(taken, type);
  const words = eightbytes(type);
  if (words === undefined) return whole(takeStack(taken, byteLength, wordByteLength));
  const floats = words.filter(({ float }) => float).length;
  const fits = taken.floats + floats <= taken.counts.floats &&
    taken.integers + words.length - floats <= taken.counts.integers;
  if (!fits) return whole(takeStack(taken, byteLength, wordByteLength));
  return inPieces(words.map(({ float }, word) => ({
    from: word * wordByteLength,
    to: takeScalar(taken, { byteLength: wordByteLength, float }),
    byteLength: wordByteLength,
  })));
}

function takeStructureOnArm(taken: Allocation, type: StructureClass): StructurePlace | undefined {
  const { byteLength, leaves } = type;
  const floats = taken.noFloats ? undefined : homogeneousFloats(type);
  if (floats !== undefined) {
    const width = present(leaves[0]).byteLength;
    if (!taken.variadic && taken.floats + floats.length <= taken.counts.floats) {
      return inPieces(floats.map((from) => ({
        from,
        to: takeScalar(taken, { byteLength: width, float: true }),
        byteLength: width,
      })));
    }
    taken.floats = taken.counts.floats;
    return whole(takeStack(taken, byteLength, packsStack(taken.platform) && !taken.variadic ? width : wordByteLength));
  }
  if (byteLength > 2 * wordByteLength) return undefined;
  const words = Math.ceil(byteLength / wordByteLength);
  if (!taken.variadic && taken.integers + words <= taken.counts.integers) {
    const first = takeScalar(taken, { byteLength: wordByteLength, float: false });
    if (words === 2) takeScalar(taken, { byteLength: wordByteLength, float: false });
    return whole(first);
  }
  taken.integers = taken.counts.integers;
  return whole(takeStack(taken, byteLength, wordByteLength));
}

/** Where so many bytes go on the stack. */
function takeStack(taken: Allocation, byteLength: number, align: number): number {
  const packed = packsStack(taken.platform) && !taken.variadic;
  const slot = packed ? align : wordByteLength;
  const offset = Math.ceil(taken.stackBytes / slot) * slot;
  taken.stackBytes = offset + Math.ceil(byteLength / slot) * slot;
  return stack + offset;
}

function stackWordsOf({ stackBytes }: Allocation): number {
  return Math.ceil(stackBytes / wordByteLength);
}

/** How many words of each kind are in use: all of both where registers are positional. */
function bitsOf(taken: Allocation): number {
  const { integers, positional } = taken.counts;
  const integerWords = positional ? Math.min(taken.position, integers) : taken.integers;
  const floatWords = positional ? integerWords : taken.floats;
  return stackWordsOf(taken) | integerWords << 8 | floatWords << 16;
}

/** Windows on AArch64 passes the floats of a variadic function as integers, those before the `...` and in structures, too. */
function variadicAsIntegers({ os, arch }: Platform, variadic: boolean): boolean {
  return variadic && os === "windows" && arch === "aarch64";
}

/** Which registers return a structure; `undefined` when memory does. */
function resultRegisters(type: StructureClass, { os, arch }: Platform): StructurePlace | undefined {
  const { byteLength } = type;
  const floats = 2 * wordByteLength;
  if (arch === "aarch64") {
    const offsets = homogeneousFloats(type);
    if (offsets !== undefined) {
      return inPieces(offsets.map((from, index) => ({
        from,
        to: floats + index * wordByteLength,
        byteLength: present(type.leaves[0]).byteLength,
      })));
    }
    return byteLength <= 2 * wordByteLength ? whole(0) : undefined;
  }
  if (os === "windows") return [1, 2, 4, 8].includes(byteLength) ? whole(0) : undefined;
  const words = eightbytes(type);
  if (words === undefined) return undefined;
  let nextInteger = 0;
  let nextFloat = floats;
  return inPieces(words.map(({ float }, word) => {
    const to = float ? nextFloat : nextInteger;
    if (float) nextFloat += wordByteLength;
    else nextInteger += wordByteLength;
    return { from: word * wordByteLength, to, byteLength: wordByteLength };
  }));
}

/** Where an argument of a variadic function is passed, too: Windows has a float's bits in the integer register as well. */
export function variadicTwin({ os, arch }: Platform, byteOffset: number): number | undefined {
  const inFloatRegister = byteOffset >= floatRegisters && byteOffset < stack;
  return os === "windows" && arch === "x86_64" && inFloatRegister ? byteOffset - floatRegisters : undefined;
}

/**
 * Where a signature's arguments are, and a structure that it returns.
 *
 * @throws {RangeError} When they take more than 128 words beside the registers.
 */
export function argumentLayout(
  classes: readonly ArgumentClass[],
  platform: Platform,
  options: LayoutOptions = {},
): ArgumentLayout {
  const { result, fixed } = options;
  if (result !== undefined) return layoutWithStructures(classes, platform, options);
  const taken = nothingTaken(platform, fixed !== undefined);
  const byteOffsets: number[] = [];
  const structures: undefined[] = [];
  for (const type of classes) {
    if (isStructureClass(type)) return layoutWithStructures(classes, platform, options);
    if (byteOffsets.length === fixed) beginVariadic(taken);
    byteOffsets.push(takeScalar(taken, type));
    structures.push(undefined);
  }
  const stackWords = stackWordsOf(taken);
  if (stackWords > maxStackWords) refuseWords(stackWords, options);
  return { byteOffsets, structures, result: undefined, stackWords, bits: bitsOf(taken) };
}

function layoutWithStructures(
  classes: readonly ArgumentClass[],
  platform: Platform,
  options: LayoutOptions,
): ArgumentLayout {
  const { result, fixed } = options;
  const taken = nothingTaken(platform, fixed !== undefined);
  const address: ScalarClass = { byteLength: wordByteLength, float: false };
  const registers = result === undefined ? undefined : resultRegisters(result, platform);
  const returnsMemory = result !== undefined && registers === undefined;
  const resultAddress = returnsMemory && platform.arch !== "aarch64" ? takeScalar(taken, address) : undefined;
  const byteOffsets: number[] = [];
  const structures: (StructurePlace | undefined)[] = [];
  for (const [index, type] of classes.entries()) {
    if (index === fixed) beginVariadic(taken);
    if (!isStructureClass(type)) {
      byteOffsets.push(takeScalar(taken, type));
      structures.push(undefined);
      continue;
    }
    const place = takeStructure(taken, type) ??
      { whole: undefined, pieces: [], address: takeScalar(taken, address), copy: undefined };
    byteOffsets.push(place.whole ?? place.address ?? present(place.pieces[0]).to);
    structures.push(place);
  }
  let end = stackWordsOf(taken);
  const reserve = (byteLength: number): number => {
    end = Math.ceil(end / 2) * 2;
    const byteOffset = stack + end * wordByteLength;
    end += Math.ceil(byteLength / wordByteLength);
    return byteOffset;
  };
  for (const [index, type] of classes.entries()) {
    const place = structures[index];
    if (place === undefined || place.whole !== undefined || !isStructureClass(type)) continue;
    structures[index] = { ...place, copy: reserve(type.byteLength) };
  }
  const resultPlace: ResultPlace | undefined = result === undefined
    ? undefined
    : registers === undefined
    ? { memory: true, address: resultAddress, copy: reserve(result.byteLength) }
    : { memory: false, place: registers, byteLength: result.byteLength };
  if (end > maxStackWords) refuseWords(end, options);
  const kind = resultPlace === undefined ? 0 : resultPlace.memory ? 2 : 1;
  return {
    byteOffsets,
    structures,
    result: resultPlace,
    stackWords: stackWordsOf(taken),
    bits: bitsOf(taken) | kind << 24,
  };
}

function refuseWords(words: number, { what = () => "a callback" }: LayoutOptions): never {
  throw new RangeError(
    `Cannot define ${what()}: expected at most ${maxStackWords} words of arguments and result beside the registers, got ${words}`,
  );
}
