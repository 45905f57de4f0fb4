/**
 * Bun's way to C: `bun:ffi`.
 *
 * Addresses are numbers here, as Bun spells them.
 *
 * @module
 */

import { typedArrayBuffer } from "../ground/buffers.ts";
import { present } from "../ground/present.ts";
import type { Backend, Files, NativeFunctionObject, NativeSignature, NativeType } from "./backend.ts";
import { connectAsModule, type ModuleLoader } from "./node_api.ts";

/** The part of `bun:ffi` that is used here, so that it type-checks everywhere. */
export interface BunFfi {
  dlopen(path: string, symbols: Record<string, BunDefinition>): {
    readonly symbols: Record<string, unknown>;
    close(): void;
  };
  linkSymbols(symbols: Record<string, BunDefinition & { readonly ptr: number }>): ReturnType<BunFfi["dlopen"]>;
  readonly JSCallback: new (
    callback: () => void,
    definition: { readonly args: []; readonly returns: "void"; readonly threadsafe?: boolean },
  ) => { readonly ptr: number | null };
  readonly CString: new (pointer: number, byteOffset?: number, byteLength?: number) => { toString(): string };
  ptr(view: ArrayBufferView): number;
  toArrayBuffer(pointer: number, byteOffset: number, byteLength: number): ArrayBuffer;
}

interface BunDefinition {
  readonly args: string[];
  readonly returns: string;
}

/** The part of the `process` global that is used here. */
export interface BunProcess extends ModuleLoader {
  readonly exitCode?: number | string | null;
  readonly platform: string;
  readonly arch: string;
  getBuiltinModule(name: "bun:ffi"): BunFfi | undefined;
  getBuiltinModule(name: "node:fs"): NodeFiles | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  on(event: "exit", listener: () => void): unknown;
}

/** The part of `node:fs` that is used here. */
interface NodeFiles {
  existsSync(path: string): boolean;
  lstatSync(path: string, options: { throwIfNoEntry: false }): {
    isFile(): boolean;
    isDirectory(): boolean;
    readonly uid: number;
    readonly mode: number;
  } | undefined;
  mkdirSync(path: string, options: { recursive: true; mode: number }): unknown;
  readFileSync(path: string): Uint8Array;
  writeFileSync(path: string, bytes: Uint8Array, options: { flag: "wx"; mode: number }): void;
  renameSync(from: string, to: string): void;
  rmSync(path: string, options: { force: true }): void;
}

interface BunTimers {
  setImmediate(fn: () => void): { unref(): void };
}

