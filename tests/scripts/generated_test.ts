/** The listings of generated code: they are those of now, and a change of a generator is seen. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { deno, root } from "../../scripts/tools.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

if (!hasHostPrograms) leftOut("the listings of generated code, which are the host's Deno's");
const itOnHost = hasHostPrograms ? it : it.skip;

/** Holds a folder of listings against what is generated now. */
function check(folder: string): { status: number | null; stderr: string } {
  const args = ["run", "-A", "--quiet", "--no-check", "scripts/generated.ts", "--check", `--folder=${folder}`];
  const { status, stderr } = spawnSync(deno(), args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { status, stderr };
}

describe("docs/architecture/generated", () => {
  itOnHost("is what belay generates, and stale when anything of it differs", () => {
    const listings = join(root, "docs", "architecture", "generated");
    assertEquals(check(listings), { status: 0, stderr: "" });
    const folder = mkdtempSync(join(tmpdir(), "belay-"));
    try {
      cpSync(listings, folder, { recursive: true });
      const path = join(folder, "call.js");
      // As if the generator had left the check of the argument out.
      const text = readFileSync(path, "utf8");
      const changed = text.replace(/ *if \(typeof a0.*\n/, "");
      assertEquals(changed === text, false);
      writeFileSync(path, changed);
      writeFileSync(join(folder, "more.js"), "");
      const { status, stderr } = check(folder);
      assertEquals(status, 1);
      assertStringIncludes(stderr, "Stale in docs/architecture/generated: call.js, more.js");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
