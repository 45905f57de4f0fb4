/**
 * The two ways to C that the crash matrix compares. Each program runs with either, unchanged.
 *
 * @module
 */

import { callback, type CallbackDefinition, type Definitions, dlopen } from "@belay/ffi";
import { type RawCallback, rawCallback, type RawDefinition, type RawLibrary, rawLibrary } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { fallback as usual } from "./observe.ts";

/** What a program needs of belay, or of the bare runtime. */
export interface Api {
  readonly name: "belay" | "bare";
  readonly open: (path: string, definitions: Record<string, RawDefinition>) => RawLibrary;
  /** Makes a function callable from C. Only belay has a use for a fallback. */
  readonly callback: (
    definition: RawDefinition,
    fn: (...args: never[]) => unknown,
    fallback?: number,
  ) => RawCallback;
}

/** By name. Neither opens anything before it is used. */
export const apis: Readonly<Record<"belay" | "bare", Api>> = {
  belay: {
    name: "belay",
    open(path, definitions) {
      const library = dlopen(path, definitions as Definitions);
      return { symbols: library.symbols as RawLibrary["symbols"], close: () => library.close() };
    },
    callback({ parameters, result }, fn, fallback = usual) {
      const definition = { parameters, result } as CallbackDefinition;
      const options = result === "void" ? {} : { fallback };
      const made = callback(definition, fn as never, options as never);
      return { pointer: made.pointer, close: () => made.close() };
    },
  },
  bare: { name: "bare", open: rawLibrary, callback: rawCallback },
};

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
  call_at_cxx_thread_end: { parameters: ["function"], result: "void" },
  thread_end_answer: { parameters: [], result: "i32" },
  call_in_signal: { parameters: ["function", "bool"], result: "i32" },
  call_in_timer_signals: { parameters: ["function", "i32"], result: "void" },
  call_on_coroutine: { parameters: ["function"], result: "i32" },
} as const satisfies Record<string, RawDefinition>;

/** What `thread_answer` and `thread_end_answer` say before there is an answer. */
export const unanswered = -2_000_000;

type Name = keyof typeof definitions;
/** Some functions of the test library, and the library's own end. */
export type Functions<N extends Name> = Readonly<Record<N, (...args: unknown[]) => unknown>> & { close(): void };

/** Opens the test library for some of its functions. */
export function open<N extends Name>(api: Api, ...names: N[]): Functions<N> {
  const library = api.open(testLibrary, Object.fromEntries(names.map((name) => [name, definitions[name]])));
  return { ...library.symbols, close: () => library.close() } as Functions<N>;
}
