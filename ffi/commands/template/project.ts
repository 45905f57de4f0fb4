/**
 * The files of a new project.
 *
 * @module
 */

import { binding, bindingTest } from "./binding.ts";
import { buildScript } from "./build_script.ts";
import { denoManifest, ignored, packageManifest, packageTypeScriptOptions, typeScriptOptions } from "./manifests.ts";
import type { Language, Names } from "./names.ts";
import { cHeader, cSource, zigSource } from "./native.ts";
import { readme } from "./readme.ts";

/** The files of a project that needs a version of belay, by their paths in its folder. */
export function projectFiles(
  names: Names,
  language: Language,
  belayVersion: string,
): Readonly<Record<string, string>> {
  return {
    "README.md": readme(names, language),
    "package.json": packageManifest(names, belayVersion),
    "deno.json": denoManifest(),
    "tsconfig.json": typeScriptOptions(),
    "tsconfig.package.json": packageTypeScriptOptions(),
    ".gitignore": ignored,
    "src/mod.ts": binding(names),
    "tests/mod_test.ts": bindingTest(),
    "scripts/build.js": buildScript(names, language),
    ...(language === "zig" ? { [`native/${names.library}.zig`]: zigSource(names) } : {
      [`native/${names.library}.h`]: cHeader(names),
      [`native/${names.library}.c`]: cSource(names),
    }),
  };
}
