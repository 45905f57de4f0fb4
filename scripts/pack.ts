/**
 * Makes what is published.
 *
 * Without arguments, as `npm pack` runs it (`prepack` in package.json): the parts of the npm package that aren't sources.
 * These are `dist/belay_ffi.js`, all modules as one file, declarations beside it, the cores as files in `native/lib/`, and the
 * cores as modules in `dist/cores/`, which bundles take along. `--jsr`: `dist/jsr/`, the folder that is published on JSR.
 * `--clean` takes `dist/` away again.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { constants, zstdCompressSync } from "node:zlib";
import type { Platform } from "../ffi/types/platform.ts";
import { buildCore, coreOf, folderOf, host, platforms, sources, update } from "./build.ts";
import { shaken } from "./declarations.ts";
import { makeEager } from "./eager.ts";
import { bun, filesIn, main, root, run, runTypeScript, toolsFolder } from "./tools.ts";

const dist = join(root, "dist");
const processors = ["x86_64", "aarch64"] as const satisfies readonly Platform["arch"][];
/** The file that all modules become: `ffi/ground/place.ts` knows it by this name. */
const packageFile = "belay_ffi.js";

/** The SHA-256 sum of bytes, in hexadecimal digits. */
function sumOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A core as a module has it: the text of an `EmbeddedCore`. */
function embedded(target: Platform): string {
  const bytes = readFileSync(coreOf(target));
  return `{\n  sum: "${sumOf(bytes)}",\n  base64: "${bytes.toString("base64")}",\n}`;
}

/** All cores for a processor as a module has them, which gives that of a system: they are compressed together. */
function embeddedTogether(processor: Platform["arch"]): string {
  let start = 0;
  const parts: Buffer[] = [];
  const cores = platforms.filter(({ arch }) => arch === processor).map((target) => {
    const bytes = readFileSync(coreOf(target));
    parts.push(bytes);
    const end = start + bytes.length;
    const core = `  ${target.os}: { sum: "${sumOf(bytes)}", among: { start: ${start}, end: ${end} } },\n`;
    start = end;
    return core;
  });
  const params = { [constants.ZSTD_c_compressionLevel]: 22, [constants.ZSTD_c_windowLog]: 20 };
  const base64 = zstdCompressSync(Buffer.concat(parts), { params }).toString("base64");
  return `const base64 = "${base64}";\nconst cores = {\n${cores.join("")}};\n` +
    "module.exports = (system) => cores[system] && { base64, ...cores[system] };\n";
}

