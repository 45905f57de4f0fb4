/**
 * The native core, opened when it is first needed, and this isolate's place in it. `native/src/core.h` is the
 * contract.
 *
 * @module
 */

import {
  abiVersion,
  handleLinksByteOffset,
  handleSlotsWord,
  isolateByteLength,
  liveWord,
  maxIsolates,
  operationAttach,
  operationAttachBeside,
  operationIsolateCount,
  operationRegistryIds,
  releasedWord,
  tagWord,
} from "./record.ts";
import { RangeError } from "../ground/blame.ts";
import { LibraryLoadError } from "../ground/errors.ts";
import { type Place, place } from "../ground/place.ts";
import { present } from "../ground/present.ts";
import { isDenied, messageOf } from "../ground/thrown.ts";
import { type IdStore, onFirstHandle } from "../lifetime/handle.ts";
import { isNull } from "../runtime/address.ts";
import type { Address, NativeFunctionObject, NativeLibrary, NativeSignature, NativeType } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { folderVariable } from "../runtime/private_file.ts";
import { type CoreFile, coreFile, forgetCoreFile, keepCoreFile, otherCoreFile } from "./path.ts";

/** Words that the core shares, as typed arrays of every width, and as what reads them at any offset. */
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
  readonly view: DataView<ArrayBuffer>;
}

/** The core, attached to this isolate. */
export interface Core {
  /** The isolate's record in the core. */
  readonly isolate: Address;
  /** The part of the record that JavaScript shares. */
  readonly words: WordViews;
  /** This isolate's registry tag, 1 to 255. */
  readonly tag: number;
  /** `belay_control`. */
  readonly control: NativeFunctionObject;
}

/** A C function as the core declares it. */
export function signature(name: string, parameters: readonly NativeType[], result: NativeType): NativeSignature {
  return { name, parameters, result };
}

/**
 * Functions of the core that are opened when they are first asked for: opening one takes a runtime about 0.1 ms.
 *
 * @param signatures By the names that the functions get here.
 */
export function coreFunctions<N extends string>(
  signatures: () => Readonly<Record<N, NativeSignature>>,
): () => Readonly<Record<N, NativeFunctionObject>> {
  let functions: Record<N, NativeFunctionObject> | undefined;
  return () => {
    if (functions !== undefined) return functions;
    // It keeps the library mapped.
    core();
    const made = openCore(signatures());
    made.opened.release();
    return functions = made.functions;
  };
}

const inSignatures = new Map<string, NativeFunctionObject>();

/** A function of the core in one of the signatures that it may have. All that want one share it: opening takes 0.1 ms. */
export function coreFunction(signature: NativeSignature): NativeFunctionObject {
  const { name, parameters, result } = signature;
  const key = `${name} ${parameters.join()} ${result}`;
  let shared = inSignatures.get(key);
  if (shared === undefined) {
    core();
    const { functions, opened } = openCore({ signature });
    opened.release();
    inSignatures.set(key, shared = functions.signature);
  }
  return shared;
}

/** Where the copies of this package in one JavaScript world know of each other. */
const copies = Symbol.for("@belay/ffi copies");
/** `bun --hot` loads the modules again in the same world; what the last few loads made goes on working. */
const mostLoads = 8;

/**
 * Whether other copies of this package are at work in this world, whose isolates go on beside the new one; and the way to
 * tell them of that, by the word that says whether it is live.
 */
function copiesOfPackage(): { beside: boolean; attachedAs: (live: Uint32Array<ArrayBuffer>) => void } {
  const world = globalThis as { [copies]?: Map<string, Uint32Array<ArrayBuffer>[]> };
  const modules = world[copies] ??= new Map();
  const loads = modules.get(import.meta.url) ?? [];
  const beside = modules.size > 0;
  if (loads.length >= mostLoads) loads.shift()?.fill(0);
  return { beside, attachedAs: (live) => void modules.set(import.meta.url, [...loads, live]) };
}

let attached: Core | undefined;

/**
 * This isolate's core.
 *
 * @throws {LibraryLoadError} When the native library isn't there or doesn't load.
 */
export function core(): Core {
  try {
    return attached ??= attach();
  } catch (error) {
    throw withoutList(error, "belay's native core");
  }
}

/**
 * Has the core do what is rare; `native/src/core.h` says what each operation uses and gives.
 *
 * @param text Ends with a zero.
 */
export function control(
  operation: number,
  { number = 0, object = 0, bits = 0, text = null }: {
    readonly number?: number;
    readonly object?: Address;
    readonly bits?: number;
    readonly text?: Uint8Array<ArrayBuffer> | null;
  } = noArguments,
): Address | null {
  return core().control(operation, number, object, bits, text) as Address | null;
}

const noArguments = {};

/** Whether the core has been opened; asking does not open it. */
export function coreIsAttached(): boolean {
  return attached !== undefined;
}

