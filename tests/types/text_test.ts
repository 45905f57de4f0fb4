/** Strings in C's encodings: UTF-8 and UTF-16, with an end or with a length. */

import process from "node:process";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Arena, cstringAt, dlopen, NativeMemory, pointerValue, utf16At } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { runChild } from "../support/child.ts";
import { alive, collect } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { randomFrom } from "../support/random.ts";

const before = alive();
const bytesToText = { parameters: ["buffer"], result: "cstring" } as const;

/** What is and what is no UTF-8: the bytes, what they decode to, and where they go wrong. */
const utf8Cases: readonly [number[], string, number?][] = [
  [[], ""],
  [[0x61], "a"],
  [[0x67, 0x72, 0xc3, 0xbc, 0xc3, 0x9f], "gr\u00fc\u00df"],
  [[0xf0, 0x9f, 0x98, 0x80], "\u{1f600}"],
  // A byte order mark is text like any other.
  [[0xef, 0xbb, 0xbf], "\ufeff"],
  [[0xef, 0xbb, 0xbf, 0x61, 0xef, 0xbb, 0xbf], "\ufeffa\ufeff"],
  // So is U+FFFD itself.
  [[0x61, 0xef, 0xbf, 0xbd], "a\ufffd"],
  [[0x67, 0x72, 0xfc, 0xdf], "gr\ufffd\ufffd", 2],
  [[0xef, 0xbf, 0xbd, 0x80], "\ufffd\ufffd", 3],
  [[0xe2, 0x82], "\ufffd", 0],
  [[0x61, 0xe2, 0x82, 0x61], "a\ufffda", 1],
  [[0xf0, 0x9f, 0x98], "\ufffd", 0],
  [[0xef, 0xbf], "\ufffd", 2],
  // A surrogate, and longer than it need be.
  [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd", 0],
  [[0xc0, 0x80], "\ufffd\ufffd", 0],
  [[0xf4, 0x90, 0x80, 0x80], "\ufffd\ufffd\ufffd\ufffd", 0],
];

const utf16Cases: readonly [number[], string, number?][] = [
  [[], ""],
  [[0x67, 0x72, 0xfc, 0xdf], "gr\u00fc\u00df"],
  [[0x100, 0x6100, 0xff00], "\u0100\u6100\uff00"],
  [[0xd83d, 0xde00], "\u{1f600}"],
  [[0xfeff, 0x61], "\ufeffa"],
  [[0xfffe, 0xfffd], "\ufffe\ufffd"],
  [[0x61, 0xd83d], "a\ufffd", 2],
  [[0xde00, 0xd83d], "\ufffd\ufffd", 0],
  [[0xfffd, 0xd83d, 0x61], "\ufffd\ufffda", 2],
];

describe("strings in UTF-8", () => {
  it("what is none becomes U+FFFD, the same wherever they are read, and a byte order mark stays", () => {
    using library = dlopen(testLibrary, {
      echo: { name: "identity_pointer", ...bytesToText },
    });
    for (const [bytes, text] of utf8Cases) {
      using arena = new Arena();
      const memory = arena.alloc(bytes.length + 3);
      memory.copyFrom(Uint8Array.from(bytes), 2);
      assertStrictEquals(memory.getCString(2), text);
      assertStrictEquals(memory.subarray(2, 2 + bytes.length).text(), text);
      assertStrictEquals(cstringAt(memory.subarray(2).pointer), text);
      assertStrictEquals(library.symbols.echo(Uint8Array.of(...bytes, 0)), text);
    }
  });

  it("what is none is a TypeError with fatal, which says where", () => {
    for (const [bytes, text, wrong] of utf8Cases) {
      using memory = NativeMemory.alloc(bytes.length + 3);
      memory.copyFrom(Uint8Array.from(bytes), 2);
      const part = memory.subarray(2, 2 + bytes.length);
      const address = `0x${pointerValue(part.pointer).toString(16)}`;
      const readers: readonly [string, () => string | null][] = [
        ["a string at offset 2", () => memory.getCString(2, { fatal: true })],
        ["memory as text", () => part.text({ fatal: true })],
        [`a string at ${address}`, () => cstringAt(part.pointer, { fatal: true })],
      ];
      for (const [subject, read] of readers) {
        if (wrong === undefined) assertStrictEquals(read(), text);
        else assertThrows(read, TypeError, `Cannot read ${subject}: it is no UTF-8 from byte ${wrong} on`);
      }
    }
    assertStrictEquals(cstringAt(null, { fatal: true }), null);
    assertStrictEquals(cstringAt(null, { fatal: false }), null);
  });
});

describe("text with a length", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const { decode } = TextDecoder.prototype;

  it("is what a decoder makes of it, however long it is and whatever it is made of", () => {
    const random = randomFrom(7);
    const alphabets = [
      (): number => random(0x80),
      (): number => random(0x100),
      // Beginnings and parts of characters, a byte order mark's among them.
      (): number => [0xef, 0xbb, 0xbf, 0xe2, 0x82, 0xf0, 0x9f, 0x98, 0x80, 0xc3, 0, 0x61][random(12)],
    ];
    for (const letter of alphabets) {
      for (const length of [...Array(70).keys(), 255, 256, 257, 1000, 4096, 5000]) {
        const bytes = Uint8Array.from({ length }, letter);
        using memory = NativeMemory.alloc(length + 1);
        memory.copyFrom(bytes);
        memory.setUint8(length, 0x61);
        const wanted = decode.call(decoder, bytes);
        assertStrictEquals(NativeMemory.borrow(memory.pointer, length).text(), wanted);
        assertStrictEquals(memory.subarray(0, length).text({ fatal: false }), wanted);
      }
    }
  });

  it("comes out right when a program's own decoder reads other text meanwhile", () => {
    using memory = NativeMemory.alloc(8);
    memory.setCString(0, "outside");
    memory.setUint8(7, 0xff);
    let depth = 0;
    TextDecoder.prototype.decode = function (...args): string {
      using other = NativeMemory.alloc(8);
      other.fill(0xc3);
      depth += 1;
      if (depth < 3) assertStrictEquals(other.text(), "\ufffd".repeat(8));
      depth -= 1;
      return decode.apply(this, args);
    };
    try {
      assertStrictEquals(memory.text(), "outside\ufffd");
    } finally {
      TextDecoder.prototype.decode = decode;
    }
  });
});

