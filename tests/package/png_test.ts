/** libpng (1.6, the system's): its errors jump out of C's frames, its bytes come from TypeScript, at once or later. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { crc32, deflateSync } from "node:zlib";
import { stats, tailCall } from "@belay/ffi";
import { closeLua, hasLua, Lua } from "./lua.ts";
import {
  closePng,
  type Frame,
  type Image,
  openPng,
  type Png,
  PngError,
  PngReader,
  type PngReaderOptions,
  readSimply,
  setjmpFrame,
  type Step,
} from "./png.ts";
import { leftOut } from "../support/left_out.ts";
import { alive } from "../support/gc.ts";

const isThere = openPng();
if (!isThere) leftOut("libpng (Debian: libpng16-16)");
const itWithPng = isThere ? it : it.skip;
const before = alive();

/** A chunk of a file. */
function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** A file of pixels with so many bytes each: 1 for gray, 3 for colours, 4 for those with a transparency. */
function pngOf({ width, height, pixels }: Image, idat = (packed: Uint8Array) => packed): Uint8Array {
  const depth = pixels.length / (width * height);
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, { 1: 0, 3: 2, 4: 6 }[depth] ?? 0], 8);
  const rowLength = width * depth;
  const rows = new Uint8Array((rowLength + 1) * height);
  for (let y = 0; y < height; y++) {
    // Each other row is of differences.
    const row = pixels.subarray(y * rowLength, (y + 1) * rowLength);
    rows[y * (rowLength + 1)] = y % 2;
    rows.set(y % 2 === 0 ? row : row.map((byte, x) => byte - (row[x - depth] ?? 0)), y * (rowLength + 1) + 1);
  }
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    chunk("IDAT", idat(deflateSync(rows))),
    chunk("IEND", new Uint8Array()),
  ];
  return Uint8Array.from(parts.flatMap((part) => Array.from(part)));
}

/** Some pixels. */
function imageOf(width: number, height: number, depth: number): Image {
  return { width, height, pixels: Uint8Array.from({ length: width * height * depth }, (_, i) => i * i + 7 * i) };
}

const small = imageOf(5, 3, 4);
const file = pngOf(small);

/** Answers the next bytes of an array. */
function bytesOf(bytes: Uint8Array): (length: number) => Uint8Array {
  let at = 0;
  return (length) => bytes.subarray(at, at += length);
}

const atOnce = (png: Png): Frame => setjmpFrame(png, { suspends: false });
const later = (png: Png): Frame => setjmpFrame(png, { suspends: true });

function decode(bytes: Uint8Array, frame = atOnce): Image {
  const reader = new PngReader({ next: bytesOf(bytes), frame });
  try {
    return reader.read();
  } finally {
    assertEquals(reader.blocks.size, 0);
  }
}

/** A file with a byte that is another. */
function damaged(at: number, change = 1): Uint8Array {
  return file.map((byte, index) => index === at ? byte ^ change : byte);
}

/** Bytes that take a turn of the event loop each time. Fewer than asked for, or an error, where a test wants that. */
function slowBytesOf(
  bytes: Uint8Array,
  fail?: { readonly at: number; readonly error: Error },
): PngReaderOptions["next"] {
  const next = bytesOf(bytes);
  let at = 0;
  return async (length) => {
    await new Promise((resolve) => setTimeout(resolve, 0));
    at += length;
    if (fail !== undefined && at > fail.at) throw fail.error;
    return next(length);
  };
}