onFirstHandle(() => {
  const { isolate, tag, words } = core();
  let links = 0n;
  const store: IdStore = {
    used: new Uint32Array(words.u32.buffer, handleSlotsWord * 4, 1),
    grow(length) {
      const ids = control(operationRegistryIds, { number: length, object: isolate });
      if (isNull(ids)) throw new RangeError(`Cannot create a handle: no memory for ${length} ids`);
      links = BigInt(ids) + BigInt(handleLinksByteOffset);
      return new Float64Array(backend().map(ids, length * 8));
    },
    releases: {
      head: new Int32Array(words.u32.buffer, releasedWord * 4, 1),
      links: (length) => new Int32Array(backend().map(links, length * 8)),
    },
  };
  return { tag, store };
});

const endings: (() => void)[] = [];

/** Has a function called before the isolate's world ends in good order, when C can be called yet. */
export function onEnd(end: () => void): void {
  endings.push(end);
}

function attach(): Core {
  const runtime = backend();
  const { functions, opened } = openCore({
    control: { name: "belay_control", parameters: ["u32", "u32", "address", "u64", "view"], result: "address" },
  });
  const { beside, attachedAs } = copiesOfPackage();
  const { control } = functions;
  const operation = beside ? operationAttachBeside : operationAttach;
  const isolate = control(operation, abiVersion, 0, runtime.stackByteLength, null) as Address | null;
  if (isNull(isolate)) refuseToAttach(functions, opened);
  keepCoreFile();
  // The core keeps itself mapped from here on.
  opened.release();
  const words = wordViews(runtime.map(isolate, isolateByteLength));
  attachedAs(words.u32.subarray(liveWord, liveWord + 1));
  // C may call back even while the process exits, when nothing can run here any more.
  runtime.onExit(() => {
    try {
      for (const end of endings) end();
    } finally {
      words.u32[liveWord] = 0;
    }
  });
  return { isolate, words, tag: present(words.u32[tagWord]), control };
}

function refuseToAttach({ control }: { control: NativeFunctionObject }, opened: NativeLibrary): never {
  const count = Number(control(operationIsolateCount, 0, 0, 0, null));
  opened.close();
  throw new RangeError(`Cannot attach to belay's native core: ${whyNotAttached(count)}`);
}

function whyNotAttached(count: number): string {
  if (count < maxIsolates) return `no memory is left, or "${coreFile().path}" is of another version than ${abiVersion}`;
  return `${count} isolates of this process use belay, the most there can be; a worker is one until it ends, so end those ` +
    "that have nothing to do";
}

/** Memory as typed arrays of every width. */
export function wordViews(buffer: ArrayBuffer): WordViews {
  return {
    i8: new Int8Array(buffer),
    u8: new Uint8Array(buffer),
    i16: new Int16Array(buffer),
    u16: new Uint16Array(buffer),
    i32: new Int32Array(buffer),
    u32: new Uint32Array(buffer),
    i64: new BigInt64Array(buffer),
    u64: new BigUint64Array(buffer),
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer),
    view: new DataView(buffer),
  };
}

/** Opens the core for some functions. @throws {LibraryLoadError} When it isn't there or doesn't load. */
function openCore<N extends string>(signatures: Readonly<Record<N, NativeSignature>>): {
  functions: Record<N, NativeFunctionObject>;
  opened: NativeLibrary;
} {
  const { path } = coreFile();
  try {
    const opened = backend().open(path, Object.values(signatures));
    const functions: Partial<Record<N, NativeFunctionObject>> = {};
    let index = 0;
    for (const name of Object.keys(signatures) as N[]) functions[name] = opened.functionAt(index++);
    return { functions: functions as Record<N, NativeFunctionObject>, opened };
  } catch (error) {
    useOtherCore(error);
    return openCore(signatures);
  }
}

/** Makes another file the core's, after an error of opening it. @throws That error, or what it means, when there is none. */
function useOtherCore(error: unknown): void {
  if (isDenied(error)) throw error;
  const { path, source } = coreFile();
  if (otherCoreFile() !== undefined) return;
  forgetCoreFile();
  const reason = messageOf(error);
  throw new LibraryLoadError("belay's native core", [{ path, reason }], missingCoreHint(source, place()));
}

/** Such an error about FFI, which asks for no more than a file, with what is needed; other errors as they are. */
export function withoutList(error: unknown, what: string): unknown {
  if (!isDenied(error) || !/\bffi\b/.test(error.message)) return error;
  const NotCapable = error.constructor as new (message: string, options: ErrorOptions) => Error;
  const need = "belay needs --allow-ffi without a list of paths, since Deno's callbacks do";
  return new NotCapable(`Cannot open ${what}: ${need}. ${error.message}`, { cause: error });
}

/** What to do when the core doesn't load, by where its file came from. */
export function missingCoreHint(source: CoreFile["source"], { kind, prefixes }: Place): string {
  const { os, arch } = backend().platform;
  if (source === "configured") return "It is what configure({ core }) named.";
  if (source === "embedded") {
    return "The loader must be able to map it: a folder on a file system that is mounted with `noexec` won't do. Set " +
      `${folderVariable({ os, arch })} to another one, or name the file of the core: configure({ core: path }).`;
  }
  const installed = kind === "package" || prefixes.some((prefix) => /[/\\](node_modules|dist)[/\\]/.test(prefix));
  return installed
    ? `The package @belay/ffi brings it along for the platforms that it supports. This is ${os}-${arch}: install the package ` +
      "again if that is one of them."
    : "In a checkout, `deno task build` makes it.";
}
