/** Lua (5.4, the system's): its errors jump out of C's frames, and its functions are TypeScript. */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { callback, dlopen, type Library, LibraryLoadError, type Pointer, pointer, stats, tailCall } from "@belay/ffi";
import { leftOut } from "../support/left_out.ts";
import { alive, collectUntil } from "../support/gc.ts";

const state = pointer<"lua_State">();
const luaFunction = { parameters: [state], result: "i32" } as const;
const definitions = {
  luaL_newstate: { parameters: [], result: state },
  luaL_openlibs: { parameters: [state], result: "void", stack: "own" },
  lua_close: { parameters: [state], result: "void", stack: "own" },
  lua_pushcclosure: { parameters: [state, luaFunction, "i32"], result: "void" },
  lua_setglobal: { parameters: [state, "cstring"], result: "void" },
  luaL_loadstring: { parameters: [state, "cstring"], result: "i32" },
  lua_pcallk: { parameters: [state, "i32", "i32", "i32", "isize", "pointer"], result: "i32", stack: "own" },
  callLater: {
    name: "lua_pcallk",
    parameters: [state, "i32", "i32", "i32", "isize", "pointer"],
    result: "i32",
    suspends: true,
  },
  lua_pushstring: { parameters: [state, "cstring"], result: "cstring" },
  lua_pushnumber: { parameters: [state, "f64"], result: "void" },
  lua_error: { parameters: [state], result: "i32" },
  lua_tolstring: { parameters: [state, "i32", "pointer"], result: "cstring" },
  lua_tonumberx: { parameters: [state, "i32", "pointer"], result: "f64" },
  lua_settop: { parameters: [state, "i32"], result: "void" },
} as const;

let library: Library<typeof definitions> | undefined;
try {
  library = dlopen({ name: "lua5.4", versions: ["0"] }, definitions);
} catch (error) {
  if (!(error instanceof LibraryLoadError)) throw error;
  leftOut("Lua (Debian: liblua5.4-0)");
}
const itWithLua = library === undefined ? it.skip : it;
const before = alive();

/** A Lua state with functions that are TypeScript's. */
class Lua {
  readonly symbols: Library<typeof definitions>["symbols"];
  readonly state: Pointer<"lua_State">;
  readonly #callbacks: { close(): void }[] = [];

  constructor() {
    this.symbols = (library as Library<typeof definitions>).symbols;
    this.state = this.symbols.luaL_newstate() as Pointer<"lua_State">;
    this.symbols.luaL_openlibs(this.state);
  }

  /** What `lua_error` makes of an error of TypeScript's. */
  fail(error: unknown, state: Pointer<"lua_State"> | null): never {
    this.symbols.lua_pushstring(state, String(error));
    return tailCall(this.symbols.lua_error, state);
  }

  define(name: string, fn: (x: number) => number | Promise<number>): void {
    const { lua_tonumberx, lua_pushnumber, lua_pushcclosure, lua_setglobal } = this.symbols;
    const answer = (state: Pointer<"lua_State"> | null, result: number): number => {
      lua_pushnumber(state, result);
      return 1;
    };
    const made = callback(luaFunction, (state) => {
      const result = fn(lua_tonumberx(state, 1, null));
      if (typeof result === "number") return answer(state, result);
      return result.then((later) => answer(state, later)) as unknown as number;
    }, { onError: (error, state) => this.fail(error, state) });
    this.#callbacks.push(made);
    lua_pushcclosure(this.state, made, 0);
    lua_setglobal(this.state, name);
  }

  load(text: string): void {
    assertEquals(this.symbols.luaL_loadstring(this.state, text), 0);
  }

  /** The result of the function that has returned, as text, or its error. */
  result(code: number): string {
    const text = this.symbols.lua_tolstring(this.state, -1, null);
    this.symbols.lua_settop(this.state, 0);
    return code === 0 ? `${text}` : `error: ${text}`;
  }

  run(text: string): string {
    this.load(text);
    return this.result(this.symbols.lua_pcallk(this.state, 0, 1, 0, 0, null));
  }

  async runLater(text: string): Promise<string> {
    this.load(text);
    return this.result(await this.symbols.callLater(this.state, 0, 1, 0, 0, null));
  }

  close(): void {
    this.symbols.lua_close(this.state);
    for (const made of this.#callbacks) made.close();
  }
}

describe("Lua", () => {
  afterAll(() => library?.close());

  itWithLua("is told of errors by lua_error, which jumps over no frame of JavaScript's", () => {
    const lua = new Lua();
    lua.define("half", (x) => {
      if (x < 0) throw new RangeError(`negative: ${x}`);
      return x / 2;
    });
    assertEquals(lua.run("return half(10)"), "5.0");
    assertEquals(lua.run("return half(-1)"), "error: RangeError: negative: -1");
    assertEquals(
      lua.run(
        "local failed = 0; for i = 1, 100000 do if not pcall(half, -i) then failed = failed + 1 end end; return failed",
      ),
      "100000",
    );
    assertEquals(lua.run("return half(half(8))"), "2.0");
    assertEquals(stats().live.ownStacks, 0);
    lua.close();
  });

  itWithLua("waits for async functions, several states at once", async () => {
    const states = Array.from({ length: 5 }, () => new Lua());
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (const lua of states) {
      lua.define("later", async (x) => {
        await new Promise((resolve) => setTimeout(resolve, x % 4));
        if (x === 13) throw new Error("thirteen");
        return 2 * x;
      });
    }
    const text = "local sum = 0; for i = 1, 12 do sum = sum + later(i) end; return sum";
    assertEquals(await Promise.all(states.map((lua) => lua.runLater(text))), states.map(() => "156.0"));
    const caught = "local ok, e = pcall(later, 13); return tostring(ok) .. ': ' .. e";
    assertEquals(await states[0]!.runLater(caught), "false: Error: thirteen");
    clearInterval(timer);
    assert(ticks > 3, `${ticks} ticks`);
    for (const lua of states) lua.close();
    assertEquals(stats().live.ownStacks, 0);
  });

  itWithLua("refuses a tail call where C is on JavaScript's stack, or of what belay doesn't know", () => {
    const lua = new Lua();
    const { lua_pushstring } = lua.symbols;
    using plain = dlopen(
      { name: "lua5.4", versions: ["0"] },
      { lua_pcallk: { ...definitions.lua_pcallk, stack: undefined } } as never,
    ) as Library<
      { lua_pcallk: Omit<typeof definitions.lua_pcallk, "stack"> }
    >;
    lua.define("fails", () => {
      throw new Error("fails");
    });
    lua.load("return fails()");
    const error = assertThrows(() => plain.symbols.lua_pcallk(lua.state, 0, 1, 0, 0, null), TypeError);
    assertStringIncludes(error.message, 'stack: "own"');
    assertThrows(() => tailCall(() => 1), TypeError, "expected a function of a library");
    assertThrows(() => tailCall(lua_pushstring, lua.state, "text"), TypeError, "nobody would keep argument 2");
    lua.symbols.lua_settop(lua.state, 0);
    lua.close();
  });

  itWithLua("leaves nothing behind", async () => {
    await collectUntil(() => true);
    assertEquals({ ...alive(), libraries: 0 }, { ...before, libraries: 0 });
  });
});
