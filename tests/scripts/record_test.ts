/** When `ffi/core/record.ts` is stale. The gate's step `record` holds it against what Zig says now. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { it } from "@std/testing/bdd";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { staleness } from "../../scripts/record.ts";
import { root } from "../../scripts/tools.ts";

it("a record is stale when a field was added, moved or taken away, and the first such line is named", () => {
  const record = readFileSync(join(root, "ffi", "core", "record.ts"), "utf8");
  assertEquals(staleness(record, record), undefined);
  const added = record.replace("export const tagWord", "export const moreWord = 300;\nexport const tagWord");
  assertStringIncludes(staleness(record, added) ?? "", "has export const moreWord = 300;");
  const moved = record.replace(/export const tagWord = \d+;/, "export const tagWord = 1;");
  assertStringIncludes(staleness(record, moved) ?? "", "has export const tagWord = 1;");
  assertStringIncludes(staleness(added, record) ?? "", "has fewer lines");
  assertStringIncludes(staleness("", record) ?? "", "is stale");
});
