/**
 * Archives (tar, zip, 7z and others, compressed or not) out of a `ReadableStream`, by libarchive: C asks for bytes by an `async`
 * callback, and waits for the stream on a stack of its own. Any number of archives can be read at once.
 *
 * It needs libarchive (Debian: `libarchive13`).
 *
 * @module
 */

import { callback, dlopen, Handle, type Library, NativeMemory, out, type Pointer, pointer } from "@belay/ffi";

const archive = pointer<"struct archive">();
const entry = pointer<"struct archive_entry">();
const readBlock = { parameters: [archive, "handle", "pointer"], result: "isize" } as const;
const definitions = {
  archive_read_new: { parameters: [], result: archive },
  archive_read_support_format_all: { parameters: [archive], result: "i32" },
  archive_read_support_filter_all: { parameters: [archive], result: "i32" },
  archive_error_string: { parameters: [archive], result: "cstring" },
  archive_entry_pathname: { parameters: [entry], result: "cstring" },
  archive_entry_size: { parameters: [entry], result: "i64" },
  // Those that may ask for bytes:
  archive_read_open: {
    parameters: [archive, "handle", "pointer", readBlock, "pointer"],
    result: "i32",
    suspends: true,
  },
  archive_read_next_header: { parameters: [archive, out(entry)], result: "i32", suspends: true },
  archive_read_data: { parameters: [archive, "buffer", "usize"], result: "isize", suspends: true },
  archive_read_free: { parameters: [archive], result: "i32", suspends: true },
} as const;

const atEnd = 1;
const fatal = -30;

let library: Library<typeof definitions> | undefined;

/** Opens libarchive. @throws {LibraryLoadError} If it isn't there. */
export function libarchive(): Library<typeof definitions> {
  return library ??= dlopen({ name: "archive", versions: ["13"] }, definitions);
}

/** What libarchive says of an archive that it can't read. */
export class ArchiveError extends Error {
  override name = "ArchiveError";
}

/** A file of an archive. */
export interface ArchiveFile {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A stream, and the block of it that libarchive is reading. */
class Source {
  readonly #reader: {
    read(): Promise<{ readonly value?: Uint8Array | undefined }>;
    cancel(): Promise<void>;
  };
  #block: NativeMemory | undefined;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** Puts the next block into C's memory, where its address is wanted; answers its length, 0 at the end. */
  async next(address: Pointer): Promise<number> {
    let { value } = await this.#reader.read();
    while (value?.length === 0) ({ value } = await this.#reader.read());
    this.#block?.free();
    this.#block = undefined;
    if (value === undefined) return 0;
    this.#block = NativeMemory.alloc(value.length);
    this.#block.copyFrom(value);
    NativeMemory.borrow(address, 8).setPointer(0, this.#block);
    return value.length;
  }

  async close(): Promise<void> {
    this.#block?.free();
    // Somebody who leaves in the middle wants no more of it; one that has failed is closed already.
    await this.#reader.cancel().catch(() => {});
  }
}

const askStream = callback(
  readBlock,
  (_archive, source: unknown, address) => (source as Source).next(address as Pointer),
  { suspends: true, fallback: fatal },
);

/**
 * Reads the files of an archive, one after the other.
 *
 * @param stream The archive's bytes. What it fails with is thrown.
 * @throws {ArchiveError} If it is none that libarchive knows, or is damaged.
 */
export async function* readArchive(stream: ReadableStream<Uint8Array>): AsyncGenerator<ArchiveFile> {
  const { symbols } = libarchive();
  const source = new Source(stream);
  const handle = Handle.create(source);
  const opened = symbols.archive_read_new();
  const check = (status: number): void => {
    if (status < 0) throw new ArchiveError(symbols.archive_error_string(opened) ?? "libarchive says nothing");
  };
  try {
    check(symbols.archive_read_support_format_all(opened));
    check(symbols.archive_read_support_filter_all(opened));
    check(await symbols.archive_read_open(opened, handle, null, askStream, null));
    while (true) {
      const [status, header] = await symbols.archive_read_next_header(opened);
      if (status === atEnd) return;
      check(status);
      const bytes = new Uint8Array(Number(symbols.archive_entry_size(header)));
      let read = 0;
      while (read < bytes.length) {
        const length = Number(await symbols.archive_read_data(opened, bytes.subarray(read), bytes.length - read));
        check(length);
        if (length === 0) throw new ArchiveError("the archive ends inside of a file");
        read += length;
      }
      yield { path: symbols.archive_entry_pathname(header) ?? "", bytes };
    }
  } finally {
    await symbols.archive_read_free(opened);
    handle.delete();
    await source.close();
  }
}
