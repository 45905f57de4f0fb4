/** libpng (1.6, the system's) with its bytes, its memory and its errors from TypeScript, for tests. */

import { Arena, charArray, dlopen, handle, type Library, LibraryLoadError, NativeMemory } from "@belay/ffi";
import { type Pointer, pointer, pointerValue, struct, tailCall } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const png = pointer<"png_struct">();
const info = pointer<"png_info">();
/** A `png_struct *`. */
export type Png = Pointer<"png_struct"> | null;

const onMessage = { parameters: [png, "cstring"], result: "void" } as const;
const onRead = { parameters: [png, "pointer", "usize"], result: "void" } as const;
const onAllocate = { parameters: [png, "usize"], result: "pointer" } as const;
const onFree = { parameters: [png, "pointer"], result: "void" } as const;
const onCall = { parameters: [], result: "void" } as const;
const callOrJump = { name: "call_or_jump", parameters: ["pointer", onCall], result: "bool" } as const;

const onFileRead = { parameters: ["usize", "pointer", "usize"], result: "isize" } as const;
/** `cookie_io_functions_t`. */
const FileFunctions = struct({ read: onFileRead, write: "function", seek: "function", close: "function" });
/** `png_image`. */
const SimpleImage = struct({
  opaque: "pointer",
  version: "u32",
  width: "u32",
  height: "u32",
  format: "u32",
  flags: "u32",
  colormapEntries: "u32",
  warningOrError: "u32",
  message: charArray(64),
});

const definitions = {
  png: {
    png_get_libpng_ver: { parameters: ["pointer"], result: "cstring" },
    png_create_read_struct_2: {
      parameters: ["cstring", "handle", onMessage, onMessage, "pointer", onAllocate, onFree],
      result: png,
    },
    png_create_info_struct: { parameters: [png], result: info },
    png_destroy_read_struct: { parameters: ["buffer", "buffer", "pointer"], result: "void" },
    png_set_read_fn: { parameters: [png, "pointer", onRead], result: "void" },
    png_set_longjmp_fn: { parameters: [png, "pointer", "usize"], result: "pointer" },
    png_get_error_ptr: { parameters: [png], result: handle<PngReader>() },
    png_get_image_width: { parameters: [png, info], result: "u32" },
    png_get_image_height: { parameters: [png, info], result: "u32" },
    png_get_rowbytes: { parameters: [png, info], result: "usize" },
    // What callbacks end with:
    png_error: { parameters: [png, "pointer"], result: "void" },
    png_longjmp: { parameters: [png, "i32"], result: "void" },
    png_read_info: { parameters: [png, info], result: "void" },
    png_read_image: { parameters: [png, "pointer"], result: "void" },
    png_read_end: { parameters: [png, info], result: "void" },
    // The simple ones:
    png_image_begin_read_from_stdio: { parameters: ["pointer", "pointer"], result: "i32", suspends: true },
    png_image_finish_read: {
      parameters: ["pointer", "pointer", "buffer", "i32", "pointer"],
      result: "i32",
      suspends: true,
    },
    png_image_free: { parameters: ["pointer"], result: "void" },
  },
  frames: {
    jump_byte_length: { parameters: [], result: "usize" },
    callOrJump: { ...callOrJump, stack: "own" },
    callOrJumpLater: { ...callOrJump, suspends: true },
  },
  libc: {
    dlsym: { parameters: ["pointer", "cstring"], result: "pointer" },
    malloc: { parameters: ["usize"], result: "pointer" },
    free: { parameters: ["pointer"], result: "void" },
    fopencookie: { parameters: ["usize", "cstring", FileFunctions], result: "pointer" },
    fclose: { parameters: ["pointer"], result: "i32" },
  },
} as const;

type Definitions = typeof definitions;
let libraries: { [K in keyof Definitions]: Library<Definitions[K]> } | undefined;

