/**
 * The libraries that the command starts: the commands that it prints, as they stand, until a program uses the packed library.
 * `deno task ok template` runs this on both runtimes; it takes a minute.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
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
import { packedForNpm } from "../../scripts/pack.ts";
import { bun, deno, root, runTypeScript, toolsFolder, zig } from "../../scripts/tools.ts";
import { ownRuntime } from "../support/child.ts";
import { commandsOf, create, timeoutMs } from "./created.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator } from "../support/machine.ts";
import { type NpmRegistry, serveNpmPackage } from "../support/npm_registry.ts";

const windows = process.platform === "win32";
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

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

describe("a library that create started", () => {
  let registry: NpmRegistry | undefined;

  beforeAll(async () => {
    if (reason !== undefined) return;
    registry = await serveNpmPackage(manifest, packedForNpm());
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
        // npm's registry may be behind a certificate that the system alone knows.
        DENO_TLS_CA_STORE: "system,mozilla",
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
    const created = create(args, folder);
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
