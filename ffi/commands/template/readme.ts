/**
 * `README.md` of a new project.
 *
 * @module
 */

import type { Language, Names } from "./names.ts";

const languages: Readonly<Record<Language, { readonly name: string; readonly files: (names: Names) => string }>> = {
  zig: {
    name: "Zig",
    files: ({ library }) => `- \`native/${library}.zig\`: the library`,
  },
  c: {
    name: "C",
    files: ({ library }) => `- \`native/${library}.c\`: the library\n- \`native/${library}.h\`: its functions`,
  },
};

/** `README.md`. */
export function readme(names: Names, language: Language): string {
  const { name, files } = languages[language];
  return `# ${names.package}

A ${name} library that TypeScript calls, in programs for Deno and for Bun:

\`\`\`ts
import { eachPrime, isPrime } from "${names.package}";

console.log(isPrime(97)); // true
eachPrime(100, (prime) => {
  console.log(prime); // 2, 3, 5, 7, 11
  return prime < 10;
});
\`\`\`

On Deno a program needs \`--allow-ffi\`.

## Build and test

\`\`\`sh
# Deno
deno install
deno task build
deno task test

# Bun
bun install
bun run build
bun test
\`\`\`

${files(names)}
- \`src/mod.ts\`: its binding, with \`@belay/ffi\`
- \`tests/mod_test.ts\`: tests, for both runtimes
- \`scripts/build.js\`: builds the library with Zig

To add a function, export it in \`native/\`, declare it in \`src/mod.ts\`, and call
it there from a TypeScript function.

\`build\` makes the library for this machine. It uses Zig from \`$ZIG\` or from the
PATH. If there is none, it installs Zig from PyPI, by Python's pip.

## Publish

\`\`\`sh
npm pack       # or: bun pm pack
npm publish    # or: bun publish
\`\`\`

The package has JavaScript, declarations, and the library for Linux, macOS and
Windows, each for x64 and arm64. Zig builds all of them on any machine:
\`deno task build --all\`, \`bun run build --all\`.

- The tests run on this machine's platform only. Run them on each platform that
  you promise.
- The libraries for Linux run with glibc 2.17 or newer. With musl (Alpine) they
  run unless they use something that only glibc has.
`;
}
