/**
 * What a new project tells its tools: the manifests of its package, and what is in no repository.
 *
 * @module
 */

import type { Names } from "./names.ts";

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** `package.json`, of a package that needs a version of belay. */
export function packageManifest(names: Names, belayVersion: string): string {
  return json({
    name: names.package,
    version: "0.1.0",
    type: "module",
    exports: { ".": { types: "./dist/mod.d.ts", default: "./dist/mod.js" } },
    files: ["dist/", "native/lib/"],
    scripts: {
      build: "node scripts/build.js",
      test: "bun test",
      prepack: "node scripts/build.js --all && tsc --project tsconfig.package.json",
    },
    dependencies: { "@belay/ffi": `^${belayVersion}` },
    devDependencies: { "@types/node": "26.6.7", typescript: "7.0.2" },
  });
}

/** `deno.json`. Without options of its own, Deno checks types with those of `tsconfig.json`, which aren't for it. */
export function denoManifest(): string {
  return json({
    compilerOptions: { strict: true },
    tasks: { build: "deno run -A scripts/build.js", test: "deno test --allow-ffi" },
    exclude: [".tools", ".zig-cache", "dist"],
  });
}

/** `tsconfig.json`: for editors and checks. */
export function typeScriptOptions(): string {
  return json({
    compilerOptions: {
      target: "ESNext",
      lib: ["ESNext"],
      types: ["node"],
      module: "ESNext",
      moduleResolution: "bundler",
      strict: true,
      noEmit: true,
      allowImportingTsExtensions: true,
    },
    include: ["src", "tests"],
  });
}

/** `tsconfig.package.json`: for the JavaScript and the declarations in the package. */
export function packageTypeScriptOptions(): string {
  return json({
    extends: "./tsconfig.json",
    compilerOptions: {
      noEmit: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      rootDir: "src",
      outDir: "dist",
    },
    include: ["src"],
  });
}

/** `.gitignore`. */
export const ignored = `/.tools/
/.zig-cache/
/dist/
/native/lib/
/node_modules/
*.tgz
`;
