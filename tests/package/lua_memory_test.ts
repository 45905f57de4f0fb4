/** Lua (5.4, the system's) with an allocator, finalizers and functions that fail, all of them TypeScript's. */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { afterAll, describe, it } from "@std/testing/bdd";
import { Arena, Handle, NativeMemory, type Pointer, stats, tailCall } from "@belay/ffi";
import { closeLua, CountedMemory, hasLua, Lua, type State } from "./lua.ts";
import { leftOut } from "../support/left_out.ts";
import { alive } from "../support/gc.ts";
import { runChild } from "../support/child.ts";
import { measuring } from "../support/resident.ts";
import { emulator } from "../support/machine.ts";

const isThere = hasLua();
if (!isThere) leftOut("Lua's memory, finalizers and errors (Debian: liblua5.4-0)");
const before = alive();

/** A test with a state of its own, which leaves nothing. */
function withLua(name: string, body: (lua: Lua) => void | Promise<void>): void {
  (isThere ? it : it.skip)(name, async () => {
    const { live, counts } = stats();
    const lua = new Lua();
    await body(lua);
    lua.close();
    assertEquals(lua.memory.blocks.size, 0);
    const after = stats();
    assertEquals({ live: after.live, counts: after.counts }, { live, counts });
  });
}

describe("Lua's memory", () => {
  withLua("is a TypeScript function's, which gets each byte back once", (lua) => {
    assert(lua.memory.bytes > 10_000, `${lua.memory.bytes} bytes`);
    const text = "local t = {}; for i = 1, 20000 do t[i] = { 'text ' .. i } end; return #t";
    assertEquals(lua.run(text), "20000");
    const most = lua.memory.bytes;
    assert(most > 1_000_000 && lua.memory.asked > 40_000, `${most} bytes, asked for ${lua.memory.asked} times`);
    lua.collect();
    assert(lua.memory.bytes < most / 10, `${lua.memory.bytes} bytes are left`);
  });

  withLua("that is refused is an error of Lua's, which jumps out of C's frames", (lua) => {
    lua.memory.allows = (size) => size < 50_000;
    assertEquals(lua.run("return #string.rep('x', 100000)"), "memory: not enough memory");
    const caught = "local ok, e = pcall(string.rep, 'x', 100000); return tostring(ok) .. ', ' .. e";
    assertEquals(lua.run(caught), "false, not enough memory");
    lua.memory.allows = () => true;
    assertEquals(lua.run("return #string.rep('x', 100000)"), "100000");
  });

  withLua("may be refused at any time while a program runs", (lua) => {
    const { luaL_loadstring, lua_pcallk, lua_settop } = lua.symbols;
    let refusals = 0;
    for (let allowed = 0, code = 4; code !== 0; allowed += 1) {
      lua.memory.allows = () => true;
      assertEquals(luaL_loadstring(lua.state, "local t = {}; for i = 1, 30 do t[i] = { 'text ' .. i } end"), 0);
      let left = allowed;
      lua.memory.allows = () => left-- > 0;
      code = lua_pcallk(lua.state, 0, 0, 0, 0, null);
      lua_settop(lua.state, 0);
      assert(code === 0 || code === 4, `code ${code}`);
      if (code === 4) refusals += 1;
    }
    assert(refusals > 30, `${refusals} refusals`);
  });

  withLua("may be refused to a state that begins: there is none then, and nothing of it is left", (lua) => {
    const { lua_newstate, lua_close } = lua.symbols;
    const memory = new CountedMemory();
    let refusals = 0;
    for (let state: State = null; state === null; refusals += 1) {
      let left = refusals;
      memory.allows = () => left-- > 0;
      state = lua_newstate(memory.callback, 0);
      if (state !== null) lua_close(state);
      assertEquals(memory.blocks.size, 0);
    }
    assert(refusals > 10, `${refusals} refusals`);
    memory.callback.close();
  });

  withLua("whose allocator throws is refused, and the call of Lua throws that error", (lua) => {
    const error = new RangeError("the budget is used up");
    lua.memory.allows = (size) => {
      if (size >= 50_000) throw error;
      return true;
    };
    assertStrictEquals(assertThrows(() => lua.run("return #string.rep('x', 100000)")), error);
    assertEquals(lua.symbols.lua_tolstring(lua.state, -1, null), "not enough memory");
    assertEquals(lua.run("return 'goes on'"), "goes on");
  });
});

