/** Lua (5.4, the system's) with its memory from TypeScript: the functions that tests call, and an allocator that counts. */

import { assert, assertEquals } from "@std/assert";
import { type Callback, callback, dlopen, handleAddress, type Library, LibraryLoadError } from "@belay/ffi";
import { type Pointer, pointer, tailCall } from "@belay/ffi";

const state = pointer<"lua_State">();
/** A `lua_State *`. */
export type State = Pointer<"lua_State"> | null;
/** `lua_CFunction`. */
export const luaFunction = { parameters: [state], result: "i32" } as const;
/** `lua_Alloc`. */
const allocation = { parameters: ["usize", "pointer", "usize", "usize"], result: "pointer" } as const;
/** `lua_WarnFunction`. */
const warning = { parameters: ["usize", "cstring", "i32"], result: "void" } as const;

const definitions = {
  lua_newstate: { parameters: [allocation, "usize"], result: state },
  // Whatever makes something may collect garbage, and so run a `__gc` that fails: it has a stack of its own.
  lua_close: { parameters: [state], result: "void", stack: "own" },
  lua_gc: { parameters: [state, "i32"], variadic: 2, result: "i32", stack: "own" },
  lua_pcallk: { parameters: [state, "i32", "i32", "i32", "isize", "pointer"], result: "i32", stack: "own" },
  callLater: {
    name: "lua_pcallk",
    parameters: [state, "i32", "i32", "i32", "isize", "pointer"],
    result: "i32",
    suspends: true,
  },
  luaL_openlibs: { parameters: [state], result: "void", stack: "own" },
  lua_setwarnf: { parameters: [state, warning, "usize"], result: "void" },
  luaL_loadstring: { parameters: [state, "cstring"], result: "i32", stack: "own" },
  lua_pushcclosure: { parameters: [state, luaFunction, "i32"], result: "void", stack: "own" },
  lua_setglobal: { parameters: [state, "cstring"], result: "void", stack: "own" },
  lua_pushstring: { parameters: [state, "cstring"], result: "cstring", stack: "own" },
  lua_pushnumber: { parameters: [state, "f64"], result: "void" },
  lua_pushvalue: { parameters: [state, "i32"], result: "void" },
  lua_error: { parameters: [state], result: "i32" },
  luaL_error: { parameters: [state, "pointer", "pointer"], variadic: 2, result: "i32" },
  lua_yieldk: { parameters: [state, "i32", "isize", "pointer"], result: "i32" },
  lua_tolstring: { parameters: [state, "i32", "pointer"], result: "cstring", stack: "own" },
  lua_tonumberx: { parameters: [state, "i32", "pointer"], result: "f64" },
  lua_settop: { parameters: [state, "i32"], result: "void" },
  lua_newuserdatauv: { parameters: [state, "usize", "i32"], result: "pointer", stack: "own" },
  luaL_newmetatable: { parameters: [state, "cstring"], result: "i32", stack: "own" },
  luaL_setmetatable: { parameters: [state, "cstring"], result: "void", stack: "own" },
  lua_setfield: { parameters: [state, "i32", "cstring"], result: "void", stack: "own" },
  lua_touserdata: { parameters: [state, "i32"], result: "pointer" },
  // A block that holds a handle: the object comes back.
  luaL_testudata: { parameters: [state, "i32", "cstring"], result: handleAddress(), stack: "own" },
} as const;

