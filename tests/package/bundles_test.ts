/** Programs that bundlers have made one file of, belay's package with them: they run in another folder, on both runtimes. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { testLibrary } from "../../scripts/build.ts";
import { bun, deno, root } from "../../scripts/tools.ts";
import { ProgramFolder } from "../support/installed.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

if (!hasHostPrograms) leftOut("bundles, which are made by programs of the host");
const itOnHost = hasHostPrograms ? it : it.skip;

/** What tests/programs/installed.ts prints. */
const expected = "14, 200 calls, true, an event, 30 of 2, embedded\n";
const entries = ["installed.ts", "installed_worker.ts"];
const node = process.platform === "win32" ? "node.exe" : "node";
const modules = join(root, "node_modules");

/** A bundler's command for both entries, and how it calls what it makes. */
const bundlers: Readonly<Record<string, { command: () => readonly string[]; extension?: string }>> = {
  "bun build": { command: () => [bun(), "build", ...entries, "--target=bun", "--outdir=out"] },
  "bun build --minify": { command: () => [bun(), "build", ...entries, "--target=bun", "--minify", "--outdir=out"] },
  esbuild: {
    command: () => [
      node,
      join(modules, "esbuild", "bin", "esbuild"),
      ...entries,
      "--bundle",
      "--format=esm",
      "--platform=node",
      "--outdir=out",
    ],
  },
  "esbuild --minify --splitting": {
    command: () => [
      node,
      join(modules, "esbuild", "bin", "esbuild"),
      ...entries,
      "--bundle",
      "--minify",
      "--splitting",
      "--format=esm",
      "--platform=node",
      "--outdir=out",
    ],
  },
  rolldown: {
    command: () => [
      node,
      join(modules, "rolldown", "bin", "cli.mjs"),
      ...entries,
      "--format=esm",
      "--platform=node",
      "--dir=out",
    ],
  },
  "deno bundle": {
    command: () => [deno(), "bundle", "--quiet", "--node-modules-dir=manual", "--outdir=out", ...entries],
  },
};

