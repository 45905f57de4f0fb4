/** Where C functions have their arguments and results, by platform, without calling any. */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { stats } from "@belay/ffi";
import {
  type ArgumentClass,
  argumentLayout,
  type Leaf,
  type StructureClass,
  type StructurePlace,
  variadicTwin,
} from "../../ffi/types/calling_convention.ts";
import type { Platform } from "../../ffi/types/platform.ts";

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
  return { places: byteOffsets.map(spelled), stackWords };
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

  it("takes 128 words on the stack and refuses 129 with a RangeError, on every platform", () => {
    const registers = new Map([[linux, 6], [intelMac, 6], [windows, 4], [linuxArm, 8], [windowsArm, 8], [apple, 8]]);
    assertEquals(registers.size, everywhere.length);
    for (const [platform, count] of registers) {
      assertEquals(places(platform, repeat("i64", count + 128)).stackWords, 128);
      assertThrows(
        () => places(platform, repeat("i64", count + 129)),
        RangeError,
        "Cannot define a callback: expected at most 128 words of arguments and result beside the registers, got 129",
      );
    }
  });

  it("counts packed bytes, not arguments, against the 128 words on Apple's AArch64", () => {
    assertEquals(places(apple, repeat("i8", 8 + 1024)).stackWords, 128);
    assertEquals(places(apple, repeat("i8", 8 + 1024)).places.at(-1), "stack+1023");
    assertThrows(() => places(apple, repeat("i8", 8 + 1025)), RangeError, "got 129");
    assertThrows(() => places(linuxArm, repeat("i8", 8 + 129)), RangeError, "got 129");
  });
});

/** A structure of scalars, one behind the other. */
function structure(...names: readonly Name[]): StructureClass {
  const leaves: Leaf[] = [];
  let byteOffset = 0;
  for (const name of names) {
    const { byteLength } = classes[name];
    byteOffset = Math.ceil(byteOffset / byteLength) * byteLength;
    leaves.push({ ...classes[name], byteOffset });
    byteOffset += byteLength;
  }
  const align = Math.max(...leaves.map(({ byteLength }) => byteLength));
  return { byteLength: Math.ceil(byteOffset / align) * align, leaves };
}

function bytes(length: number): StructureClass {
  return structure(...repeat("i8", length));
}

function spelled(byteOffset: number): string {
  if (byteOffset >= 128) return `stack+${byteOffset - 128}`;
  return byteOffset >= 64 ? `float${(byteOffset - 64) / 8}` : `int${byteOffset / 8}`;
}

/** How arguments are passed: `&` before the place of an address, all places where there are several. */
function passed(platform: Platform, types: readonly (Name | StructureClass)[], fixed?: number): string[] {
  const given = types.map((type) => typeof type === "string" ? classes[type] : type);
  const { byteOffsets, structures } = argumentLayout(given, platform, { fixed });
  const whole = (place: StructurePlace): string | undefined =>
    place.whole === undefined ? undefined : spelled(place.whole);
  return structures.map((place, index) => {
    if (place === undefined) return spelled(byteOffsets[index]);
    if (place.address !== undefined) return `&${spelled(place.address)}`;
    return whole(place) ?? place.pieces.map(({ to, from }) => `${spelled(to)}:${from}`).join(" ");
  });
}

/** How a structure is returned: `&` before where the caller passes an address. */
function returned(platform: Platform, type: StructureClass): string {
  const { result } = argumentLayout([], platform, { result: type });
  if (result === undefined) return "nothing";
  if (result.memory) return `&${result.address === undefined ? "x8" : spelled(result.address)}`;
  const place = (to: number): string => to >= 16 ? `float${(to - 16) / 8}` : `int${to / 8}`;
  const { whole, pieces } = result.place;
  return whole === undefined ? pieces.map(({ to, from }) => `${place(to)}:${from}`).join(" ") : place(whole);
}

