/** The command that starts a library: what it refuses, what it writes, and the commands that it prints, as they stand. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zigVersion } from "../../ffi/commands/template/build_script.ts";
import { version } from "../../ffi/commands/version.ts";
import { deno, output, root, zig } from "../../scripts/tools.ts";
import { ownRuntime } from "../support/child.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator, hasHostPrograms } from "../support/machine.ts";
import { commandsOf, create } from "./created.ts";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-create-")));
afterAll(() => rmSync(folder, { recursive: true }));

if (!hasHostPrograms) leftOut("new projects' format and the versions that they pin, which programs of the host know");
const itOnHost = hasHostPrograms ? it : it.skip;

describe("create refuses", () => {
  const cases: readonly (readonly [what: string, args: readonly string[], message: string])[] = [
    ["two names", ["a", "b"], "expected one name, got 2"],
    ["options alone", ["--c"], "expected one name, got 0"],
    ["an option that there isn't", ["my-lib", "--rust"], '"--rust" is not an option; there are --c, --zig and --help'],
    ["two languages", ["my-lib", "--c", "--zig"], "expected --c or --zig, got both"],
    ...["My-Lib", "my_lib", "my--lib", "my-lib-", "1st", "..", "../my-lib", "a/b", "@me", "@me/", "con", "a".repeat(41)]
      .map((name) => [`"${name}"`, [name], `Cannot create "${name}": a library's name has`] as const),
  ];
  for (const [what, args, message] of cases) {
    it(what, () => {
      const { code, stdout, stderr } = create(args, folder);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, message);
      assertEquals(readdirSync(folder), []);
    });
  }

  it("no argument at all, and says what it takes", () => {
    const { code, stderr } = create([], folder);
    assertEquals(code, 1);
    assertMatch(stderr, /^Usage: (deno|bunx) /);
  });

  it("a folder that isn't empty, and a file", () => {
    const inner = join(folder, "taken");
    mkdirSync(join(inner, "full"), { recursive: true });
    writeFileSync(join(inner, "full", "mine.txt"), "mine");
    writeFileSync(join(inner, "file"), "mine");
    assertStringIncludes(create(["full"], inner).stderr, 'Cannot create "full": the folder isn\'t empty');
    assertStringIncludes(create(["file"], inner).stderr, 'Cannot create "file": there is a file of this name');
    assertEquals(readdirSync(inner, { recursive: true, encoding: "utf8" }).sort(), [
      "file",
      "full",
      join("full", "mine.txt"),
    ]);
    rmSync(inner, { recursive: true });
  });
});

describe("create", () => {
  it("says what it takes", () => {
    const { code, stdout } = create(["--help"], folder);
    assertEquals(code, 0);
    assertMatch(stdout, /^Usage: (deno|bunx) /);
  });

  it("is a command of the npm package's program, which names its commands", () => {
    assertEquals(create(["create", "--help"], folder, "main.ts"), create(["--help"], folder));
    const helped = create(["--help"], folder, "main.ts");
    assertEquals(helped.code, 0);
    assertMatch(helped.stdout, /^Usage: .*\n\n {2}create {3}starts .*\n {2}doctor {3}says /);
    const { code, stdout, stderr } = create(["crate"], folder, "main.ts");
    assertEquals([code, stdout, stderr], [1, "", `belay has no command "crate"\n${helped.stdout}`]);
    assertEquals(create([], folder, "main.ts"), { code: 1, stdout: "", stderr: helped.stdout });
  });

  itOnHost("knows this version, and those of the tools that are pinned", () => {
    const { version: denoVersion } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
    assertEquals([version, version], [manifest.version, denoVersion]);
    mkdirSync(join(folder, "versions"));
    create(["versions"], folder);
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(folder, "versions", "package.json"), "utf8"),
    );
    assertEquals(dependencies, { "@belay/ffi": `^${version}` });
    assertEquals(devDependencies.typescript, manifest.devDependencies.typescript);
    if (emulator === undefined) assertEquals(output(zig(), ["version"]), zigVersion);
  });

  it("prints what the guide says", () => {
    const guide = readFileSync(join(root, "docs", "guide", "create.md"), "utf8");
    const printed = create(["my-lib"], folder);
    const words = ownRuntime.name === "deno" ? printed.stdout.trimEnd() : commandsOf(printed).join("\n");
    assertStringIncludes(guide, words);
    rmSync(join(folder, "my-lib"), { recursive: true });
  });

  itOnHost("writes projects that are formatted and that lint has nothing against, whatever they are called", () => {
    const projects = join(folder, "formatted");
    mkdirSync(projects);
    const names = ["a", "@me/my-lib", `@${"a".repeat(18)}/${"b".repeat(20)}`];
    for (const [index, name] of names.entries()) {
      for (const language of ["--zig", "--c"]) {
        const parent = join(projects, language, String(index));
        mkdirSync(parent, { recursive: true });
        assertEquals(create([name, language], parent).code, 0);
        const [project = ""] = readdirSync(parent);
        for (const args of [["fmt", "--check", "--quiet"], ["lint", "--quiet"]]) {
          const checked = spawnSync(deno(), args, { cwd: join(parent, project), encoding: "utf8" });
          assertEquals(checked.status, 0, checked.stderr);
        }
      }
    }
  });
});
