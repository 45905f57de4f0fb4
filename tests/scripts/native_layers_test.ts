/** The rule over the imports of the native core: what it finds. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { nativeSources, nativeViolations } from "../../scripts/native_layers.ts";

const sources = nativeSources();

/** What is wrong when a file imports another one, too. */
function withImport(file: string, path: string): string[] {
  return nativeViolations({ ...sources, [file]: `${sources[file]}\nconst planted = @import("${path}");\n` });
}

describe("the layers of the native core", () => {
  it("are kept", () => {
    assertEquals(nativeViolations(sources), []);
  });

  it("refuse an import of what is above", () => {
    assertEquals(withImport("os/futex.zig", "../abi.zig"), []);
    assertEquals(withImport("memory.zig", "queue.zig"), [
      "native/src/memory.zig imports native/src/queue.zig, which is not below it",
    ]);
    assertEquals(
      withImport("thunks/pool.zig", "../queued/record.zig")[0],
      "native/src/thunks/pool.zig imports native/src/queued/record.zig, which is not below it",
    );
  });

  it("refuse a circle, also among the files of one folder", () => {
    assertEquals(withImport("os/fork.zig", "lock.zig"), [
      "native/src has a circle: os/lock.zig → os/fork.zig → os/lock.zig",
    ]);
  });

  it("refuse a file that is in none, and one that isn't there", () => {
    assertEquals(nativeViolations({ ...sources, "stray.zig": "" }), ["native/src/stray.zig is in no layer"]);
    assertEquals(withImport("root.zig", "nothing.zig"), [
      "native/src/root.zig imports native/src/nothing.zig, which is missing",
    ]);
    const { "abi.zig": _, ...others } = sources;
    assertEquals(nativeViolations(others).at(-1), "native/src/abi.zig is missing");
  });

  it("take an import in a comment for none", () => {
    const file = "os/pages.zig";
    const comment = '// const root = @import("../root.zig");\n';
    assertEquals(nativeViolations({ ...sources, [file]: comment + sources[file] }), []);
  });
});
