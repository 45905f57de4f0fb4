import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stats } from "@belay/ffi";
import { type ArgumentClass, argumentLayout } from "../ffi/abi.ts";
import type { Platform } from "../ffi/backend.ts";

const before = stats();

const classes = {
  i8: { byteLength: 1, float: false },
  i16: { byteLength: 2, float: false },
  i32: { byteLength: 4, float: false },
  i64: { byteLength: 8, float: false },
  f32: { byteLength: 4, float: true },
  f64: { byteLength: 8, float: true },
} as const satisfies Record<string, ArgumentClass>;
type Name = keyof typeof classes;

const linux: Platform = { os: "linux", arch: "x86_64" };
const intelMac: Platform = { os: "darwin", arch: "x86_64" };
const windows: Platform = { os: "windows", arch: "x86_64" };
const linuxArm: Platform = { os: "linux", arch: "aarch64" };
const windowsArm: Platform = { os: "windows", arch: "aarch64" };
const apple: Platform = { os: "darwin", arch: "aarch64" };
const everywhere = [linux, intelMac, windows, linuxArm, windowsArm, apple];

/** A layout, spelled as the platforms' manuals do: integer register, float register, byte on the stack. */
function places(platform: Platform, names: readonly Name[]): { places: string[]; stackWords: number } {
  const { byteOffsets, stackWords } = argumentLayout(names.map((name) => classes[name]), platform);
  const place = (offset: number): string => {
    if (offset >= 128) return `stack+${offset - 128}`;
    return offset >= 64 ? `float${(offset - 64) / 8}` : `int${offset / 8}`;
  };
  return { places: byteOffsets.map(place), stackWords };
}

function repeat(name: Name, count: number): Name[] {
  return new Array<Name>(count).fill(name);
}

describe("argumentLayout", () => {
  it("needs nothing for no arguments, on every platform", () => {
    for (const platform of everywhere) {
      const { byteOffsets, stackWords, bits } = argumentLayout([], platform);
      assertEquals({ byteOffsets, stackWords, bits }, { byteOffsets: [], stackWords: 0, bits: 0 });
    }
  });

  it("puts six integers and eight floats into registers on x86-64 System V, counted apart", () => {
    // As in the psABI's example of parameter passing, its structure and long double left out.
    for (const platform of [linux, intelMac]) {
      assertEquals(places(platform, ["i32", "i32", "i32", "i32", "f64", "f64", "i32", "i32", "i32"]), {
        places: ["int0", "int1", "int2", "int3", "float0", "float1", "int4", "int5", "stack+0"],
        stackWords: 1,
      });
    }
  });

  it("gives each stack argument a word on x86-64 System V, in the order of the parameters", () => {
    const names: Name[] = [...repeat("i64", 6), ...repeat("f32", 8), "i8", "f32", "i16", "f64", "i32"];
    const layout = places(linux, names);
    assertEquals(layout.places.slice(0, 6), ["int0", "int1", "int2", "int3", "int4", "int5"]);
    assertEquals(layout.places.slice(6, 14), Array.from({ length: 8 }, (_, index) => `float${index}`));
    assertEquals(layout.places.slice(14), ["stack+0", "stack+8", "stack+16", "stack+24", "stack+32"]);
    assertEquals(layout.stackWords, 5);
  });

  it("still fills registers after an argument of the other kind went to the stack", () => {
    assertEquals(places(linux, [...repeat("i32", 7), "f64", "i32"]).places.slice(6), ["stack+0", "float0", "stack+8"]);
    assertEquals(places(apple, [...repeat("f64", 9), "i32", "f64"]).places.slice(8), ["stack+0", "int0", "stack+8"]);
  });

  // The three examples of Microsoft's "x64 calling convention".
  it("puts four integers into registers on x86-64 Windows", () => {
    assertEquals(places(windows, repeat("i32", 6)), {
      places: ["int0", "int1", "int2", "int3", "stack+0", "stack+8"],
      stackWords: 2,
    });
  });

  it("puts four floats into registers on x86-64 Windows", () => {
    assertEquals(places(windows, ["f32", "f64", "f32", "f64", "f32", "f32"]), {
      places: ["float0", "float1", "float2", "float3", "stack+0", "stack+8"],
      stackWords: 2,
    });
  });

  it("takes registers of both kinds by position on x86-64 Windows", () => {
    assertEquals(places(windows, ["i32", "f64", "i32", "f32", "i32", "f32"]), {
      places: ["int0", "float1", "int2", "float3", "stack+0", "stack+8"],
      stackWords: 2,
    });
  });

  it("puts eight integers and eight floats into registers on AArch64, and gives the others a word each", () => {
    const names: Name[] = [...repeat("i32", 8), ...repeat("f64", 8), "i8", "i8", "f32", "i16", "i64"];
    for (const platform of [linuxArm, windowsArm]) {
      const layout = places(platform, names);
      assertEquals(layout.places.slice(0, 8), Array.from({ length: 8 }, (_, index) => `int${index}`));
      assertEquals(layout.places.slice(8, 16), Array.from({ length: 8 }, (_, index) => `float${index}`));
      assertEquals(layout.places.slice(16), ["stack+0", "stack+8", "stack+16", "stack+24", "stack+32"]);
      assertEquals(layout.stackWords, 5);
    }
  });

  it("packs stack arguments on Apple's AArch64: Apple's own example of two chars", () => {
    // void two_stack_args(char w0, …, char w7, char s0, char s1): s0 is at sp, s1 at sp + 1.
    assertEquals(places(apple, repeat("i8", 10)).places.slice(8), ["stack+0", "stack+1"]);
    assertEquals(places(apple, repeat("i8", 10)).stackWords, 1);
  });

  it("aligns packed stack arguments naturally on Apple's AArch64", () => {
    const names: Name[] = [
      ...repeat("i64", 8),
      ...repeat("f64", 8),
      "i8",
      "i16",
      "i8",
      "i32",
      "i8",
      "f64",
      "f32",
      "i64",
    ];
    const layout = places(apple, names);
    assertEquals(
      layout.places.slice(16),
      ["stack+0", "stack+2", "stack+4", "stack+8", "stack+12", "stack+16", "stack+24", "stack+32"],
    );
    assertEquals(layout.stackWords, 5);
    assertEquals(places(apple, [...names, "i8"]).stackWords, 6);
  });

  it("takes 48 words on the stack and refuses 49 with a RangeError, on every platform", () => {
    const registers = new Map([[linux, 6], [intelMac, 6], [windows, 4], [linuxArm, 8], [windowsArm, 8], [apple, 8]]);
    assertEquals(registers.size, everywhere.length);
    for (const [platform, count] of registers) {
      assertEquals(places(platform, repeat("i64", count + 48)).stackWords, 48);
      assertThrows(
        () => places(platform, repeat("i64", count + 49)),
        RangeError,
        "Cannot define a callback: 49 words of arguments on the stack, at most 48 work",
      );
    }
  });

  it("counts packed bytes, not arguments, against the 48 words on Apple's AArch64", () => {
    assertEquals(places(apple, repeat("i8", 8 + 384)).stackWords, 48);
    assertEquals(places(apple, repeat("i8", 8 + 384)).places.at(-1), "stack+383");
    assertThrows(() => places(apple, repeat("i8", 8 + 385)), RangeError, "49 words");
    assertThrows(() => places(linuxArm, repeat("i8", 8 + 49)), RangeError, "49 words");
  });

  it("leaves nothing alive, and opens nothing", () => {
    const { thunks, ...counts } = stats();
    assertEquals(thunks, before.thunks, "the core was opened");
    assertEquals({ thunks, ...counts }, before);
  });
});
