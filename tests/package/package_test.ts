/** The npm package, as somebody installs it who has never seen a checkout. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { folderOf, platforms } from "../../scripts/build.ts";
import { packedForNpm } from "../../scripts/pack.ts";
import { bun, deno, root, runTypeScript } from "../../scripts/tools.ts";
import { libcPath } from "../../examples/libc.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

if (!hasHostPrograms) leftOut("the npm package, which is made and installed by programs of the host");
const itOnHost = hasHostPrograms ? it : it.skip;

const program = `
import { dlopen, Handle, NativeMemory, type Pointer } from "@belay/ffi";

using libc = dlopen(${JSON.stringify(libcPath)}, {
  abs: { parameters: ["i32"], result: "i32" },
  qsort: {
    parameters: ["buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
    result: "void",
  },
});
const at = (element: Pointer | null): number => element === null ? 0 : NativeMemory.borrow(element, 4).getInt32(0);
const numbers = new Int32Array([5, 3, 1, 4, 2]);
libc.symbols.qsort(numbers, numbers.length, 4, (a, b) => at(a) - at(b));
const distance: number = libc.symbols.abs(-42);
using name: Handle<string> = Handle.create("belay");
console.log(distance, numbers.join(" "), name.value);
`;
const expected = "42 1 2 3 4 5 belay\n";

describe("the npm package", () => {
  let folder = "";
  let app = "";

  /** Runs a command in the program's folder. */
  function run(
    command: string,
    args: readonly string[],
    cwd = app,
  ): { code: number | null; stdout: string; stderr: string } {
    const { status, stdout, stderr, error } = spawnSync(command, [...args], {
      cwd,
      encoding: "utf8",
      // A cache of its own: the user's may have another package of the same version.
      env: { ...process.env, NO_COLOR: "1", BUN_INSTALL_CACHE_DIR: join(folder, "cache") },
    });
    if (error !== undefined) throw error;
    return { code: status, stdout, stderr };
  }

  beforeAll(() => {
    if (!hasHostPrograms) return;
    folder = realpathSync(mkdtempSync(join(tmpdir(), "belay-package-")));
    app = join(folder, "app");
    mkdirSync(app);
    writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
    writeFileSync(join(app, "main.ts"), program);
    const added = run(bun(), ["add", packedForNpm()]);
    assertEquals(added.code, 0, added.stderr);
  });

  afterAll(() => {
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  itOnHost(
    "holds one file of JavaScript, its declarations, every platform's core twice, the commands, and at most 500 KB",
    () => {
      const installed = join(app, "node_modules", "@belay", "ffi");
      const files = readdirSync(installed, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(installed, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
        // Bun's own note.
        .filter((file) => file !== ".bun-tag");
      const isSource = (file: string): boolean => existsSync(join(root, file));
      const rest = files.filter((file) => {
        const [, source, extension = ""] = /^dist\/((?:ffi\/|mod).*?)(\.d\.ts)$/.exec(file) ??
          /^dist\/(commands\/.*)(\.js)$/.exec(file) ?? [];
        return source === undefined || !isSource(`${extension === ".js" ? "ffi/" : ""}${source}.ts`);
      });
      const cores = platforms.map((platform) => {
        const name = { linux: "libbelay.so", darwin: "libbelay.dylib", windows: "belay.dll" }[platform.os];
        return { folder: folderOf(platform), name };
      });
      assertEquals(
        rest.sort(),
        [
          "LICENSE",
          "README.md",
          ...cores.map(({ folder }) => `dist/cores/${folder}.cjs`),
          "dist/embedded.js",
          "dist/mod.js",
          "native/include/belay.h",
          ...cores.map(({ folder, name }) => `native/lib/${folder}/${name}`),
          "package.json",
        ].sort(),
      );
      const { size } = statSync(packedForNpm());
      assert(size <= 500_000, `${size} bytes`);
    },
  );

  itOnHost("works on Bun, after bun add", () => {
    assertEquals(run(bun(), ["run", "main.ts"]), { code: 0, stdout: expected, stderr: "" });
  });

  itOnHost("works on Deno, from the same node_modules", () => {
    const args = ["run", "--allow-ffi", "--quiet", "--node-modules-dir=manual", "main.ts"];
    assertEquals(run(deno(), args), { code: 0, stdout: expected, stderr: "" });
  });

  itOnHost("runs README's first program as it stands, on both runtimes", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const [, first = ""] = /^```ts\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    const lines = first.split("\n").filter((line) => line.trim() !== "");
    assert(
      lines.length <= 12 && Buffer.byteLength(readme) <= 8192,
      `${lines.length} lines, ${readme.length} characters`,
    );
    writeFileSync(join(app, "first.ts"), first);
    const onDeno = run(deno(), ["run", "--allow-ffi", "--quiet", "--node-modules-dir=manual", "first.ts"]);
    const onBun = run(bun(), ["run", "first.ts"]);
    for (const { code, stdout, stderr } of [onDeno, onBun]) {
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "/etc");
    }
  });

  itOnHost("has declarations that the program type-checks with, on Deno and with TypeScript", () => {
    assertEquals(run(deno(), ["check", "--quiet", "main.ts"]), { code: 0, stdout: "", stderr: "" });
    const lib = ["ESNext", "ESNext.Disposable", "DOM"];
    const module = { module: "ESNext", moduleResolution: "bundler" };
    const compilerOptions = { target: "ESNext", lib, ...module, strict: true, noEmit: true, types: [] };
    writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["main.ts"] }));
    runTypeScript(["--project", app]);
  });
});
