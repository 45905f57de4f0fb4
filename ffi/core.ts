/**
 * The native core, opened when it is first needed, and this isolate's place in it. `native/include/belay.h` is the
 * contract.
 *
 * @module
 */

import type { Address, NativeFunctionObject, NativeSignature, NativeType } from "./backend.ts";
import { LibraryLoadError } from "./errors.ts";
import { type IdStore, setHandleTableOptions } from "./handle.ts";
import { backend } from "./runtime.ts";
import type { Pointer } from "./types.ts";

const abiVersion = 2;
/** Offsets of the isolate's words, in bytes: `belay_isolate_words` in `belay.h`. */
const resultByteOffset = 64 * 8;
const callbackByteOffset = resultByteOffset + 8;
const tagByteOffset = callbackByteOffset + 4;
const slotsByteOffset = tagByteOffset + 4;
const foreignCallsByteOffset = slotsByteOffset + 4;
const attentionByteOffset = foreignCallsByteOffset + 4;
const overflowByteOffset = attentionByteOffset + 4;
const wordsByteLength = overflowByteOffset + 4;
/** `BELAY_BLOCK_LENGTH`, `BELAY_CHUNK_LENGTH`, `BELAY_NO_THUNK`. */
const blockLength = 4096;
const chunkLength = 16;
const noThunk = 2 ** 32 - 1;
/** A `belay_thunk` in 32-bit words, and the places of its fields. */
const slotWords = 8;
const fallbackWord = 2;
const stackWordsWord = 4;
const foreignCallsWord = 5;
const indexWord = 6;

/** The isolate's words as typed arrays of every width. */
export interface WordViews {
  readonly i8: Int8Array<ArrayBuffer>;
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly i16: Int16Array<ArrayBuffer>;
  readonly u16: Uint16Array<ArrayBuffer>;
  readonly i32: Int32Array<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly i64: BigInt64Array<ArrayBuffer>;
  readonly u64: BigUint64Array<ArrayBuffer>;
  readonly f32: Float32Array<ArrayBuffer>;
  readonly f64: Float64Array<ArrayBuffer>;
}

/** The scalar types that the core reads from memory. */
export type LoadType = "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "i64" | "u64" | "f32" | "f64" | "address";

/** The core, attached to this isolate. */
export interface Core {
  readonly words: WordViews;
  /** Where in the words a callback's result goes, in bytes. */
  readonly resultByteOffset: number;
  /** Which of `words.u32` is the index of the thunk that is being called. */
  readonly callbackWord: number;
  /** Which of `words.u32` is not zero when something waits to be looked at. */
  readonly attentionWord: number;
  /** Which of `words.u32` is 1 when this call has too little stack left. */
  readonly overflowWord: number;
  readonly tag: number;
  /** Where the ids of this isolate's registry are kept. */
  readonly idStore: IdStore;
  foreignCalls(): number;
  /** How many isolates of the process are live. */
  isolateCount(): number;
  setTrampoline(address: Address): void;
  /** The number of a shape. */
  shape(name: string): number;
  /** How many thunks the process has by now. */
  thunkCount(): number;
  /** Makes a chunk of thunks for a shape, and answers how many it made; their indices follow those made before. */
  claimThunks(shape: number): number;
  /** What C calls, by a thunk's index. */
  readonly thunkPointers: readonly Pointer[];
  /** Puts a signature behind a thunk: the words on its stack, and the result bits for when nobody can be asked. */
  describeThunk(index: number, stackWords: number, fallbackLow: number, fallbackHigh: number): void;
  /** How many calls of a thunk came from elsewhere since it was described. */
  foreignCallsOf(index: number): number;
  openLibrary(path: string, pinned: boolean): { library: Address } | { reason: string };
  librarySymbol(library: Address, name: string): Address | null;
  closeLibrary(library: Address): void;
  readonly load: Readonly<Record<LoadType, (base: Address, byteOffset: number) => unknown>>;
  storeU64(base: Address, byteOffset: number, value: bigint): void;
  copy(target: Uint8Array, base: Address, byteOffset: number, byteLength: number): void;
}

