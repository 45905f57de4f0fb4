/**
 * The npm package through a real registry, on loopback: it is published to Verdaccio, and installed from there by Bun, npm, pnpm
 * and Deno, each in an empty folder with an empty cache. Then a program runs that uses all of belay, and once more without a
 * network. `--if-available` makes it no failure that Verdaccio can't be installed.
 *
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { testLibrary } from "./build.ts";
import { ifAvailable, MissingError, once } from "./packages.ts";
import { packedForNpm } from "./pack.ts";
import { bun, deno, main, output, root, StepError, toolsFolder } from "./tools.ts";

/** What is installed for this alone. */
const tools = ["verdaccio@6.10.4", "pnpm@12.21.0"];
const expected = "14, 200 calls, true, an event, 30 of 2, package\n";

/** Where Verdaccio and pnpm are. @throws {MissingError} When npm can't install them. */
function installTools(): string {
  const folder = once(join(toolsFolder, ["registry", ...tools].join("-")), (temporary) => {
    // Verdaccio asks for a tag of this one, which mirrors lack.
    writeFileSync(join(temporary, "package.json"), JSON.stringify({ overrides: { "node-fetch": "2.7.0" } }));
    console.error("Installing Verdaccio and pnpm from npm …");
    const args = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", ...tools];
    if (spawnSync("npm", args, { cwd: temporary, stdio: "ignore" }).status !== 0) {
      throw new MissingError('Cannot start "a registry": npm can\'t install Verdaccio');
    }
  });
  return join(folder, "node_modules");
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** A registry that anybody may publish to, without any other registry behind it. */
async function startRegistry(modules: string, folder: string): Promise<{ url: string; process: ChildProcess }> {
  const config = join(folder, "config.yaml");
  const packages = `packages:\n  "**":\n    access: $all\n    publish: $all\n`;
  writeFileSync(
    config,
    `storage: ${join(folder, "storage")}\nuplinks: {}\n${packages}log: { type: stdout, level: fatal }\n`,
  );
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const program = join(modules, "verdaccio", "bin", "verdaccio");
  const started = spawn(bun(), [program, "--config", config, "--listen", `127.0.0.1:${port}`], { stdio: "inherit" });
  for (let tries = 0; tries < 300; tries++) {
    const answered = await fetch(`${url}-/ping`).then(({ ok }) => ok, () => false);
    if (answered) return { url, process: started };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  started.kill();
  throw new StepError("Cannot start the registry: it doesn't answer");
}

/** Runs a command that must end well; what it printed. */
function done(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    cwd,
    encoding: "utf8",
    timeout: 120_000,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  if (status === 0) return stdout;
  throw new StepError(`Cannot run ${[command, ...args].join(" ")}: ${error?.message ?? `${stdout}\n${stderr}`}`);
}

/** How a program is run without a network, where the system lets it. */
function withoutNetwork(): readonly string[] | undefined {
  return output("unshare", ["--net", "true"]) === undefined ? undefined : ["unshare", "--net"];
}

interface Manager {
  readonly name: string;
  readonly add: (modules: string) => readonly [string, ...string[]];
  /** The runtimes that run what it has installed. */
  readonly runs: readonly (readonly [string, ...string[]])[];
}

/** Installs the package in every way, and runs a program. @throws {StepError} When one fails. */
export async function checkRegistry(): Promise<void> {
  const modules = installTools();
  const tarball = packedForNpm();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-registry-")));
  const registry = await startRegistry(modules, folder);
  try {
    const address = registry.url.slice("http:".length);
    // npm wants a token, whatever it is, and the registry none.
    const npmrc = `registry=${registry.url}\n${address}:_authToken=none\n`;
    writeFileSync(join(folder, ".npmrc"), npmrc);
    done("npm", ["publish", tarball, "--registry", registry.url], folder);
    const onBun = [bun(), "run", "installed.ts"] as const;
    const onDeno = [deno(), "run", "--no-prompt", "--quiet", "--allow-ffi", "--allow-read"] as const;
    const onDenoWithModules = [...onDeno, "--node-modules-dir=manual", "installed.ts"] as const;
    const managers: readonly Manager[] = [
      { name: "bun add", add: () => [bun(), "add", "@belay/ffi"], runs: [onBun, onDenoWithModules] },
      { name: "npm install", add: () => ["npm", "install", "@belay/ffi"], runs: [onBun, onDenoWithModules] },
      {
        name: "pnpm add",
        add: (tools) => [bun(), join(tools, "pnpm", "bin", "pnpm.mjs"), "add", "@belay/ffi"],
        runs: [onBun, onDenoWithModules],
      },
      {
        name: "deno add",
        add: () => [deno(), "add", "--quiet", "npm:@belay/ffi"],
        runs: [[...onDeno, "--cached-only", "installed.ts"]],
      },
    ];
    const offline = withoutNetwork();
    if (offline === undefined) {
      console.log("Left out: running without a network, which needs unshare and the right to use it");
    }
    for (const { name, add, runs } of managers) {
      const app = join(folder, name.replace(" ", "-"));
      mkdirSync(app);
      writeFileSync(join(app, ".npmrc"), npmrc);
      if (name === "deno add") {
        // Deno takes no version that is younger than a day.
        writeFileSync(join(app, "deno.json"), JSON.stringify({ minimumDependencyAge: "0" }));
      } else {
        writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
      }
      for (const file of ["installed.ts", "installed_worker.ts", "installed_sum.ts"]) {
        cpSync(join(root, "tests", "programs", file), join(app, file));
      }
      const env = {
        DENO_DIR: join(app, ".deno"),
        BUN_INSTALL_CACHE_DIR: join(app, ".bun"),
        npm_config_cache: join(app, ".npm"),
        npm_config_store_dir: join(app, ".pnpm"),
        npm_config_registry: registry.url,
      };
      const [command, ...args] = add(modules);
      done(command, args, app, env);
      for (const run of runs) {
        for (const way of offline === undefined ? [[]] : [[], offline]) {
          const [program = "", ...rest] = [...way, ...run, testLibrary];
          const stdout = done(program, rest, app, env);
          if (stdout !== expected) throw new StepError(`Cannot pass: after ${name}, ${run[0]} printed ${stdout}`);
        }
      }
      console.log(`${name}: works${offline === undefined ? "" : ", also without a network"}`);
    }
  } finally {
    registry.process.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) await main(() => ifAvailable("the registry", checkRegistry));
