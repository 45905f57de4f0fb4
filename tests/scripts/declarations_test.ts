/** The declarations of the npm package. */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { shaken } from "../../scripts/declarations.ts";

const modules = new Map([
  ["mod.d.ts", 'export { type Shown, made } from "./a/shown.js";\n'],
  [
    "a/shown.d.ts",
    `/**
 * What the file is for.
 *
 * @module
 */
import { type Inner, Unused } from "../inner.js";
import type { inside } from "../inside.js";
/** For everybody. */
export declare class Shown {
    #private;
    /** Made by belay. */
    constructor(token: typeof inside, hidden: Unused);
    /** A member. */
    get inner(): Inner;
}
/** For nobody. */
export declare function hidden(): Unused;
/** Makes one. */
export declare function made(): Promise<Shown | import("../late.js").Late>;
export {};
`,
  ],
  [
    "inner.d.ts",
    `/** Of belay's own. */
export interface Inner {
    /** A field of its own. */
    readonly value: Own;
}
type Own = string;
export declare class Unused {
}
`,
  ],
  ["inside.d.ts", "export declare const inside: unique symbol;\n"],
  ["late.d.ts", "export type Late = Other;\nexport type Other = 1;\nexport type None = 2;\n"],
]);

describe("the declarations of a package", () => {
  it("are those that a program can come to, with the comments of what it has by name", () => {
    assertEquals(
      [...shaken(modules, "mod.d.ts")],
      [
        ["mod.d.ts", modules.get("mod.d.ts") ?? ""],
        [
          "a/shown.d.ts",
          `import type { Inner } from "../inner.js";
/** For everybody. */
export declare class Shown {
    #private;
    protected constructor();
    /** A member. */
    get inner(): Inner;
}
/** Makes one. */
export declare function made(): Promise<Shown | import("../late.js").Late>;
export {};
`,
        ],
        ["inner.d.ts", "export interface Inner {\n    readonly value: Own;\n}\ntype Own = string;\nexport {};\n"],
        ["late.d.ts", "export type Late = Other;\nexport type Other = 1;\nexport {};\n"],
      ],
    );
  });

  it("are refused where they are written otherwise than this knows", () => {
    assertThrows(() => shaken(new Map([["mod.d.ts", 'export { a } from "./b.js";']]), "mod.d.ts"), Error, "b.d.ts");
    const odd = new Map([["mod.d.ts", 'export { a } from "./b.js";'], ["b.d.ts", "declare namespace a {\n}\n"]]);
    assertThrows(() => shaken(odd, "mod.d.ts"), Error, "namespace");
  });
});
