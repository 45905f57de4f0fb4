/**
 * Writes what belay generates for eight small definitions to `docs/architecture/generated/`, for who reads the generators;
 * with `--check`, holds the files against what is generated now. `--folder=` is another folder for them. Deno's pointers are bigints, Bun's are numbers: this is
 * Deno's code.
 *
 * @module
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { callFunctionByteOffset } from "../ffi/core/record.ts";
import { build } from "./build.ts";
import { formatted, main, root, StepError } from "./tools.ts";

/** A definition, and the sources of what was generated for it last. */
interface Listing {
  readonly file: string;
  readonly title: string;
  readonly bodies: readonly string[];
}

/** The sources of all functions that belay generates, from when it is imported. */
const sources: string[] = [];

/** A function's source without what differs from run to run. */
function settled(source: string): string {
  const [low, high] = [callFunctionByteOffset / 4, callFunctionByteOffset / 4 + 1];
  return source.replace(/^"use strict".*\n/, "").replace(/(sourceURL=belay-native-call)-\w+/, "$1")
    .replace(new RegExp(`(u32\\[b4 \\+ ${low}\\] = )\\d+`), "$1lowOfFunction")
    .replace(new RegExp(`(u32\\[b4 \\+ ${high}\\] = )\\d+`), "$1highOfFunction");
}

/** Imports belay with a `Function` that notes what is made. */
async function importNoted(): Promise<typeof import("../mod.ts")> {
  const { Function } = globalThis;
  globalThis.Function = new Proxy(Function, {
    construct(target, args: string[]) {
      sources.push(settled(args.at(-1) ?? ""));
      return Reflect.construct(target, args);
    },
  });
  const imported = await import("../mod.ts");
  globalThis.Function = Function;
  return imported;
}

/** What is generated for each of the definitions. */
async function listings(): Promise<Listing[]> {
  const { callback, dlopen, NativeMemory, struct } = await importNoted();
  const libc = { name: "c", versions: ["6"] };
  const compare = { parameters: ["pointer", "pointer"], result: "i32" } as const;
  const found: Listing[] = [];
  const list = (file: string, title: string, make: () => unknown, take = 1): void => {
    const start = sources.length;
    make();
    if (sources.length < start + take) throw new StepError(`Cannot list "${file}": nothing was generated`);
    found.push({ file, title, bodies: sources.slice(-take) });
  };
  list(
    "call.js",
    'abs: { parameters: ["i32"], result: "i32" }',
    () => dlopen(libc, { abs: { parameters: ["i32"], result: "i32" } }).symbols.abs,
  );
  list(
    "call_with_buffer.js",
    'memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" }',
    () => dlopen(libc, { memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" } }).symbols.memchr,
  );
  list(
    "call_with_function.js",
    'qsort: { parameters: ["pointer", "usize", "usize", compare], result: "void" }',
    () => dlopen(libc, { qsort: { parameters: ["pointer", "usize", "usize", compare], result: "void" } }).symbols.qsort,
  );
  list(
    "block_call.js",
    'close: { parameters: ["i32"], result: "i32", captureErrno: true }',
    () => dlopen(libc, { close: { parameters: ["i32"], result: "i32", captureErrno: true } }).symbols.close,
  );
  list(
    "nonblocking_call.js",
    'usleep: { parameters: ["u32"], result: "i32", nonblocking: true }',
    () => dlopen(libc, { usleep: { parameters: ["u32"], result: "i32", nonblocking: true } }).symbols.usleep,
  );
  const { qsort } =
    dlopen(libc, { qsort: { parameters: ["pointer", "usize", "usize", "function"], result: "void" } }).symbols;
  using two = NativeMemory.alloc(8);
  using made = callback(compare, () => 0);
  list(
    "invoker.js",
    'callback({ parameters: ["pointer", "pointer"], result: "i32" }, …)',
    () => qsort(two, 2, 4, made),
  );
  const Point = struct({ x: "f64", y: "f64" });
  using memory = Point.alloc();
  list("reader_and_writer.js", 'struct({ x: "f64", y: "f64" }).write(memory, …), .read(memory)', () => {
    Point.write(memory, { x: 1, y: 2 });
    Point.read(memory);
  }, 2);
  list("view_class.js", 'struct({ x: "f64", y: "f64" }).view(memory)', () => Point.view(memory));
  return found;
}

/** A listing as a file, as Deno formats it. */
function fileOf({ title, bodies }: Listing): string {
  const head = `// Written by scripts/generated.ts: what belay generates, on Deno, for\n// ${title}\n\n`;
  // Each is the body of a function whose parameters are the names that it uses.
  const functions = bodies.map((body) => `() => {\n${body}\n};\n`).join("\n");
  return formatted(head + functions, "js");
}

/** Writes the files, or only looks at them; answers the names of those that were not as they are now. */
async function update(folder: string, isCheck: boolean): Promise<string[]> {
  const files = new Map((await listings()).map((listing) => [listing.file, fileOf(listing)]));
  mkdirSync(folder, { recursive: true });
  const before = (file: string): string | undefined =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8") : undefined;
  const stale = [...files.keys()].filter((file) => before(file) !== files.get(file));
  if (!isCheck) { for (const file of stale) writeFileSync(join(folder, file), files.get(file) ?? ""); }
  const surplus = readdirSync(folder).filter((file) => file.endsWith(".js") && !files.has(file));
  return [...stale, ...surplus];
}

await main(async () => {
  build();
  const args = process.argv.slice(2);
  const given = args.find((arg) => arg.startsWith("--folder="))?.slice("--folder=".length);
  const folder = given ?? join(root, "docs", "architecture", "generated");
  const stale = await update(folder, args.includes("--check"));
  if (!args.includes("--check")) return console.log(stale.length === 0 ? "Nothing has changed." : stale.join("\n"));
  if (stale.length === 0) return;
  throw new StepError(
    `Stale in docs/architecture/generated: ${
      stale.join(", ")
    }. Run \`deno task generated\`, and look at what has changed`,
  );
});
