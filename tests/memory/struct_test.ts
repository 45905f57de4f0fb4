/** Structures as C has them: the layouts of generated types, and calls that take and give them. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { configure } from "@belay/ffi";
import { CLibrary } from "../support/c_calls.ts";
import {
  belayMeasures,
  belayRecord,
  type CFunction,
  type CRecord,
  type CType,
  difference,
  type Scalar,
  scalars,
  valueOf,
} from "../support/c_types.ts";
import { alive } from "../support/gc.ts";
import { randomFrom } from "../support/random.ts";

const before = alive();
const random = randomFrom(20);

function record(...fields: readonly CType[]): CRecord {
  return { kind: "struct", fields };
}

function packed(to: 1 | 2 | 4, ...fields: readonly CType[]): CRecord {
  return { kind: "struct", fields, packed: to };
}

function unionOf(...fields: readonly CType[]): CRecord {
  return { kind: "union", fields };
}

function bytes(length: number): CRecord {
  return record({ of: "u8", length });
}

function repeat(type: CType, count: number): CType[] {
  return new Array<CType>(count).fill(type);
}

const point = record("f64", "f64");
const mixed = record("i8", "i32", "i16", "f64", "bool");

/** The shapes: what is peculiar about each, and the type. */
const shapes: Readonly<Record<string, CRecord>> = {
  ...Object.fromEntries((Object.keys(scalars) as Scalar[]).map((type) => [`one ${type}`, record(type)])),
  "every scalar": record(...Object.keys(scalars) as Scalar[]),
  "padding between fields and behind them": mixed,
  "a nested structure": record("u8", mixed, "u8"),
  "structures three deep": record("u16", record("u8", record("u8", "u32"), "u8"), "f32"),
  "an array": record("u8", { of: "i32", length: 3 }),
  "an array of arrays": record({ of: { of: "i16", length: 2 }, length: 3 }, "i8"),
  "an array of structures": record({ of: point, length: 2 }, "i32"),
  "an array of structures with padding": record({ of: record("u8", "u16"), length: 3 }),
  "a union of a float and an integer": unionOf("f32", "u32"),
  "a union of a double and bytes": unionOf("f64", { of: "u8", length: 3 }),
  "a union of structures": unionOf(point, mixed),
  "a union of floats of one width": unionOf(record("f32", "f32"), { of: "f32", length: 3 }),
  "a union in a structure": record("i32", unionOf("f64", "i64", "u8")),
  "packed to 1": packed(1, "u8", "u32", "f64", "u16"),
  "packed to 1, nothing moved": packed(1, "u32", "u32"),
  "packed to 2": packed(2, "u8", "u32", "f64", "u16"),
  "packed to 4": packed(4, "u8", "f64", "u16"),
  "packed in a structure": record("u8", packed(1, "u8", "u64"), "u32"),
  "a packed array of structures": packed(1, "u8", { of: mixed, length: 2 }),
  "characters": record({ text: 8 }, "i32"),
  "characters, 13 of them": record({ text: 13 }),
  "pointers": record("pointer", "pointer"),
  "a function and its data": record("function", "pointer", "i32"),
  ...Object.fromEntries(
    (["f32", "f64"] as const).flatMap((type) =>
      [2, 3, 4, 5].map((count) => [`${count} ${type}`, record(...repeat(type, count))])
    ),
  ),
  "floats of two widths": record("f32", "f64"),
  "a double and an integer": record("f64", "i32"),
  "an integer and a double": record("i64", "f64"),
  "two floats and an integer": record("f32", "f32", "i32"),
  ...Object.fromEntries(
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 32, 33, 40, 64, 65, 100].map((length) => [
      `${length} bytes`,
      bytes(length),
    ]),
  ),
};

/** Scalars of both kinds around a structure: few, and more than there are registers for. */
const around: readonly (readonly [readonly Scalar[], readonly Scalar[]])[] = [
  [[], []],
  [["i32", "f64"], ["u8", "f32"]],
  [["i64", "i64", "i64", "i64", "i64"], ["i8", "f64"]],
  [["f64", "i32", "f32", "i64", "f64", "i16", "f64", "u8", "f64"], ["f64", "i64", "f32"]],
  [["f64", "f64", "f64", "f64", "f64", "f64", "f64"], ["i32"]],
];

const functions: CFunction[] = [];
/** By name of the shape, the numbers of its functions. */
const numbers = Object.entries(shapes).map(([name, type]) => {
  const own = around.map(([first, last]) =>
    functions.push({ parameters: [...first, type, ...last], result: type }) - 1
  );
  if (belayRecord(type).byteLength <= 40) {
    own.push(functions.push({ parameters: [type, "f32", type, "u8", type, point, type], result: type }) - 1);
  }
  return { name, type, own };
});

const library = new CLibrary(Object.values(shapes), functions, random);

it("structures have the sizes, alignments and offsets that C says", () => {
  assertEquals(belayMeasures(library.records), library.measures);
});

describe("a structure of", () => {
  for (const { name, type, own } of numbers) {
    it(`${name}: is what was written, in memory and by value`, () => {
      using memory = belayRecord(type).alloc();
      for (let round = 0; round < 5; round++) {
        const value = valueOf(type, random);
        belayRecord(type).write(memory, value as never);
        assertStrictEquals(difference(type, value, belayRecord(type).read(memory)), undefined);
      }
      for (const number of own) {
        for (let round = 0; round < 3; round++) assertStrictEquals(library.call(number), undefined);
      }
    });

    it(`${name}: goes to a callback, and back`, () => {
      for (const number of own) {
        for (let round = 0; round < 3; round++) assertStrictEquals(library.callBack(number), undefined);
      }
    });

    it(`${name}: is zero when C calls what was closed, or from another thread`, async () => {
      configure({ onReport: () => {} });
      try {
        for (const number of own) {
          assertStrictEquals(library.callDisposed(number), true);
          assertStrictEquals(await library.callElsewhere(number), true);
        }
      } finally {
        configure({ onReport: undefined });
      }
    });

    it(`${name}: is what was written when another thread makes the call`, async () => {
      for (const number of own) assertStrictEquals(await library.callLater(number), undefined);
    });
  }
});

it("nothing of these tests is left alive", () => {
  library[Symbol.dispose]();
  assertEquals(alive(), before);
});