const signatures = {
  abiVersion: signature("belay_abi_version", [], "u32"),
  attach: signature("belay_isolate_attach", ["bool", "u32"], "address"),
  leave: signature("belay_isolate_leave", ["address"], "void"),
  wordsOf: signature("belay_isolate_words_of", ["address"], "address"),
  setTrampoline: signature("belay_isolate_set_trampoline", ["address", "address"], "void"),
  registryIds: signature("belay_registry_ids", ["address", "u32"], "address"),
  isolateCount: signature("belay_isolate_count", [], "u32"),
  shape: signature("belay_shape", ["view"], "u32"),
  thunkCount: signature("belay_thunk_count", [], "u32"),
  claim: signature("belay_thunks_claim", ["address", "u32"], "u32"),
  thunkAddress: signature("belay_thunk_address", ["u32"], "address"),
  thunkSlot: signature("belay_thunk_slot", ["u32"], "address"),
  libraryOpen: signature("belay_library_open", ["view", "bool", "view", "u32"], "address"),
  librarySymbol: signature("belay_library_symbol", ["address", "view"], "address"),
  libraryClose: signature("belay_library_close", ["address"], "void"),
  i8: signature("belay_load_i8", ["address", "f64"], "i8"),
  u8: signature("belay_load_u8", ["address", "f64"], "u8"),
  i16: signature("belay_load_i16", ["address", "f64"], "i16"),
  u16: signature("belay_load_u16", ["address", "f64"], "u16"),
  i32: signature("belay_load_i32", ["address", "f64"], "i32"),
  u32: signature("belay_load_u32", ["address", "f64"], "u32"),
  i64: signature("belay_load_i64", ["address", "f64"], "i64"),
  u64: signature("belay_load_u64", ["address", "f64"], "u64"),
  f32: signature("belay_load_f32", ["address", "f64"], "f32"),
  f64: signature("belay_load_f64", ["address", "f64"], "f64"),
  address: signature("belay_load_u64", ["address", "f64"], "address"),
  storeU64: signature("belay_store_u64", ["address", "f64", "u64"], "void"),
  copy: signature("belay_memory_copy", ["view", "address", "f64", "f64"], "void"),
} as const;

function signature(name: string, parameters: readonly NativeType[], result: NativeType): NativeSignature {
  return { name, parameters, result };
}

/** Counts the copies of this package in one JavaScript world. */
const copies = Symbol.for("@belay/ffi copies");
let attached: Core | undefined;

/** This isolate's core. @throws {LibraryLoadError} When the native library isn't there or doesn't load. */
export function core(): Core {
  return attached ??= attach();
}

/** Whether the core has been opened; asking does not open it. */
export function coreIsAttached(): boolean {
  return attached !== undefined;
}

setHandleTableOptions(() => {
  const { tag, idStore } = core();
  return { tag, store: idStore };
});

/** Where the core is, beside these modules: `native/lib/<os>-<arch>/`. */
export function corePath(): string {
  const { os, arch } = backend().platform;
  const file = { linux: "libbelay.so", darwin: "libbelay.dylib", windows: "belay.dll" }[os];
  const url = new URL(`../native/lib/${os}-${arch}/${file}`, import.meta.url);
  return filePath(url, os === "windows");
}

/** The path of a file URL, as the loader wants it. */
export function filePath(url: URL, windows: boolean): string {
  if (url.protocol !== "file:") throw new TypeError(`Cannot open "${url.href}": expected a file: URL`);
  const path = decodeURIComponent(url.pathname);
  if (path.includes("\0")) throw new TypeError(`Cannot open "${url.href}": the path contains a NUL character`);
  return windows ? path.replace(/^\/([A-Za-z]:)/, "$1").replaceAll("/", "\\") : path;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A string as C reads it. @throws {TypeError} When C would read only a part of it. */
export function zeroTerminated(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`Cannot pass ${JSON.stringify(text)} to C: it contains a NUL character`);
  return encoder.encode(`${text}\0`);
}