describe("libpng", () => {
  itWithPng("reads images out of arrays", () => {
    for (const image of [small, imageOf(1, 1, 1), imageOf(100, 70, 3), imageOf(300, 400, 4)]) {
      assertEquals(decode(pngOf(image)), image);
    }
  });

  itWithPng("tells of a damaged image by its error function, which ends with png_longjmp", () => {
    const messageOf = (bytes: Uint8Array): string => (assertThrows(() => decode(bytes), PngError) as Error).message;
    const [width, lastOfIdat] = [19, file.length - 13];
    assertEquals(messageOf(damaged(width)), "IHDR: CRC error");
    assertEquals(messageOf(damaged(lastOfIdat)), "IDAT: CRC error");
    assertEquals(messageOf(damaged(0)), "Not a PNG file");
    assertEquals(messageOf(file.subarray(0, 50)), "the image ends too early");
    assertEquals(messageOf(new Uint8Array()), "the image ends too early");
    assertEquals(messageOf(pngOf({ ...small, width: 0 })), "Invalid IHDR data");
    assertEquals(decode(file), small);
  });

  itWithPng("fails with any byte damaged, and at any length, thousands of times", () => {
    const messages = new Map<string, number>();
    let failed = 0;
    const fails = (bytes: Uint8Array): void => {
      const { message } = assertThrows(() => decode(bytes), PngError) as Error;
      messages.set(message, (messages.get(message) ?? 0) + 1);
      failed += 1;
    };
    const { live } = stats();
    for (let length = 0; length < file.length; length++) fails(file.subarray(0, length));
    for (let at = 0; at < file.length; at++) {
      for (let change = 1; change < 256; change += 11) fails(damaged(at, change));
    }
    assert(failed > 2000 && messages.size > 50, `${failed} images, ${messages.size} messages`);
    assert((messages.get("the image ends too early") ?? 0) >= file.length);
    assertEquals(stats().live, live);
    assertEquals(decode(file), small);
  });

  itWithPng("is refused memory at any time: an error, and it gives back what it has", () => {
    let refusals = 0;
    for (let image: Image | undefined; image === undefined; refusals += 1) {
      let left = refusals;
      const reader = new PngReader({ next: bytesOf(file), frame: atOnce, allows: () => left-- > 0 });
      try {
        image = reader.read();
        assertEquals(image, small);
      } catch (error) {
        assert(error instanceof PngError, String(error));
      }
      assertEquals(reader.blocks.size, 0);
    }
    assert(refusals > 5, `${refusals} refusals`);
  });

  itWithPng("throws what its bytes' function throws", () => {
    const next = bytesOf(file);
    const error = new RangeError("the disk is gone");
    let reads = 0;
    const reader = new PngReader({
      next(length) {
        if (reads++ === 5) throw error;
        return next(length);
      },
      frame: atOnce,
    });
    assertStrictEquals(assertThrows(() => reader.read()), error);
    assertEquals([reads, reader.blocks.size], [6, 0]);
  });

  itWithPng("waits for bytes, of several images at once", async () => {
    const images = [small, imageOf(20, 30, 3), imageOf(64, 64, 4), imageOf(9, 9, 1)];
    const readers = images.map((image) => new PngReader({ next: slowBytesOf(pngOf(image)), frame: later }));
    assertEquals(await Promise.all(readers.map((reader) => reader.readLater())), images);
  });

  itWithPng("jumps after it has waited: for bytes that are damaged, too few, or fail", async () => {
    const error = new RangeError("the line is dead");
    const failing = Array.from({ length: 30 }, (_, i) => i).flatMap((i) => [
      { next: slowBytesOf(damaged(16 + i % 13)), wanted: "CRC error" },
      { next: slowBytesOf(file.subarray(0, 3 * i)), wanted: "the image ends too early" },
      { next: slowBytesOf(file, { at: 3 * i, error }), wanted: error },
    ]);
    const { live } = stats();
    await Promise.all(failing.map(async ({ next, wanted }) => {
      const reader = new PngReader({ next, frame: later });
      const caught = await assertRejects(() => reader.readLater(), Error);
      assertEquals(reader.blocks.size, 0);
      if (typeof wanted !== "string") return assertStrictEquals(caught, wanted);
      assert(caught instanceof PngError, String(caught));
      assertStringIncludes(caught.message, wanted);
    }));
    assertEquals(stats().live, live);
  });

  itWithPng("is given up while it waits, and jumps to its end", async () => {
    for (let reads = 1; reads < 9; reads++) {
      const controller = new AbortController();
      const next = bytesOf(file);
      let left = reads;
      const reader = new PngReader({
        next: (length) => {
          if (--left > 0) return next(length);
          setTimeout(() => controller.abort(), 1);
          return new Promise(() => {});
        },
        frame: (png) => setjmpFrame(png, { suspends: true, signal: controller.signal }),
      });
      const error = await assertRejects(() => reader.readLater(), Error) as Error;
      assertEquals([error.name, reader.blocks.size, stats().live.ownStacks], ["AbortError", 0, 0]);
    }
  });
});

describe("libpng without any C of one's own", () => {
  const hasBoth = isThere && hasLua();
  if (!hasBoth) leftOut("libpng with Lua's pcall (Debian: libpng16-16, liblua5.4-0)");

  (hasBoth ? it : it.skip)("jumps to Lua's pcall: any library that catches will do", () => {
    const lua = new Lua();
    const { lua_error, lua_pcallk, lua_pushvalue, lua_settop } = lua.symbols;
    let step: Step | undefined;
    lua.push(() => (step as Step)());
    const frame: Frame = {
      run(next) {
        step = next;
        lua_pushvalue(lua.state, 1);
        const code = lua_pcallk(lua.state, 0, 0, 0, 0, null);
        lua_settop(lua.state, 1);
        return code === 0;
      },
      jump: () => tailCall(lua_error, lua.state),
    };
    assertEquals(decode(file, () => frame), small);
    for (let at = 0; at < file.length; at++) assertThrows(() => decode(damaged(at), () => frame), PngError);
    assertEquals(decode(file, () => frame), small);
    lua.close();
    closeLua();
  });

  itWithPng("reads an image that waits by its simple functions, which catch errors themselves", async () => {
    const read = (bytes: Uint8Array) => readSimply(slowBytesOf(bytes));
    assertEquals(await Promise.all([small, imageOf(30, 20, 4)].map((image) => read(pngOf(image)))), [
      small,
      imageOf(30, 20, 4),
    ]);
    await assertRejects(() => read(damaged(19)), PngError, "IHDR: CRC error");
    await assertRejects(() => read(file.subarray(0, 40)), PngError, "Read Error");
    const error = new RangeError("the line is dead");
    assertStrictEquals(await assertRejects(() => readSimply(slowBytesOf(file, { at: 60, error })), RangeError), error);
  });
});

describe("these tests", () => {
  afterAll(closePng);
  it("leave nothing alive", () => {
    assertEquals(alive(), before);
  });
});
