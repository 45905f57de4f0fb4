/** How `dlopen` finds a library: by path, by URL, or by name and versions. */

import process from "node:process";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertFalse, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, LibraryLoadError, type LibraryPath, stats } from "@belay/ffi";
import type { Platform } from "../../ffi/types/platform.ts";
import { displayName, libraryCandidates } from "../../ffi/calls/library_path.ts";
import { backend } from "../../ffi/runtime/choose.ts";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";
import { copyLibrary, itOnLinux } from "../support/library_copy.ts";

const before = alive();

describe("paths", () => {
  const definitions = { add_i32: { parameters: ["i32", "i32"], result: "i32" } } as const;

  it("a library opens by path, URL and file:// string, whatever characters are in its path", () => {
    using copy = copyLibrary();
    for (const path of [testLibrary, copy.path]) {
      for (const spelling of [path, pathToFileURL(path), pathToFileURL(path).href]) {
        using library = dlopen(spelling, definitions);
        assertStrictEquals(library.symbols.add_i32(40, 2), 42, String(spelling));
      }
    }
  });

  itOnLinux("a library opens by name and version (Linux only)", () => {
    using libc = dlopen({ name: "c", versions: ["6"] }, { abs: { parameters: ["i32"], result: "i32" } });
    assertStrictEquals(libc.symbols.abs(-7), 7);
  });

  itOnLinux("the next candidate is tried when one doesn't load (Linux only)", () => {
    using libc = dlopen({ name: "c", versions: ["no-such-version", "6"] }, {
      abs: { parameters: ["i32"], result: "i32" },
    });
    assertStrictEquals(libc.symbols.abs(-8), 8);
  });

  it("LibraryLoadError lists every candidate with its own reason", () => {
    const before = stats().live.libraries;
    const name = { name: "belay-no-such", versions: ["2", "1"] };
    const error = assertThrows(() => dlopen(name, definitions), LibraryLoadError);
    assertEquals(error.candidates.map(({ path }) => path), libraryCandidates(name, backend().platform));
    assert(error.candidates.length >= 3);
    assertStringIncludes(error.message, 'Cannot open "belay-no-such": no candidate could be loaded');
    for (const { path, reason } of error.candidates) {
      assert(reason.length > 0);
      assertStringIncludes(error.message, `\n  ${path}: ${reason}`);
      // The loader's words on Windows don't name the file.
      if (process.platform !== "win32") assertStringIncludes(reason, path);
    }
    assertStrictEquals(stats().live.libraries, before);
  });

  const hints: [string, LibraryPath, string][] = [
    ["a file's name as a name", { name: "libno-such.so.6" }, '{ name: "no-such", versions: ["6"] }'],
    ["a name with its prefix", { name: "libno-such" }, '{ name: "no-such" }'],
    ["a file's name of macOS", { name: "libno-such.2.dylib" }, '{ name: "no-such", versions: ["2"] }'],
    ["a file's name of Windows", { name: "no-such.dll" }, '{ name: "no-such" }'],
    ["a relative path", "./no-such.so", 'new URL("./no-such.so", import.meta.url)'],
    ["a relative path with a folder", "lib/no-such.so", "relative to the current directory"],
  ];
  for (const [name, path, hint] of hints) {
    it(`that can't be loaded say what may be meant: ${name}`, () => {
      assertStringIncludes(assertThrows(() => dlopen(path, {}), LibraryLoadError).message, hint);
    });
  }

  itOnLinux("a bare file name of the current directory is not looked for there, as the error says (Linux only)", () => {
    const said = "The loader doesn't look for a bare file name in the current directory";
    const message = (path: string): string => assertThrows(() => dlopen(path, {}), LibraryLoadError).message;
    assertStringIncludes(message("deno.json"), said);
    assertStringIncludes(message("deno.json"), 'pass "./deno.json" or a file: URL');
    // What isn't there either is no such mistake.
    for (const path of ["libno-such.so", "/no-such.so"]) assertFalse(message(path).includes(said), path);
  });

  it("a file that is no library is refused with the loader's reason", () => {
    const path = new URL(import.meta.url);
    const error = assertThrows(() => dlopen(path, definitions), LibraryLoadError);
    assertStrictEquals(error.candidates.length, 1);
    assertStringIncludes(error.message, path.href);
  });

  const platform = (os: Platform["os"]): Platform => ({ os, arch: "x86_64" });
  const sqlite = { name: "sqlite3", versions: ["0", "1"] };
  const candidates: [string, LibraryPath, Platform["os"], string[]][] = [
    ["a name", { name: "z" }, "linux", ["libz.so"]],
    ["versions", sqlite, "linux", ["libsqlite3.so.0", "libsqlite3.so.1", "libsqlite3.so"]],
    ["a name", { name: "z" }, "darwin", ["libz.dylib", "/opt/homebrew/lib/libz.dylib"]],
    ["versions", sqlite, "darwin", [
      "libsqlite3.0.dylib",
      "libsqlite3.1.dylib",
      "libsqlite3.dylib",
      "/opt/homebrew/lib/libsqlite3.0.dylib",
      "/opt/homebrew/lib/libsqlite3.1.dylib",
      "/opt/homebrew/lib/libsqlite3.dylib",
    ]],
    ["a name", { name: "z" }, "windows", ["z.dll", "libz.dll"]],
    ["versions", sqlite, "windows", [
      "sqlite3.dll",
      "sqlite3-0.dll",
      "libsqlite3-0.dll",
      "sqlite3-1.dll",
      "libsqlite3-1.dll",
      "libsqlite3.dll",
    ]],
    ["a path", "./dir/lib.so", "linux", ["./dir/lib.so"]],
    ["a file name", "libz.so.1", "linux", ["libz.so.1"]],
    ["a URL", new URL("file:///dir/a%20b.so"), "linux", ["/dir/a b.so"]],
    ["a file:// string", "file:///dir/a%20b.so", "darwin", ["/dir/a b.so"]],
    ["a URL", new URL("file:///C:/dir/a%20b.dll"), "windows", ["C:\\dir\\a b.dll"]],
    ["a file:// string", "file:///C:/dir/b.dll", "windows", ["C:\\dir\\b.dll"]],
    ["a path", "C:\\dir\\b.dll", "windows", ["C:\\dir\\b.dll"]],
  ];
  for (const [name, path, os, expected] of candidates) {
    it(`libraryCandidates on ${os} from ${name}: ${JSON.stringify(path)}`, () => {
      assertEquals(libraryCandidates(path, platform(os)), expected);
    });
  }

  const wrong: [string, unknown, string][] = [
    ["a name with a slash", { name: "dir/z" }, "without slashes"],
    ["a name with a backslash", { name: "dir\\z" }, "without slashes"],
    ["a name with a NUL", { name: "z\0" }, "without slashes"],
    ["an empty name", { name: "" }, "without slashes"],
    ["a name that is no string", { name: 1 }, "without slashes"],
    ["an unknown key", { name: "z", version: "1" }, '"version" is not a property'],
    ["an empty path", "", "without NUL characters"],
    ["a path with a NUL", "lib\0.so", "without NUL characters"],
    ["a number", 1, "must be a string"],
    ["undefined", undefined, "must be a string"],
    ["an https: URL", new URL("https://example.com/lib.so"), "expected a file: URL"],
  ];
  for (const [name, path, message] of wrong) {
    it(`${name} is refused with TypeError as a library's path`, () => {
      for (const os of ["linux", "darwin", "windows"] as const) {
        assertThrows(() => libraryCandidates(path as LibraryPath, platform(os)), TypeError, message);
      }
      const error = assertThrows(() => dlopen(path as LibraryPath, definitions), TypeError);
      assertStringIncludes(error.message, message);
    });
  }

  it("displayName is the path, the URL or the name", () => {
    assertEquals(displayName("./lib.so"), "./lib.so");
    assertEquals(displayName(new URL("file:///lib.so")), "file:///lib.so");
    assertEquals(displayName({ name: "z", versions: ["1"] }), "z");
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
