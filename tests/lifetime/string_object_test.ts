/** As Go's programs do it: an object that TypeScript implements, and of which C holds the number alone. */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { callback, dlopen, Handle, handle, InvalidHandleError, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { alive } from "../support/gc.ts";

const before = alive();

/** What C knows by its number. */
class StringObject {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What the objects printed. */
let output: string[] = [];

const make = callback(
  { parameters: ["cstring"], result: "usize" },
  (text) => Handle.create(new StringObject(text ?? "")).id,
);
const print = callback({ parameters: [handle<StringObject>(), "i32"], result: "void" }, ({ text }, depth) => {
  output.push(`${"  ".repeat(depth)}${text}`);
});
const free = callback({ parameters: ["usize"], result: "void" }, (id) => Handle.delete(Number(id)));

const library = dlopen(testLibrary, {
  string_object_make: { parameters: [make.definition, "i32", "cstring"], result: "void" },
  string_object_print: { parameters: [print.definition, "i32", "i32", "i32"], result: "void" },
  string_object_free: { parameters: [free.definition, "i32", "i32"], result: "void" },
  string_object_life: {
    parameters: [make.definition, print.definition, free.definition, "i32"],
    result: "void",
  },
});
const { string_object_make, string_object_print, string_object_free, string_object_life } = library.symbols;

/** The objects that this file has made and not freed. */
function live(): number {
  return stats().live.handles - before.handles;
}

describe("a string object that C holds", () => {
  it("is made, printed and freed by C, through callbacks", () => {
    output = [];
    string_object_make(make, 0, "grüß dich");
    assertStrictEquals(live(), 1);
    string_object_print(print, 0, 0, 1);
    string_object_free(free, 1, 1);
    assertEquals([output, live()], [["grüß dich"], 0]);
  });

  it("is one of many, printed as they are nested, and freed in another order than they were made in", () => {
    const count = 10_000;
    for (const stride of [1, 7, 97]) {
      output = [];
      for (let made = 0; made < count; made++) {
        // A prime that doesn't divide the count: each place once.
        const place = made * 7919 % count;
        string_object_make(make, place, `object ${place}`);
      }
      assertStrictEquals(live(), count);
      string_object_print(print, 0, 0, count);
      const expected: string[] = [];
      const visit = (place: number, depth: number): void => {
        if (place >= count) return;
        expected.push(`${"  ".repeat(depth)}object ${place}`);
        visit(2 * place + 1, depth + 1);
        visit(2 * place + 2, depth + 1);
      };
      visit(0, 0);
      assertEquals(output.join("\n"), expected.join("\n"));
      string_object_free(free, stride, count);
      assertStrictEquals(live(), 0);
    }
  });

  it("lives while others are made and freed inside its life", () => {
    output = [];
    string_object_life(make, print, free, 100);
    const down = Array.from({ length: 101 }, (_, index) => {
      const depth = 100 - index;
      return `${"  ".repeat(depth)}${depth % 2 === 0 ? "even" : "odd"}`;
    });
    assertEquals([output, live()], [[...down, ...down.toReversed()], 0]);
  });

  it("that was freed is an error of the call in which C uses it again", () => {
    output = [];
    string_object_make(make, 0, "once");
    using freeTwice = callback({ parameters: ["usize"], result: "void" }, (id) => {
      Handle.delete(Number(id));
      Handle.delete(Number(id));
    });
    const error = assertThrows(() => string_object_free(freeTwice, 1, 1), InvalidHandleError);
    assertEquals([error.reason, live()], ["stale", 0]);
  });

  it("leaves the registry empty", () => {
    for (const each of [make, print, free]) each.close();
    library.close();
    assertEquals([live(), alive()], [0, before]);
  });
});
