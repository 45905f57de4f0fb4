/**
 * The test library and callbacks for it, with types that the crash matrix's programs needn't spell out.
 *
 * @module
 */

import { callback, type CallbackDefinition, type Definitions, dlopen } from "@belay/ffi";
import { type RawCallback, type RawDefinition, type RawLibrary, rawLibrary } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { fallback as usual } from "./observe.ts";

/** The functions of the test library that programs use. */
const definitions = {
  add_i32: { parameters: ["i32", "i32"], result: "i32" },
  relay_i32: { parameters: ["function", "i32"], result: "i32" },
  call_void: { parameters: ["function"], result: "void" },
  collect_i32: { parameters: ["function", "buffer", "i32"], result: "void" },
  keep: { parameters: ["function"], result: "void" },
  call_kept: { parameters: ["i32"], result: "i32" },
  sort_i32: { parameters: ["buffer", "usize", "function", "buffer"], result: "void" },
  keep_until_exit: { parameters: ["function"], result: "void" },
  end_process: { parameters: ["i32"], result: "void" },
  call_on_thread: { parameters: ["function", "i32"], result: "i32" },
  start_on_thread: { parameters: ["function", "i32"], result: "void" },
  thread_answer: { parameters: [], result: "i32" },
  call_for: { parameters: ["function", "i32"], result: "void" },
  loop_is_over: { parameters: [], result: "bool" },
  prepare_thread_end: { parameters: [], result: "void" },
  call_at_thread_end: { parameters: ["function"], result: "void" },
  thread_end_answer: { parameters: [], result: "i32" },
  call_in_signal: { parameters: ["function", "bool"], result: "i32" },
  call_on_coroutine: { parameters: ["function"], result: "i32" },
} as const satisfies Record<string, RawDefinition>;

/** What `thread_answer` and `thread_end_answer` say before there is an answer. */
export const unanswered = -2_000_000;

type Name = keyof typeof definitions;
/** Some functions of the test library, and the library's own end. */
export type Functions<N extends Name> = Readonly<Record<N, (...args: unknown[]) => unknown>> & { close(): void };

function definitionsOf(names: readonly Name[]): Record<string, RawDefinition> {
  return Object.fromEntries(names.map((name) => [name, definitions[name]]));
}

/** Opens the test library for some of its functions. */
export function open<N extends Name>(...names: N[]): Functions<N> {
  const library = dlopen(testLibrary, definitionsOf(names) as Definitions);
  return { ...library.symbols, close: () => library.close() } as unknown as Functions<N>;
}

/** Opens it as another binding in the process would, of which belay knows nothing. */
export function openWithoutBelay<N extends Name>(...names: N[]): Functions<N> {
  const library: RawLibrary = rawLibrary(testLibrary, definitionsOf(names));
  return { ...library.symbols, close: () => library.close() } as Functions<N>;
}

/** Makes a function callable from C. */
export function makeCallback(
  { parameters, result }: RawDefinition,
  fn: (...args: never[]) => unknown,
  fallback: number = usual,
): RawCallback {
  const definition = { parameters, result } as CallbackDefinition;
  const options = result === "void" ? {} : { fallback };
  const made = callback(definition, fn as never, options as never);
  return { pointer: made.pointer, close: () => made.close() };
}
