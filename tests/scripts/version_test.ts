/** The check of the version: which disagreements it names, and what it leaves alone. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { disagreements, notesOf, projectFiles, type TextFiles, versionOf } from "../../scripts/version.ts";

const agreeing: Readonly<Record<string, string>> = {
  "deno.json": '{ "version": "1.2.3" }',
  "package.json": '{ "version": "1.2.3", "devDependencies": { "deno": "2.9.6" } }',
  "package-lock.json": '{ "version": "1.2.3", "packages": { "": { "version": "1.2.3" } } }',
  "native/build.zig.zon": '.{\n    .version = "1.2.3",\n    .minimum_zig_version = "0.16.0",\n}\n',
  "CHANGELOG.md":
    "# Changelog\n\n## 1.2.3, 2026-11-30\n\n- New.\n\n## 1.2.2, 2026-11-01\n\n- Old: `@belay/ffi@1.2.2`.\n",
  "README.md": "`npm pack` makes belay-ffi-1.2.3.tgz. `deno add jsr:@belay/ffi@^1.2`",
  "ffi/doctor.ts": 'export const version = "1.2.3";\n',
  "tests/some_test.ts": '"npm:@belay/ffi@9.9.9"',
};

/** The agreeing files, with some in other words. */
function filesWith(changes: Readonly<Record<string, string>> = {}): TextFiles {
  const files = { ...agreeing, ...changes };
  return { paths: Object.keys(files), read: (path) => files[path] };
}

describe("the version", () => {
  it("is the same in every file of the project", () => {
    assertEquals(disagreements(projectFiles()), []);
  });

  it("may be an older one in the changelog, and any in tests", () => {
    assertEquals(disagreements(filesWith()), []);
    assertEquals(disagreements(filesWith(), { tag: "v1.2.3" }), []);
  });

  it("is compared in each manifest, and the message has the file and what it has", () => {
    const plant = (path: string, text: string) => disagreements(filesWith({ [path]: text }));
    assertEquals(plant("package.json", '{ "version": "1.2.4" }'), ['package.json has "1.2.4"']);
    assertEquals(plant("package.json", "{}"), ["package.json has no version"]);
    assertEquals(plant("native/build.zig.zon", '.{\n    .version = "1.2.2",\n}'), ['native/build.zig.zon has "1.2.2"']);
    assertEquals(
      plant("package-lock.json", '{ "version": "1.2.3", "packages": { "": { "version": "1.0.0" } } }'),
      ['package-lock.json has "1.0.0"'],
    );
    assertEquals(
      disagreements(filesWith({ "deno.json": '{ "version": "1.3.0" }' })).map((line) => line.split(" ")[0]),
      [
        "package.json",
        "package-lock.json",
        "native/build.zig.zon",
        "CHANGELOG.md",
        "README.md",
        "README.md",
        "ffi/doctor.ts",
      ],
    );
  });

  it("is compared where documents and sources name it", () => {
    const plant = (text: string) => disagreements(filesWith({ "docs/guide/a.md": text }));
    assertEquals(plant("bun add ../belay-ffi-1.2.2.tgz"), ['docs/guide/a.md has "belay-ffi-1.2.2.tgz"']);
    assertEquals(plant("jsr:@belay/ffi@1.2.4"), ['docs/guide/a.md has "@belay/ffi@1.2.4"']);
    assertEquals(plant("jsr:@belay/ffi@^1.20"), ['docs/guide/a.md has "@belay/ffi@^1.20"']);
    assertEquals(plant("jsr:@belay/ffi@1, npm:@belay/ffi@1.2, zig 0.16.0, bun@1.4.5"), []);
    assertEquals(plant("belay        ok       1.2.2"), ['docs/guide/a.md has "belay        ok       1.2.2"']);
    assertEquals(plant("It depends on belay's version, `^1.2.4`."), [
      'docs/guide/a.md has "belay\'s version, `^1.2.4"',
    ]);
    assertEquals(plant("With belay on Deno 2.9.6. On belay. Zig 0.16.0."), []);
    assertEquals(plant('#define BELAY_VERSION "1.2.2"'), ['docs/guide/a.md has "BELAY_VERSION \\"1.2.2\\""']);
  });

  it("is the first of the changelog, with a date if it is released", () => {
    const plant = (heading: string, tag?: string) =>
      disagreements(filesWith({ "CHANGELOG.md": `# Changelog\n\n## ${heading}\n` }), tag === undefined ? {} : { tag });
    assertEquals(plant("1.2.3, unreleased"), []);
    assertStringIncludes(plant("1.2.3, unreleased", "v1.2.3").join(), 'CHANGELOG.md has "## 1.2.3, unreleased"');
    assertStringIncludes(plant("1.2.3, soon").join(), 'CHANGELOG.md has "## 1.2.3, soon"');
    assertStringIncludes(plant("1.2.3, 2026-13-01").join(), '"## 1.2.3, 2026-13-01"');
    assertStringIncludes(plant("1.2.4, 2026-11-30\n\n## 1.2.3, 2026-11-01").join(), "doesn't begin with a heading");
    assertEquals(
      disagreements(filesWith({ "CHANGELOG.md": "## 1.2.3, unreleased" }), { tag: "v1.2.3", unreleased: true }),
      [],
    );
  });

  it("is what the tag says", () => {
    assertEquals(disagreements(filesWith(), { tag: "v1.2.4" }), ['the tag is "v1.2.4", not "v1.2.3"']);
    assertEquals(disagreements(filesWith(), { tag: "1.2.3" }), ['the tag is "1.2.3", not "v1.2.3"']);
  });

  it("has three numbers", () => {
    assertThrows(() => versionOf(filesWith({ "deno.json": '{ "version": "1.2" }' })), Error, "deno.json");
    assertThrows(() => versionOf(filesWith({ "deno.json": "{}" })), Error, "no version");
    assertEquals(versionOf(filesWith({ "deno.json": '{ "version": "1.2.3-rc.1" }' })), "1.2.3-rc.1");
  });
});

describe("a release's notes", () => {
  it("are the changelog's section", () => {
    assertEquals(notesOf(agreeing["CHANGELOG.md"], "1.2.3"), "- New.\n");
    assertEquals(notesOf(agreeing["CHANGELOG.md"], "1.2.2"), "- Old: `@belay/ffi@1.2.2`.\n");
    assertThrows(() => notesOf(agreeing["CHANGELOG.md"], "1.2"), Error, '"1.2"');
  });
});