declare const Bun: {
  readonly isMainThread: boolean;
  gc(force: boolean): void;
  zstdDecompressSync(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
};

// A program may replace it for a while.
const { setImmediate } = globalThis as unknown as BunTimers;

/** What Bun calls the types that it doesn't call by their own names. */
const types: Partial<Record<NativeType, string>> = { address: "ptr", view: "ptr", string: "ptr" };

function spelled({ parameters, result }: NativeSignature): BunDefinition {
  const args: string[] = [];
  for (const type of parameters) args.push(types[type] ?? type);
  return { args, returns: types[result] ?? result };
}

const encoder = new TextEncoder();

function bunFiles(process: BunProcess): Files {
  const fs = process.getBuiltinModule("node:fs");
  if (fs === undefined) throw new TypeError('Cannot use this runtime: it has no "node:fs"');
  return {
    env: (name) => process.env[name],
    makeFolder: (path) => void fs.mkdirSync(path, { recursive: true, mode: 0o700 }),
    status(path) {
      const status = fs.lstatSync(path, { throwIfNoEntry: false });
      if (status === undefined) return undefined;
      const kind = status.isFile() ? "file" : status.isDirectory() ? "folder" : "other";
      return { kind, user: status.uid, mode: status.mode & 0o777 };
    },
    read: (path) => fs.readFileSync(path),
    write: (path, bytes) => fs.writeFileSync(path, bytes, { flag: "wx", mode: 0o700 }),
    rename: (from, to) => fs.renameSync(from, to),
    remove: (path) => fs.rmSync(path, { force: true }),
    unique: () => `${process.pid}-${crypto.randomUUID()}`,
  };
}

/** The backend for `bun:ffi`. It is long because it is one object, whose functions share what is found at the start. */
export function bunBackend(process: BunProcess): Backend {
  const ffi = process.getBuiltinModule("bun:ffi");
  if (ffi === undefined) throw new TypeError('Cannot use this runtime: it has no "bun:ffi"');
  const { CString } = ffi;
  // Converting what is a number already would take as long as the string.
  const readString = (address: number | bigint): string =>
    new CString(typeof address === "bigint" ? Number(address) : address).toString();
  const callbacks: unknown[] = [];
  const createCallback = (fn: () => void, threadsafe: boolean): number => {
    const callback = new ffi.JSCallback(fn, { args: [], returns: "void", threadsafe });
    callbacks.push(callback);
    if (callback.ptr === null) throw new Error("Cannot create a callback: the runtime gave no pointer");
    return callback.ptr;
  };
  return {
    runtime: "bun",
    platform: {
      os: process.platform === "win32" ? "windows" : process.platform === "darwin" ? "darwin" : "linux",
      arch: process.arch === "arm64" ? "aarch64" : "x86_64",
    },
    addressKind: "number",
    // The engine's own limit is 5 MB, or a worker's smaller stack.
    stackByteLength: 4 * 1024 * 1024,
    // "unsupported signature" is all that Bun says of more.
    mostParameters: 32,
    requirePermission() {},
    isFile: (path) => process.getBuiltinModule("node:fs")?.existsSync(path),
    files: () => bunFiles(process),
    // `bun build --compile` puts them there. `bun:ffi` copies such a library to a file before it opens it.
    inExecutable: (path) =>
      path.startsWith("/$bunfs/") || path.startsWith(":/~BUN/", 1) || path.startsWith(":\\~BUN\\", 1)
        ? new Uint8Array(bunFiles(process).read(path))
        : undefined,
    open(path, signatures) {
      const opened: ReturnType<BunFfi["dlopen"]>[] = [];
      return {
        // Bun compiles C for each function, which a program may never call; and it takes no name beside the key, so that a
        // symbol with two definitions takes two libraries.
        functionAt(index) {
          const signature = present(signatures[index]);
          const { name, address } = signature;
          const library = address === undefined
            ? ffi.dlopen(path, { [name]: spelled(signature) })
            : ffi.linkSymbols({ [name]: { ...spelled(signature), ptr: Number(address) } });
          opened.push(library);
          return library.symbols[name] as NativeFunctionObject;
        },
        // Closing frees the code that Bun compiled for the functions, so there is nothing to give back yet.
        release: () => {},
        close: () => {
          for (const library of opened) library.close();
        },
      };
    },
    calledAt(signature) {
      const { name, address } = signature;
      const { symbols } = ffi.linkSymbols({ [name]: { ...spelled(signature), ptr: Number(address) } });
      return symbols[name] as NativeFunctionObject;
    },
    createTrampoline: (fn) => createCallback(fn, false),
    map: (address, byteLength) => ffi.toArrayBuffer(Number(address), 0, byteLength),
    encode(text) {
      // Mostly each character is a byte: then there is nothing to join, and nothing to copy.
      const bytes = new Uint8Array(text.length + 1);
      const { read, written } = encoder.encodeInto(text, bytes);
      return read === text.length && written === text.length ? bytes : encoder.encode(`${text}\0`);
    },
    readString,
    stringOf: (address) => address === null || address === 0 ? null : new CString(address as number).toString(),
    // Without a length, or with 0, it would look for a zero.
    readText: (address, byteLength) =>
      new CString(typeof address === "bigint" ? Number(address) : address, 0, byteLength).toString(),
    onExit: (fn) => void process.on("exit", () => void fn()),
    exitCode: () => Bun.isMainThread ? Number(process.exitCode ?? 0) : undefined,
    connect: (path, isolate, look) =>
      connectAsModule(process, path, isolate, createCallback(look, false), {
        // Bun holds the lock of a thread-safe function while it wakes the loop, which then may have to wait for it. Its own
        // callbacks have none. They crash in a worker that was terminated; and they are deaf once `bun test --isolate` has
        // begun with another file.
        ...(Bun.isMainThread ? { callback: createCallback(look, true), watch: true } : { watch: false }),
      }),
    viewAddress: (view) => ffi.ptr(view),
    // Bun drops an immediate that is unref'd while nothing else keeps the loop alive, and after an error that nobody handled
    // (a test that failed, say).
    later: (fn) => setImmediate(fn).unref(),
    // Without loading node:zlib, which takes 6 ms.
    decompress: (bytes) => Bun.zstdDecompressSync(bytes),
    collect: () => Bun.gc(true),
    // The engine keeps a small array inside its own heap, and moves it out when somebody asks for `.buffer`.
    // Asking first gives it the place where it stays.
    hold(view) {
      typedArrayBuffer.call(view);
      return view;
    },
  };
}
