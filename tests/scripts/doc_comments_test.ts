/** What the rule over doc comments finds, and that the API keeps it. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { documentation, lacking } from "../../scripts/doc_comments.ts";
import { hasHostPrograms } from "../support/machine.ts";
import { leftOut } from "../support/left_out.ts";

if (!hasHostPrograms) leftOut("the doc comments, which are the host's Deno's to read");
const itOnHost = hasHostPrograms ? it : it.skip;

const comment = (doc: string, ...tags: readonly (readonly [string, string?])[]) => ({
  doc,
  tags: tags.map(([kind, name]) => name === undefined ? { kind } : { kind, name }),
});
const number = { repr: "number" };
const nothing = { repr: "void" };

/** A module that exports one thing. */
function exporting(name: string, ...declarations: readonly Record<string, unknown>[]) {
  return { nodes: { "mod.ts": { symbols: [{ name, declarations: declarations as never[] }] } } };
}

function ofFunction(jsDoc: unknown, def: Record<string, unknown>): Record<string, unknown> {
  return { kind: "function", jsDoc, def: { hasBody: true, ...def } };
}

describe("the rule over doc comments", () => {
  itOnHost("is kept by mod.ts, and by what its classes inherit", () => {
    const read = documentation("mod.ts", "ffi/memory/record_types.ts");
    assertEquals(Object.values(read.nodes).every(({ symbols }) => symbols.length > 10), true);
    assertEquals(lacking(read), []);
  });

  it("passes a function whose parameters and result are described", () => {
    const params = [{ name: "a" }, { left: { name: "b" } }, { arg: { name: "rest" } }];
    const tags = [["param", "a"], ["param", "b"], ["param", "rest"], ["return"]] as const;
    assertEquals(
      lacking(exporting("add", ofFunction(comment("Adds.", ...tags), { params, returnType: number }))),
      [],
    );
    assertEquals(
      lacking(exporting("add", ofFunction(comment("Adds."), { params, returnType: number }))),
      ["add has no @param a", "add has no @param b", "add has no @param rest", "add has no @returns"],
    );
    assertEquals(lacking(exporting("end", ofFunction(comment("Ends."), { params: [], returnType: nothing }))), []);
  });

  it("finds what has no description, or one that doesn't stand alone", () => {
    for (const jsDoc of [undefined, {}, { doc: " \n" }]) {
      assertEquals(lacking(exporting("A", { kind: "typeAlias", jsDoc })), ["A has no description"]);
    }
    for (const start of ["As", "The same"]) {
      assertEquals(lacking(exporting("A", { kind: "interface", jsDoc: comment(`${start} {@linkcode B}.`) })), [
        `A begins with "${start}": it says nothing where it stands alone`,
      ]);
    }
    assertEquals(lacking(exporting("A", { kind: "typeAlias", jsDoc: comment("Assigned once.") })), []);
  });

  it("finds the same in the members of classes and interfaces", () => {
    const signature = { params: [{ name: "a" }], returnType: number };
    const members = {
      constructors: [
        { name: "constructor", params: [{ name: "b" }], jsDoc: comment("Makes one.") },
        { name: "constructor", params: [{ name: "c" }], accessibility: "private" },
      ],
      properties: [{ name: "c" }, { name: "hidden", accessibility: "private" }],
      methods: [
        { name: "d", kind: "method", functionDef: signature, jsDoc: comment("Does.") },
        { name: "e", kind: "getter", functionDef: { params: [], returnType: number }, jsDoc: comment("Whether.") },
        { name: "f", kind: "method", accessibility: "protected", functionDef: signature },
      ],
    };
    assertEquals(lacking(exporting("A", { kind: "class", jsDoc: comment("An A."), def: members })), [
      "new A has no @param b",
      "A.c has no description",
      "A.d has no @param a",
      "A.d has no @returns",
    ]);
    const methods = [{ name: "at", ...signature, jsDoc: comment("As above.", ["param", "a"], ["return"]) }];
    assertEquals(lacking(exporting("B", { kind: "interface", jsDoc: comment("A B."), def: { methods } })), [
      'B.at begins with "As": it says nothing where it stands alone',
    ]);
  });

  it("looks at each overload, and not at the implementation", () => {
    const described = comment("Adds.", ["param", "a"], ["return"]);
    const def = { params: [{ name: "a" }], returnType: number };
    const overload = { kind: "function", jsDoc: described, def };
    const implementation = { kind: "function", def: { ...def, hasBody: true } };
    assertEquals(lacking(exporting("add", overload, overload, implementation)), []);
    assertEquals(lacking(exporting("add", overload, { kind: "function", def }, implementation)), [
      "add has no description",
      "add has no @param a",
      "add has no @returns",
    ]);
  });
});
