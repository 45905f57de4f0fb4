/**
 * A library that is bytes, as a file in memory: Linux's `memfd_create`. It takes no permission but that for FFI.
 *
 * @module
 */

import type { Backend, NativeFunctionObject, NativeSignature } from "./backend.ts";

const signatures: readonly NativeSignature[] = [
  { name: "open", parameters: ["view", "i32"], result: "i32" },
  { name: "close", parameters: ["i32"], result: "i32" },
  { name: "flock", parameters: ["i32", "i32"], result: "i32" },
  { name: "syscall", parameters: ["i64", "i32", "view", "i64"], result: "i64" },
  { name: "readlink", parameters: ["view", "view", "u64"], result: "i64" },
  { name: "memfd_create", parameters: ["view", "u32"], result: "i32" },
  { name: "write", parameters: ["i32", "view", "u64"], result: "i64" },
  { name: "fcntl", parameters: ["i32", "i32", "i32"], result: "i32" },
];

// As Linux's headers have them.
const closeOnExec = 0x80000;
const lockExclusive = 2;
const lockAtOnce = 4;
const readFolder = { x86_64: 217n, aarch64: 61n };
const memoryCloseOnExec = 1;
const memoryAllowSealing = 2;
const addSeals = 1033;
/** Against more seals, shrinking, growing and writing. */
const allSeals = 15;
const entryLengthOffset = 16;
const entryNameOffset = 19;

/** How long an isolate waits for another one that makes a file, before it makes its own. */
const mostWaits = 1000;

const encoder = new TextEncoder();
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
  let opened: ReturnType<Backend["open"]>;
  try {
    // musl's loader takes the name for itself, too.
    opened = runtime.open("libc.so.6", signatures);
  } catch (error) {
    return { reason: String(error) };
  }
  const [open, close, flock, syscall, readlink, create, write, fcntl] = opened.functions as NativeFunctionObject[];
  const text = (value: string): Uint8Array<ArrayBuffer> => runtime.hold(encoder.encode(`${value}\0`));
  const folder = open(text("/proc/self/fd"), closeOnExec) as number;
  if (folder < 0) return { reason: "/proc/self/fd can't be read" };
  try {
    // Other isolates of this process wait here, and find what this one makes. Other processes have a folder each. One that was
    // ended in the midst of it keeps the lock.
    for (let waits = 0; flock(folder, lockExclusive | lockAtOnce) !== 0 && waits < mostWaits; waits++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    const known = find();
    if (known !== undefined) return { path: pathOf(known) };
    return make();
  } finally {
    close(folder);
    opened.release();
  }

  function pathOf(descriptor: string | number): string {
    return `/proc/self/fd/${descriptor}`;
  }

  /** The descriptor that has the name. */
  function find(): string | undefined {
    const target = encoder.encode(`/memfd:${name} (deleted)`);
    const link = runtime.hold(new Uint8Array(target.length + 1));
    const entries = runtime.hold(new Uint8Array(32 * 1024));
    const view = new DataView(entries.buffer);
    for (;;) {
      const length = Number(syscall(readFolder[runtime.platform.arch], folder, entries, BigInt(entries.length)));
      if (length <= 0) return undefined;
      for (let at = 0; at < length; at += view.getUint16(at + entryLengthOffset, true)) {
        const end = entries.indexOf(0, at + entryNameOffset);
        const entry = decoder.decode(entries.subarray(at + entryNameOffset, end));
        const linked = Number(readlink(text(pathOf(entry)), link, BigInt(link.length)));
        if (linked === target.length && target.every((byte, i) => byte === link[i])) return entry;
      }
    }
  }

  function make(): { path: string } | { reason: string } {
    const descriptor = create(text(name), memoryCloseOnExec | memoryAllowSealing) as number;
    if (descriptor < 0) return { reason: "the system makes no files in memory" };
    const all = runtime.hold(bytes());
    for (let written = 0; written < all.length;) {
      const more = Number(write(descriptor, all.subarray(written), BigInt(all.length - written)));
      if (more <= 0) {
        close(descriptor);
        return { reason: "there is no memory for the file" };
      }
      written += more;
    }
    fcntl(descriptor, addSeals, allSeals);
    return { path: pathOf(descriptor) };
  }
}