const allocators = {
  realloc: { parameters: ["pointer", "usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
} as const;

let library: Library<typeof definitions> | undefined;
let libc: Library<typeof allocators> | undefined;

/** Whether Lua is there. */
export function hasLua(): boolean {
  try {
    library ??= dlopen({ name: "lua5.4", versions: ["0"] }, definitions);
    libc ??= dlopen({ name: "c", versions: ["6"] }, allocators);
    return true;
  } catch (error) {
    if (!(error instanceof LibraryLoadError)) throw error;
    return false;
  }
}

/** Closes what {@linkcode hasLua} opened. */
export function closeLua(): void {
  library?.close();
  libc?.close();
  library = libc = undefined;
}

/** Lua's memory: what C's `realloc` gives, counted. */
export class CountedMemory {
  readonly #libc: Library<typeof allocators>["symbols"] = (libc as Library<typeof allocators>).symbols;
  /** Each block that Lua has, and its size. */
  readonly blocks: Map<Pointer, number> = new Map();
  /** How often Lua has asked for more. */
  asked = 0;
  /** Whether Lua gets so many bytes. */
  allows: (size: number) => boolean = () => true;
  /** `always`: Lua also frees, and asks for, memory when a function has failed. */
  readonly callback: Callback<typeof allocation> = callback(
    allocation,
    (_data, block, oldSize, newSize) => {
      const size = Number(newSize);
      const had = block === null ? 0 : this.blocks.get(block);
      assert(had !== undefined, "Lua gives back what it has not got, or has given back");
      // Where there is no block, Lua says in its place what it is for.
      if (block !== null) assertEquals(BigInt(had), oldSize);
      if (size > had) {
        this.asked += 1;
        if (!this.allows(size)) return null;
      }
      if (block !== null) this.blocks.delete(block);
      if (size === 0) {
        this.#libc.free(block);
        return null;
      }
      const made = this.#libc.realloc(block, size) as Pointer;
      this.blocks.set(made, size);
      return made;
    },
    { always: true },
  );

  get bytes(): number {
    return Array.from(this.blocks.values()).reduce((sum, size) => sum + size, 0);
  }
}

/** A Lua state whose memory is TypeScript's. */
export class Lua {
  readonly symbols: Library<typeof definitions>["symbols"] = (library as Library<typeof definitions>).symbols;
  readonly memory: CountedMemory = new CountedMemory();
  state: Pointer<"lua_State"> = this.#start();
  readonly #callbacks: { close(): void }[] = [this.memory.callback];

  #start(): Pointer<"lua_State"> {
    const state = this.symbols.lua_newstate(this.memory.callback, 0) as Pointer<"lua_State">;
    this.symbols.luaL_openlibs(state);
    return state;
  }

  /** Has a new state, where a test has closed the one before. */
  restart(): void {
    this.state = this.#start();
  }

  /** Has Lua collect its garbage. */
  collect(): void {
    this.symbols.lua_gc(this.state, 2);
  }

  /** What Lua's errors are made of. */
  fail(state: State, error: unknown): never {
    this.symbols.lua_pushstring(state, String(error));
    return tailCall(this.symbols.lua_error, state);
  }

  /** Pushes a function, whose errors become Lua's. With `always` it runs although another has failed, as `__gc` has to. */
  push(fn: (state: State) => number | Promise<number>, { always = false }: { always?: boolean } = {}): void {
    const made = callback(luaFunction, fn, {
      always,
      suspends: true,
      onError: (error, state) => this.fail(state, error),
    });
    this.#callbacks.push(made);
    this.symbols.lua_pushcclosure(this.state, made, 0);
  }

  /** The same, as a global variable. */
  define(name: string, fn: (state: State) => number | Promise<number>): void {
    this.push(fn);
    this.symbols.lua_setglobal(this.state, name);
  }

  /** Has warnings, such as those of errors in `__gc`, put in a list. */
  warnings(): readonly string[] {
    const list: string[] = [];
    let text = "";
    const made = callback(warning, (_data, piece, goesOn) => {
      text += piece;
      if (goesOn === 0) text = (list.push(text), "");
    });
    this.#callbacks.push(made);
    this.symbols.lua_setwarnf(this.state, made, 0);
    return list;
  }

  /** Runs a text. Its result, or its error: Lua's word for the kind of it, and the message. */
  run(text: string, state: State = this.state): string {
    const { luaL_loadstring, lua_pcallk, lua_tolstring, lua_settop } = this.symbols;
    const code = luaL_loadstring(state, text) || lua_pcallk(state, 0, 1, 0, 0, null);
    const result = lua_tolstring(state, -1, null);
    lua_settop(state, -2);
    return code === 0 ? `${result}` : `${{ 2: "error", 3: "syntax", 4: "memory" }[code] ?? code}: ${result}`;
  }

  close(): void {
    this.symbols.lua_close(this.state);
    for (const made of this.#callbacks) made.close();
  }
}
