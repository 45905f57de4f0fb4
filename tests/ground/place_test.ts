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
    const place = placeOf({ url: `file://${folder}/belay_ffi.js`, dirname: folder }, "unchanged");
    assertEquals(place, {
      kind: "package",
      prefixes: [`file://${folder}/belay_ffi.js`, `${folder}/belay_ffi.js`, `${folder}\\belay_ffi.js`],
    });
    for (
      const [url, dirname] of [
        ["file:///C:/my%20app/%23/dist/belay_ffi.js", "C:\\my app\\#\\dist"],
        ["file://server/share/dist/belay_ffi.js", "\\\\server\\share\\dist"],
        ["file:///a/dist/belay_ffi.js", undefined],
      ] as const
    ) {
      assertEquals([url, placeOf({ url, dirname }, "unchanged").kind], [url, "package"]);
    }
  });

  it("a bundle, where both modules are one, whatever it is called", () => {
    for (const url of ["file:///app/out/main.js", "file:///app/dist/belay_ffi.js", "file:///app/ground/place.js"]) {
      assertEquals(placeOf({ url, dirname: "/app/dist" }, url), { kind: "bundle", prefixes: [] });
    }
    assertEquals(placeOf({ url: "file:///$bunfs/root/app" }, "file:///$bunfs/root/app").kind, "bundle");
    // CommonJS has no `import.meta`.
    assertEquals(placeOf({}, undefined).kind, "bundle");
    // Two files of a bundle.
    assertEquals(placeOf({ url: "file:///app/dist/belay_ffi.js" }, "file:///app/dist/chunk-4f1a.js").kind, "bundle");
    // A bundler that leaves the text.
    assertEquals(placeOf({ url: "file:///app/dist/mod.js" }, "unchanged").kind, "bundle");
    const source = "file:///app/node_modules/@belay/ffi/dist/belay_ffi.js";
    assertEquals(placeOf({ url: source, dirname: "/app/out" }, "unchanged").kind, "bundle");
  });
});
