/** The doctor, as a program: with every permission, with some, with none, and where something is broken. */

import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize, relative } from "node:path";
import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { coreFile } from "../../ffi/core/path.ts";
import { runtimeRow, tested } from "../../ffi/commands/doctor_facts.ts";
import { type Diagnosis, failedBy, type Row } from "../../ffi/commands/doctor_rows.ts";
import { version } from "../../ffi/commands/version.ts";
import { root } from "../../scripts/tools.ts";
import { type ChildOptions, type ChildResult, ownRuntime, runChild, runFiles } from "../support/child.ts";

const itOnDeno = ownRuntime.name === "deno" ? it : it.skip;
/** Deno's `spawnSync` adds -A to a Deno that has no such flag. */
const nothing = ["--deny-net"];
const checks = ["call", "callback", "post", "wait", "nonblocking", "channel", "waking", "worker"];
const ofCore = ["core", "source", "sha256", "libc", "emulator"];

/** Runs the doctor of a folder that is laid out as the project. */
function runDoctor(options: ChildOptions = {}, folder = root): ChildResult {
  return runFiles([relative(root, join(folder, "ffi", "commands", "doctor.ts"))], options);
}

/** What it finds, and its exit code. */
function diagnose(options: ChildOptions = {}, folder = root): Diagnosis & { readonly code: number | null } {
  const { code, stdout, stderr } = runDoctor({ ...options, args: ["--json"] }, folder);
  assertEquals(stderr, "");
  return { code, ...JSON.parse(stdout) as Diagnosis };
}

/** The names of the rows that are in a state. */
function names(rows: Readonly<Record<string, Row>>, wanted: Row["state"]): string[] {
  return Object.entries(rows).filter(([, { state }]) => state === wanted).map(([name]) => name);
}

function manifest(name: string): { version: string; devDependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(join(root, name), "utf8"));
}

