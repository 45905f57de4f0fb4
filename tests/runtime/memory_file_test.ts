/** Libraries that are bytes, as files in memory. */

import { assert, assertEquals, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { dlopen } from "@belay/ffi";
import { backend } from "../../ffi/runtime/choose.ts";
import { memoryFile } from "../../ffi/runtime/memory_file.ts";
import { leftOut } from "../support/left_out.ts";

const linux = process.platform === "linux";
if (!linux) leftOut("files in memory, which Linux has");
const itOnLinux = linux ? it : it.skip;

const bytes = new Uint8Array(100_000).map((_, i) => i);
let made = 0;

/** The path of a file with this name. */
function place(name: string): string {
  const file = memoryFile(backend(), name, () => {
    made++;
    return bytes;
  });
  return "path" in file ? file.path : file.reason;
}

describe("a file in memory", () => {
  itOnLinux("has the bytes, and is made once", () => {
    made = 0;
    const path = place("belay-test-once");
    assert(/^\/proc\/self\/fd\/\d+$/.test(path), path);
    assertEquals(new Uint8Array(readFileSync(path)), bytes);
    assertEquals([place("belay-test-once"), place("belay-test-once"), made], [path, path, 1]);
    assertNotEquals(place("belay-test-other"), path);
  });

  itOnLinux("can't be changed", () => {
    const path = place("belay-test-sealed");
    assertThrows(() => writeFileSync(path, "changed"), Error);
    assertEquals(new Uint8Array(readFileSync(path)), bytes);
  });

  itOnLinux("is found while somebody holds the lock, and made all the same where nobody makes it", () => {
    using libc = dlopen("libc.so.6", {
      open: { parameters: ["cstring", "i32"], result: "i32" },
      flock: { parameters: ["i32", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    });
    const { open, flock, close } = libc.symbols;
    const known = place("belay-test-known");
    // As an isolate does that makes another file, or that was ended in the midst of it.
    const folder = open("/proc/self/fd", 0x80000);
    assertEquals(flock(folder, 2), 0);
    try {
      made = 0;
      assertEquals([place("belay-test-known"), made], [known, 0]);
      const path = place("belay-test-alone");
      assertEquals([readFileSync(path).length, made], [bytes.length, 1]);
    } finally {
      close(folder);
    }
  });

  itOnLinux("may have seals that the system has added", () => {
    const path = place("belay-test-seals");
    using libc = dlopen("libc.so.6", { fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" } });
    const descriptor = Number(path.slice("/proc/self/fd/".length));
    // F_GET_SEALS: writing, growing, shrinking, more seals.
    assertEquals(libc.symbols.fcntl(descriptor, 1034, 0) & 15, 15);
  });

  itOnLinux("is not one that was left half made", () => {
    using libc = dlopen("libc.so.6", {
      memfd_create: { parameters: ["cstring", "u32"], result: "i32" },
      write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
      close: { parameters: ["i32"], result: "i32" },
    });
    const { memfd_create, write, close } = libc.symbols;
    const left = memfd_create("belay-test-half", 3);
    write(left, bytes, 1000);
    assertStringIncludes(readlinkSync(`/proc/self/fd/${left}`), "belay-test-half");
    const path = place("belay-test-half");
    assertNotEquals(path, `/proc/self/fd/${left}`);
    assertEquals(readFileSync(path).length, bytes.length);
    close(left);
  });
});
