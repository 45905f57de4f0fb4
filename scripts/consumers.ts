/**
 * Programs that are stricter than this one, type-checked: with the npm package's declarations, with the sources that Bun takes
 * from the package, and with the checkout on Deno.
 *
 * @module
 */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { packForNpm } from "./pack.ts";
import { deno, main, root, run, runTypeScript, type TypeScriptName } from "./tools.ts";

const strict = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  declaration: true,
};

const program = `
import * as belay from "@belay/ffi";
import { callback, dlopen, Handle, leaks, NativeMemory, type Pointer, struct } from "@belay/ffi";

const Point = struct({ x: "f64", y: "f64" });
using library = dlopen({ name: "c", versions: ["6"] }, {
  qsort: {
    parameters: ["buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
    result: "void",
  },
  div: { parameters: ["i32", "i32"], result: struct({ quot: "i32", rem: "i32" }) },
});
const at = (element: Pointer | null): number => element === null ? 0 : NativeMemory.borrow(element, 4).getInt32(0);
library.symbols.qsort(new Int32Array([3, 1, 2]), 3, 4, (a, b) => at(a) - at(b));
const rest: number = library.symbols.div(7, 2).rem;
using memory = Point.alloc({ x: 1, y: rest });
Point.view(memory).x += 1;
using name: Handle<string> = Handle.create("belay");
using twice = callback({ parameters: ["i32"], result: "i32" }, (value) => 2 * value);
export const all = [belay.stats(), leaks()[0]?.stack, name.value, twice.disposed];

// What a program exports has a type that its own declarations can name.
export const Node = struct({ next: belay.pointer<"node">(), owner: belay.handle<Date>(), at: Point, sizes: belay.array("f32", 4) });
export const bound = dlopen({ name: "c", versions: ["6"] }, {
  frexp: { parameters: ["f64", belay.out(Point), belay.handleAddress<string>()], result: belay.pointer<"x">() },
  later: { parameters: ["cstring"], result: "i32", nonblocking: true, captureErrno: true },
});
export const { frexp, later } = bound.symbols;
export const onRow = callback({ parameters: [belay.handle<string[]>(), "i32"], result: "i32" }, (rows) => rows.length);
export const viewOf = (memory: NativeMemory) => [Node.read(memory), Node.view(memory), Node.viewMany(memory)] as const;
export const typeOf = (variable: belay.VariableDefinition) => variable.type;
export const onFull = (queue: belay.QueueOptions) => queue.onFull;
export const structOf = <F extends belay.Fields>(fields: F) => struct(fields);
`;

/** Type-checks the programs. @throws {StepError} When a type is wrong; the compiler has said which. */
export function checkConsumers(): void {
  const folder = mkdtempSync(join(tmpdir(), "belay-consumers-"));
  try {
    writeFileSync(join(folder, "main.ts"), program);
    withNpm(folder);
    withDeno(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function withNpm(folder: string): void {
  const installed = join(folder, "node_modules", "@belay", "ffi");
  mkdirSync(installed, { recursive: true });
  packForNpm(join(installed, "dist"));
  copyFileSync(join(root, "package.json"), join(installed, "package.json"));
  const module = { target: "ESNext", module: "ESNext", moduleResolution: "bundler", noEmit: true, types: [] };
  const lib = ["ESNext", "ESNext.Disposable", "DOM", "DOM.Iterable"];
  const consumers = {
    declarations: { lib },
    "declarations, as Node resolves": { lib, module: "NodeNext", moduleResolution: "NodeNext" },
    "declarations, as Bun resolves": { lib, customConditions: ["bun"] },
  };
  for (const [name, options] of Object.entries(consumers)) {
    const config = join(folder, "tsconfig.json");
    const compilerOptions = { ...strict, ...module, skipLibCheck: false, ...options };
    writeFileSync(config, JSON.stringify({ compilerOptions, include: ["main.ts"] }));
    for (const version of ["typescript", "typescript-5.9"] satisfies TypeScriptName[]) {
      console.log(`${name}, ${version}`);
      runTypeScript(["--project", config], version);
    }
  }
}

function withDeno(folder: string): void {
  const imports = { "@belay/ffi": pathToFileURL(join(root, "mod.ts")).href };
  for (const lib of [undefined, ["esnext", "deno.ns", "dom"]]) {
    const compilerOptions = { ...strict, ...(lib === undefined ? {} : { lib }) };
    writeFileSync(join(folder, "deno.json"), JSON.stringify({ imports, compilerOptions }));
    console.log(`checkout, deno, ${lib?.join() ?? "its own libraries"}`);
    run(deno(), ["check", "--quiet", "main.ts"], { cwd: folder, retryAfterSignal: true });
  }
}

if (import.meta.main) await main(checkConsumers);