describe("strings in UTF-16", () => {
  it("are read at any offset; a surrogate that stands alone becomes U+FFFD, or a TypeError with fatal", () => {
    for (const [units, text, wrong] of utf16Cases) {
      for (const byteOffset of [0, 2, 3]) {
        using memory = NativeMemory.alloc(byteOffset + 2 * units.length + 2);
        for (const [index, unit] of units.entries()) memory.setUint16(byteOffset + 2 * index, unit);
        const { pointer } = memory.subarray(byteOffset);
        assertStrictEquals(memory.getUtf16(byteOffset), text);
        assertStrictEquals(utf16At(pointer), text);
        const readers: readonly [string, () => string | null][] = [
          [`offset ${byteOffset}`, () => memory.getUtf16(byteOffset, { fatal: true })],
          [`0x${pointerValue(pointer).toString(16)}`, () => utf16At(pointer, { fatal: true })],
        ];
        for (const [where, read] of readers) {
          if (wrong === undefined) assertStrictEquals(read(), text);
          else assertThrows(read, TypeError, `a string at ${where}: it is no UTF-16 from byte ${wrong} on`);
        }
      }
    }
    assertStrictEquals(utf16At(null), null);
  });

  it("end before the memory's bounds, with a zero of two bytes", () => {
    using memory = NativeMemory.alloc(6);
    memory.fill(1);
    const refused = "Cannot read a string at offset 0: no zero ends it before the memory ends";
    assertThrows(() => memory.getUtf16(), RangeError, refused);
    memory.copyFrom(Uint8Array.of(1, 0, 0, 1, 1, 0));
    // Two zeroes, of two characters, and one at the end.
    assertThrows(() => memory.getUtf16(), RangeError, refused);
    assertThrows(() => memory.subarray(0, 3).getUtf16(), RangeError, refused);
    assertStrictEquals(memory.getUtf16(1), "");
    assertThrows(() => memory.getUtf16(6), RangeError, "no zero ends it");
    assertThrows(() => memory.getUtf16(7), RangeError, "Cannot reach");
  });

  it("come from an arena as they are", () => {
    using arena = new Arena();
    for (const text of ["", "gr\u00fc\u00df", "\u{1f600}", "\ufeff", "long".repeat(1000)]) {
      const memory = arena.utf16(text);
      assertStrictEquals(memory.byteLength, 2 * text.length + 2);
      assertStrictEquals(pointerValue(memory.pointer) % 2n, 0n);
      assertEquals([memory.getUtf16(), utf16At(memory.pointer)], [text, text]);
    }
    const alone = arena.utf16("a\ud83d");
    assertEquals([alone.getUint16(2), alone.getUint16(4)], [0xd83d, 0]);
    assertThrows(() => arena.utf16("a\0b"), TypeError, 'Cannot pass "a\\u0000b" to C: it contains a NUL character');
  });
});

