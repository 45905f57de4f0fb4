/** What is generated has a name, whatever it is for. */

import { assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

describe("names with surrogates that stand alone", () => {
  for (const name of ["a\ud800", "\udc00"]) {
    it(`are names of functions and fields as others are (${JSON.stringify(name)})`, async () => {
      const pass = { name: "identity_i32", parameters: ["i32"], result: "i32" } as const;
      using library = dlopen(testLibrary, { [name]: pass });
      assertStrictEquals(library.symbols[name]?.(3), 3);
      using later = dlopen(testLibrary, { [name]: { ...pass, nonblocking: true } });
      assertStrictEquals(await later.symbols[name]?.(3), 3);
      const Named = struct({ [name]: "i32" });
      using memory = Named.alloc({ [name]: 3 });
      assertStrictEquals(Named.read(memory)[name], 3);
      assertStrictEquals(Named.view(memory)[name], 3);
    });
  }
});