describe("a program with belay in it", () => {
  let folder: ProgramFolder | undefined;
  const app = (): ProgramFolder => folder as ProgramFolder;
  const away = (): string => join(app().above, "away");

  /** Takes what was made to another folder, and what it was made of out of the way, for the time of a function. */
  function elsewhere(fn: () => void): void {
    rmSync(away(), { recursive: true, force: true });
    renameSync(join(app().path, "out"), away());
    const hidden = join(app().above, "hidden");
    renameSync(app().path, hidden);
    try {
      fn();
    } finally {
      renameSync(hidden, app().path);
    }
  }

  const runDeno = (permissions: readonly string[], ...args: readonly string[]) =>
    app().run(deno(), ["run", "--no-prompt", "--quiet", ...permissions, ...args], { cwd: away() });

  beforeAll(() => {
    if (!hasHostPrograms) return;
    folder = new ProgramFolder();
    app().install();
    for (const name of [...entries, "installed_sum.ts"]) {
      cpSync(join(root, "tests", "programs", name), join(app().path, name));
    }
  });

  afterAll(() => folder?.remove());

  for (const [name, { command }] of Object.entries(bundlers)) {
    itOnHost(`runs as ${name} makes it`, () => {
      const [program = "", ...args] = command();
      // Deno fetches its bundler, esbuild, from npm when it is first needed, where its own certificates may not do.
      const made = app().run(program, args, { env: { DENO_TLS_CA_STORE: "system,mozilla" } });
      if (made.stderr.includes("error sending request")) return leftOut(`${name}, which fetches its bundler from npm`);
      assertEquals(made.code, 0, made.stdout + made.stderr);
      elsewhere(() => {
        const main = "installed.js";
        const worker = "./installed_worker.js";
        assertEquals(
          app().run(bun(), ["run", main, testLibrary, worker], { cwd: away() }),
          { code: 0, stdout: expected, stderr: "" },
        );
        // Workers read their file; belay itself needs FFI alone.
        assertEquals(runDeno(["--allow-ffi", "--allow-read"], main, testLibrary, worker), {
          code: 0,
          stdout: expected,
          stderr: "",
        });
      });
    });
  }

  const esbuild = (...args: readonly string[]): string =>
    app().done(node, [
      join(modules, "esbuild", "bin", "esbuild"),
      "--bundle",
      "--format=esm",
      "--platform=node",
      ...args,
    ]);

  itOnHost("has functions with the names that they have in the package", () => {
    app().write(
      "names.ts",
      `import * as belay from "@belay/ffi";
const named = Object.entries(belay).filter(([, value]) => typeof value === "function");
// esbuild calls a class that names itself otherwise, whoever has written it.
const others = named.filter(([name, value]) => value.name !== name && value.name !== "_" + name).map(([name]) => name);
console.log(named.length > 20, others.join(" "));
`,
    );
    const ways = {
      "out/esbuild.js": () => void esbuild("names.ts", "--outfile=out/esbuild.js"),
      "out/bun.js": () => void app().done(bun(), ["build", "names.ts", "--target=node", "--outfile=out/bun.js"]),
      "names.ts": () => {},
    };
    for (const [file, make] of Object.entries(ways)) {
      make();
      assertEquals([file, app().done(bun(), ["run", file])], [file, "true \n"]);
    }
    rmSync(join(app().path, "out"), { recursive: true });
  });

  itOnHost("never opens a file that lies where the package has one, whatever it is called", () => {
    app().write(
      "main.ts",
      `import { stats, callback } from "@belay/ffi";
try {
  callback({ parameters: [], result: "void" }, () => {});
  console.log(stats().core?.source);
} catch (error) {
  console.log(String(error).split("\\n").join(" "));
}
`,
    );
    for (const name of ["mod.js", "belay_ffi.js"]) {
      for (const external of [[], ["--external:*.cjs"]]) {
        esbuild("main.ts", `--outfile=out/dist/${name}`, ...external);
        const native = join(app().path, "node_modules", "@belay", "ffi", "native");
        cpSync(native, join(app().path, "out", "native"), { recursive: true });
        // One that leaves the paths as they are, and gives the package's own name to the bundle, is taken for the package.
        const isLikePackage = name === "belay_ffi.js" && external.length > 0;
        const printed = app().done(bun(), ["run", join("out", "dist", name)]);
        if (isLikePackage) assertEquals(printed, "package\n");
        else if (external.length === 0) assertEquals(printed, "embedded\n");
        else assertStringIncludes(printed, "this bundle carries no core for it");
        rmSync(join(app().path, "out"), { recursive: true });
      }
    }
  });

  itOnHost("runs as bun build --compile makes it", () => {
    mkdirSync(join(app().path, "out"));
    app().done(bun(), ["build", "--compile", ...entries, "--outfile=out/program"]);
    elsewhere(() => {
      const program = join(away(), process.platform === "win32" ? "program.exe" : "program");
      assertEquals(app().run(program, [testLibrary], { cwd: away() }), { code: 0, stdout: expected, stderr: "" });
    });
  });

  itOnHost("opens a library of its own that is inside the bundle, as bun:ffi does", () => {
    cpSync(testLibrary, join(app().path, "own.so"));
    app().write(
      "own.ts",
      `import library from "./own.so" with { type: "file" };
import { dlopen } from "@belay/ffi";
import { dlopen as bare } from "bun:ffi";
const symbols = bare(library, { now_ns: { args: [], returns: "f64" } }).symbols;
using own = dlopen(library, {
  now_ns: { parameters: [], result: "f64" },
  repeat: { parameters: [{ parameters: ["i32", "i32"], result: "i32" }, "i32"], result: "i32" },
});
console.log(symbols.now_ns() > 0, own.symbols.now_ns() > 0, own.symbols.repeat((value) => value, 4));
`,
    );
    const stdout = "true true 6\n";
    app().done(bun(), ["build", "own.ts", "--target=bun", "--outdir=out"]);
    app().done(bun(), ["build", "--compile", "own.ts", "--outfile=out/own"]);
    elsewhere(() => {
      assertEquals(app().run(bun(), ["run", "own.js"], { cwd: away() }), { code: 0, stdout, stderr: "" });
      const program = join(away(), process.platform === "win32" ? "own.exe" : "own");
      assertEquals(app().run(program, [], { cwd: away() }), { code: 0, stdout, stderr: "" });
    });
  });

  itOnHost("is CommonJS, if need be", () => {
    app().write(
      "short.ts",
      `import { Handle, callback, stats } from "@belay/ffi";
callback({ parameters: [], result: "void" }, () => {}).close();
console.log(Handle.create("x").value, stats().core?.source);
`,
    );
    app().done(node, [
      join(modules, "esbuild", "bin", "esbuild"),
      "short.ts",
      "--bundle",
      "--format=cjs",
      "--platform=node",
      "--outfile=out/short.cjs",
    ]);
    elsewhere(() => {
      const stdout = "x embedded\n";
      assertEquals(app().run(bun(), ["run", "short.cjs"], { cwd: away() }), { code: 0, stdout, stderr: "" });
      assertEquals(runDeno(["--allow-ffi", "--allow-read"], "short.cjs"), { code: 0, stdout, stderr: "" });
    });
  });

  itOnHost("says what to do if its bundler left the cores out", () => {
    app().write(
      "short.ts",
      `import { callback } from "@belay/ffi";
try { callback({ parameters: [], result: "void" }, () => {}); } catch (error) { console.log(String(error)); }
`,
    );
    mkdirSync(join(app().path, "out"));
    app().done(bun(), ["build", "short.ts", "--target=bun", "--outdir=out", "--external=*.cjs"]);
    elsewhere(() => {
      const { stdout } = app().run(bun(), ["run", "short.js"], { cwd: away() });
      assertStringIncludes(stdout, "belay's native core");
      assertStringIncludes(stdout, "configure({ core: path })");
    });
  });

  itOnHost("has one core for twenty workers that start at once, in each of two processes", () => {
    app().write(
      "crowd.ts",
      `import { callback, stats } from "@belay/ffi";
import { readFileSync } from "node:fs";
callback({ parameters: [], result: "void" }, () => {}).close();

const workers = Array.from({ length: 20 }, () => new Worker(new URL("./crowd_worker.js", import.meta.url), { type: "module" }));
const answers = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = reject;
})));
const maps = readFileSync("/proc/self/maps", "utf8").split("\\n").filter((line) => line.includes("memfd:libbelay-") && line.includes("r-xp"));
console.log(stats().process.isolates, new Set(answers).size, maps.length);
for (const worker of workers) worker.terminate();
`,
    );
    app().write(
      "crowd_worker.ts",
      `import { callback, stats } from "@belay/ffi";
callback({ parameters: [], result: "void" }, () => {}).close();
postMessage(stats().core?.path);
// It stays until it is terminated.
onmessage = () => {};
`,
    );
    app().done(bun(), ["build", "crowd.ts", "crowd_worker.ts", "--target=bun", "--outdir=out"]);
    if (!existsSync("/proc/self/maps")) return leftOut("cores that are counted in /proc/self/maps");
    elsewhere(() => {
      for (const [command, ...args] of [[bun(), "run"], [deno(), "run", "--quiet", "-A"]]) {
        const shell = [command, ...args, "crowd.js"].map((part) => `'${part}'`).join(" ");
        const { stdout, stderr } = app().run("sh", ["-c", `${shell} & ${shell}; wait`], { cwd: away() });
        assertEquals([stdout, stderr], ["21 1 1\n21 1 1\n", ""]);
      }
    });
  });
});
