/** Libraries that are bytes, as files that nobody else can have written. */

import { assert, assertEquals, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Backend } from "../../ffi/runtime/backend.ts";
import { backend } from "../../ffi/runtime/choose.ts";
import { privateFile } from "../../ffi/runtime/private_file.ts";
import { leftOut } from "../support/left_out.ts";

const posix = process.platform !== "win32";
const itOnPosix = posix ? it : it.skip;
if (!posix) leftOut("owners and modes of files: Windows has none");
const isRoot = process.getuid?.() === 0;
const itAsRoot = isRoot ? it : it.skip;
if (!isRoot) leftOut("files of other users, which root alone can make");

const bytes = new Uint8Array(1000).map((_, i) => i);
let home = "";

/** The runtime, in an environment of the test's. */
function inEnvironment(variables: Readonly<Record<string, string>>): Backend {
  const runtime = backend();
  return { ...runtime, files: () => ({ ...runtime.files(), env: (name) => variables[name] }) };
}

const cacheVariable = { linux: "XDG_CACHE_HOME", darwin: "HOME", windows: "LOCALAPPDATA" }[backend().platform.os];
const place = (): string =>
  privateFile(inEnvironment({ [cacheVariable]: home }), "libx-1.so", bytes).replaceAll("\\", "/");
const folder = (): string => join(home, ...(backend().platform.os === "darwin" ? ["Library", "Caches"] : []), "belay");

describe("a private file", () => {
  beforeEach(() => void (home = realpathSync(mkdtempSync(join(tmpdir(), "belay-private-")))));
  afterEach(() => rmSync(home, { recursive: true }));

  it("is made once, in a folder that only the user can enter", () => {
    const path = place();
    assertEquals(path, `${folder().replaceAll("\\", "/")}/libx-1.so`);
    assertEquals(new Uint8Array(readFileSync(path)), bytes);
    const { ino, mtimeMs } = statSync(path);
    assertEquals(place(), path);
    assertEquals([statSync(path).ino, statSync(path).mtimeMs], [ino, mtimeMs]);
    assertEquals(readdirSync(folder()), ["libx-1.so"]);
    if (!posix) return;
    assertEquals([statSync(folder()).mode & 0o777, statSync(path).mode & 0o777], [0o700, 0o700]);
  });

  it("takes the place of one that was changed or cut", () => {
    const path = place();
    const changed = bytes.slice();
    changed[500] = 0;
    for (const other of [changed, bytes.subarray(0, 999), new Uint8Array(0)]) {
      writeFileSync(path, other);
      assertEquals(place(), path);
      assertEquals(new Uint8Array(readFileSync(path)), bytes);
    }
  });

  itOnPosix("takes the place of a link, and of a file that others can write to", () => {
    const path = place();
    const elsewhere = join(home, "elsewhere");
    writeFileSync(elsewhere, bytes);
    rmSync(path);
    symlinkSync(elsewhere, path);
    place();
    assert(lstatSync(path).isFile());
    const { ino } = statSync(path);
    chmodSync(path, 0o722);
    place();
    assertNotEquals(statSync(path).ino, ino);
    assertEquals(statSync(path).mode & 0o777, 0o700);
  });

  itAsRoot("takes the place of another user's", () => {
    const path = place();
    chownSync(path, 12_345, 12_345);
    place();
    assertEquals(statSync(path).uid, 0);
  });

  itOnPosix("is refused in a folder that others can write to, or that is none", () => {
    mkdirSync(folder(), { recursive: true });
    chmodSync(folder(), 0o777);
    assertStringIncludes(assertThrows(place, Error).message, "others can write to");
    rmSync(folder(), { recursive: true });
    symlinkSync(home, folder());
    assertStringIncludes(assertThrows(place, Error).message, "is no folder");
  });

  itAsRoot("is refused in a folder of another user's", () => {
    mkdirSync(folder(), { recursive: true, mode: 0o700 });
    chownSync(folder(), 12_345, 12_345);
    assertStringIncludes(assertThrows(place, Error).message, "belongs to another user");
  });

  it("is refused where the environment names no folder", () => {
    const error = assertThrows(() => privateFile(inEnvironment({}), "libx-1.so", bytes), Error);
    assertStringIncludes(error.message, `${cacheVariable}`);
    assertStringIncludes(error.message, "must be set");
  });

  it("leaves nothing behind where it can't be written", () => {
    const runtime = inEnvironment({ [cacheVariable]: home });
    const full: Backend = {
      ...runtime,
      files: () => ({
        ...runtime.files(),
        write(path, all) {
          writeFileSync(path, all.subarray(0, 10));
          throw new Error("No space left on device");
        },
      }),
    };
    const error = assertThrows(() => privateFile(full, "libx-1.so", bytes), Error);
    assertEquals(error.message, "No space left on device");
    assertEquals(readdirSync(folder()), []);
  });
});
