/**
 * A library that is bytes, as a file in memory: Linux's `memfd_create`. It takes no permission but that for FFI.
 *
 * @module
 */

import { isDenied, messageOf } from "../ground/thrown.ts";
import { zeroTerminated } from "../types/c_string.ts";
import type { Platform } from "../types/platform.ts";
import type { Backend } from "./backend.ts";

/**
 * The system's calls, by number: one function of the C library's makes them all, and a runtime takes up to 0.1 ms for each
 * function that it opens.
 */
const numbers = {
  x86_64: {
    write: 1,
    close: 3,
    fcntl: 72,
    flock: 73,
    getdents64: 217,
    openat: 257,
    readlinkat: 267,
    memfd_create: 319,
  },
  aarch64: {
    write: 64,
    close: 57,
    fcntl: 25,
    flock: 32,
    getdents64: 61,
    openat: 56,
    readlinkat: 78,
    memfd_create: 279,
  },
} as const satisfies Readonly<Record<Platform["arch"], Readonly<Record<string, number>>>>;
type SystemCall = (name: keyof typeof numbers["x86_64"], ...args: readonly number[]) => number;

const signature = { name: "syscall", parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" } as const;

// As Linux's headers have them.
const currentFolder = -100;
const closeOnExec = 0x80000;
const lockExclusive = 2;
const lockAtOnce = 4;
const unlock = 8;
const memoryCloseOnExec = 1;
const memoryAllowSealing = 2;
const addSeals = 1033;
const getSeals = 1034;
/** Against more seals, shrinking, growing and writing. */
const allSeals = 15;
const entryLengthOffset = 16;
const entryNameOffset = 19;

/** Where in its memory the target of a link goes, and the names in a folder. */
const linkOffset = 512;
const entriesOffset = 1024;
const entriesByteLength = 32 * 1024;

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
    const { functionAt, close } = runtime.open("libc.so.6", [signature]);
    const syscall = functionAt(0);
    const ofSystem = numbers[runtime.platform.arch];
    const call: SystemCall = (name, a, b = 0, c = 0, d = 0) => Number(syscall(ofSystem[name], a, b, c, d));
    try {
      return { path: new OpenFiles(runtime, call, name).path(bytes) };
    } finally {
      close();
    }
  } catch (error) {
    // The program lacks Deno's permission for FFI: files wouldn't help.
    if (isDenied(error)) throw error;
    return { reason: messageOf(error) };
  }
}

/** The files that this process has open, and the one among them that has a name. */
class OpenFiles {
  readonly #runtime: Backend;
  readonly #call: SystemCall;
  readonly #name: string;
  /** What the system reads and writes: texts, and behind them the names in a folder. */
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #address: number;

  constructor(runtime: Backend, call: SystemCall, name: string) {
    this.#runtime = runtime;
    this.#call = call;
    this.#name = name;
    this.#memory = runtime.hold(new Uint8Array(entriesOffset + entriesByteLength));
    this.#address = Number(runtime.viewAddress(this.#memory));
  }

  /** The path of the file, which is made if there is none. */
  path(bytes: () => Uint8Array<ArrayBuffer>): string {
    // Other isolates of this process wait, and find what this one makes. Other processes have a folder each. An isolate
    // that was ended in the midst of this keeps the lock.
    const folder = this.#open("/proc/self/fd");
    try {
      const tick = new Int32Array(new SharedArrayBuffer(4));
      for (
        let waits = 1;
        this.#call("flock", folder, lockExclusive | lockAtOnce) !== 0 && waits <= mostWaits;
        waits++
      ) {
        // Less and less often: a process may have many files open.
        const made = (waits & (waits - 1)) === 0 ? this.#find() : undefined;
        if (made !== undefined) return `/proc/self/fd/${made}`;
        Atomics.wait(tick, 0, 0, 1);
      }
      return `/proc/self/fd/${this.#find() ?? this.#make(bytes())}`;
    } finally {
      // Closing alone would leave the lock to a child that was forked meanwhile.
      this.#call("flock", folder, unlock);
      this.#call("close", folder);
    }
  }

  /** Writes a text for the system to read. Its address. */
  #text(text: string): number {
    this.#memory.set(zeroTerminated(text));
    return this.#address;
  }

  #open(path: string): number {
    const descriptor = this.#call("openat", currentFolder, this.#text(path), closeOnExec);
    if (descriptor < 0) throw new Error(`${path} can't be read`);
    return descriptor;
  }

  #find(): string | undefined {
    // Opened anew, since it is read once.
    const folder = this.#open("/proc/self/fd");
    try {
      // One without its seals was left by an isolate that was ended in the midst of it.
      return this.#namesIn(folder).find((entry) => this.#isOurs(entry) && this.#isSealed(Number(entry)));
    } finally {
      this.#call("close", folder);
    }
  }

  /** Whether it has all seals; the system may have added others (`vm.memfd_noexec`). */
  #isSealed(descriptor: number): boolean {
    const seals = this.#call("fcntl", descriptor, getSeals);
    return seals >= 0 && (seals & allSeals) === allSeals;
  }

  #isOurs(entry: string): boolean {
    const target = `/memfd:${this.#name} (deleted)`;
    const path = this.#text(`/proc/self/fd/${entry}`);
    const length = this.#call("readlinkat", currentFolder, path, this.#address + linkOffset, target.length + 1);
    const link = this.#memory.subarray(linkOffset, linkOffset + length);
    return length === target.length && decoder.decode(link) === target;
  }

  /** The names in an open folder. */
  #namesIn(folder: number): string[] {
    const names: string[] = [];
    const entries = this.#memory.subarray(entriesOffset);
    const view = new DataView(entries.buffer, entriesOffset);
    for (;;) {
      const length = this.#call("getdents64", folder, this.#address + entriesOffset, entriesByteLength);
      if (length <= 0) return names;
      for (let at = 0; at < length; at += view.getUint16(at + entryLengthOffset, true)) {
        const start = at + entryNameOffset;
        names.push(decoder.decode(entries.subarray(start, entries.indexOf(0, start))));
      }
    }
  }

  /** A new file in memory: its descriptor. */
  #make(bytes: Uint8Array<ArrayBuffer>): number {
    const address = Number(this.#runtime.viewAddress(this.#runtime.hold(bytes)));
    const descriptor = this.#call("memfd_create", this.#text(this.#name), memoryCloseOnExec | memoryAllowSealing);
    if (descriptor < 0) throw new Error("the system makes no files in memory");
    for (let written = 0; written < bytes.length;) {
      const more = this.#call("write", descriptor, address + written, bytes.length - written);
      if (more <= 0) {
        this.#call("close", descriptor);
        throw new Error("there is no memory for the file");
      }
      written += more;
    }
    if (this.#call("fcntl", descriptor, addSeals, allSeals) !== 0) {
      this.#call("close", descriptor);
      throw new Error("the system seals no files in memory");
    }
    return descriptor;
  }
}