/** What Lua's objects are in TypeScript. */
class Counter {
  count: number;
  constructor(count: number) {
    this.count = count;
  }
}

/** Defines `counter(n)`, whose objects are full userdata: the block of each holds a handle. How often each was finalized. */
function defineCounter(lua: Lua): Map<Counter, number> {
  const { lua_newuserdatauv, luaL_newmetatable, luaL_setmetatable, lua_setfield, lua_pushvalue } = lua.symbols;
  const { lua_touserdata, luaL_testudata, lua_tonumberx, lua_pushnumber, lua_settop } = lua.symbols;
  const finalized = new Map<Counter, number>();
  const block = (pointer: Pointer | null): NativeMemory => NativeMemory.borrow(pointer as Pointer, 8);
  luaL_newmetatable(lua.state, "Counter");
  lua_pushvalue(lua.state, -1);
  lua_setfield(lua.state, -2, "__index");
  lua.push((state) => {
    const memory = block(lua_touserdata(state, 1));
    const id = Number(memory.getBigUint64(0));
    const counter = Handle.value(id) as Counter;
    finalized.set(counter, (finalized.get(counter) ?? 0) + 1);
    Handle.delete(id);
    if (counter.count === 13) throw new RangeError("thirteen");
    return 0;
  }, { always: true });
  lua_setfield(lua.state, -2, "__gc");
  lua.push((state) => {
    const counter = luaL_testudata(state, 1, "Counter") as Counter;
    counter.count += lua_tonumberx(state, 2, null);
    lua_pushnumber(state, counter.count);
    return 1;
  });
  lua_setfield(lua.state, -2, "add");
  lua_settop(lua.state, -2);
  lua.define("counter", (state) => {
    const counter = new Counter(lua_tonumberx(state, 1, null));
    block(lua_newuserdatauv(state, 8, 0)).setBigUint64(0, Handle.create(counter).id);
    luaL_setmetatable(state, "Counter");
    return 1;
  });
  return finalized;
}

describe("Lua's objects", () => {
  withLua("hold handles, which __gc deletes: once each, by a collection or by lua_close", (lua) => {
    const { handles } = stats().live;
    const finalized = defineCounter(lua);
    assertEquals(lua.run("kept = {}; for i = 1, 100 do kept[i] = counter(i + 0.5) end; return #kept"), "100");
    assertEquals(lua.run("local sum = 0; for i = 1, 1000 do sum = counter(i + 0.5):add(i) end; return sum"), "2000.5");
    lua.collect();
    assertEquals([finalized.size, stats().live.handles - handles], [1000, 100]);
    assertEquals(lua.run("return kept[100]:add(1)"), "101.5");
    lua.symbols.lua_close(lua.state);
    assertEquals([finalized.size, stats().live.handles - handles], [1100, 0]);
    assert(finalized.values().every((times) => times === 1));
    lua.restart();
  });

  withLua("are the same objects in each method; others are an error, and so are finalized ones", (lua) => {
    const finalized = defineCounter(lua);
    assertEquals(
      lua.run("one = counter(1); two = counter(20); one:add(4); two:add(1); return one:add(two:add(0))"),
      "26.0",
    );
    const wrong = (text: string): string => lua.run(`local ok, e = pcall(function() ${text} end); return e`);
    assertEquals(
      wrong("one.add(5, 6)"),
      'InvalidHandleError: Cannot read what "luaL_testudata" gave, handle 0: it is the null handle',
    );
    assertEquals(wrong("getmetatable(one).__gc(one)"), "null");
    assert(/^InvalidHandleError: .* it has been deleted$/.test(wrong("one:add(1)")), wrong("one:add(1)"));
    assert(/^InvalidHandleError: .* it has been deleted$/.test(wrong("getmetatable(one).__gc(one)")));
    assertEquals(finalized.size, 1);
    assertEquals(lua.run("return two:add(1)"), "22.0");
  });

  withLua("whose __gc fails are a warning, and the others are finalized all the same", (lua) => {
    const { handles } = stats().live;
    const warnings = lua.warnings();
    const finalized = defineCounter(lua);
    assertEquals(lua.run("for i = 1, 20 do counter(i) end; kept = counter(13)"), "null");
    lua.collect();
    assertEquals([finalized.size, stats().live.handles - handles], [20, 1]);
    assertEquals(warnings, ["error in __gc (RangeError: thirteen)"]);
    lua.symbols.lua_close(lua.state);
    assertEquals([finalized.size, warnings.length, stats().live.handles - handles], [21, 2, 0]);
    lua.restart();
  });

  withLua("whose __gc fails may be garbage whenever Lua makes something", (lua) => {
    const warnings = lua.warnings();
    const finalized = defineCounter(lua);
    lua.define("text", (state) => {
      lua.symbols.lua_pushstring(state, "a text ".repeat(100));
      return 1;
    });
    assertEquals(lua.run("for i = 1, 20000 do counter(13); text() end"), "null");
    assert(finalized.size > 10_000 && warnings.length === finalized.size, `${finalized.size}, ${warnings.length}`);
    lua.symbols.lua_close(lua.state);
    assertEquals([finalized.size, warnings.length], [20_000, 20_000]);
    lua.restart();
  });
});

