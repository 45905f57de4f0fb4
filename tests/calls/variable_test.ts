/** Static variables of C libraries, which are read as properties. */

import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dlopen, Handle, InvalidHandleError, LibraryClosedError, pointerValue, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive } from "../support/gc.ts";
import { limits, scalarTypes } from "../support/scalars.ts";
import { openUnchecked } from "../support/unchecked.ts";
import { itOnLinux } from "../support/library_copy.ts";

const before = alive();

describe("static variables", () => {
  it("are read with the values that C gave them", () => {
    using library = dlopen(testLibrary, {
      static_i64: { type: "i64" },
      static_u8: { type: "u8" },
      static_f64: { type: "f64" },
      static_bool: { type: "bool" },
      static_text: { type: "cstring" },
    });
    const { symbols } = library;
    assertStrictEquals(symbols.static_i64, -1234567890123456789n);
    assertStrictEquals(symbols.static_u8, 200);
    assertStrictEquals(symbols.static_f64, 0.5);
    assertStrictEquals(symbols.static_bool, true);
    assertStrictEquals(symbols.static_text, "a static string");
  });

  for (const type of scalarTypes) {
    it(`of type ${type} are read anew on each access, at their limits`, () => {
      using library = openUnchecked({
        variable: { type, name: `variable_${type}` },
        set: { parameters: [type], result: "void", name: `variable_${type}_set` },
      });
      for (const value of limits[type]) {
        library.symbols["set"](value);
        assertStrictEquals(library.symbols["variable"], value);
      }
    });
  }

  itOnLinux("of C's library are those that a linked library uses, also where the runtime has copies of them", () => {
    using library = dlopen(testLibrary, {
      seen_variable: { parameters: ["cstring"], result: "pointer" },
      change_environment: { parameters: ["cstring", "cstring"], result: "void" },
      parse_option: { parameters: ["cstring"], result: "i32" },
    });
    const seen = library.symbols;
    const variable = { type: "pointer" } as const;
    using libc = dlopen({ name: "c", versions: ["6"] }, {
      environ: variable,
      stdin: variable,
      stdout: variable,
      stderr: variable,
      optarg: variable,
    });
    const { symbols } = libc;
    assertStrictEquals(seen.parse_option("of an option"), "x".charCodeAt(0));
    for (let round = 0; round < 2; round++) {
      for (const name of ["environ", "stdin", "stdout", "stderr", "optarg"] as const) {
        assert(symbols[name] !== null, name);
        assertStrictEquals(pointerValue(symbols[name]), pointerValue(seen.seen_variable(name)), name);
      }
      seen.change_environment("BELAY_TEST_ENVIRON", "changed");
    }
  });

  itOnLinux(
    "are those that the library's own code uses, where another library has their names (in a child process)",
    () => {
      // The loader splits what it loads first at spaces.
      const folder = mkdtempSync(join(tmpdir(), "belay-"));
      try {
        const copy = join(folder, "libcopy.so");
        copyFileSync(testLibrary, copy);
        const { code, stdout, stderr } = runChild("interposed.ts", [copy], { env: { LD_PRELOAD: copy } });
        assertEquals([stdout.trim(), code, stderr], ["5,6,5,1", 0, ""]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  it("of type cstring follow the pointer, and are null for NULL", () => {
    using library = dlopen(testLibrary, {
      greeting: { parameters: [], result: "pointer" },
      variable_pointer: { type: "cstring" },
      variable_pointer_set: { parameters: ["pointer"], result: "void" },
    });
    const { symbols } = library;
    symbols.variable_pointer_set(symbols.greeting());
    assertStrictEquals(symbols.variable_pointer, "grüß dich");
    symbols.variable_pointer_set(null);
    assertStrictEquals(symbols.variable_pointer, null);
  });

  it("of type handle are the handle's value, and throw InvalidHandleError when it was deleted", () => {
    using library = dlopen(testLibrary, {
      variable_pointer: { type: "handle" },
      variable_pointer_set: { parameters: ["handle"], result: "void" },
    });
    const { symbols } = library;
    const handle = Handle.create(["value"]);
    symbols.variable_pointer_set(handle);
    assertStrictEquals(symbols.variable_pointer, handle.value);
    handle.delete();
    assertStrictEquals(assertThrows(() => symbols.variable_pointer, InvalidHandleError).reason, "stale");
    symbols.variable_pointer_set(null);
    assertStrictEquals(assertThrows(() => symbols.variable_pointer, InvalidHandleError).reason, "null");
  });

  it("of type pointer give what is stored in them", () => {
    using library = dlopen(testLibrary, {
      static_pointer: { type: "pointer" },
      static_value: { type: "i32" },
      static_value_set: { parameters: ["i32"], result: "void" },
      read_id: { parameters: ["pointer"], result: "usize" },
    });
    const { symbols } = library;
    symbols.static_value_set(7);
    assertStrictEquals(symbols.static_value, 7);
    assertStrictEquals(BigInt.asUintN(32, symbols.read_id(symbols.static_pointer)), 7n);
    symbols.static_value_set(-8);
    assertStrictEquals(symbols.static_value, -8);
    symbols.static_value_set(7);
  });

  it("can't be assigned", () => {
    using library = dlopen(testLibrary, { static_u8: { type: "u8" } });
    const assign = () => Object.assign(library.symbols, { static_u8: 1 });
    assertThrows(assign, TypeError, 'Cannot write "static_u8": a variable is read only here');
    assertStrictEquals(library.symbols.static_u8, 200);
    library.close();
    assertThrows(assign, LibraryClosedError, 'Cannot write "static_u8"');
  });
});

it("nothing of these tests is left alive", () => {
  assertEquals(alive(), before);
  assertStrictEquals(stats().live.waitingErrors, 0);
});
