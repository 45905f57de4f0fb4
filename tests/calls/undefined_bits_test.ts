/** Bits that C leaves undefined: those above a small integer in its register, and of a truth those that aren't all 0. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { struct } from "@belay/ffi";
import { host } from "../../scripts/build.ts";
import { callbackUnchecked, openUnchecked } from "../support/unchecked.ts";

const narrow: Readonly<Record<string, (bits: bigint) => unknown>> = {
  i8: (bits) => Number(BigInt.asIntN(8, bits)),
  u8: (bits) => Number(BigInt.asUintN(8, bits)),
  i16: (bits) => Number(BigInt.asIntN(16, bits)),
  u16: (bits) => Number(BigInt.asUintN(16, bits)),
  i32: (bits) => Number(BigInt.asIntN(32, bits)),
  u32: (bits) => Number(BigInt.asUintN(32, bits)),
  bool: (bits) => BigInt.asUintN(8, bits) !== 0n,
};
const registers = [
  ...[0n, 1n, 2n, 0x80n, 0xfen, 0xffn, 0x100n, 0x8000n, 0xff00n, 0x1_0000n, 0x8000_0000n, 0xffff_ff00n],
  ...[0x1_0000_0000n, 0xa5a5_a5a5_a5a5_a500n, 0xa5a5_a5a5_a5a5_a502n, 0xffff_ffff_ffff_ff80n],
];
const truths = [0, 1, 2, 0x80, 0xfe, 0xff];
const kinds = { plain: {}, nonblocking: { nonblocking: true }, captureErrno: { captureErrno: true } };

const library = openUnchecked({
  relay: { name: "relay_u64", parameters: ["function", "u64"], result: "u64" },
  set_u8: { name: "variable_u8_set", parameters: ["u8"], result: "void" },
  truth: { name: "variable_u8", type: "bool" },
  ...Object.fromEntries(
    Object.keys(narrow).flatMap((type) =>
      Object.entries(kinds).flatMap(([kind, options]) => [
        [`gives_${type}_${kind}`, { name: "identity_u64", parameters: ["u64"], result: type, ...options }],
        [`takes_${type}_${kind}`, { name: "identity_u64", parameters: [type], result: "u64", ...options }],
      ])
    ),
  ),
});
const c = library.symbols;
afterAll(() => library[Symbol.dispose]());

/** To how many bits: Windows leaves all but a truth to the function that is called, and so does Deno there. */
function extendedBits(type: string): number {
  return host.os === "windows" && type !== "bool" ? Number(type.slice(1)) : 32;
}

async function valueOf(answer: unknown): Promise<unknown> {
  const value = await answer;
  return Array.isArray(value) ? value[0] : value;
}

for (const [type, of] of Object.entries(narrow)) {
  describe(`a ${type}`, () => {
    for (const kind of Object.keys(kinds)) {
      it(`that C returns is what its own bits say: ${kind}`, async () => {
        const gives = c[`gives_${type}_${kind}`];
        const got: unknown[] = [];
        for (const bits of registers) got.push(await valueOf(gives(bits)));
        assertEquals(got, registers.map(of));
      });

      it(`that C takes is extended as far as compilers count on: ${kind}`, async () => {
        const width = extendedBits(type);
        for (const value of registers.map(of)) {
          const bits = await valueOf(c[`takes_${type}_${kind}`](value)) as bigint;
          assertStrictEquals(BigInt.asUintN(width, bits), BigInt.asUintN(width, BigInt(value as number | boolean)));
        }
      });
    }

    it("that a callback takes is what its own bits say", () => {
      const got: unknown[] = [];
      using made = callbackUnchecked({ parameters: [type], result: "void" }, (value: unknown) => void got.push(value));
      for (const bits of registers) c["relay"](made, bits);
      assertEquals(got, registers.map(of));
    });

    it("that a callback returns is extended to 32 bits", () => {
      for (const value of registers.map(of)) {
        using made = callbackUnchecked({ parameters: ["u64"], result: type }, () => value);
        const bits = c["relay"](made, 0n) as bigint;
        assertStrictEquals(BigInt.asUintN(32, bits), BigInt.asUintN(32, BigInt(value as number | boolean)));
      }
    });
  });
}

it("a bool in a structure, in memory and in a variable is true for any byte but 0", () => {
  const type = struct({ truth: "bool" });
  using memory = type.alloc();
  for (const byte of truths) {
    memory.setUint8(0, byte);
    c["set_u8"](byte);
    const got = [type.read(memory).truth, type.view(memory).truth, memory.getBool(0), c["truth"]];
    assertEquals(got, Array(4).fill(byte !== 0), `byte ${byte}`);
  }
});