/** Opens libpng. Whether it is there. */
export function openPng(): boolean {
  try {
    libraries ??= {
      png: dlopen({ name: "png16", versions: ["16"] }, definitions.png),
      libc: dlopen({ name: "c", versions: ["6"] }, definitions.libc),
      frames: dlopen(testLibrary, definitions.frames),
    };
    return true;
  } catch (error) {
    if (!(error instanceof LibraryLoadError)) throw error;
    return false;
  }
}

/** Closes what {@linkcode openPng} opened. */
export function closePng(): void {
  for (const library of Object.values(libraries ?? {})) library.close();
  libraries = undefined;
}

/** What libpng says of an image that it can't read. */
export class PngError extends Error {
  override name = "PngError";
}

/** Pixels, row by row, as they are in the file. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** A part of libpng's work: a function that ends with a call of it, and may jump. */
export type Step = () => never;

/** Where C catches what jumps. */
export interface Frame {
  /** Has a step called. Whether it came to its end. */
  run(step: Step): boolean | Promise<boolean>;
  /** How libpng's error function ends. */
  jump(): never;
}

/** A frame that has called `setjmp`, to which `png_longjmp` jumps. */
export function setjmpFrame(png: Png, { suspends, signal }: { suspends: boolean; signal?: AbortSignal }): Frame {
  const { png: { symbols: { png_set_longjmp_fn, png_longjmp } }, libc, frames } = libraries as NonNullable<
    typeof libraries
  >;
  const { jump_byte_length, callOrJump, callOrJumpLater } = frames.symbols;
  const longjmp = libc.symbols.dlsym(null, "longjmp");
  const target = png_set_longjmp_fn(png, longjmp, jump_byte_length());
  return {
    run: (step) => suspends ? callOrJumpLater(target, step, { signal }) : callOrJump(target, step),
    jump: () => tailCall(png_longjmp, png, 1),
  };
}

/** Options of a {@linkcode PngReader}. */
export interface PngReaderOptions {
  /** Answers the next bytes, so many of them, or fewer at the end. */
  readonly next: (length: number) => Uint8Array | Promise<Uint8Array>;
  readonly frame: (png: Png) => Frame;
  /** Whether libpng gets memory. */
  readonly allows?: () => boolean;
}

/** Reads an image, whose bytes come from a function. */
export class PngReader {
  readonly warnings: string[] = [];
  /** The memory that libpng has. */
  readonly blocks: Set<Pointer> = new Set();
  readonly #options: PngReaderOptions;
  #frame: Frame | undefined;
  #error: unknown;

  constructor(options: PngReaderOptions) {
    this.#options = options;
  }

