/**
 * Calls with which C goes on in the place of a callback.
 *
 * @module
 */

import { TailCall } from "../callbacks/own_stack.ts";
import { TypeError } from "../ground/blame.ts";
import { inside } from "../ground/inside.ts";
import type { FunctionDefinition } from "../types/definitions.ts";
import { type KnownFunction, knownFunction } from "../crossing/functions.ts";
import { isRecord } from "../crossing/layout.ts";
import type { LibraryOwner } from "./arguments.ts";
import { makeTailCall } from "./block_call.ts";

/** What fills a block with the arguments of a function, and answers its index. */
const fillers = new WeakMap<KnownFunction, (...args: unknown[]) => number>();

/** What a callback may end with in place of a result, whatever its type is. */
type Ending = never;

/**
 * Has C call one of its functions in the place of a callback, when the callback has returned: `return tailCall(f, …)`.
 *
 * C gets the function's result as the callback's. JavaScript has been left by then, so the function need not return: it may
 * jump out of C's frames by `longjmp`, as `lua_error` and `png_longjmp` do. A callback that calls such a function itself
 * would have JavaScript's frames jumped over.
 *
 * It takes a stack of C's own: the function that calls back is defined with `stack: "own"`, or `suspends`. `onError` may
 * answer with it, too. A function that jumps must be called by the innermost call that is running: what it jumps to, a
 * `lua_pcall` or a `setjmp`, has to be in the same call of C.
 *
 * *Errors:* the arguments are checked when the callback has returned it: they are errors of the callback. Its result has to
 * be of the callback's type, or `"void"`, for what never returns: should it do so, C gets the fallback.
 *
 * ```ts ignore
 * callback(luaFunction, (state) => compute(state), {
 *   onError: (error, state) => {
 *     lua.lua_pushstring(state, String(error));
 *     return tailCall(lua.lua_error, state);
 *   },
 * });
 * ```
 *
 * @param fn A function of a library that belay has opened.
 * @param args Its arguments: numbers, pointers and handles, since nobody would keep anything else for C.
 * @returns What the callback returns.
 * @throws {TypeError} If it is no such function, or takes something else; if its library was opened with `unload`.
 */
export function tailCall<A extends readonly never[] | readonly unknown[]>(
  fn: (...args: A & never[]) => unknown,
  ...args: A
): Ending {
  const known = knownFunction(fn);
  if (known === undefined) throw new TypeError("Cannot make a tail call: expected a function of a library");
  const { key, definition, address, owner } = known;
  if (owner.counted) {
    // Nobody is told when C returns from it, or that it never does.
    throw new TypeError(
      `Cannot make a tail call of "${key}": closing ${owner.name} unmaps it, since it was opened with unload`,
    );
  }
  let fill = fillers.get(known);
  if (fill === undefined) {
    fill = makeTailCall(key, refuseKept(key, definition), address, owner as LibraryOwner);
    fillers.set(known, fill);
  }
  const filled = fill;
  return new TailCall(inside, () => filled(...args), key, definition.result) as Ending;
}

/** @throws {TypeError} When the function takes what is only kept during a call. */
function refuseKept(key: string, definition: FunctionDefinition): FunctionDefinition {
  const { parameters, result, nonblocking, suspends } = definition;
  const bad = parameters.findIndex((type) =>
    typeof type !== "string" || ["buffer", "cstring", "handleAddress"].includes(type)
  );
  if (bad >= 0) {
    throw new TypeError(`Cannot make a tail call of "${key}": nobody would keep argument ${bad + 1} for C`);
  }
  if (isRecord(result) || nonblocking === true || suspends === true) {
    throw new TypeError(`Cannot make a tail call of "${key}": its result can't be that of a callback`);
  }
  return definition;
}
