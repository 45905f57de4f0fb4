/** Where belay's code is: what modules, the npm package and bundles are told apart by. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { placeOf } from "../../ffi/ground/place.ts";

describe("belay's code is in", () => {
  it("modules, in a checkout", () => {
    const meta = { url: "file:///home/a/belay/ffi/ground/place.ts", dirname: "/home/a/belay/ffi/ground" };
    assertEquals(placeOf(meta, "file:///home/a/belay/ffi/ground/embedded.ts"), {
      kind: "modules",
      prefixes: ["file:///home/a/belay/ffi/", "/home/a/belay/ffi/", "/home/a/belay/ffi\\"],
    });
  });

  it("modules, where they are no files, and where they are JavaScript", () => {
    for (const base of ["https://registry.test/@belay/ffi/0.1.0/ffi/", "file:///a/node_modules/@jsr/belay__ffi/ffi/"]) {
      for (const extension of ["ts", "js"]) {
        const place = placeOf({ url: `${base}ground/place.${extension}` }, `${base}ground/embedded.${extension}`);
        assertEquals(place, { kind: "modules", prefixes: [base] });
      }
    }
  });

  it("the npm package's one file", () => {
    const folder = "/app/node_modules/@belay/ffi/dist";
    const place = placeOf({ url: `file://${folder}/mod.js`, dirname: folder }, "unchanged");
    assertEquals(place, {
      kind: "package",
      prefixes: [`file://${folder}/mod.js`, `${folder}/mod.js`, `${folder}\\mod.js`],
    });
  });

  it("a bundle, where both modules are one, whatever it is called", () => {
    for (const url of ["file:///app/out/main.js", "file:///app/dist/mod.js", "file:///app/ground/place.js"]) {
      assertEquals(placeOf({ url, dirname: "/app/dist" }, url), { kind: "bundle", prefixes: [] });
    }
    assertEquals(placeOf({ url: "file:///$bunfs/root/app" }, "file:///$bunfs/root/app").kind, "bundle");
    // CommonJS has no `import.meta`.
    assertEquals(placeOf({}, undefined).kind, "bundle");
    // Two files of a bundle.
    assertEquals(placeOf({ url: "file:///app/dist/mod.js" }, "file:///app/dist/chunk-4f1a.js").kind, "bundle");
    assertEquals(placeOf({ url: "file:///app/dist/main.js" }, "unchanged").kind, "bundle");
  });
});
