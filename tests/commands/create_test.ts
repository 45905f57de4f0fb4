/** The command that starts a library: what it refuses, what it writes, and the commands that it prints, as they stand. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { zigVersion } from "../../ffi/commands/template/build_script.ts";
import { version } from "../../ffi/commands/version.ts";
import { bun, deno, output, root, runTypeScript, toolsFolder, zig } from "../../scripts/tools.ts";
import { ownRuntime } from "../support/child.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator, slowness } from "../support/machine.ts";
import { type NpmRegistry, serveNpmPackage } from "../support/npm_registry.ts";

const windows = process.platform === "win32";
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const timeoutMs = 110_000 * slowness;

/** Why no project can be built here, if so. */
function whyNot(): string | undefined {
  if (emulator !== undefined) return "programs of the host build them";
  const found = spawnSync("npm", ["view", "typescript", "version"], { timeout: 30_000, shell: windows });
  return found.status === 0 ? undefined : "npm's registry can't be reached";
}

const reason = whyNot();
if (reason !== undefined) leftOut(`the libraries that create starts, since ${reason}`);
const itBuilds = reason === undefined ? it : it.skip;

const folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-create-")));
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in a folder for tests. */
function create(args: readonly string[], cwd = folder, module = "create.ts"): Result {
  const flags = ownRuntime.name === "deno" ? ["--quiet", "--no-check", "-A"] : [];
  const command = [ownRuntime.binary, "run", ...flags, join(root, "ffi", "commands", module), ...args];
  const [program, ...rest] = emulator === undefined ? command : [emulator, ...command];
  const { status, stdout, stderr, error } = spawnSync(program, rest, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: timeoutMs,
  });
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}

