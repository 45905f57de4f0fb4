/**
 * A library that is bytes, as a file in memory: Linux's `memfd_create`. It takes no permission but that for FFI.
 *
 * @module
 */

import { isDenied, messageOf } from "../ground/thrown.ts";
import { zeroTerminated } from "../types/c_string.ts";
import type { Backend, NativeFunctionObject, NativeSignature } from "./backend.ts";

const signatures = {
  open: { parameters: ["view", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  syscall: { parameters: ["i64", "i32", "view", "i64"], result: "i64" },
  readlink: { parameters: ["view", "view", "u64"], result: "i64" },
  memfd_create: { parameters: ["view", "u32"], result: "i32" },
  write: { parameters: ["i32", "view", "u64"], result: "i64" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
} as const satisfies Readonly<Record<string, Omit<NativeSignature, "name">>>;
type Libc = Readonly<Record<keyof typeof signatures, NativeFunctionObject>>;

// As Linux's headers have them.
const closeOnExec = 0x80000;
const lockExclusive = 2;
const lockAtOnce = 4;
const unlock = 8;
const readFolder = { x86_64: 217n, aarch64: 61n };
const memoryCloseOnExec = 1;
const memoryAllowSealing = 2;
const addSeals = 1033;
const getSeals = 1034;
/** Against more seals, shrinking, growing and writing. */
const allSeals = 15;
const entryLengthOffset = 16;
const entryNameOffset = 19;

/** How long an isolate waits for another one that makes a file, before it makes its own. */
const mostWaits = 1000;

const decoder = new TextDecoder();

/**
 * The path of a file in memory that holds these bytes and never changes. All isolates of the process get the same one.
 *
 * The file stays open: the path is that of its descriptor, and whoever opens it later finds the library that is mapped.
 *
 * @param name Says what the bytes are, so that equal names have equal bytes.
 * @returns The path, or why there is none.
 */
export function memoryFile(
  runtime: Backend,
  name: string,
  bytes: () => Uint8Array<ArrayBuffer>,
): { path: string } | { reason: string } {
  try {
    // musl's loader takes the name for itself, too.
    const names = Object.keys(signatures) as (keyof Libc)[];
    const opened = runtime.open("libc.so.6", names.map((name) => ({ name, ...signatures[name] })));
    try {
      const libc = Object.fromEntries(names.map((name, i) => [name, opened.functions[i]])) as unknown as Libc;
      return { path: fileOfProcess(runtime, libc, name, bytes) };
    } finally {
      opened.close();
    }
  } catch (error) {
    // The program lacks Deno's permission for FFI: files wouldn't help.
    if (isDenied(error)) throw error;
    return { reason: messageOf(error) };
  }
}

function fileOfProcess(runtime: Backend, libc: Libc, name: string, bytes: () => Uint8Array<ArrayBuffer>): string {
  const text = (value: string): Uint8Array<ArrayBuffer> => runtime.hold(zeroTerminated(value));
  const openDescriptors = (): number => {
    const descriptors = libc.open(text("/proc/self/fd"), closeOnExec) as number;
    if (descriptors < 0) throw new Error("/proc/self/fd can't be read");
    return descriptors;
  };
  const target = `/memfd:${name} (deleted)`;
  const link = runtime.hold(new Uint8Array(target.length + 1));
  const isOurs = (entry: string): boolean => {
    const length = Number(libc.readlink(text(`/proc/self/fd/${entry}`), link, BigInt(link.length)));
    return length === target.length && decoder.decode(link.subarray(0, length)) === target;
  };
  // One without its seals was left by an isolate that was ended in the midst of it.
  const isWhole = (entry: string): boolean => isOurs(entry) && libc.fcntl(Number(entry), getSeals, 0) === allSeals;
  const find = (): string | undefined => {
    const descriptors = openDescriptors();
    try {
      return namesIn(runtime, libc, descriptors).find(isWhole);
    } finally {
      libc.close(descriptors);
    }
  };
  const known = find();
  if (known !== undefined) return `/proc/self/fd/${known}`;
  // Other isolates of this process wait, and find what this one makes. Other processes have a folder each. An isolate that was
  // ended in the midst of this keeps the lock.
  const locked = openDescriptors();
  try {
    const tick = new Int32Array(new SharedArrayBuffer(4));
    for (let waits = 0; waits < mostWaits; waits++) {
      if (libc.flock(locked, lockExclusive | lockAtOnce) === 0) break;
      Atomics.wait(tick, 0, 0, 1);
    }
    return `/proc/self/fd/${find() ?? make(runtime, libc, text(name), bytes())}`;
  } finally {
    // Closing alone would leave the lock to a child that was forked meanwhile.
    libc.flock(locked, unlock);
    libc.close(locked);
  }
}

/** The names in an open folder. */
function namesIn(runtime: Backend, libc: Libc, folder: number): string[] {
  const names: string[] = [];
  const entries = runtime.hold(new Uint8Array(32 * 1024));
  const view = new DataView(entries.buffer);
  for (;;) {
    const length = Number(libc.syscall(readFolder[runtime.platform.arch], folder, entries, BigInt(entries.length)));
    if (length <= 0) return names;
    for (let at = 0; at < length; at += view.getUint16(at + entryLengthOffset, true)) {
      const start = at + entryNameOffset;
      names.push(decoder.decode(entries.subarray(start, entries.indexOf(0, start))));
    }
  }
}

/** A new file in memory: its descriptor. */
function make(runtime: Backend, libc: Libc, name: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>): number {
  const descriptor = libc.memfd_create(name, memoryCloseOnExec | memoryAllowSealing) as number;
  if (descriptor < 0) throw new Error("the system makes no files in memory");
  runtime.hold(bytes);
  for (let written = 0; written < bytes.length;) {
    const more = Number(libc.write(descriptor, bytes.subarray(written), BigInt(bytes.length - written)));
    if (more <= 0) {
      libc.close(descriptor);
      throw new Error("there is no memory for the file");
    }
    written += more;
  }
  if (libc.fcntl(descriptor, addSeals, allSeals) !== 0) {
    libc.close(descriptor);
    throw new Error("the system seals no files in memory");
  }
  return descriptor;
}
