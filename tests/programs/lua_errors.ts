/** Has a function of TypeScript's fail in Lua over and over, and prints by how much memory grew after the first tenth. */

import process from "node:process";
import { stats, tailCall } from "@belay/ffi";
import { hasLua, Lua } from "../package/lua.ts";
import { growthOf } from "../support/resident.ts";

hasLua();
const lua = new Lua();
const { lua_error, lua_pushstring, lua_pushvalue, lua_pcallk, lua_settop } = lua.symbols;
let calls = 0;
lua.push((state) => {
  const message = `failure ${calls++}`;
  if (calls % 2 === 0) throw new Error(message);
  lua_pushstring(state, message);
  return tailCall(lua_error, state);
});
const growth = await growthOf(() => {
  lua_pushvalue(lua.state, 1);
  if (lua_pcallk(lua.state, 0, 0, 0, 0, null) !== 2) throw new Error("no error came");
  lua_settop(lua.state, 1);
}, { cycles: Number(process.argv[2]), perTurn: 10_000 });
lua.close();
const { callbacks, handles, ownStacks } = stats().live;
console.log(JSON.stringify({ ...growth, bytesOfLua: lua.memory.bytes, left: { callbacks, handles, ownStacks } }));