function attach(): Core {
  const runtime = backend();
  const path = corePath();
  const names = Object.keys(signatures) as (keyof typeof signatures)[];
  const opened = openCore(path);
  const native = Object.fromEntries(names.map((name, index) => [name, opened.functions[index]])) as Natives;
  const version = native.abiVersion();
  if (version !== abiVersion) {
    opened.close();
    throw new LibraryLoadError("belay's native core", [
      { path, reason: `its ABI version is ${version}, expected ${abiVersion}` },
    ]);
  }
  // Another copy of this package may be at work in the same world, on an isolate of its own.
  const world = globalThis as { [copies]?: number };
  const isolate = native.attach(world[copies] !== undefined, runtime.stackByteLength) as Address | null;
  if (isNull(isolate)) {
    throw new RangeError(
      "Cannot attach to belay's native core: 255 isolates of this process are live, or no memory is left",
    );
  }
  world[copies] = (world[copies] ?? 0) + 1;
  // C may call back even while the process exits, when nothing can run here any more.
  runtime.onExit(() => void native.leave(isolate));
  // The core keeps itself mapped from here on.
  opened.release();
  const buffer = runtime.map(native.wordsOf(isolate) as Address, wordsByteLength);
  const words: WordViews = {
    i8: new Int8Array(buffer),
    u8: new Uint8Array(buffer),
    i16: new Int16Array(buffer),
    u16: new Uint16Array(buffer),
    i32: new Int32Array(buffer),
    u32: new Uint32Array(buffer),
    i64: new BigInt64Array(buffer, 0, wordsByteLength >>> 3),
    u64: new BigUint64Array(buffer, 0, wordsByteLength >>> 3),
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer, 0, wordsByteLength >>> 3),
  };
  const thunks = thunkTable(native, isolate);
  return {
    ...thunks,
    words,
    resultByteOffset,
    tag: words.u32[tagByteOffset / 4],
    idStore: {
      used: new Uint32Array(buffer, slotsByteOffset, 1),
      grow(length) {
        const ids = native.registryIds(isolate, length) as Address | null;
        if (isNull(ids)) throw new RangeError(`Cannot create a handle: no memory for ${length} ids`);
        return new Float64Array(runtime.map(ids, length * 8));
      },
    },
    callbackWord: callbackByteOffset / 4,
    attentionWord: attentionByteOffset / 4,
    overflowWord: overflowByteOffset / 4,
    foreignCalls: () => words.u32[foreignCallsByteOffset / 4],
    isolateCount: () => native.isolateCount() as number,
    setTrampoline: (address) => void native.setTrampoline(isolate, address),
    openLibrary(libraryPath, pinned) {
      const reason = runtime.hold(new Uint8Array(1024));
      const library = native.libraryOpen(zeroTerminated(libraryPath), pinned, reason, reason.length);
      if (!isNull(library)) return { library: library as Address };
      return { reason: decoder.decode(reason.subarray(0, reason.indexOf(0))) };
    },
    librarySymbol(library, name) {
      const address = native.librarySymbol(library, zeroTerminated(name));
      return isNull(address) ? null : address as Address;
    },
    closeLibrary: (library) => void native.libraryClose(library),
    load: native as unknown as Core["load"],
    storeU64: (base, byteOffset, value) => void native.storeU64(base, byteOffset, value),
    copy: (target, base, byteOffset, byteLength) =>
      void native.copy(runtime.hold(target), base, byteOffset, byteLength),
  };
}

type Natives = Readonly<Record<keyof typeof signatures, NativeFunctionObject>>;

type ThunkTable = Pick<
  Core,
  "shape" | "thunkCount" | "claimThunks" | "thunkPointers" | "describeThunk" | "foreignCallsOf"
>;

/** The thunks of this isolate, by their indices. */
function thunkTable(native: Natives, isolate: Address): ThunkTable {
  const runtime = backend();
  const thunkPointers: Pointer[] = [];
  /** The slots of each block that the isolate has thunks in, by the block's number. */
  const blocks = new Map<number, Uint32Array<ArrayBuffer>>();
  /** By index: the slots of its block, and where in them its own is. */
  const slots: Uint32Array<ArrayBuffer>[] = [];
  const places: number[] = [];
  return {
    thunkPointers,
    shape: (name) => native.shape(zeroTerminated(name)) as number,
    thunkCount: () => native.thunkCount() as number,
    claimThunks(shape) {
      const first = native.claim(isolate, shape) as number;
      if (first === noThunk) return 0;
      const block = Math.floor(first / blockLength);
      let blockSlots = blocks.get(block);
      if (blockSlots === undefined) {
        const address = native.thunkSlot(block * blockLength) as Address;
        blockSlots = new Uint32Array(runtime.map(address, blockLength * slotWords * 4));
        blocks.set(block, blockSlots);
      }
      for (let number = first; number < first + chunkLength; number++) {
        const place = (number % blockLength) * slotWords;
        blockSlots[place + indexWord] = slots.length;
        slots.push(blockSlots);
        places.push(place);
        thunkPointers.push(native.thunkAddress(number) as unknown as Pointer);
      }
      return chunkLength;
    },
    describeThunk(index, stackWords, fallbackLow, fallbackHigh) {
      const blockSlots = slots[index];
      const place = places[index];
      blockSlots[place + fallbackWord] = fallbackLow;
      blockSlots[place + fallbackWord + 1] = fallbackHigh;
      blockSlots[place + stackWordsWord] = stackWords;
      blockSlots[place + foreignCallsWord] = 0;
    },
    foreignCallsOf: (index) => slots[index][places[index] + foreignCallsWord],
  };
}

function openCore(path: string): ReturnType<ReturnType<typeof backend>["open"]> {
  try {
    return backend().open(path, Object.values(signatures));
  } catch (error) {
    if (error instanceof Error && error.name === "NotCapable") throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const hint = "In a checkout, `deno task build` makes it.";
    throw new LibraryLoadError("belay's native core", [{ path, reason }], hint);
  }
}

/** Whether an address is NULL, as any runtime gives it. */
export function isNull(address: unknown): address is null | 0 | 0n {
  return address === null || address === 0 || address === 0n;
}
