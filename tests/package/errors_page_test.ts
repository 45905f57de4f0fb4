/** docs/errors.md has an entry for each kind of message: what is added to the code is added there. */

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/tools.ts";

const page = readFileSync(join(root, "docs", "errors.md"), "utf8");
const source = readdirSync(join(root, "ffi"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => readFileSync(join(root, "ffi", file), "utf8"))
  .join("\n");

/** What a pattern's first group matches in the code, each once. */
function inSource(pattern: RegExp): string[] {
  return [...new Set(Array.from(source.matchAll(pattern), ([, found = ""]) => found))].sort();
}

/** What the page has nowhere. */
function missing(found: readonly string[], isThere: (each: string) => boolean): string[] {
  return found.length === 0 ? ["the test found nothing in the code"] : found.filter((each) => !isThere(each));
}

it("docs/errors.md has every class of errors", () => {
  const classes = inSource(/^export class (\w+Error)\b/gm);
  assertEquals(missing(classes, (name) => page.includes(`### ${name}\n`)), []);
});

it("docs/errors.md has every reason of an InvalidHandleError, and every rule of a PointerRuleError", () => {
  const unions = inSource(/^export type (?:InvalidHandleReason|PointerRule) =([^;]*);/gm).join("\n");
  const ids = Array.from(unions.matchAll(/\| "([\w-]+)"/g), ([, id = ""]) => id);
  assertEquals(missing(ids, (id) => page.includes(`\`"${id}"\``)), []);
});

it("docs/errors.md has every kind of reports", () => {
  const kinds = inSource(/\breport\(\s*"([\w-]+)"/g);
  assertEquals(missing(kinds, (kind) => page.includes(`| \`${kind}\` `)), []);
});

it('docs/errors.md has every subject of a message, from "Cannot" to the colon', () => {
  const literals = [/"(Cannot [^"\n]*)"/g, /'(Cannot [^'\n]*)'/g, /`(Cannot [^`]*)`/g].flatMap(inSource);
  // In place of a name the page has something else.
  const subjects = literals.map((literal) => literal.replace(/\\?\$\{[^}]*\}/g, "…").split(":")[0]?.trim() ?? "");
  const isThere = (subject: string): boolean => {
    const pieces = subject.split("…").map((piece) => piece.replace(/[^\w ]/g, "\\$&"));
    return new RegExp(pieces.join("[^\\n|`]+")).test(page);
  };
  assertEquals(missing(subjects, isThere), []);
});
