/** The native core as a file, and what it refuses. */

import { statSync } from "node:fs";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { rawOpen } from "../bench/raw.ts";
import { core, corePath } from "../ffi/core.ts";
import { alive } from "./gc.ts";
import { leftOut } from "./left_out.ts";

const before = alive();
const measured = process.platform === "linux" && process.arch === "x64";
if (!measured) leftOut("the size of the native core, whose limit is for Linux x64");

describe("the native core", () => {
  (measured ? it : it.skip)("is a file of at most 96 KB", () => {
    const { size } = statSync(corePath());
    assert(size <= 96 * 1024, `${size} bytes`);
  });

  it("refuses a caller of another ABI version, and attaches nothing for it", () => {
    const { belay_isolate_attach, belay_isolate_count } = rawOpen(corePath(), {
      belay_isolate_attach: { parameters: ["u32", "bool", "u32", "u64"], result: "u64" },
      belay_isolate_count: { parameters: [], result: "u32" },
    });
    const { tag } = core();
    const count = belay_isolate_count();
    assertEquals(Number(belay_isolate_attach(1, true, 1024, 0n)), 0);
    assertEquals(belay_isolate_count(), count);
    assertEquals(core().tag, tag);
  });

  it("leaves nothing alive", () => {
    assertEquals(alive(), before);
  });
});
