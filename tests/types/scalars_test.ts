/** The table of C's numbers: widths, names and ranges agree with what the engine's own views do. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checked, integerOf, numberNames, scalarOf, scalars } from "../../ffi/types/scalars.ts";

type Getter = (byteOffset: number, littleEndian: boolean) => number | bigint;
type Setter = (byteOffset: number, value: number | bigint, littleEndian: boolean) => void;

describe("scalars", () => {
  it("have accessors of DataView that are as wide, and whose range is theirs", () => {
    for (const name of numberNames) {
      const { bits, kind, accessor } = scalars[name];
      const view = new DataView(new ArrayBuffer(8));
      const { [`get${accessor}`]: get, [`set${accessor}`]: set } = DataView.prototype as unknown as {
        [name: `get${string}`]: Getter;
        [name: `set${string}`]: Setter;
      };
      const isWide = kind !== "float" && bits === 64;
      set.call(view, 0, isWide ? -1n : -1, true);
      const written = new Uint8Array(view.buffer).findLastIndex((byte) => byte !== 0) + 1;
      assertEquals(written * 8, bits, name);
      const wrapped = get.call(view, 0, true);
      assertStrictEquals(wrapped < 0, kind !== "unsigned", name);
      // What fits is what comes back.
      for (
        const value of [
          -129,
          -128,
          -1,
          0,
          127,
          128,
          255,
          256,
          -32769,
          32768,
          65535,
          65536,
          -(2 ** 31),
          2 ** 31,
          2 ** 32,
        ]
      ) {
        set.call(view, 0, isWide ? BigInt(value) : value, true);
        const fits = Number(get.call(view, 0, true)) === value;
        assertStrictEquals(checked[name](value) !== undefined, fits, `${name} ${value}`);
      }
      for (const none of ["1", null, undefined, {}, true]) assertStrictEquals(checked[name](none), undefined, name);
    }
  });

  it("are found by their names alone", () => {
    assertEquals(scalarOf("usize"), { bits: 64, kind: "unsigned", accessor: "BigUint64" });
    assertEquals(integerOf("isize")?.kind, "signed");
    for (const none of ["f32", "f64", "bool", "toString", "__proto__", "I32"]) assertEquals(integerOf(none), undefined);
    assertEquals(scalarOf("f32")?.bits, 32);
    assertEquals(scalarOf("constructor"), undefined);
  });
});