/** Compiles the declarations of what `mod.ts` shows, and the commands, each to a module. */
function compile(folder: string): void {
  runTypeScript(["--project", "tsconfig.package.json", "--outDir", folder]);
  // They use belay as programs do: the one file.
  const commands = join(folder, "ffi", "commands");
  for (const name of filesIn(commands, ".js")) {
    const file = join(folder, "commands", name);
    mkdirSync(dirname(file), { recursive: true });
    const text = readFileSync(join(commands, name), "utf8");
    writeFileSync(file, text.replaceAll(/"\.\.\/((?:\.\.\/)+)mod\.js"/g, `"$1${packageFile}"`));
  }
  const texts = new Map<string, string>();
  for (const name of filesIn(folder, ".d.ts")) {
    // The compiler makes `.js` of `.ts` in the imports of JavaScript only.
    const text = readFileSync(join(folder, name), "utf8").replaceAll(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"');
    texts.set(name.replaceAll("\\", "/"), text);
    rmSync(join(folder, name));
  }
  for (const [name, text] of shaken(texts, "mod.d.ts")) writeFileSync(join(folder, name), text);
  for (const name of filesIn(join(folder, "ffi"), ".js")) rmSync(join(folder, "ffi", name));
}

/** Makes the modules one file. */
function bundle(folder: string): void {
  buildCore(host);
  run(bun(), ["run", join(root, "scripts", "bundle.ts"), folder], { quiet: true });
  const file = join(folder, packageFile);
  renameSync(join(folder, "mod.js"), file);
  const parts = readFileSync(file, "utf8").split(/^import \{ embedded(?:Url|Core) \} from "\.\/embedded\.js";\n/m);
  if (parts.length !== 3) throw new Error(`Bun imports the embedded cores otherwise now: see ${file}`);
  writeFileSync(file, parts.join("") + embeddedForNpm());
  makeEager(file, coreOf(host));
  run(bun(), ["run", join(root, "scripts", "dense.ts"), file], { quiet: true });
}

/**
 * What the package's one file has in the place of `ffi/ground/embedded.ts`. A bundler follows `require`, which nothing calls
 * outside of a bundle, and puts a call of its own there, without the path: so the function's text tells where it is. A second
 * file that tells it takes a start a millisecond.
 */
function embeddedForNpm(): string {
  const cases = processors.map((name) =>
    `      case "${name}":\n        return require("./cores/${name}.cjs")(system);\n`
  );
  return `function embeddedCore(platform) {
  const [system, processor] = platform.split("-");
  try {
    switch (processor) {
${cases.join("")}    }
  } catch {
    // The bundler has left it out.
  }
}
var embeddedUrl = String(embeddedCore).includes('"./cores/${processors[0]}.cjs"') ? "unchanged" : import.meta.url;
`;
}

/** The module that JSR gets in place of \`ffi/ground/embedded.ts\`: it loads the one core that fits. */
function embeddedForJsr(): string {
  const source = readFileSync(join(root, "ffi", "ground", "embedded.ts"), "utf8");
  const kept = source.slice(0, source.indexOf("/** A platform's core"));
  const cases = platforms.map(folderOf).map((name) =>
    `    case "${name}":\n      return (await import("./cores/${name}.ts")).core;\n`
  );
  return `${kept}const { Deno, process } = globalThis as unknown as {
  Deno?: { readonly build: { readonly os: string; readonly arch: string } };
  process: { readonly platform: string; readonly arch: string };
};
const [system, processor]: [string, string] = Deno === undefined
  ? [process.platform, process.arch]
  : [Deno.build.os, Deno.build.arch];
const systems: Readonly<Record<string, string>> = { darwin: "darwin", win32: "windows", windows: "windows" };
const own: string = \`\${systems[system] ?? "linux"}-\${/^a(arch|rm)64$/.test(processor) ? "aarch64" : "x86_64"}\`;

async function load(): Promise<EmbeddedCore | undefined> {
  switch (own) {
${cases.join("")}    default:
      return undefined;
  }
}

const core: EmbeddedCore | undefined = await load();

/** This platform's core, by the name of its folder; \`undefined\` for every other platform. */
export function embeddedCore(platform: string): EmbeddedCore | undefined {
  return platform === own ? core : undefined;
}
`;
}

/** What of the npm package isn't source. */
export function packForNpm(folder: string = dist): void {
  compile(folder);
  bundle(folder);
  platforms.forEach(buildCore);
  mkdirSync(join(folder, "cores"), { recursive: true });
  // A program's bundle takes all of them along.
  for (const name of processors) writeFileSync(join(folder, "cores", `${name}.cjs`), embeddedTogether(name));
}

/** The folder that is published on JSR: the sources, and the cores as modules. */
export function packForJsr(folder: string = join(dist, "jsr")): void {
  rmSync(folder, { recursive: true, force: true });
  const config = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as {
    readonly publish: { readonly include: readonly string[] };
  } & Readonly<Record<string, unknown>>;
  for (const path of config.publish.include) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  const { name, version, license, exports, compilerOptions } = config;
  writeFileSync(
    join(folder, "deno.json"),
    JSON.stringify({ name, version, license, exports, compilerOptions }, null, 2),
  );
  const ground = join(folder, "ffi", "ground");
  writeFileSync(join(ground, "embedded.ts"), embeddedForJsr());
  const head = 'import type { EmbeddedCore } from "../embedded.ts";\n\n/** Its bytes and their sum. */\n';
  platforms.forEach(buildCore);
  mkdirSync(join(ground, "cores"));
  for (const target of platforms) {
    const text = `${head}export const core: EmbeddedCore = ${embedded(target)};\n`;
    writeFileSync(join(ground, "cores", `${folderOf(target)}.ts`), text);
  }
}

/** The npm package as a file, packed again only if what it is made of has changed: tests install it. */
export function packedForNpm(): string {
  const file = join(toolsFolder, "packed", "belay-ffi.tgz");
  const inputs = [
    ...["ffi", "native", "scripts"].flatMap((folder) => sources(join(root, folder))),
    ...["mod.ts", "package.json", "tsconfig.json", "tsconfig.package.json", "README.md"].map((name) =>
      join(root, name)
    ),
  ];
  update(file, inputs, [], "Packing the npm package …", () => {
    const folder = dirname(file);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    run("npm", ["pack", "--pack-destination", folder], { quiet: true });
    const [packed = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
    renameSync(join(folder, packed), file);
  });
  return file;
}

if (import.meta.main) {
  await main(() => {
    if (process.argv.includes("--jsr")) return packForJsr();
    rmSync(dist, { recursive: true, force: true });
    if (!process.argv.includes("--clean")) packForNpm();
  });
}