describe("a function that fails in Lua", () => {
  const count = 100_000;

  /** Calls the function on Lua's stack, over and over, and looks at each message. */
  function callAll(lua: Lua, messageOf: (index: number) => string): void {
    const { lua_pushvalue, lua_pcallk, lua_tolstring, lua_settop } = lua.symbols;
    for (let i = 0; i < count; i++) {
      lua_pushvalue(lua.state, 1);
      const code = lua_pcallk(lua.state, 0, 0, 0, 0, null);
      const message = lua_tolstring(lua.state, -1, null);
      if (code !== 2 || message !== messageOf(i)) throw new Error(`call ${i}: ${code}, ${message}`);
      lua_settop(lua.state, 1);
    }
  }

  withLua("ends with lua_error, 100,000 times", (lua) => {
    let calls = 0;
    lua.push((state) => {
      lua.symbols.lua_pushstring(state, `failure ${calls++}`);
      return tailCall(lua.symbols.lua_error, state);
    });
    callAll(lua, (index) => `failure ${index}`);
    assertEquals(calls, count);
  });

  withLua("throws, and its onError ends with lua_error, 100,000 times", (lua) => {
    let calls = 0;
    lua.push(() => {
      throw new RangeError(`failure ${calls++}`);
    });
    callAll(lua, (index) => `RangeError: failure ${index}`);
    assertEquals(calls, count);
  });

  (isThere && emulator === undefined ? it : it.skip)("takes no memory for good (in a child process)", () => {
    const { code, stdout, stderr } = runChild("lua_errors.ts", ["200000"], measuring);
    assertEquals(code, 0, stderr);

    const { growth, heapGrowth, bytesOfLua, left } = JSON.parse(stdout);
    assert(growth < 2_000_000 && heapGrowth < 1_000_000, stdout);
    assertEquals({ bytesOfLua, left }, { bytesOfLua: 0, left: { callbacks: 0, handles: 0, ownStacks: 0 } });
  });

  withLua("may have called Lua, whose own functions failed: each error goes to its own pcall", (lua) => {
    const order: string[] = [];
    lua.define("down", (state) => {
      const depth = lua.symbols.lua_tonumberx(state, 1, null);
      if (depth === 0) throw new Error("at the bottom");
      const inner = lua.run(`return down(${depth - 1})`, state);
      order.push(inner);
      throw new Error(`${depth} above ${inner}`);
    });
    const expected = ["error: Error: at the bottom"];
    for (let depth = 1; depth <= 20; depth++) expected.push(`error: Error: ${depth} above ${expected.at(-1)}`);
    for (let round = 0; round < 50; round++) {
      order.length = 0;
      assertEquals(lua.run("return down(20)"), expected.at(-1));
      assertEquals(order, expected.slice(0, -1));
      assertEquals(
        lua.run("local ok, e = pcall(down, 3); return tostring(ok) .. ' ' .. e"),
        `false ${expected[3]?.slice(7)}`,
      );
    }
    assertEquals(stats().live.ownStacks, 0);
  });

  withLua("may have Lua make the message: where there is no memory for it, that is an error of Lua's, too", (lua) => {
    using arena = new Arena();
    const [format, message] = [arena.cstring("%s"), arena.cstring("a message of TypeScript's ".repeat(20))];
    const { luaL_error } = lua.symbols;
    let allowed = true;
    lua.memory.allows = () => allowed;
    lua.define("fail", (state) => {
      allowed = false;
      return tailCall(luaL_error, state, format, message);
    });
    lua.define("failWell", (state) => tailCall(luaL_error, state, format, message));
    assertEquals(lua.run("local x = 1\nfailWell()"), `error: [string "local x = 1..."]:2: ${message.getCString(0)}`);
    const { luaL_loadstring, lua_pcallk, lua_tolstring, lua_settop } = lua.symbols;
    for (let i = 0; i < 1000; i++) {
      assertEquals(luaL_loadstring(lua.state, "fail()"), 0);
      assertEquals(lua_pcallk(lua.state, 0, 0, 0, 0, null), 4);
      allowed = true;
      assertEquals(lua_tolstring(lua.state, -1, null), "not enough memory");
      lua_settop(lua.state, 0);
    }
  });

  withLua("may have waited, 1,000 times, among others that Lua gives memory and finalizes meanwhile", async (lua) => {
    const finalized = defineCounter(lua);
    lua.define("fail", async () => {
      await undefined;
      throw new RangeError("after a while");
    });
    const { luaL_loadstring, callLater, lua_tolstring, lua_settop } = lua.symbols;
    const text = `
      for i = 1, 1000 do
        local ok, message = pcall(function() counter(0.5):add(fail()) end)
        assert(not ok and message == "RangeError: after a while")
      end
      return "all of them"`;
    assertEquals(luaL_loadstring(lua.state, text), 0);
    assertEquals(await callLater(lua.state, 0, 1, 0, 0, null), 0);
    assertEquals(lua_tolstring(lua.state, -1, null), "all of them");
    lua_settop(lua.state, 0);
    lua.collect();
    assertEquals(finalized.size, 1000);
  });

  withLua("may be given up while it waits: Lua goes on to its end, with its memory", async (lua) => {
    const controller = new AbortController();
    lua.define("wait", () => {
      setTimeout(() => controller.abort(), 1);
      return new Promise(() => {});
    });
    const { luaL_loadstring, callLater, lua_tolstring } = lua.symbols;
    assertEquals(luaL_loadstring(lua.state, "wait(); local t = {}; for i = 1, 20 do t[i] = { i } end; last = #t"), 0);
    const { signal } = controller;
    await assertRejects(() => callLater(lua.state, 0, 0, 0, 0, null, { signal }), Error, "abort");
    assertEquals([lua.run("return last"), stats().live.ownStacks], ["20", 0]);
    assertEquals(lua_tolstring(lua.state, -1, null), null);
  });

  withLua("is one way to jump; another is to yield from a coroutine", (lua) => {
    const { lua_yieldk, lua_pushnumber, lua_tonumberx } = lua.symbols;
    lua.define("twice", (state) => {
      lua_pushnumber(state, 2 * lua_tonumberx(state, 1, null));
      return tailCall(lua_yieldk, state, 1, 0, null);
    });
    const text = `
      local sum = 0
      for round = 1, 1000 do
        local co = coroutine.wrap(function(x) x = twice(x); x = twice(x); return "done " .. x end)
        assert(co(round) == 2 * round and co(5) == 10)
        assert(co(7) == "done 7")
      end
      return "all of them"`;
    assertEquals(lua.run(text), "all of them");
    assertEquals(lua.run("return twice(1)"), "error: attempt to yield from outside a coroutine");
  });
});

describe("these tests", () => {
  afterAll(closeLua);
  it("leave nothing alive", () => {
    assertEquals(alive(), before);
  });
});