// What the compiler makes of the same declarations (`zig cc -O1 -S`, for aarch64-macos, aarch64-windows-gnu and
// x86_64-windows-gnu) is what is expected here.
describe("argumentLayout of structures", () => {
  const full = [...repeat("f64", 8), ...repeat("i64", 8)];
  const afterFull = (platform: Platform, ...types: readonly (Name | StructureClass)[]): string[] =>
    passed(platform, [...full, ...types]).slice(full.length);
  const f1 = structure("f32");
  const f2 = structure("f32", "f32");
  const f3 = structure("f32", "f32", "f32");
  const d2 = structure("f64", "f64");
  const d4 = structure(...repeat("f64", 4));
  const d5 = structure(...repeat("f64", 5));
  const l2 = structure("i64", "i64");
  const floatAndInt = structure("f32", "i32");

  it("passes all 8 bytes of a double that shares them with a float and padding on x86-64 System V, as gcc does", () => {
    const { byteLength, leaves } = structure("f32", "f64");
    const shared = { byteLength, leaves: [...leaves, ...structure("f64").leaves] };
    assertEquals(argumentLayout([shared], linux).structures, [
      { whole: 64, pieces: [], address: undefined, copy: undefined },
    ]);
    assertEquals(passed(linux, [...repeat("f64", 7), shared, "f64"]).slice(7), ["stack+0", "float7"]);
  });

  it("gives each float of a homogeneous structure a register on AArch64, or none of them", () => {
    for (const platform of [apple, linuxArm, windowsArm]) {
      assertEquals(passed(platform, [f3, "f64", d2]), ["float0:0 float1:4 float2:8", "float3", "float4"]);
      // The double after it goes to the stack, too.
      assertEquals(passed(platform, [...repeat("f32", 7), d2, "f64"]).slice(7), ["stack+0", "stack+16"]);
      assertEquals(passed(platform, [d5, floatAndInt]), ["&int0", "int1"]);
    }
  });

  it("puts up to 16 bytes into integer registers on AArch64, or on the stack, and larger ones behind an address", () => {
    for (const platform of [apple, linuxArm, windowsArm]) {
      assertEquals(passed(platform, [...repeat("i64", 5), bytes(3), "i64"]).slice(5), ["int5", "int6"]);
      assertEquals(passed(platform, [...repeat("i64", 7), l2, "i64"]).slice(7), ["stack+0", "stack+16"]);
      assertEquals(passed(platform, [bytes(12), bytes(16), bytes(17)]), ["int0", "int2", "&int4"]);
      assertEquals(afterFull(platform, "i8", bytes(17)), ["stack+0", "&stack+8"]);
    }
  });

  it("packs homogeneous floats on the stack of Apple's AArch64, and aligns other structures to 8 bytes", () => {
    assertEquals(afterFull(apple, "i8", f3, "i8"), ["stack+0", "stack+4", "stack+16"]);
    assertEquals(afterFull(apple, f3, "i8"), ["stack+0", "stack+12"]);
    assertEquals(afterFull(apple, "i8", f2, f2), ["stack+0", "stack+4", "stack+12"]);
    assertEquals(afterFull(apple, "i8", d2), ["stack+0", "stack+8"]);
    assertEquals(afterFull(apple, "i8", f1), ["stack+0", "stack+4"]);
    assertEquals(afterFull(apple, "i8", bytes(3), "i8"), ["stack+0", "stack+8", "stack+16"]);
    assertEquals(afterFull(apple, "i8", bytes(12), "i8"), ["stack+0", "stack+8", "stack+24"]);
    assertEquals(afterFull(apple, "i8", bytes(16)), ["stack+0", "stack+8"]);
    assertEquals(afterFull(apple, "i8", structure("i32")), ["stack+0", "stack+8"]);
    assertEquals(afterFull(apple, "i8", floatAndInt), ["stack+0", "stack+8"]);
  });

  it("gives them whole words on the stack elsewhere on AArch64", () => {
    for (const platform of [linuxArm, windowsArm]) {
      assertEquals(afterFull(platform, "i8", f3, "i8"), ["stack+0", "stack+8", "stack+24"]);
      assertEquals(afterFull(platform, "i8", f2, f2), ["stack+0", "stack+8", "stack+16"]);
      assertEquals(afterFull(platform, "i8", bytes(3), "i8"), ["stack+0", "stack+8", "stack+16"]);
      assertEquals(afterFull(platform, "i8", bytes(12), "i8"), ["stack+0", "stack+8", "stack+24"]);
    }
  });

  it("passes 1, 2, 4 and 8 bytes in integer registers on x86-64 Windows, and all others by address", () => {
    assertEquals(passed(windows, [bytes(3), bytes(8), "i32", bytes(12)]), ["&int0", "int1", "int2", "&int3"]);
    assertEquals(passed(windows, [bytes(1), bytes(2), bytes(5), bytes(7), bytes(3)]), [
      "int0",
      "int1",
      "&int2",
      "&int3",
      "&stack+0",
    ]);
    assertEquals(passed(windows, [f1, f2, bytes(6), bytes(4)]), ["int0", "int1", "&int2", "int3"]);
    assertEquals(passed(windows, [d2, ...repeat("i64", 3), l2]).slice(4), ["&stack+0"]);
  });

  it("puts copies behind addresses at multiples of 16 bytes", () => {
    for (const platform of [windows, windowsArm]) {
      const { structures } = argumentLayout(
        [bytes(17), ...repeat("i64", 9).map((name) => classes[name]), bytes(33)],
        platform,
      );
      const copies = structures.flatMap((place) => place?.copy ?? []);
      assertEquals(copies.length, 2);
      assertEquals(copies.map((copy) => copy % 16), [0, 0]);
    }
  });

  it("returns them in the registers that the compiler says, or in memory", () => {
    for (const platform of [apple, linuxArm, windowsArm]) {
      const results = [bytes(3), bytes(8), bytes(12), f1, d2, floatAndInt, d5].map((type) => returned(platform, type));
      assertEquals(results, ["int0", "int0", "int0", "float0", "float0", "int0", "&x8"]);
      assertEquals(returned(platform, f2), "float0:0 float1:4");
      assertEquals(returned(platform, d4), "float0");
    }
    const results = [bytes(3), bytes(8), bytes(12), f1, f2, d2, floatAndInt].map((type) => returned(windows, type));
    assertEquals(results, ["&int0", "int0", "&int0", "int0", "int0", "&int0", "int0"]);
    for (const platform of [linux, intelMac]) {
      const results = [bytes(3), bytes(12), f2, d2, l2, d4].map((type) => returned(platform, type));
      assertEquals(results, ["int0", "int0", "float0", "float0", "int0", "&int0"]);
      assertEquals(returned(platform, structure("f64", "i64")), "float0:0 int0:8");
    }
  });
});

