/**
 * The one gate: everything that has to hold before a change lands. Names are the steps to run; all by default.
 *
 * @module
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { build, host, zigTarget } from "./build.ts";
import { checkConsumers } from "./consumers.ts";
import { checkCores } from "./cores.ts";
import { environmentForZig, qemu, wine } from "./emulators.ts";
import { runExample } from "./example.ts";
import { checkLayers } from "./layers.ts";
import { checkLinks, markdownFiles } from "./links.ts";
import { checkOutputs } from "./outputs.ts";
import { checkNativeLayers } from "./native_layers.ts";
import { packForJsr } from "./pack.ts";
import { MissingError } from "./packages.ts";
import { checkRecord } from "./record.ts";
import { releaseSteps } from "./release.ts";
import { noteResults, Times } from "./results.ts";
import { test, testFiles } from "./test.ts";
import { testOwnStacks } from "./own_stacks.ts";
import { deno, main, output, root, run, runTypeScript, runZig, StepError, typeScriptIn } from "./tools.ts";
import { checkVersion } from "./version.ts";
import { checkWorkflows } from "./workflows.ts";

function typeScriptFiles(): string[] {
  const files = ["ffi", "tests", "examples", "scripts"].flatMap(typeScriptIn);
  return ["./mod.ts", ...files.filter((file) => !file.endsWith("bun_types.ts") && !file.includes("/stand_ins/"))];
}

/** Runs a tool of Deno's that runs none of our code. */
function tool(args: readonly string[]): void {
  run(deno(), args, { retryAfterSignal: true });
}

/** Runs the native tests: built for this machine, or for another one that Zig finds an emulator for. */
function nativeTests(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): void {
  for (const mode of ["Debug", "ReleaseSafe"]) {
    runZig(["build", "test", `-Doptimize=${mode}`, ...args, "--summary", "all"], { cwd: join(root, "native"), env });
  }
}

