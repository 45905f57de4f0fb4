/** The check of the links in documents: what it finds, and what it leaves alone. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { brokenLinks, type Files } from "../../scripts/links.ts";
import { anchorsOf, linksOf, replaceLinks, slugOf } from "../../scripts/document.ts";
import { root } from "../../scripts/tools.ts";

/** Pages in memory; a folder is there if a page is in it. */
function filesOf(pages: Readonly<Record<string, string>>): Files {
  return {
    exists: (path) => Object.keys(pages).some((page) => page === path || page.startsWith(`${path}/`)),
    read: (path) => pages[path],
  };
}

describe("the links of documents", () => {
  it("may lead to files, folders, headings and other sites", () => {
    const files = filesOf({
      "README.md": "[a](docs/a.md) [b](docs/a.md#two-words) [c](docs) [d](#here) [e](https://x.example/y)\n\n# Here",
      "docs/a.md": '# One\n\n## Two words\n\n[up](../README.md#here "title") ![picture](../README.md)',
    });
    assertEquals(brokenLinks("README.md", files), []);
    assertEquals(brokenLinks("docs/a.md", files), []);
  });

  it("are named when they lead nowhere", () => {
    const files = filesOf({
      "docs/a.md": '# One\n\n[a](b.md) [b](#two) [c](../../x) [d](/docs/a.md) <img src="no.svg">\n\n[e]: no.md',
    });
    assertEquals(brokenLinks("docs/a.md", files), [
      'docs/a.md: "b.md" leads nowhere',
      'docs/a.md: "#two" names no heading of docs/a.md',
      'docs/a.md: "../../x" leads nowhere',
      'docs/a.md: "/docs/a.md" must be relative',
      'docs/a.md: "no.svg" leads nowhere',
      'docs/a.md: "no.md" leads nowhere',
    ]);
  });

  it("aren't looked for in code", () => {
    const page = "`[a](b)` ``[c](`d`)`` [`e`](f)\n\n```ts\nconst g = list[0](h);\n# no heading\n```\n\n[i](j)";
    assertEquals(linksOf(page), ["f", "j"]);
    assertEquals(
      replaceLinks(page, (target) => target.toUpperCase()),
      page.replace("](f)", "](F)").replace("](j)", "](J)"),
    );
  });

  it("name headings as GitHub does", () => {
    assertEquals(slugOf("`dlopen(path)`: what it's for"), "dlopenpath-what-its-for");
    assertEquals(
      [...anchorsOf("# A `b_c`\n\n## Same\n\n## [Same](x)\n\n```sh\n# no\n```\n\n## Ä & ö\n")],
      ["a-b_c", "same", "same-1", "ä--ö"],
    );
  });
});

describe("the vocabulary", () => {
  it("is the same in ffi/README.md and in the architecture", () => {
    const [here, there] = ["ffi/README.md", "docs/architecture/README.md"].map((file) => {
      const [, section] = readFileSync(join(root, file), "utf8").split("## Vocabulary\n");
      return section.split("\n").filter((line) => line.startsWith("|")).map((line) => line.replaceAll(/\s+/g, " "));
    });
    assertEquals(here, there);
  });
});
