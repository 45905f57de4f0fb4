/** The permissions that docs/guide/installing.md names, one by one, with everything else denied. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { join } from "node:path";
import { coreFile } from "../../ffi/core/path.ts";
import { testLibrary } from "../../scripts/build.ts";
import { deno, root } from "../../scripts/tools.ts";
import { runProgram } from "../support/installed.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

if (!hasHostPrograms) leftOut("Deno's permissions, which are those of the host's Deno");
const itOnHost = hasHostPrograms ? it : it.skip;
const programs = join(root, "tests", "programs");

/** Runs a program with these permissions and no others. */
function run(permissions: readonly string[], name: string, ...args: readonly string[]) {
  return runProgram(deno(), [
    "run",
    "--no-prompt",
    "--quiet",
    "--no-check",
    ...permissions,
    join(programs, name),
    ...args,
  ]);
}

describe("Deno's permissions: belay needs", () => {
  itOnHost("--allow-ffi for all that it does", () => {
    assertEquals(run(["--allow-ffi"], "installed.ts", testLibrary, "none"), {
      code: 0,
      stdout: "14, 200 calls, true, an event, no worker, package\n",
      stderr: "",
    });
  });

  itOnHost("no more for workers; Deno wants to read their modules", () => {
    const { code, stderr } = run(["--allow-ffi"], "installed.ts", testLibrary);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "--allow-read");
    assertEquals(run(["--allow-ffi", `--allow-read=${programs},${root}`], "installed.ts", testLibrary), {
      code: 0,
      stdout: "14, 200 calls, true, an event, 30 of 2, package\n",
      stderr: "",
    });
  });

  itOnHost("no permission any more when its libraries are open", () => {
    const { code, stdout, stderr } = run(["--allow-ffi"], "revoked_permission.ts", testLibrary);
    assertEquals([code, stdout, stderr], [0, "2 3 8 1.5\n", ""]);
  });

  itOnHost("--allow-ffi without a list", () => {
    const { stderr } = run([`--allow-ffi=${coreFile().path},${testLibrary}`], "installed.ts", testLibrary, "none");
    assertStringIncludes(stderr, "belay needs --allow-ffi without a list of paths");
  });
});