/** What a step does: here rather than as shell commands, so that it is the same on every system. */
const steps: Readonly<Record<string, () => void>> = {
  format() {
    tool(["fmt", "--check", "--quiet"]);
    runZig(["fmt", "--check", "native/build.zig", "native/record.zig", "native/src"]);
  },
  lint: () => tool(["lint", "--quiet"]),
  types() {
    tool(["check", "--quiet", ...typeScriptFiles()]);
    runTypeScript(["--project", "."]);
  },
  /** Programs with stricter options than these, with the package and with the checkout. */
  consumers: checkConsumers,
  layers() {
    checkLayers();
    checkNativeLayers();
  },
  /** What TypeScript knows of the core's structures is what they are. */
  record: checkRecord,
  /** Every relative link of the documents leads to a file and a heading that are there. */
  links: checkLinks,
  /** What belay generates for small definitions, as docs/architecture/generated shows it. */
  generated: () => run(deno(), ["run", "-A", "--quiet", "--no-check", "scripts/generated.ts", "--check"]),
  /** Every example in a doc comment and in the documents, type-checked and run. */
  docs() {
    const documents = markdownFiles().filter((file) => file === "README.md" || file.startsWith("docs/"));
    const files = ["./mod.ts", ...documents.map((file) => `./${file}`), ...typeScriptIn("ffi")];
    run(deno(), ["test", "--quiet", "--doc", "-A", ...files]);
  },
  /** The pages and pictures that scripts write. */
  pages: () => run(deno(), ["run", "-A", "--quiet", "--no-check", "scripts/pages.ts"]),
  /** What the guides say that their programs print. */
  outputs: checkOutputs,
  /** The cores of all platforms: sizes, exports, what they need, and the same bytes from another folder. */
  cores: checkCores,
  native: () => nativeTests(),
  /** The native tests under ThreadSanitizer: a race fails them. */
  races() {
    if (host.os !== "linux") {
      throw new MissingError(
        'Cannot look for "races": Zig builds with ThreadSanitizer where the system is Linux, not here',
      );
    }
    runZig(["build", "test", "-Dsanitize-thread", "--summary", "all"], { cwd: join(root, "native") });
  },
  /** The native tests for x64 Windows, under Wine. */
  windows() {
    const env = environmentForZig(wine(), "wine");
    nativeTests([`-Dtarget=${zigTarget({ os: "windows", arch: "x86_64" })}`, "-fwine"], env);
  },
  /** The native tests for arm64 Linux, under QEMU. `deno task test:arm64` runs the other tests there. */
  arm64() {
    const env = environmentForZig(qemu(), "qemu-aarch64");
    // Zig looks for a folder with the target's name in that of the C libraries.
    const libraries = ["--libc-runtimes", dirname(env["QEMU_LD_PREFIX"])];
    nativeTests([`-Dtarget=${zigTarget({ os: "linux", arch: "aarch64" })}`, "-fqemu", ...libraries], env);
  },
  tests: () => test(testFiles()),
  /** Calls and callbacks once more, every function on a stack of its own. */
  "own-stacks": testOwnStacks,
  /** The libraries that the template starts: built, tested, packed and used by the commands that it prints. */
  template: () => test(["./tests/commands/started_library.ts"]),
  examples() {
    const examples = readdirSync(join(root, "examples")).filter((file) => /^\d\d_.*\.ts$/.test(file)).sort();
    const paths = [...examples.map((file) => `examples/${file}`), "examples/sqlite/demo.ts"];
    for (const path of paths) runExample(path);
  },
  bench: () => run(deno(), ["run", "-A", "--quiet", "--no-check", "scripts/bench.ts", "--small"]),
  /** The npm package through a real registry on loopback, installed in four ways. */
  registry: () => run(deno(), ["run", "-A", "--quiet", "--no-check", "scripts/registry.ts", "--if-available"]),
  /** JSR would take the checkout, and what is published in its place: the modules with the cores in them. */
  publish() {
    const folder = join(root, "dist", "jsr");
    packForJsr(folder);
    for (const cwd of [root, folder]) {
      run(deno(), ["publish", "--quiet", "--dry-run", "--allow-dirty"], { cwd, retryAfterSignal: true });
    }
  },
  /** Manifests, changelog, documents and sources name one version. */
  version: () => checkVersion(),
  /** GitHub's workflows, which don't run here. */
  workflows: () => checkWorkflows({ ok: Object.keys(steps), release: releaseSteps }),
  /** No machine's name or path gets in. */
  hygiene() {
    const tracked = output("git", ["ls-files", "-z"])?.split("\0").filter((file) => file !== "") ?? [];
    const named = tracked.filter((file) => {
      const path = join(root, file);
      const text = existsSync(path) ? readFileSync(path, "utf8") : "";
      return file.endsWith("lock.json") ? /"resolved": "http/.test(text) : text.includes(root);
    });
    if (named.length > 0) throw new StepError(`Cannot pass: a registry's host or this folder's path is in ${named}`);
  },
};

/** Steps that note what each of their tests came to. */
const notesItself = ["tests", "template"];

await main(() => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !(name in steps));
  if (unknown.length > 0) throw new StepError(`No such step: ${unknown}; there are ${Object.keys(steps).join(", ")}`);
  const times = new Times();
  times.take("build", () => build());
  const names = chosen.length > 0 ? chosen : Object.keys(steps);
  const leftOut = new Map<string, string>();
  for (const name of names) {
    console.log(`\n--- ${name}`);
    try {
      times.take(name, steps[name]);
      if (!notesItself.includes(name)) noteResults(1, 0);
    } catch (error) {
      if (!(error instanceof MissingError)) {
        console.log(`\n${times}`);
        if (!notesItself.includes(name)) noteResults(0, 1);
        throw error;
      }
      console.log(error.message);
      leftOut.set(name, error.message);
    }
  }
  console.log(`\n${times}`);
  const passed = names.filter((name) => !leftOut.has(name));
  console.log(`ok: ${passed.length > 0 ? passed.join(", ") : "nothing ran"}`);
  for (const [name, reason] of leftOut) console.log(`Left out: ${name}. ${reason}`);
});
