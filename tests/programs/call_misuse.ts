/**
 * Programs that ended the process, or got wrong results, once. Each prints what its last line says.
 *
 * Argument: which one.
 */

import process from "node:process";
import { callback, dlopen, NativeMemory, PointerRuleError, struct } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { libcPath } from "../../examples/libc.ts";
import { dangling } from "../../ffi/crossing/pointer_rules.ts";
import { collectFully, collectUntil } from "../support/gc.ts";

const definitions = {
  relay_i32: { parameters: ["function", "i32"], result: "i32" },
  later: { name: "add_i32", parameters: ["i32", "i32"], result: "i32", nonblocking: true },
  compare_at_gate: { parameters: ["cstring", "cstring"], result: "i32", nonblocking: true },
  set_gate: { parameters: ["bool"], result: "void" },
  look: { name: "pass", parameters: ["pointer"], result: "pointer" },
} as const;
const { later, compare_at_gate, set_gate, look } = dlopen(testLibrary, definitions).symbols;
const { strchr, memchr, strcmp } = dlopen(libcPath, {
  strchr: { parameters: ["cstring", "i32"], result: "pointer" },
  memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" },
  strcmp: { parameters: ["cstring", "cstring"], result: "i32" },
}).symbols;
/** What small arrays were, so that what is freed is written to. */
const junk = (length: number): void => {
  for (let i = 0; i < 2000; i++) new Uint8Array(length).fill(0x58);
};

const programs: Readonly<Record<string, () => unknown>> = {
  /** Nonblocking calls with the last of the stack: each promise has its own call's result, or the call throws. */
  async "overflow"() {
    await later(1, 2);
    // With no stack at all left, a promise that was rejected can't be seen to, either.
    process.on("unhandledRejection", () => {});
    let wrong = 0;
    let thrown = 0;
    const started: { readonly value: number; readonly sum: Promise<number> }[] = [];
    let left = 0;
    const down = (value: number): void => {
      try {
        down(value + 1);
      } catch {
        // The end of the stack: what follows has a little more with each level.
      }
      if (left-- <= 0) return;
      try {
        started.push({ value, sum: later(value, 1) });
      } catch {
        thrown += 1;
      }
    };
    const shifted = (depth: number, padding: number): void => depth === 0 ? down(padding) : shifted(depth - 1, padding);
    for (let round = 0; round < 10; round++) {
      left = 300;
      try {
        shifted(round, 0);
      } catch {
        // There was none left for what follows, either.
      }
      for (const { value, sum } of started.splice(0)) {
        const result = await sum.catch(() => value + 1);
        if (result !== value + 1) wrong += 1;
      }
    }
    return `wrong ${wrong}, thrown ${thrown > 0}`;
  },
  /** A remembered pointer is looked at while a call has strings, which small arrays are on Bun. */
  async "strings stay"() {
    const dangling = strchr("remembered", 101);
    set_gate(false);
    const result = compare_at_gate("a string of a thread's", "a string of a thread's");
    let refused = false;
    try {
      look(dangling);
    } catch (error) {
      refused = error instanceof PointerRuleError;
    }
    for (let i = 0; i < 5; i++) {
      await collectFully();
      junk(23);
    }
    set_gate(true);
    return `${refused} ${await result}`;
  },
  /** No string is taken for the one before it. */
  async "no false alarms"() {
    for (let i = 0; i < 300; i++) strchr(`a first string ${i}`, 97);
    await collectFully();
    let same = 0;
    for (let i = 0; i < 3000; i++) if (strcmp(`another string ${i}`, `another string ${i}`) === 0) same += 1;
    using memory = NativeMemory.alloc(8);
    for (let i = 0; i < 300; i++) look(memory.pointer);
    return same;
  },
  /** Pointers into arguments are remembered until the memory is collected. */
  async "forgotten"() {
    const seen: boolean[] = [strchr("text", 61) === null, dangling.some];
    (() => {
      for (let i = 0; i < 10; i++) memchr(new Uint8Array(100), 0, 100);
      // Strings that are passed on Deno share a piece of memory until it is used up.
      const long = "x".repeat(1000);
      for (let i = 0; i < 100; i++) strchr(long, 120);
    })();
    seen.push(dangling.some, await collectUntil(() => !dangling.some));
    return seen.join();
  },
  /** An array that says it has more bytes than it has. */
  "lying length"() {
    class Long extends Uint8Array {
      override get byteLength(): number {
        return 2 ** 26;
      }
    }
    using memory = NativeMemory.alloc(2 ** 26);
    memory.fill(0x41);
    const long = new Long(16);
    memory.copyTo(long);
    memory.copyFrom(long, 2 ** 26 - 16);
    return long[15];
  },
  /** A definition that is changed when the library has been opened. */
  "changed definition"() {
    const i32 = { parameters: ["i32"], result: "i32" };
    const parameters: unknown[] = [i32, "i32"];
    const { symbols } = dlopen(testLibrary, { relay_i32: { parameters, result: "i32" } } as never);
    parameters[0] = { parameters: ["cstring"], result: "i32" };
    i32.parameters = ["cstring"];
    return (symbols as unknown as Record<string, (fn: unknown, value: number) => number>)["relay_i32"](
      (value: unknown) => value,
      7,
    );
  },
  /** A callback of another shape than a field's. */
  "another shape"() {
    const Operations = struct({ add: { parameters: ["i32"], result: "i32" } });
    using wrong = callback({ parameters: ["cstring"], result: "i32" }, () => 0);
    using right = callback({ parameters: ["i32"], result: "i32" }, (value) => value + 1);
    using memory = Operations.alloc({ add: right });
    try {
      Operations.write(memory, { add: wrong as never });
      return "taken";
    } catch (error) {
      return `${(error as Error).name}, ${Operations.read(memory).add?.(1)}`;
    }
  },
  /** More functions with blocks of their own than there are blocks, in libraries that were closed. */
  "closed libraries"() {
    const Pair = struct({ x: "f64", y: "f64" });
    const swap = { name: "swap_point", parameters: [Pair], result: Pair } as const;
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`f${index}`, swap]));
    let calls = 0;
    for (let i = 0; i < 150; i++) {
      using library = dlopen(testLibrary, many);
      for (const fn of Object.values(library.symbols)) calls += fn({ x: 0, y: 1 }).x;
    }
    return calls;
  },
  /** A callback that throws: `onError` answers with a structure. */
  "onError's answer"() {
    const Pair = struct({ x: "f64", y: "f64" });
    const { call_with_point } = dlopen(testLibrary, {
      call_with_point: { parameters: ["function"], result: Pair },
    }).symbols;
    using failing = callback({ parameters: [Pair], result: Pair }, () => {
      throw new Error("none");
    }, { onError: () => ({ x: 1, y: 1 }) });
    try {
      return JSON.stringify(call_with_point(failing));
    } catch (error) {
      return (error as Error).message;
    }
  },
};

console.log(await programs[process.argv[2]]());
