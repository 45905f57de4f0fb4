/** libarchive reads archives out of `ReadableStream`s, several at once, by `examples/archive/archive.ts`. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { gzipSync } from "node:zlib";
import { LibraryLoadError, stats } from "@belay/ffi";
import { ArchiveError, libarchive, readArchive } from "../../examples/archive/archive.ts";
import { leftOut } from "../support/left_out.ts";
import { alive } from "../support/gc.ts";

let isThere = true;
try {
  libarchive();
} catch (error) {
  if (!(error instanceof LibraryLoadError)) throw error;
  isThere = false;
  leftOut("libarchive (Debian: libarchive13)");
}
const itWithArchive = isThere ? it : it.skip;
const before = alive();

const encoder = new TextEncoder();

/** A tar of files, as POSIX's ustar has it. */
function tarOf(files: Readonly<Record<string, Uint8Array>>): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = [];
  for (const [path, bytes] of Object.entries(files)) {
    const header = new Uint8Array(512);
    const put = (at: number, text: string): void => header.set(encoder.encode(text), at);
    put(0, path);
    put(100, "0000644\0");
    put(124, `${bytes.length.toString(8).padStart(11, "0")}\0`);
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
    blocks.push(header, bytes, new Uint8Array((512 - bytes.length % 512) % 512));
  }
  blocks.push(new Uint8Array(1024));
  const tar = new Uint8Array(blocks.reduce((length, block) => length + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    tar.set(block, at);
    at += block.length;
  }
  return tar;
}

/** A stream of bytes in pieces, each of which takes a turn of the event loop, which counts them. */
function streamOf(
  bytes: Uint8Array<ArrayBuffer>,
  pieceLength: number,
  asked: () => void = () => {},
): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      asked();
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += pieceLength));
    },
  });
}

const files = Object.fromEntries(
  Array.from({ length: 30 }, (_, i) => [`folder/file_${i}`, new Uint8Array(i * 97).fill(i)]),
);
const tar = tarOf(files);

async function read(stream: ReadableStream<Uint8Array>): Promise<Record<string, Uint8Array>> {
  const found: Record<string, Uint8Array> = {};
  for await (const { path, bytes } of readArchive(stream)) found[path] = bytes;
  return found;
}

describe("libarchive", () => {
  itWithArchive("reads several archives at once, whose bytes come from streams", async () => {
    const order: string[] = [];
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const [plain, packed] = await Promise.all([
      read(streamOf(tar, 3333, () => order.push("plain"))),
      read(streamOf(new Uint8Array(gzipSync(tar)), 100, () => order.push("packed"))),
    ]);
    clearInterval(timer);
    assertEquals(plain, files);
    assertEquals(packed, files);
    assert(ticks > 2 && order.indexOf("packed") < order.lastIndexOf("plain"), `${ticks} ticks: ${order.join()}`);
    assertEquals(stats().live.ownStacks, 0);
  });

  itWithArchive("is left in the middle, and frees what it has", async () => {
    for await (const { path } of readArchive(streamOf(tar, 1000))) {
      assertEquals(path, "folder/file_0");
      break;
    }
  });

  itWithArchive("throws what a stream fails with, and what is wrong with an archive", async () => {
    const failing = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new RangeError("the line is dead"));
      },
    });
    await assertRejects(() => read(failing), RangeError, "the line is dead");
    const damaged = tar.slice(0, tar.length / 2);
    const error = await assertRejects(() => read(streamOf(damaged, 5000)), ArchiveError);
    assertStringIncludes((error as Error).message.toLowerCase(), "trunc");
    await assertRejects(() => read(streamOf(new Uint8Array(2000).fill(7), 500)), ArchiveError, "Unrecognized");
  });

  afterAll(() => assertEquals(alive(), before));
  it("leaves nothing alive", () => {
    assertEquals(stats().live.ownStacks, 0);
  });
});
