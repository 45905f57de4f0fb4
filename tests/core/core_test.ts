/** The native core as a file, and what it refuses. */

import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { rawOpen } from "../bench/raw.ts";
import { core } from "../../ffi/core/core.ts";
import { coreFile } from "../../ffi/core/path.ts";
import { operationAttachBeside, operationIsolateCount } from "../../ffi/core/record.ts";
import { deno, root } from "../../scripts/tools.ts";
import { runFiles } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

const before = alive();
const measured = process.platform === "linux" && process.arch === "x64";
if (!measured) leftOut("the size of the native core, whose limit is for Linux x64");

describe("the native core", () => {
  (measured ? it : it.skip)("is a file of at most 96 KB", () => {
    const { size } = statSync(coreFile().path);
    assert(size <= 96 * 1024, `${size} bytes`);
  });

  it("refuses a caller of another ABI version, and attaches nothing for it", () => {
    const { belay_control } = rawOpen(coreFile().path, {
      belay_control: { parameters: ["u32", "u32", "u64", "u64", "buffer"], result: "u64" },
    });
    const { tag } = core();
    const count = belay_control(operationIsolateCount, 0, 0, 0, null);
    assertEquals(Number(belay_control(operationAttachBeside, 1, 0, 1024, null)), 0);
    assertEquals(belay_control(operationIsolateCount, 0, 0, 0, null), count);
    assertEquals(core().tag, tag);
    // An operation that it doesn't know.
    assertEquals(Number(belay_control(1000, 0, 0, 0, null)), 0);
  });

  it("that is missing is what the error says: with what makes it in a checkout, and no more of that in a package", () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-core-")));
    try {
      // As it is where Deno runs a package: it takes no TypeScript from node_modules.
      for (const inside of ["checkout", "dist"]) {
        const copy = join(folder, inside);
        mkdirSync(copy, { recursive: true });
        cpSync(join(root, "ffi"), join(copy, "ffi"), { recursive: true });
        copyFileSync(join(root, "mod.ts"), join(copy, "mod.ts"));
        const { stdout, stderr } = runFiles(["tests/programs/core_is_missing.ts"], { args: [copy] });
        assertStringIncludes(stdout, 'LibraryLoadError: Cannot open "belay\'s native core"', stderr);
        const isPackage = inside !== "checkout";
        assertEquals(stdout.includes("deno task build"), !isPackage, stdout);
        assertEquals(stdout.includes("install the package again"), isPackage, stdout);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  (hasHostPrograms ? it : it.skip)("says on Deno that it needs --allow-ffi without a list of paths", () => {
    const program = join(root, "tests", "programs", "narrow_permission.ts");
    for (const list of ["/etc", "libc.so.6", `libc.so.6,${dirname(dirname(coreFile().path))}`]) {
      const args = [
        "run",
        "--no-prompt",
        "--no-check",
        "--quiet",
        "--allow-env",
        "--allow-read",
        `--allow-ffi=${list}`,
      ];
      const { stdout, stderr } = spawnSync(deno(), [...args, program], { cwd: root, encoding: "utf8" });
      assertStringIncludes(stdout, "NotCapable", stderr);
      assertStringIncludes(stdout, "belay needs --allow-ffi without a list of paths");
      assertFalse(stdout.includes("opened"));
    }
  });

  (process.platform === "win32" ? it.skip : it)(
    "is the one that the program names, also after one that isn't there",
    () => {
      const { path } = coreFile();
      const { stdout, stderr } = runFiles(["tests/programs/configured_core.ts"], { args: [path] });
      const [relative, missing, named, again, other] = stdout.trim().split("\n");
      assertStringIncludes(relative ?? "", "expected an absolute path or a file: URL", stderr);
      assertStringIncludes(missing ?? "", "/nowhere/libbelay.so: ");
      assertStringIncludes(missing ?? "", "It is what configure({ core }) named.");
      assertEquals([named, again], ["configured true", "configured true"]);
      assertStringIncludes(other ?? "", `belay has opened "${path}" already`);
    },
  );

  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
  });
});
