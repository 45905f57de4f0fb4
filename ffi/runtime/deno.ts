/**
 * Deno's way to C: `Deno.dlopen`, `Deno.UnsafeCallback`.
 *
 * Addresses are bigints here. Deno's pointer objects cost an allocation each and a slow call to look into; a number
 * passed as `usize` leaves the fast path (20 times slower); a bigint does neither.
 *
 * @module
 */

import { present } from "../ground/present.ts";
import { isDenied } from "../ground/thrown.ts";
import type { Address, Backend, Files, NativeFunctionObject, NativeType } from "./backend.ts";
import { connectAsModule, type ModuleLoader } from "./node_api.ts";

/** The part of Deno's namespace that is used here, so that it type-checks everywhere. */
export interface DenoNamespace {
  readonly exitCode: number;
  readonly build: { readonly os: string; readonly arch: string };
  readonly permissions: {
    querySync(descriptor: { name: "ffi" | "read"; path: string }): { readonly state: string };
  };
  readonly env: { get(name: string): string | undefined };
  readonly pid: number;
  statSync(path: string): { readonly isFile: boolean };
  lstatSync(path: string): {
    readonly isFile: boolean;
    readonly isDirectory: boolean;
    readonly uid: number | null;
    readonly mode: number | null;
  };
  mkdirSync(path: string, options: { recursive: true; mode: number }): void;
  readFileSync(path: string): Uint8Array;
  writeFileSync(path: string, bytes: Uint8Array, options: { createNew: true; mode: number }): void;
  renameSync(from: string, to: string): void;
  removeSync(path: string): void;
  dlopen(path: string, symbols: Record<string, DenoDefinition>): {
    readonly symbols: Record<string, unknown>;
    close(): void;
  };
  readonly UnsafeCallback: new (
    definition: { readonly parameters: readonly []; readonly result: "void" },
    callback: () => void,
  ) => { readonly pointer: object };
  readonly UnsafePointer: {
    create(value: bigint): object | null;
    of(view: ArrayBufferView): object | null;
    value(pointer: object | null): bigint;
  };
  readonly UnsafePointerView: {
    getArrayBuffer(pointer: object, byteLength: number): ArrayBuffer;
    getCString(pointer: object): string;
  };
}

interface DenoDefinition {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly result: string;
}