describe("strings whose length is unknown", () => {
  const reason = process.platform === "linux" ? undefined : "its numbers for mmap are Linux's";
  if (reason !== undefined) leftOut(`strings at the end of a page: ${reason}`);
  (reason === undefined ? it : it.skip)("may end where the memory does (in a child process)", () => {
    const { code, stdout, stderr } = runChild("page_end.ts");
    assertEquals([code, stderr, stdout.trim()], [0, "", "well"]);
  });
});

describe("strings that go to C", () => {
  const definitions = {
    echo: { name: "pass", parameters: ["cstring"], result: "cstring" },
    echoLater: { name: "pass", parameters: ["cstring"], result: "cstring", nonblocking: true },
    text_length: { parameters: ["cstring"], result: "u32" },
    text_order: { parameters: ["cstring", "cstring"], result: "i32" },
    echoTo: {
      name: "call_with_text",
      parameters: ["cstring", { parameters: [], result: "void" }],
      result: "cstring",
    },
  } as const;
  /** Characters of each width, and one that is replaced. */
  const characters = ["a", "\u00fc", "\u65e5", "\u{1f600}", "\ud83d"];

  it("arrive whole, whatever their length and their characters", () => {
    using library = dlopen(testLibrary, definitions);
    const { echo, text_length } = library.symbols;
    for (const character of characters) {
      for (const length of [0, 1, 2, 3, 7, 63, 64, 65, 999, 1000, 1001, 2730, 2731, 70_000]) {
        const text = character.repeat(length);
        assertStrictEquals(echo(text), text.toWellFormed());
        assertStrictEquals(echo(`${text}a`), `${text}a`.toWellFormed());
        assertStrictEquals(echo(`a${text}`), `a${text}`.toWellFormed());
        assertStrictEquals(text_length(text), new TextEncoder().encode(text).length);
      }
    }
  });

  it("stay what they are beside others of the same call, and while C calls back", () => {
    using library = dlopen(testLibrary, definitions);
    const { echo, echoTo, text_order } = library.symbols;
    for (let i = 0; i < 3000; i++) {
      assertStrictEquals(text_order(`left ${i}`, `left ${i}`), 0);
      assert(text_order("a".repeat(i % 100), "a".repeat(i % 100 + 1)) < 0);
    }
    for (const text of ["", "outside", "\u00fc outside", "long".repeat(1000)]) {
      const result = echoTo(text, () => {
        for (let i = 0; i < 3000; i++) assertStrictEquals(echo(`inside ${i}`), `inside ${i}`);
        collect();
        for (let i = 0; i < 3000; i++) assertStrictEquals(echo(`\u00fc ${i}`), `\u00fc ${i}`);
      });
      assertStrictEquals(result, text);
    }
  });

  it("stay what they are until a nonblocking call has ended", async () => {
    using library = dlopen(testLibrary, definitions);
    const { echo, echoLater } = library.symbols;
    const texts = Array.from({ length: 3000 }, (_, i) => characters[i % 4].repeat(i % 90) + i);
    const calls = texts.map((text) => echoLater(text));
    for (const text of texts) assertStrictEquals(echo(text), text);
    collect();
    assertEquals(await Promise.all(calls), texts);
  });

  it("leave nothing alive", () => {
    assertEquals(alive(), before);
  });
});
