/** What the rule over the folders of `ffi/` finds, and that `ffi/` itself keeps it. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checkLayers, modules, violations } from "../../scripts/layers.ts";

describe("the rule over folders", () => {
  it("is kept by ffi/", () => {
    assertEquals(modules().length > 50, true);
    checkLayers();
  });

  it("lets a folder import those below it, and its own files", () => {
    assertEquals(
      violations({
        "calls/library.ts": 'import { bind } from "../callbacks/binding.ts";\nimport { a } from "./arguments.ts";\n',
        "calls/arguments.ts": "",
        "callbacks/binding.ts": 'import {\n  shown,\n} from "../ground/errors.ts";\n',
        "ground/errors.ts": "",
      }),
      [],
    );
  });

  it("finds what imports a folder above it, a type as well, and re-exports", () => {
    const sources = { "ground/errors.ts": "", "calls/library.ts": "", "channels/channel.ts": "" };
    for (
      const statement of [
        'import { a } from "../calls/library.ts";',
        'import type { A } from "../calls/library.ts";',
        'export { a } from "../calls/library.ts";',
        'export type { A } from "../calls/library.ts";',
        'export * from "../calls/library.ts";',
        'import "../calls/library.ts";',
        'const a: import("../calls/library.ts").A = await import("../calls/library.ts");',
      ]
    ) {
      const planted = { ...sources, "ground/errors.ts": `${statement}\n` };
      assertEquals([...new Set(violations(planted))], [
        "ffi/ground/errors.ts imports ffi/calls/library.ts, which is not below it",
      ]);
    }
    const beside = { ...sources, "calls/library.ts": 'import { Channel } from "../channels/channel.ts";\n' };
    assertEquals(violations(beside), ["ffi/calls/library.ts imports ffi/channels/channel.ts, which is not below it"]);
  });

  it("finds files that import each other, types as well", () => {
    const [found = ""] = violations({
      "memory/a.ts": 'import { b } from "./b.ts";\n',
      "memory/b.ts": 'import { c } from "./c.ts";\n',
      "memory/c.ts": 'import type { A } from "./a.ts";\n',
    });
    assertStringIncludes(found, "ffi/memory/a.ts → ffi/memory/b.ts → ffi/memory/c.ts → ffi/memory/a.ts");
  });

  it("finds a runtime's API outside of its file, a module in no layer, and one that is missing", () => {
    assertEquals(violations({ "core/core.ts": "// Deno.pid\nDeno.pid;\n" }), [
      "ffi/core/core.ts names a runtime's API",
    ]);
    assertEquals(violations({ "runtime/deno.ts": "Deno.pid;\n" }), []);
    assertEquals(violations({ "more/a.ts": "" }), ["ffi/more/a.ts is in no layer"]);
    assertEquals(violations({ "core/core.ts": 'import { a } from "./b.ts";\n' }), [
      "ffi/core/core.ts imports ffi/core/b.ts, which is no module",
    ]);
  });
});
