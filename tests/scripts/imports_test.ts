/** A task is what installs the packages, in a fresh clone: what it imports may need none. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../scripts/tools.ts";

const { tasks, imports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as {
  tasks: Record<string, { command: string }>;
  imports: Record<string, string>;
};

/** What a module imports before it runs: the statements at the start of a line, but types. */
function importsOf(text: string): string[] {
  return [...text.matchAll(/^(?:import|export) (?!type\b)(?:[^;"]*? from )?"([^"]+)";/gm)].map(([, name = ""]) => name);
}

/** The modules that run with one, and those of packages that they import. */
function reachedFrom(entry: string): { modules: Set<string>; packages: string[] } {
  const modules = new Set<string>();
  const packages: string[] = [];
  const visit = (file: string): void => {
    if (modules.has(file)) return;
    modules.add(file);
    for (const name of importsOf(readFileSync(file, "utf8"))) {
      if (name.startsWith(".")) visit(join(dirname(file), name));
      else if (!name.startsWith("node:") && !(name in imports)) packages.push(`${file} imports ${name}`);
    }
  };
  visit(join(root, entry));
  return { modules, packages };
}

describe("the tasks of deno.json, in a clone without packages", () => {
  it("finds what a module imports", () => {
    assertEquals(
      importsOf(
        'import "a";\nimport b from "b";\nimport {\n  c,\n} from "c";\nexport * from "d";\nimport type { E } from "e";\n',
      ),
      ["a", "b", "c", "d"],
    );
  });

  for (const [name, { command }] of Object.entries(tasks)) {
    it(`\`${name}\` imports no package`, () => {
      const [entry = ""] = command.split(" ").filter((word) => word.endsWith(".ts"));
      assertEquals(existsSync(join(root, entry)), true, command);
      const { modules, packages } = reachedFrom(entry);
      assertNotEquals(modules.size, 0);
      assertEquals(packages, []);
    });
  }
});
