/**
 * Holds the cores of all platforms against what they promise: their sizes, the same bytes from two folders of different depth,
 * exports that are exactly the header's, nothing that they need but what every such system has, and no memory that is both
 * writable and executable.
 *
 * @module
 */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Platform } from "../ffi/types/platform.ts";
import { buildCore, buildCoreIn, coreOf, folderOf, platforms } from "./build.ts";
import { MissingError } from "./packages.ts";
import { main, output, root, runZig, StepError } from "./tools.ts";

/** What the core compiles for, and is in no package: nothing has run there. */
const alsoCompiled = ["x86_64-freebsd", "aarch64-freebsd"];

/** The most bytes that a core may have. */
const mostBytes = 110 * 1024;

/** What a core's file says of itself. */
export interface CoreFacts {
  readonly machine: string;
  readonly exports: readonly string[];
  /** The libraries that the loader has to find. */
  readonly needed: readonly string[];
  /** What the core takes from whichever library has it, `w` or `U` before the name; Linux alone has such symbols. */
  readonly undefined: readonly string[];
  /** The parts that are both writable and executable, an executable stack among them. */
  readonly unsafe: readonly string[];
}

const machines: Readonly<Record<string, string>> = {
  "linux-x86_64": "EM_X86_64",
  "linux-aarch64": "EM_AARCH64",
  "darwin-x86_64": "X86-64",
  "darwin-aarch64": "Arm64",
  "windows-x86_64": "IMAGE_FILE_MACHINE_AMD64",
  "windows-aarch64": "IMAGE_FILE_MACHINE_ARM64",
};

/** Libraries that are part of the system. */
const systemLibraries: Readonly<Record<Platform["os"], RegExp>> = {
  // The program has its C library: the core asks for none, and runs with glibc's and musl's.
  linux: /^$/,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/,
  windows: /^(KERNEL32\.dll|ntdll\.dll|api-ms-win-crt-(heap|private|string)-l1-1-0\.dll)$/,
};

/** Symbols of glibc 2.18 and older, and of musl. */
const knownSymbols = new Set(
  ("_exit __errno_location __tls_get_addr calloc clock_gettime dl_iterate_phdr dladdr dlclose dlerror dlopen " +
    "dlsym free getrlimit madvise malloc malloc_usable_size memchr memcpy memmove memset mincore mmap " +
    "mprotect munmap posix_memalign pthread_attr_destroy pthread_attr_getstack pthread_attr_init " +
    "pthread_attr_setstacksize pthread_create pthread_detach pthread_getattr_np pthread_key_create " +
    "pthread_self pthread_setspecific realloc sched_yield strlen sysconf write").split(" "),
);
/** Symbols that one of the two lacks, which have to be weak. */
const oneLibrarys = new Set("__cxa_thread_atexit_impl __libc_stack_end __register_atfork pthread_atfork".split(" "));