describe("the doctor", () => {
  it("finds that everything works, each check in a row", () => {
    const { code, stdout, stderr } = runDoctor();
    assertEquals([code, stderr], [0, ""], stdout);
    assert(stdout.endsWith("\n\nbelay works here.\n"), stdout);
    for (const absent of ["failed", "skipped", "\x1b"]) assertFalse(stdout.includes(absent), stdout);
    for (const name of checks) {
      assert(new RegExp(`^${name} +(ok|warning) +\\d+\\.\\d\\d ms  \\S`, "m").test(stdout), stdout);
    }
    // The columns are aligned.
    for (const line of stdout.split("\n\n")[0].split("\n")) assert(/^.{12} \S.{7} \S/.test(line), line);
  });

  it("prints one object with --json, whose sum is that of the core's file", () => {
    const { code, ok, facts, permissions, checks: found } = diagnose();
    assertEquals([code, ok], [0, true]);
    const path = normalize(coreFile().path);
    assertEquals(facts["core"], { state: "ok", value: path });
    assertEquals(facts["sha256"].value, createHash("sha256").update(readFileSync(path)).digest("hex"));
    assertEquals([facts["belay"].value, facts["source"].value], [version, "package"]);
    assertEquals(Object.keys(facts), ["belay", "runtime", "system", "kernel", ...ofCore]);
    assertEquals(
      Object.keys(permissions),
      ownRuntime.name === "deno" ? ["ffi", "read", "write", "sys", "run", "env"] : [],
    );
    assertEquals(Object.keys(found), checks);
    // A busy machine may be slow to wake the event loop.
    const good = [...names(facts, "ok"), ...names({ ...found, waking: { ...found["waking"], state: "ok" } }, "ok")];
    assertEquals(good, [...Object.keys(facts), ...checks]);
    for (const { ms, value } of Object.values(found)) assert(ms !== undefined && ms > 0 && value !== "");
  });

  it("is as its guide shows it", () => {
    const guide = readFileSync(join(root, "docs", "guide", "doctor.md"), "utf8");
    const [, shown = ""] = /^```text\n([\s\S]*?)^```$/m.exec(guide) ?? [];
    const groups = (table: string) => table.split("\n\n").map((group) => group.split("\n"));
    const { stdout } = runDoctor();
    const [facts = [], ...rest] = groups(stdout);
    const [shownFacts = [], permissions = [], ...shownRest] = groups(shown);
    const named = (lines: readonly string[]) => lines.map((line) => line.split(" ")[0]);
    assertEquals(named(facts), named(shownFacts));
    const expected = ownRuntime.name === "deno" ? [permissions, ...shownRest] : shownRest;
    // Where the machine is busy, the row of waking has another state, with advice below it.
    const untimed = (lines: readonly string[]) =>
      lines.filter((line) => !/^(waking| )/.test(line)).map((line) => line.replaceAll(/ +[\d.]+ ms/g, ""));
    assertEquals(rest.map(untimed), expected.map(untimed));
  });

  it("leaves nothing alive, and lets the process end", () => {
    const { code, stdout, stderr } = runChild("doctor_twice.ts");
    assertEquals([code, stderr], [0, ""]);
    assert(stdout.endsWith("exit codes 0 0\nnothing is left alive\n"), stdout);
  });

  itOnDeno("shows what it can with --allow-ffi alone, and which flags show the rest", () => {
    const permissions = ["--allow-ffi"];
    const { code, facts, permissions: granted, checks: found } = diagnose({ permissions });
    assertEquals(code, 0);
    assertEquals([...names(facts, "skipped"), ...names(found, "skipped")], ["kernel", "sha256", "worker"]);
    assertEquals(Object.values(granted).map(({ value }) => value), ["granted", ...Array(5).fill("not granted")]);
    const { stdout } = runDoctor({ permissions });
    assertStringIncludes(
      stdout,
      "\n--allow-sys shows: kernel\n--allow-read shows: sha256, worker\nbelay works here.\n",
    );
  });

  itOnDeno("says what to do without --allow-ffi, or with a list of paths, and tries nothing", () => {
    for (
      const permissions of [nothing, ["--allow-ffi=/usr/lib"], [`--allow-ffi=${dirname(coreFile().path)}`], [
        "--deny-ffi",
      ]]
    ) {
      const { code, ok, facts, permissions: { ffi }, checks: found } = diagnose({ permissions });
      assertEquals([code, ok, ffi.state], [1, false, "failed"]);
      assertStringIncludes(ffi.advice ?? "", "--allow-ffi, without a list of paths");
      assertEquals(names(facts, "skipped"), ["kernel", ...ofCore]);
      assertEquals(names(found, "skipped"), checks);
      for (const { flag } of Object.values(found)) assertEquals(flag, "--allow-ffi");
    }
    const { code, stdout } = runDoctor({ permissions: nothing });
    assertEquals(code, 1);
    assertStringIncludes(stdout, "→ Start the program with --allow-ffi");
    assertStringIncludes(stdout, "\nbelay doesn't work here: ffi.\n");
  });

  itOnDeno("gives its advice once where one thing fails several checks", () => {
    const { code, stdout } = runDoctor({ v8Flags: ["--disallow-code-generation-from-strings"] });
    assertEquals(code, 1);
    assertEquals(stdout.match(/^\w+ +failed +Cannot bind C functions/gm)?.length, checks.length - 1, stdout);
    assertEquals(stdout.match(/→ Leave out --disallow-code-generation-from-strings/g)?.length, 1, stdout);
  });

  it("says that the core is missing, or no library, and tries nothing that needs it", () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-doctor-")));
    try {
      cpSync(join(root, "ffi"), join(folder, "ffi"), { recursive: true });
      copyFileSync(join(root, "mod.ts"), join(folder, "mod.ts"));
      const core = join(folder, relative(root, coreFile().path));
      for (const text of [undefined, "no library"]) {
        if (text !== undefined) {
          mkdirSync(dirname(core), { recursive: true });
          writeFileSync(core, text);
        }
        const { code, ok, facts, checks: found } = diagnose({}, folder);
        assertEquals([code, ok, facts["core"].state], [1, false, "failed"]);
        assertStringIncludes(facts["core"].value, 'Cannot open "belay\'s native core": no candidate could be loaded');
        assertStringIncludes(facts["core"].advice ?? "", "install the package again");
        assertEquals([...names(facts, "skipped"), ...names(found, "skipped")], [...ofCore.slice(1), ...checks]);
        const { stdout } = runDoctor({}, folder);
        assertStringIncludes(stdout, "\nbelay doesn't work here: core.\n");
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses an option that it doesn't have, with exit code 2, and prints those that it has", () => {
    const { code, stdout, stderr } = runDoctor({ args: ["--json", "--jsno"] });
    assertEquals([code, stdout], [2, ""]);
    assertEquals(stderr, 'Cannot run the doctor: "--jsno" is not an option; these are: --json, --help\n');
    const help = runDoctor({ args: ["--help"], permissions: nothing });
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, "--json");
  });

  it("warns of runtimes that are older than those that belay is tested with, and refuses Node", () => {
    const state = (name: "deno" | "bun" | "node", version: string) => runtimeRow({ name, version }).state;
    assertEquals(state("deno", tested.deno), "ok");
    assertEquals(state("deno", "2.10.0"), "ok");
    assertEquals(state("deno", "3.0.0-rc.1+abcdef"), "ok");
    assertEquals(state("bun", "1.10.0-canary.1"), "ok");
    for (const older of ["2.9.5", "2.8.9", "1.46.3"]) assertEquals(state("deno", older), "warning");
    assertEquals(runtimeRow({ name: "bun", version: "1.4.4" }), {
      state: "warning",
      value: "bun 1.4.4",
      advice: `belay is tested with bun ${tested.bun}: bun upgrade`,
    });
    const node = runtimeRow({ name: "node", version: "26.10.0" });
    assertEquals([node.state, node.value], ["failed", "node 26.10.0"]);
    assertStringIncludes(node.advice ?? "", "Deno or by Bun");
  });

  it("names the permission that an error is about", () => {
    const denied = (flag: string) => {
      const error = new Error(`Requires access to "/home/me/.cache/belay", run again with the ${flag} flag`);
      error.name = "NotCapable";
      return failedBy(error, "advice").advice;
    };
    assertStringIncludes(denied("--allow-ffi") ?? "", "--allow-ffi, without a list of paths");
    assertStringIncludes(denied("--allow-write") ?? "", "--allow-write, too, for the folder that the core goes to");
    assertEquals(failedBy(new Error("it fails"), "advice").advice, "advice");
  });

  it("knows this package's version, and those of the runtimes that it is tested with", () => {
    const { version: packageVersion, devDependencies = {} } = manifest("package.json");
    assertEquals([version, version], [packageVersion, manifest("deno.json").version]);
    assertEquals(tested, { deno: devDependencies["deno"], bun: devDependencies["bun"] });
  });
});