/** The commands at the end of what was printed. */
function commandsOf({ stdout }: Result): string[] {
  return (stdout.split("pack it for all platforms:\n")[1] ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
}

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
      const { code, stdout, stderr } = create(args);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, message);
      assertEquals(readdirSync(folder), []);
    });
  }

  it("no argument at all, and says what it takes", () => {
    const { code, stderr } = create([]);
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
    const { code, stdout } = create(["--help"]);
    assertEquals(code, 0);
    assertMatch(stdout, /^Usage: (deno|bunx) /);
  });

  it("is a command of the npm package's program, which names its commands", () => {
    assertEquals(create(["create", "--help"], folder, "main.ts"), create(["--help"]));
    const helped = create(["--help"], folder, "main.ts");
    assertEquals(helped.code, 0);
    assertMatch(helped.stdout, /^Usage: .*\n\n {2}create {3}starts .*\n {2}doctor {3}says /);
    const { code, stdout, stderr } = create(["crate"], folder, "main.ts");
    assertEquals([code, stdout, stderr], [1, "", `belay has no command "crate"\n${helped.stdout}`]);
    assertEquals(create([], folder, "main.ts"), { code: 1, stdout: "", stderr: helped.stdout });
  });

  it("knows this version, and those of the tools that are pinned", () => {
    const { version: denoVersion } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
    assertEquals([version, version], [manifest.version, denoVersion]);
    mkdirSync(join(folder, "versions"));
    create(["versions"]);
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(folder, "versions", "package.json"), "utf8"),
    );
    assertEquals(dependencies, { "@belay/ffi": `^${version}` });
    assertEquals(devDependencies.typescript, manifest.devDependencies.typescript);
    if (emulator === undefined) assertEquals(output(zig(), ["version"]), zigVersion);
  });

  it("prints what the guide says", () => {
    const guide = readFileSync(join(root, "docs", "guide", "create.md"), "utf8");
    const printed = create(["my-lib"]);
    const words = ownRuntime.name === "deno" ? printed.stdout.trimEnd() : commandsOf(printed).join("\n");
    assertStringIncludes(guide, words);
    rmSync(join(folder, "my-lib"), { recursive: true });
  });

  it("writes projects that are formatted and that lint has nothing against, whatever they are called", () => {
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

describe("a library that create started", () => {
  let registry: NpmRegistry | undefined;

  beforeAll(async () => {
    if (reason !== undefined) return;
    const packed = spawnSync("npm", ["pack", "--pack-destination", folder], {
      cwd: root,
      encoding: "utf8",
      shell: windows,
    });
    assertEquals(packed.status, 0, packed.stderr);
    const file = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
    registry = await serveNpmPackage(manifest, join(folder, file));
  });

  afterAll(() => registry?.close());

  /** Runs a command as a user would, with this machine's Zig and the pinned runtimes, and caches of the test's own. */
  async function run(command: string, cwd: string): Promise<string> {
    const [program = "", ...args] = command.split(" ");
    const child = spawn(program, args, {
      cwd,
      env: {
        ...process.env,
        NO_COLOR: "1",
        PATH: [dirname(deno()), dirname(bun()), process.env["PATH"]].join(delimiter),
        ZIG: zig(),
        ZIG_GLOBAL_CACHE_DIR: join(toolsFolder, "zig-cache"),
        DENO_DIR: join(folder, "cache", "deno"),
        BUN_INSTALL_CACHE_DIR: join(folder, "cache", "bun"),
      },
      shell: windows,
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => printed += text);
    }
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on("error", reject).on("close", (code, signal) => resolve([code, signal]));
    });
    assertEquals([code, signal], [0, null], `${command} printed:\n${printed}`);
    return printed;
  }

  /** Starts a library. The commands that build and test it have run, and those that are left are returned. */
  async function start(args: readonly string[]): Promise<{ project: string; left: string[] }> {
    const created = create(args);
    assertEquals([created.code, created.stderr], [0, ""]);
    const [enter = "", install = "", build = "", test = "", ...left] = commandsOf(created);
    const project = join(folder, enter.slice("cd ".length));
    writeFileSync(join(project, ".npmrc"), registry?.setting ?? "");
    await run(install, project);
    await run(build, project);
    assertMatch(await run(test, project), /6 pass/);
    return { project, left };
  }

  /** A program that has the packed library from npm prints the same on both runtimes. */
  async function use(name: string, project: string): Promise<void> {
    const file = readdirSync(project).find((name) => name.endsWith(".tgz")) ?? "";
    const [, program = ""] = /^```ts\n([\s\S]*?)^```$/m.exec(readFileSync(join(project, "README.md"), "utf8")) ?? [];
    const app = `${project}-app`;
    mkdirSync(app);
    writeFileSync(join(app, ".npmrc"), registry?.setting ?? "");
    writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
    writeFileSync(join(app, "main.ts"), program);
    await run(`bun add ${join("..", project.slice(folder.length + 1), file)}`, app);
    assert(existsSync(join(app, "node_modules", name, "dist", "mod.d.ts")));
    const expected = "true\n2\n3\n5\n7\n11\n";
    assertEquals(await run("bun run main.ts", app), expected);
    assertEquals(await run("deno run --quiet --check --allow-ffi main.ts", app), expected);
  }

  const platforms = ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "win32-arm64", "win32-x64"];

  itBuilds(
    "in Zig builds, passes its tests and is packed for all platforms by the commands that are printed",
    async () => {
      const { project, left } = await start(["my-lib"]);
      for (const command of left) await run(command, project);
      assertEquals(readdirSync(join(project, "native", "lib")).sort(), platforms);
      await use("my-lib", project);
      // After all of that, too.
      for (const args of ["check --quiet", "lint --quiet", "fmt --check --quiet"]) await run(`deno ${args}`, project);
      runTypeScript(["--project", project]);
    },
  );

  itBuilds("in C builds for this machine and others, and passes its tests", async () => {
    const { project } = await start(["@me/c-lib", "--c"]);
    const others = ["linux-arm64", "darwin-x64", "darwin-arm64"];
    await run(`${ownRuntime.name === "deno" ? "deno task" : "bun run"} build ${others.join(" ")}`, project);
    for (const platform of others) assertEquals(readdirSync(join(project, "native", "lib", platform)).length, 1);
    await run("deno check --quiet", project);
    runTypeScript(["--project", project]);
  });
});