/** What the private header and Node-API have a library export. */
function declaredExports(): string[] {
  const header = readFileSync(join(root, "native", "src", "core.h"), "utf8");
  const names = Array.from(header.matchAll(/^[a-z][\w ]*[ *](belay_\w+)\(/gm), ([, name = ""]) => name);
  return [...new Set([...names, "napi_register_module_v1", "node_api_module_get_api_version_v1"])].sort();
}

/** Runs a tool of LLVM's that knows the files of every system. @throws {MissingError} When it isn't there. */
function llvm(tool: string, args: readonly string[]): string {
  const text = output(tool, args);
  // On GitHub a check that is left out would be one that nobody misses.
  if (text === undefined && process.env["CI"] !== undefined) {
    throw new StepError(`Cannot inspect the cores without ${tool}`);
  }
  if (text === undefined) {
    throw new MissingError(`Cannot inspect "the cores": ${tool} is missing (Debian: apt-get install llvm)`);
  }
  return text;
}

const matches = (text: string, pattern: RegExp): string[] =>
  Array.from(text.matchAll(pattern), ([, name = ""]) => name);

/** What a core's file says of itself. */
export function inspect(file: string, os: Platform["os"]): CoreFacts {
  const headers = llvm("llvm-readobj", ["--file-headers", "--needed-libs", file]);
  const [machine = ""] = matches(headers, /(?:Machine|CpuType): ([\w-]+)/g);
  const listed = /NeededLibraries \[([^\]]*)\]/.exec(headers)?.[1] ?? "";
  const needed = listed.split("\n").map((line) => line.trim()).filter((line) =>
    line !== "" && !line.startsWith("@rpath/")
  );
  switch (os) {
    case "linux": {
      const segments = llvm("llvm-readobj", ["--program-headers", file]).split("ProgramHeader {").slice(1);
      const unsafe = segments.filter((segment) => segment.includes("PF_W") && segment.includes("PF_X"));
      // Without this header the stack is executable.
      if (!segments.some((segment) => segment.includes("PT_GNU_STACK"))) unsafe.push("Type: PT_GNU_STACK");
      const symbols = llvm("llvm-nm", ["--dynamic", file]);
      return {
        machine,
        needed,
        exports: matches(symbols, /^[0-9a-f]+ [A-Z] (\S+)$/gm).sort(),
        undefined: matches(symbols, /^ +([A-Za-z] \S+)$/gm),
        unsafe: unsafe.flatMap((segment) => matches(segment, /Type: (\w+)/g)),
      };
    }
    case "darwin": {
      const segments = llvm("llvm-objdump", ["--macho", "--private-headers", file]).split(/^Load command/m);
      const unsafe = segments.filter((segment) => /(max|init)prot .wx/.test(segment));
      const names = matches(llvm("llvm-objdump", ["--macho", "--exports-trie", file]), /^0x\w+ +_(\w+)$/gm);
      // The linker's own.
      const exports = names.filter((name) => !["_mh_dylib_header", "__dso_handle"].includes(name)).sort();
      return {
        machine,
        needed,
        exports,
        undefined: [],
        unsafe: unsafe.flatMap((part) => matches(part, /segname (\w+)/g)),
      };
    }
    case "windows": {
      const sections = llvm("llvm-readobj", ["--sections", file]).split("Section {").slice(1);
      const unsafe = sections.filter((section) => section.includes("MEM_WRITE") && section.includes("MEM_EXECUTE"));
      const exported = llvm("llvm-readobj", ["--coff-exports", file]);
      return {
        machine,
        needed,
        exports: matches(exported, /^ +Name: (\w+)$/gm).sort(),
        undefined: [],
        unsafe: unsafe.flatMap((section) => matches(section, /Name: (\S+)/g)),
      };
    }
  }
}

/** What of a core isn't as it must be, a sentence each. */
export function wrongs(target: Platform, facts: CoreFacts, byteLength: number): string[] {
  const declared = declaredExports();
  const more = facts.exports.filter((name) => !declared.includes(name));
  const fewer = declared.filter((name) => !facts.exports.includes(name));
  const needed = facts.needed.filter((name) => !systemLibraries[target.os].test(name));
  const unknown = facts.undefined.filter((symbol) => {
    const [kind = "", name = ""] = symbol.split(" ");
    return kind === "w" ? !oneLibrarys.has(name) : !knownSymbols.has(name);
  });
  return [
    ...(facts.machine === machines[folderOf(target)] ? [] : [`it is for ${facts.machine}`]),
    ...(byteLength <= mostBytes ? [] : [`it has ${byteLength} bytes, more than ${mostBytes}`]),
    ...more.map((name) => `it exports ${name}, which the header doesn't declare`),
    ...fewer.map((name) => `it doesn't export ${name}`),
    ...needed.map((name) => `it needs ${name}`),
    ...unknown.map((name) => `it needs the symbol ${name}, which older C libraries may lack`),
    ...facts.unsafe.map((name) => `${name} is writable and executable`),
  ];
}

/** Builds every core again, from a copy of the sources in a folder of another depth. @throws {StepError} When bytes differ. */
function checkReproducible(): void {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-cores-")));
  try {
    const native = join(folder, "another", "folder", "native");
    mkdirSync(native, { recursive: true });
    for (const name of ["build.zig", "build.zig.zon", "record.zig", "src", "include"]) {
      cpSync(join(root, "native", name), join(native, name), { recursive: true });
    }
    for (const target of platforms) {
      if (!readFileSync(buildCoreIn(native, target)).equals(readFileSync(coreOf(target)))) {
        throw new StepError(`Cannot reproduce the core for ${folderOf(target)}: another folder gives other bytes`);
      }
    }
    for (const target of alsoCompiled) runZig(["build", `-Dtarget=${target}`], { cwd: native, quiet: true });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Builds all cores and checks them. @throws {StepError} When one isn't as it must be. */
export function checkCores(): void {
  platforms.forEach(buildCore);
  checkReproducible();
  const found = platforms.flatMap((target) => {
    const file = coreOf(target);
    const { length } = readFileSync(file);
    console.log(`${folderOf(target)}: ${length} bytes`);
    return wrongs(target, inspect(file, target.os), length).map((wrong) => `${folderOf(target)}: ${wrong}`);
  });
  if (found.length > 0) throw new StepError(`Cannot pass:\n${found.join("\n")}`);
}

if (import.meta.main) await main(checkCores);
