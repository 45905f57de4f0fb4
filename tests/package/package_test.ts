/** The npm package, as somebody installs it who has never seen a checkout. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { folderOf, platforms } from "../../scripts/build.ts";
import { packedForNpm } from "../../scripts/pack.ts";
import { bun, deno, root, runTypeScript } from "../../scripts/tools.ts";
import { libcPath } from "../../examples/libc.ts";
import { ProgramFolder } from "../support/installed.ts";
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
  let folder: ProgramFolder | undefined;
  const app = (): ProgramFolder => folder as ProgramFolder;
  const onDeno = (file: string) =>
    app().run(deno(), ["run", "--allow-ffi", "--quiet", "--node-modules-dir=manual", file]);

  beforeAll(() => {
    if (!hasHostPrograms) return;
    folder = new ProgramFolder();
    app().install();
    app().write("main.ts", program);
  });

  afterAll(() => folder?.remove());

  itOnHost(
    "holds one file of JavaScript, its declarations, every platform's core twice, the commands, and at most 400 KB",
    () => {
      const installed = join(app().path, "node_modules", "@belay", "ffi");
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
          "dist/cores/aarch64.cjs",
          "dist/cores/x86_64.cjs",
          "dist/belay_ffi.js",
          "native/include/belay.h",
          ...cores.map(({ folder, name }) => `native/lib/${folder}/${name}`),
          "package.json",
        ].sort(),
      );
      const { size } = statSync(packedForNpm());
      assert(size <= 400_000, `${size} bytes`);
    },
  );

  itOnHost("works on Bun, after bun add", () => {
    assertEquals(app().run(bun(), ["run", "main.ts"]), { code: 0, stdout: expected, stderr: "" });
  });

  itOnHost("works on Deno, from the same node_modules", () => {
    assertEquals(onDeno("main.ts"), { code: 0, stdout: expected, stderr: "" });
  });

  itOnHost("runs README's first program as it stands, on both runtimes", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const [, first = ""] = /^```ts\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    const lines = first.split("\n").filter((line) => line.trim() !== "");
    assert(
      lines.length <= 12 && Buffer.byteLength(readme) <= 8192,
      `${lines.length} lines, ${readme.length} characters`,
    );
    app().write("first.ts", first);
    for (const { code, stdout, stderr } of [onDeno("first.ts"), app().run(bun(), ["run", "first.ts"])]) {
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "/etc");
    }
  });

  itOnHost("has declarations that the program type-checks with, on Deno and with TypeScript", () => {
    assertEquals(app().run(deno(), ["check", "--quiet", "main.ts"]), { code: 0, stdout: "", stderr: "" });
    const lib = ["ESNext", "ESNext.Disposable", "DOM"];
    const module = { module: "ESNext", moduleResolution: "bundler" };
    const compilerOptions = { target: "ESNext", lib, ...module, strict: true, noEmit: true, types: [] };
    app().write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["main.ts"] }));
    runTypeScript(["--project", app().path]);
  });
});
