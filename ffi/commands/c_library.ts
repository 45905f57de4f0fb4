/**
 * The system's own C library, which every machine has: its name, its version, and how it starts a thread.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import process from "node:process";
import type { Belay, LibraryPath, Pointer } from "./belay.ts";
import { mayUse } from "./surroundings.ts";

/** What `dlopen` takes for the C library. */
export const libc: LibraryPath = process.platform === "darwin"
  ? "libSystem.B.dylib"
  : process.platform === "win32"
  ? "ucrtbase.dll"
  : { name: "c", versions: ["6"] };

/** Which C library it is, with its version where that can be known. */
export function libcVersion(belay: Belay): string {
  if (process.platform === "darwin") return "libSystem";
  if (process.platform === "win32") return "ucrtbase";
  const library = belay.dlopen(libc, {
    gnu_get_libc_version: { parameters: [], result: "cstring", optional: true },
  });
  try {
    // The C library itself is asked: Deno's process.report names another version than the one that is loaded.
    const version = library.symbols.gnu_get_libc_version?.();
    return version === undefined ? muslVersion() : `glibc ${version}`;
  } finally {
    library.close();
  }
}

/** musl tells its version when its loader is run as a program, and nowhere else. */
function muslVersion(): string {
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  if (!mayUse("run")) return "musl";
  try {
    execFileSync(`/lib/ld-musl-${arch}.so.1`, [], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    // It ends with an error, since it was given no program.
    const [, version] = /^Version (\S+)/m.exec(String((error as { stderr?: unknown }).stderr)) ?? [];
    if (version !== undefined) return `musl ${version}`;
  }
  return "musl";
}

/** What stands between the program and the system or processor that it was built for; `undefined` where nothing is known. */
export function emulator(belay: Belay): string | undefined {
  if (process.platform === "win32") {
    const library = belay.dlopen("ntdll.dll", {
      wine_get_version: { parameters: [], result: "cstring", optional: true },
    });
    const version = library.symbols.wine_get_version?.();
    library.close();
    return version === undefined ? undefined : `wine ${version}`;
  }
  if (process.platform !== "darwin") return undefined;
  const library = belay.dlopen(libc, {
    sysctlbyname: { parameters: ["cstring", "buffer", "buffer", "pointer", "usize"], result: "i32" },
  });
  const translated = new Int32Array(1);
  library.symbols.sysctlbyname("sysctl.proc_translated", translated, new BigUint64Array([4n]), null, 0);
  library.close();
  return translated[0] === 1 ? "Rosetta" : undefined;
}

/** Threads that the system starts. */
export interface Threads {
  /**
   * Starts a thread, and answers what to join or detach it by.
   *
   * @param main A C function that takes a handle. If it has a result, 32 bits of that count.
   * @param id The handle's id.
   */
  start(main: Pointer, id: number): bigint;
  /** Waits, while JavaScript goes on, until a thread has ended, and answers its result. */
  join(thread: bigint): Promise<number>;
  /** Lets a thread end by itself. */
  detach(thread: bigint): void;
  close(): void;
}

/** Opens what starts threads. */
export function openThreads(belay: Belay): Threads {
  return process.platform === "win32" ? windowsThreads(belay) : posixThreads(belay);
}

function posixThreads({ dlopen }: Belay): Threads {
  const definitions = {
    pthread_create: { parameters: ["buffer", "pointer", "function", "handle"], result: "i32" },
    pthread_join: { parameters: ["usize", "buffer"], result: "i32", nonblocking: true },
    pthread_detach: { parameters: ["usize"], result: "i32" },
  } as const;
  const open = (path: LibraryPath) => dlopen(path, definitions);
  let library: ReturnType<typeof open>;
  try {
    library = open(libc);
  } catch (error) {
    // Before 2.34 glibc has threads in a library of their own.
    if (process.platform !== "linux" || (error as Error).name !== "SymbolNotFoundError") throw error;
    library = open({ name: "pthread", versions: ["0"] });
  }
  const { pthread_create, pthread_join, pthread_detach } = library.symbols;
  return {
    start(main, id) {
      const thread = new BigUint64Array(1);
      check("pthread_create", pthread_create(thread, null, main, id));
      return thread[0] ?? 0n;
    },
    async join(thread) {
      const result = new Uint32Array(2);
      check("pthread_join", await pthread_join(thread, result));
      return result[0] ?? 0;
    },
    detach: (thread) => check("pthread_detach", pthread_detach(thread)),
    close: () => library.close(),
  };
}

function check(name: string, code: number): void {
  if (code !== 0) throw new Error(`Cannot use the system's threads: ${name} failed with error ${code}`);
}

function windowsThreads({ dlopen }: Belay): Threads {
  const library = dlopen("kernel32.dll", {
    CreateThread: { parameters: ["pointer", "usize", "function", "handle", "u32", "pointer"], result: "usize" },
    WaitForSingleObject: { parameters: ["usize", "u32"], result: "u32", nonblocking: true },
    GetExitCodeThread: { parameters: ["usize", "buffer"], result: "i32" },
    CloseHandle: { parameters: ["usize"], result: "i32" },
  });
  const { CreateThread, WaitForSingleObject, GetExitCodeThread, CloseHandle } = library.symbols;
  const forever = 0xffff_ffff;
  return {
    start(main, id) {
      const thread = CreateThread(null, 0, main, id, 0, null);
      if (thread === 0n) throw new Error("Cannot use the system's threads: CreateThread failed");
      return thread;
    },
    async join(thread) {
      await WaitForSingleObject(thread, forever);
      const result = new Uint32Array(1);
      GetExitCodeThread(thread, result);
      CloseHandle(thread);
      return result[0] ?? 0;
    },
    detach: (thread) => void CloseHandle(thread),
    close: () => library.close(),
  };
}
