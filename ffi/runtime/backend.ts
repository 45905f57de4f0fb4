/**
 * What belay needs of a runtime. Everything above this interface is the same on all of them.
 *
 * @module
 */

import type { Platform } from "../types/platform.ts";

/** How a runtime spells an address: the one representation that it passes to and from C without making an object. */
export type Address = number | bigint;

/** The types that a runtime's own calls are declared with. */
export type NativeType =
  | "i8"
  | "u8"
  | "i16"
  | "u16"
  | "i32"
  | "u32"
  | "i64"
  | "u64"
  | "f32"
  | "f64"
  | "bool"
  | "void"
  /** An {@linkcode Address}. */
  | "address"
  /** A view of memory that JavaScript owns, or `null`. */
  | "view"
  /** A string that C owns: as a result only; {@linkcode Backend.stringOf} reads it. */
  | "string";

/** A C function as the runtime is told of it. */
export interface NativeSignature {
  readonly name: string;
  readonly parameters: readonly NativeType[];
  readonly result: NativeType;
  /** Where it is, if that is known, while somebody keeps the library mapped. */
  readonly address?: Address;
}

/** A function of a library as the runtime gives it: nothing is checked. */
export type NativeFunctionObject = (...args: unknown[]) => unknown;

/** A library that the runtime has opened. */
export interface NativeLibrary {
  /** The function of a signature, by its index. It may be made when it is first asked for. */
  readonly functionAt: (index: number) => NativeFunctionObject;
  /** Gives back the runtime's own hold, where it has one; the functions go on working while the code stays mapped. */
  readonly release: () => void;
  /** Ends the functions and unloads the library unless somebody else holds it. Calling one afterwards may crash. */
  readonly close: () => void;
}

/** Files, for what can't be had without them. Its functions throw the runtime's errors, those about permissions among them. */
export interface Files {
  /** A variable of the environment. */
  env(name: string): string | undefined;
  /** Makes a folder that only the user can enter, and those above it. A folder that is there stays as it is. */
  makeFolder(path: string): void;
  /** What is at a path, not followed if it is a link; `undefined` when nothing is. */
  status(path: string): FileStatus | undefined;
  /** The bytes of a file. */
  read(path: string): Uint8Array;
  /** Makes a file that only the user can write to. There must be none yet. */
  write(path: string, bytes: Uint8Array<ArrayBuffer>): void;
  /** Puts a file in the place of another one, at once. */
  rename(from: string, to: string): void;
  /** Removes a file, if it is there. */
  remove(path: string): void;
  /** A name that no other process and no other isolate has at this time. */
  unique(): string;
}

/** What a file system says of a path. */
export interface FileStatus {
  readonly kind: "file" | "folder" | "other";
  /** The number of the user that owns it; Windows has none. */
  readonly user: number;
  /** POSIX permissions; Windows has none. */
  readonly mode: number;
}

/** One runtime's way to C. */
export interface Backend {
  readonly runtime: "deno" | "bun";
  readonly platform: Platform;
  /** Whether addresses are numbers or bigints here. */
  readonly addressKind: "number" | "bigint";
  /** How much of a thread's stack callbacks may start in, from where the core is attached: the engine's limit less a reserve. */
  readonly stackByteLength: number;
  /** With how many parameters {@linkcode Backend.open} can make any function that works. */
  readonly mostParameters: number;
  /** Throws unless the program may load this library. */
  requirePermission(path: string): void;
  /** Whether there is a file at a path; `undefined` when the program may not know. Nobody is asked for permission. */
  isFile(path: string): boolean | undefined;
  /** The runtime's way to files. */
  files(): Files;
  /** The bytes of a file that the program has inside its executable, where no loader finds it; `undefined` for other paths. */
  readonly inExecutable?: (path: string) => Uint8Array<ArrayBuffer> | undefined;
  /**
   * Opens a library for calls. When the runtime can't, this throws, or asking for a function does. Names are of symbols that
   * exist.
   */
  open(path: string, signatures: readonly NativeSignature[]): NativeLibrary;
  /** A function at an address, where the runtime can call one as it calls those of libraries. */
  readonly calledAt?: (signature: NativeSignature & { readonly address: Address }) => NativeFunctionObject;
  /** The address of a C function without parameters or result that calls `fn`. It stays callable for ever. */
  createTrampoline(fn: () => void): Address;
  /** C's memory as an `ArrayBuffer`; it must stay allocated. */
  map(address: Address, byteLength: number): ArrayBuffer;
  /**
   * A string without NUL characters as zero-terminated UTF-8, for C to read while the view is held: its memory doesn't move
   * unless somebody else gets hold of it. The view may go on behind the zero.
   */
  encode(text: string): Uint8Array<ArrayBuffer>;
  /** The zero-terminated UTF-8 string at an address, copied; what is none becomes U+FFFD, a byte order mark stays. */
  readString(address: Address): string;
  /** The same of what a function gave whose result is a `"string"`; `null` for NULL. */
  stringOf(result: unknown): string | null;
  /** As {@linkcode Backend.readString}, of so many bytes, at least one. Only where that is faster than a decoder. */
  readonly readText?: (address: Address, byteLength: number) => string;
  /** Decompresses what is compressed as Zstandard has it. */
  decompress(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
  /** Has a function called when this isolate's world ends in good order. */
  onExit(fn: () => unknown): void;
  /** The code with which the process ends, when it does; `undefined` where only a worker ends. */
  exitCode(): number | undefined;
  /**
   * Has `look` called, in turns of their own, when the core wakes an isolate: by way of Node-API. Answers whether that works.
   *
   * @param path Where the core is.
   */
  connect(path: string, isolate: Address, look: () => void): boolean;
  /** Where the memory of a view is that {@linkcode Backend.hold} has made stay. */
  viewAddress(view: ArrayBufferView): Address;
  /**
   * Has a function called when timers that are due have run, if the event loop is alive then. A runtime may drop it. Where
   * there is none, the loop rests instead.
   */
  readonly later?: (fn: () => void) => void;
  /** Collects garbage, where the runtime lets a program ask for that. */
  collect(): void;
  /** Makes sure that a typed array's memory won't move, and answers the array. */
  hold<V extends ArrayBufferView>(view: V): V;
}
