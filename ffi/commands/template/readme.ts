/**
 * `README.md` of a new project.
 *
 * @module
 */

import type { Language, Names } from "./names.ts";

/** What is where, and on which Linux systems it runs. */
const words: Readonly<Record<Language, { name: string; files: (names: Names) => string; linux: string }>> = {
  zig: {
    name: "Zig",
    files: ({ library }) => `- \`native/${library}.zig\`: the library`,
    linux: `- The libraries for Linux run with glibc and with musl (Alpine). If you link C's
  library (\`-lc\` in \`scripts/build.js\`), they need glibc 2.17 or newer.`,
  },
  c: {
    name: "C",
    files: ({ library }) =>
      `- \`native/${library}.c\`: the library
- \`native/${library}.h\`: its functions`,
    linux: "- The libraries for Linux need glibc 2.17 or newer: not musl (Alpine).",
  },
};

/** `README.md`. */
export function readme(names: Names, language: Language): string {
  const { name, files, linux } = words[language];
  return `# ${names.package}

A ${name} library for TypeScript, on Deno and Bun.

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

- Tests run on this machine only. Run them on each platform that you promise.
${linux}
`;
}
