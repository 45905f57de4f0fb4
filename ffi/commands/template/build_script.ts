/**
 * `scripts/build.js` of a new project. It is JavaScript, since npm has it run by Node, of which not every version takes
 * TypeScript.
 *
 * @module
 */

import type { Language, Names } from "./names.ts";

/** The version of Zig that projects are built with. */
export const zigVersion = "0.16.0";

/** How Zig is called for a library in a language. */
const commands: Readonly<Record<Language, (names: Names) => string>> = {
  zig: ({ library }) => `
// ReleaseSafe ends the process with a message if the library overflows an
// integer or leaves an array. Add "-lc" if it uses C's library.
const command = [
  "build-lib",
  "-dynamic",
  "-O",
  "ReleaseSafe",
  "-fstrip",
  "native/${library}.zig",
];
`,
  c: ({ library }) => `
const command = [
  "build-lib",
  "-dynamic",
  "-O",
  "ReleaseFast",
  "-fstrip",
  "-lc",
  "--name",
  name,
  // Clang's, for the source files behind them.
  "-cflags",
  "-std=c11",
  "-Wall",
  "-Wextra",
  "-fvisibility=hidden",
  "--",
  "native/${library}.c",
];
`,
};

/** `scripts/build.js`. */
export function buildScript(names: Names, language: Language): string {
  return `/**
 * Builds the library into native/lib, with Zig: for this machine, for platforms
 * that are named (linux-arm64), or for all platforms (--all).
 *
 * Zig is $ZIG, or zig on the PATH if it has the version below. Else it is
 * installed from PyPI, into the folder .tools.
 */

// @ts-check

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const name = "${names.library}";
const zigVersion = "${zigVersion}";
${commands[language](names)}
/** Each platform's name in Zig, and the library's file there. */
const platforms = new Map([
  // For glibc 2.17 (2012) and newer.
  ["linux-x64", ["x86_64-linux-gnu.2.17", \`lib\${name}.so\`]],
  ["linux-arm64", ["aarch64-linux-gnu.2.17", \`lib\${name}.so\`]],
  ["darwin-x64", ["x86_64-macos", \`lib\${name}.dylib\`]],
  ["darwin-arm64", ["aarch64-macos", \`lib\${name}.dylib\`]],
  ["win32-x64", ["x86_64-windows", \`\${name}.dll\`]],
  ["win32-arm64", ["aarch64-windows", \`\${name}.dll\`]],
]);

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @type {(message: string) => never} */
function fail(message) {
  console.error(message);
  process.exit(1);
}

/** @type {(command: string, args: string[]) => string | undefined} */
function output(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** @type {(command: string, args: string[]) => void} */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (result.status !== 0) fail(\`\${[command, ...args].join(" ")} failed\`);
}

function findZig() {
  if (process.env.ZIG) return process.env.ZIG;
  if (output("zig", ["version"]) === zigVersion) return "zig";
  const tools = join(root, ".tools");
  const file = process.platform === "win32" ? "zig.exe" : "zig";
  const installed = join(tools, "ziglang", file);
  if (output(installed, ["version"]) === zigVersion) return installed;
  const python = ["python3", "python"].find((python) =>
    output(python, ["-m", "pip", "--version"]) !== undefined
  );
  if (python === undefined) {
    fail(
      \`Zig \${zigVersion} is missing: put it on the PATH, name it in $ZIG, \` +
        "or install Python with pip",
    );
  }
  console.log(\`Installing Zig \${zigVersion} from PyPI …\`);
  const pip = ["-m", "pip", "install", "--quiet", "--upgrade"];
  run(python, [...pip, "--target", tools, \`ziglang==\${zigVersion}\`]);
  return installed;
}

const args = process.argv.slice(2);
const names = [...platforms.keys()];
const own = \`\${process.platform}-\${process.arch}\`;
const wanted = args.includes("--all") ? names : args.length > 0 ? args : [own];
const unknown = wanted.find((name) => !platforms.has(name));
if (unknown !== undefined) {
  fail(\`There is no platform "\${unknown}" among \${names.join(", ")}\`);
}

const zig = findZig();
for (const platform of wanted) {
  const [target = "", file = ""] = platforms.get(platform) ?? [];
  const folder = \`native/lib/\${platform}\`;
  mkdirSync(join(root, folder), { recursive: true });
  const outputs = [\`-femit-bin=\${folder}/\${file}\`, "-fno-emit-implib"];
  console.log(\`\${folder}/\${file}\`);
  run(zig, [...command, "-target", target, ...outputs]);
}
`;
}