describe("argumentLayout of a variadic function", () => {
  const f2 = structure("f32", "f32");
  const d2 = structure("f64", "f64");
  const d4 = structure(...repeat("f64", 4));

  it("has all arguments after the ... on the stack on Apple's AArch64, a word each", () => {
    assertEquals(passed(apple, ["i32", "i32", "f64", "i64", "i32", "f64"], 1), [
      "int0",
      "stack+0",
      "stack+8",
      "stack+16",
      "stack+24",
      "stack+32",
    ]);
    assertEquals(passed(apple, ["f32", "f64", "f64", "i32"], 2), ["float0", "float1", "stack+0", "stack+8"]);
    assertEquals(passed(apple, [f2, "i32"], 1), ["float0:0 float1:4", "stack+0"]);
    // Packed as far as the parameters have names.
    assertEquals(passed(apple, [...repeat("i64", 8), "i8", "i32", "i32"], 9).slice(8), [
      "stack+0",
      "stack+8",
      "stack+16",
    ]);
  });

  it("has floats in integer registers on AArch64 Windows, those of structures and before the ... among them", () => {
    assertEquals(passed(windowsArm, ["i32", "i32", "f64", "i64", "i32", "f64"], 1), [
      "int0",
      "int1",
      "int2",
      "int3",
      "int4",
      "int5",
    ]);
    assertEquals(passed(windowsArm, ["f32", "f64", "f64", "i32"], 2), ["int0", "int1", "int2", "int3"]);
    assertEquals(passed(windowsArm, [f2, d2, d4], 3), ["int0", "int1", "&int3"]);
    assertEquals(passed(windowsArm, [...repeat("i32", 9), "f64"], 1).slice(8), ["stack+0", "stack+8"]);
  });

  it("has floats in both kinds of registers on x86-64 Windows", () => {
    const { byteOffsets } = argumentLayout(
      (["f32", "f64", "f64", "i32", "f64"] as const).map((name) => classes[name]),
      windows,
      { fixed: 2 },
    );
    assertEquals(byteOffsets.map(spelled), ["float0", "float1", "float2", "int3", "stack+0"]);
    const twins = byteOffsets.map((byteOffset) => variadicTwin(windows, byteOffset));
    assertEquals(twins.map((twin) => twin === undefined ? undefined : spelled(twin)), [
      "int0",
      "int1",
      "int2",
      undefined,
      undefined,
    ]);
    for (const platform of everywhere) if (platform !== windows) assertEquals(variadicTwin(platform, 64), undefined);
  });

  it("is as that of any function elsewhere", () => {
    const names = ["i32", "f64", "i64", "f64"] as const;
    for (const platform of [linux, intelMac, linuxArm]) {
      assertEquals(passed(platform, names, 1), passed(platform, names));
    }
  });
});

it("nothing of these tests is left alive, and nothing was opened", () => {
  const after = stats();
  assertEquals(after.process.thunks, before.process.thunks, "the core was opened");
  assertEquals(after, before);
});