/** The part of `node:zlib` that is used here. */
interface NodeZlib {
  zstdDecompressSync(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
}

/** What Deno calls the types that it doesn't call by their own names. */
const types: Partial<Record<NativeType, string>> = { address: "usize", view: "buffer", string: "pointer" };

// A program may replace it for a while. Deno's timers would count as leaks of the test in which they begin; immediates don't.
const { setImmediate } = globalThis as unknown as { setImmediate?: (fn: () => void) => { unref(): void } };

const encoder = new TextEncoder();
const chunkByteLength = 64 * 1024;

/** Strings share memory, which is never used twice: an array buffer for each would take five times as long. */
function encodeInChunks(): Backend["encode"] {
  let chunk = new ArrayBuffer(0);
  let used = 0;
  return (text) => {
    const most = 3 * text.length + 1;
    if (most > chunkByteLength / 8) return encoder.encode(`${text}\0`);
    if (used + most > chunk.byteLength) {
      chunk = new ArrayBuffer(chunkByteLength);
      used = 0;
    }
    const view = new Uint8Array(chunk, used, most);
    const { written } = encoder.encodeInto(text, view);
    view[written] = 0;
    used += written + 1;
    return view;
  };
}

/** A definition without a prototype: Deno would look there for `nonblocking`, say. */
function alone<D extends object>(definition: D): D {
  return Object.assign(Object.create(null) as D, definition);
}

function denoFiles(deno: DenoNamespace): Files {
  return {
    env: (name) => deno.env.get(name),
    makeFolder: (path) => deno.mkdirSync(path, { recursive: true, mode: 0o700 }),
    status(path) {
      try {
        const { isFile, isDirectory, uid, mode } = deno.lstatSync(path);
        return { kind: isFile ? "file" : isDirectory ? "folder" : "other", user: uid ?? 0, mode: (mode ?? 0) & 0o777 };
      } catch (error) {
        if (error instanceof Error && error.name === "NotFound") return undefined;
        throw error;
      }
    },
    read: (path) => deno.readFileSync(path),
    write: (path, bytes) => deno.writeFileSync(path, bytes, { createNew: true, mode: 0o700 }),
    rename: (from, to) => deno.renameSync(from, to),
    remove(path) {
      try {
        deno.removeSync(path);
      } catch {
        // It isn't there, or can't be helped.
      }
    },
    unique: () => `${deno.pid}-${crypto.randomUUID()}`,
  };
}

/** The backend for a Deno namespace. It is long because it is one object, whose functions share what is found at the start. */
export function denoBackend(deno: DenoNamespace): Backend {
  const pointerTo = (address: Address): object => {
    const pointer = deno.UnsafePointer.create(BigInt(address));
    if (pointer === null) throw new TypeError("Cannot use the null pointer");
    return pointer;
  };
  // Deno's callbacks are closed when they are collected; C may call these for ever.
  const callbacks: unknown[] = [];
  const createTrampoline = (fn: () => void): Address => {
    const callback = new deno.UnsafeCallback(alone({ parameters: [], result: "void" }), fn);
    callbacks.push(callback);
    return deno.UnsafePointer.value(callback.pointer);
  };
  // Deno's test sanitizer takes a callback that stays for a leak of the test that made it. So both are made with the first
  // one, before the tests perhaps: the second takes 8 us, a twentieth of the first.
  let look = (): void => {};
  let lookAddress: Address | undefined;
  const createLook = (): Address => lookAddress ??= createTrampoline(() => look());
  return {
    runtime: "deno",
    platform: {
      os: deno.build.os === "windows" || deno.build.os === "darwin" ? deno.build.os : "linux",
      arch: deno.build.arch === "aarch64" ? "aarch64" : "x86_64",
    },
    addressKind: "bigint",
    // V8's own limit is 984 KB, from about the same place.
    stackByteLength: 800 * 1024,
    // V8 ends the process when it compiles a call with 30 integers or 32 floats and more.
    mostParameters: 29,
    requirePermission(path) {
      if (deno.permissions.querySync({ name: "ffi", path }).state === "granted") return;
      // Asks where there is somebody to ask, and throws what Deno's users expect. That the file may not load is not
      // this function's business.
      try {
        deno.dlopen(path, {}).close();
      } catch (error) {
        if (isDenied(error)) throw error;
      }
    },
    isFile(path) {
      if (deno.permissions.querySync({ name: "read", path }).state !== "granted") return undefined;
      try {
        return deno.statSync(path).isFile;
      } catch {
        return false;
      }
    },
    files: () => denoFiles(deno),
    open(path, signatures) {
      const definitions: Record<string, DenoDefinition> = {};
      for (const [index, { name, parameters, result }] of signatures.entries()) {
        const spelled: string[] = [];
        for (const type of parameters) spelled.push(types[type] ?? type);
        definitions[`f${index}`] = alone({ name, parameters: spelled, result: types[result] ?? result });
      }
      const library = deno.dlopen(path, definitions);
      const functions = signatures.map((_, index) => library.symbols[`f${index}`] as NativeFunctionObject);
      return {
        functionAt: (index) => present(functions[index]),
        // The functions own what they need; the resource would only be found open by Deno's test sanitizer.
        release: () => library.close(),
        close: () => library.close(),
      };
    },
    createTrampoline(fn) {
      createLook();
      return createTrampoline(fn);
    },
    map: (address, byteLength) => deno.UnsafePointerView.getArrayBuffer(pointerTo(address), byteLength),
    encode: encodeInChunks(),
    stringOf: (pointer) => pointer === null ? null : deno.UnsafePointerView.getCString(pointer as object),
    readString: (address) => deno.UnsafePointerView.getCString(pointerTo(address)),
    decompress(bytes) {
      const { process } = globalThis as unknown as { process: { getBuiltinModule(name: "node:zlib"): NodeZlib } };
      return process.getBuiltinModule("node:zlib").zstdDecompressSync(bytes);
    },
    onExit: (fn) => globalThis.addEventListener("unload", () => void fn()),
    // What Node's module says of web workers is that they are the main thread.
    exitCode: () => "DedicatedWorkerGlobalScope" in globalThis ? undefined : deno.exitCode,
    connect(path, isolate, fn) {
      look = fn;
      const { process } = globalThis as unknown as { process: ModuleLoader };
      return connectAsModule(process, path, isolate, createLook(), { watch: true });
    },
    ...(setImmediate === undefined ? {} : { later: (fn) => setImmediate(fn).unref() }),
    collect() {
      // With `--v8-flags=--expose-gc`.
      (globalThis as { gc?: () => void }).gc?.();
    },
    viewAddress: (view) => deno.UnsafePointer.value(deno.UnsafePointer.of(view)),
    hold: (view) => view,
  };
}