  /** Reads all of it at once. */
  read(): Image {
    const steps = this.#steps();
    try {
      for (let next = steps.next();; next = steps.next()) {
        if (next.done === true) return next.value;
        if (this.#frame?.run(next.value) === false) throw this.#error;
      }
    } finally {
      steps.return(undefined as never);
    }
  }

  /** Reads it while the event loop runs. */
  async readLater(): Promise<Image> {
    const steps = this.#steps();
    try {
      for (let next = steps.next();; next = steps.next()) {
        if (next.done === true) return next.value;
        if (await this.#frame?.run(next.value) === false) throw this.#error;
      }
    } finally {
      steps.return(undefined as never);
    }
  }

  *#steps(): Generator<Step, Image, void> {
    const { png: { symbols }, libc: { symbols: { malloc, free } } } = libraries as NonNullable<typeof libraries>;
    const { next, frame, allows = () => true } = this.#options;
    using arena = new Arena();
    const endOfBytes = arena.cstring("the image ends too early");
    const jump = (): never => (this.#frame as Frame).jump();
    const onError = arena.callback(onMessage, (png, message) => {
      // Of several readers, that which it is about: libpng knows.
      const reader = symbols.png_get_error_ptr(png);
      reader.#error ??= new PngError(message ?? "libpng says nothing");
      return jump();
    }, { always: true });
    const onWarning = arena.callback(onMessage, (_png, message) => void this.warnings.push(message ?? ""));
    const give = (png: Png, data: Pointer | null, bytes: Uint8Array, length: bigint): void => {
      if (bytes.length < length) return tailCall(symbols.png_error, png, endOfBytes);
      NativeMemory.borrow(data as Pointer, bytes.length).copyFrom(bytes);
    };
    const read = arena.callback(onRead, (png, data, length) => {
      const bytes = next(Number(length));
      if (bytes instanceof Uint8Array) return give(png, data, bytes, length);
      return bytes.then((later) => give(png, data, later, length));
    }, {
      suspends: true,
      onError: (error) => {
        this.#error = error;
        return jump();
      },
    });
    const allocate = arena.callback(onAllocate, (_png, size) => {
      const block = allows() ? malloc(size) : null;
      if (block !== null) this.blocks.add(block);
      return block;
    }, { always: true });
    const release = arena.callback(onFree, (_png, block) => {
      if (block !== null && !this.blocks.delete(block)) throw new Error("libpng frees what it has not got");
      free(block);
    }, { always: true });

    const self = arena.handle(this);
    const version = symbols.png_get_libpng_ver(null);
    const png = symbols.png_create_read_struct_2(version, self, onError, onWarning, null, allocate, release);
    if (png === null) throw new PngError("no memory to begin with");
    let info: Pointer<"png_info"> | null = null;
    try {
      info = symbols.png_create_info_struct(png);
      if (info === null) throw new PngError("no memory to begin with");
      symbols.png_set_read_fn(png, null, read);
      this.#frame = frame(png);
      yield () => tailCall(symbols.png_read_info, png, info);
      const [width, height] = [symbols.png_get_image_width(png, info), symbols.png_get_image_height(png, info)];
      const rowLength = Number(symbols.png_get_rowbytes(png, info));
      const pixels = arena.alloc(rowLength * height);
      const rows = arena.alloc(8 * height);
      for (let y = 0; y < height; y++) rows.setPointer(8 * y, pixels.subarray(rowLength * y).pointer);
      yield () => tailCall(symbols.png_read_image, png, rows.pointer);
      yield () => tailCall(symbols.png_read_end, png, null);
      return { width, height, pixels: pixels.bytes().slice() };
    } finally {
      const pointers = [png, info].map((pointer) =>
        new BigUint64Array([pointer === null ? 0n : pointerValue(pointer)])
      );
      symbols.png_destroy_read_struct(pointers[0] ?? null, pointers[1] ?? null, null);
    }
  }
}

/** Reads an image with red, green, blue and a transparency by libpng's simple functions, out of a `FILE` of C's. */
export async function readSimply(next: PngReaderOptions["next"]): Promise<Image> {
  const { png: { symbols }, libc: { symbols: { fopencookie, fclose } } } = libraries as NonNullable<typeof libraries>;
  using arena = new Arena();
  const read = arena.callback(onFileRead, async (_cookie, data, length) => {
    const bytes = await next(Number(length));
    NativeMemory.borrow(data as Pointer, bytes.length).copyFrom(bytes);
    return bytes.length;
  }, { suspends: true, fallback: -1 });
  const memory = arena.new(SimpleImage);
  const image = SimpleImage.view(memory);
  const check = (result: number): void => {
    if (result === 0) throw new PngError(image.message);
  };
  const file = fopencookie(0, "r", { read, write: null, seek: null, close: null });
  try {
    image.version = 1;
    check(await symbols.png_image_begin_read_from_stdio(memory, file));
    image.format = 3;
    const { width, height } = image;
    const pixels = new Uint8Array(4 * width * height);
    check(await symbols.png_image_finish_read(memory, null, pixels, 0, null));
    return { width, height, pixels };
  } finally {
    symbols.png_image_free(memory);
    fclose(file);
  }
}
