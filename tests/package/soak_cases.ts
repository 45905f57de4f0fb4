/**
 * What callbacks and memory have to stand for a long time: the test command runs it short, `deno task soak` long.
 *
 * @module
 */

import process from "node:process";
import { type ChildOptions, pinnedRuntime, runChild, type Runtime } from "../support/child.ts";
import { testLibrary } from "../../scripts/build.ts";
import type { CrowdFigures } from "../programs/callback_crowd.ts";
import type { EveryThunkFigures } from "../programs/every_thunk.ts";
import type { MapsFigures } from "../programs/callback_maps.ts";
import type { MemoryFigures } from "../programs/callback_memory.ts";
import type { NativeMemoryFigures } from "../programs/native_memory.ts";
import type { StructWalkFigures } from "../programs/struct_walk.ts";
import type { ExitFigures } from "../programs/thread_exits.ts";
import type { WalkFigures } from "../programs/callback_walk.ts";
import { emulator, underWine } from "../support/machine.ts";
import { measuring } from "../support/resident.ts";

/** A program of `tests/programs/` and what has to come of it. */
export interface SoakCase {
  /** A sentence. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly options?: ChildOptions;
  /** Why it can't run here. */
  readonly leftOut: string | undefined;
  /** What is wrong with what it printed. */
  readonly wrong: (printed: never) => readonly (string | false)[];
  /** What it printed, for a person. */
  readonly shown: (printed: never) => string;
}

/** How a case ended. */
export interface Outcome {
  /** Nothing, when all is well. */
  readonly wrong: readonly string[];
  readonly figures: string;
  readonly seconds: number;
}

/** Options of {@linkcode soakCases}. */
export interface SoakOptions {
  readonly long: boolean;
  /** Of the random walks; the short ones have a few. */
  readonly seeds: readonly number[];
}

/** Why what looks at a process's memory is left out, if it is. */
const emulated = emulator === undefined ? undefined : "under an emulator the memory is the emulator's, too";
/** Six bytes a string were seen with Deno 2.9.6 and Wine 10. */
const growing = underWine && !("Bun" in globalThis)
  ? "under Wine the memory of Deno's Windows build grows with each string, without belay, too"
  : undefined;
const mostGrowthBytes = 2_000_000;
const libraryThunks = 4096;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
const grouped = (count: number): string => count.toLocaleString("en-US");

/** Cycles of making and ending callbacks. */
function memory(
  name: string,
  way: string,
  { cycles, live = 10, perTurn = 50_000, heapOnly = false }: {
    cycles: number;
    live?: number;
    perTurn?: number;
    /** Deno's formatting of stacks takes and gives back some 20 MB as it likes. */
    heapOnly?: boolean;
  },
): SoakCase {
  const turns = perTurn === 0 ? "no turn of the event loop" : `a turn of the event loop each ${grouped(perTurn)}`;
  const grows = heapOnly ? "the heap grows by less than 1 MB" : "memory grows by less than 2 MB";
  return {
    name: `${grouped(cycles)} callbacks, ${name}: ${grows} (${grouped(live)} live, ${turns})`,
    program: "callback_memory.ts",
    args: [way, String(cycles), String(live), String(perTurn)],
    options: measuring,
    leftOut: emulated,
    wrong: ({ growth, heapGrowth, thunks, left, sound }: MemoryFigures) => [
      !heapOnly && growth >= mostGrowthBytes && `memory grew by ${growth} bytes`,
      heapGrowth >= mostGrowthBytes / 2 && `the heap grew by ${heapGrowth} bytes`,
      thunks[0] !== thunks[1] && `there were ${thunks[0]} thunks, then ${thunks[1]}`,
      live < 3000 && thunks[1] !== libraryThunks && `there are ${thunks[1]} thunks`,
      left !== 0 && `${left} callbacks are left`,
      !sound && "a callback that lived all the time gave something else",
    ],
    shown: ({ growth, heapGrowth, nsPerCycle, thunks }: MemoryFigures) =>
      `memory grew by ${megabytes(growth)}, of which the heap by ${megabytes(heapGrowth)}, ${
        nsPerCycle.toFixed(0)
      } ns each, ${grouped(thunks[1])} thunks`,
  };
}

/** Cycles of one of the `ways` of the program. */
function nativeMemory(name: string, way: string, cycles: number): SoakCase {
  return {
    name: `${grouped(cycles)} ${name}: memory grows by less than 2 MB`,
    program: "native_memory.ts",
    args: [way, String(cycles), "50000"],
    options: measuring,
    leftOut: emulated ?? (way === "strings" ? growing : undefined),
    wrong: ({ growth, left, wrong }: NativeMemoryFigures) => [
      growth >= mostGrowthBytes && `memory grew by ${growth} bytes`,
      left !== 0 && `${left} pieces of memory and pins are left`,
      wrong !== 0 && `${wrong} cycles gave something else`,
    ],
    shown: ({ growth, heapGrowth, nsPerCycle }: NativeMemoryFigures) =>
      `memory grew by ${megabytes(growth)}, of which the heap by ${megabytes(heapGrowth)}, ${
        nsPerCycle.toFixed(0)
      } ns each`,
  };
}

/** What code is generated for: an engine could keep it. */
function generatedCode(name: string, way: string, cycles: number): SoakCase {
  return {
    name: `${grouped(cycles)} ${name}: the heap grows by less than 2 MB`,
    program: "native_memory.ts",
    args: [way, String(cycles), "50"],
    options: measuring,
    leftOut: undefined,
    wrong: ({ heapGrowth, left, wrong }: NativeMemoryFigures) => [
      heapGrowth >= mostGrowthBytes && `the heap grew by ${heapGrowth} bytes`,
      left !== 0 && `${left} pieces of memory, pins and callbacks are left`,
      wrong !== 0 && `${wrong} cycles gave something else`,
    ],
    shown: ({ growth, heapGrowth, nsPerCycle }: NativeMemoryFigures) =>
      `memory grew by ${megabytes(growth)}, the heap by ${megabytes(heapGrowth)}, ${
        (nsPerCycle / 1e6).toFixed(2)
      } ms each`,
  };
}

/** The tests have some of their own: `struct_fuzz_test.ts`. */
function structures(seed: number, definitions: number): SoakCase {
  return {
    name: `${grouped(definitions)} random structures are laid out and passed as C does it (seed ${seed})`,
    program: "struct_walk.ts",
    args: [String(seed), String(definitions)],
    options: { timeoutMs: 1_800_000 },
    leftOut: undefined,
    wrong: (
      { functions }: StructWalkFigures,
    ) => [functions < definitions / 2 && `only ${functions} functions were called`],
    shown: ({ functions, seconds }: StructWalkFigures) =>
      `${grouped(functions)} functions called both ways in ${seconds.toFixed(0)} s`,
  };
}

function walk(seed: number, operations: number): SoakCase {
  return {
    name: `a random walk of ${grouped(operations)} operations does what the model says (seed ${seed})`,
    program: "callback_walk.ts",
    args: [String(seed), String(operations)],
    options: { timeoutMs: 1_800_000 },
    leftOut: undefined,
    wrong: ({ done, deepest, mostLive, reused }: WalkFigures) => [
      // That the walk was one.
      ...["create", "dispose", "drop", "collected", "call", "stale", "throw", "nest", "repeat", "lend", "end itself"]
        .map((what) => (done[what] ?? 0) < operations / 400 && `${what}: only ${done[what] ?? 0}`),
      (done["collect"] ?? 0) < 1 && "nothing was collected on purpose",
      deepest < 3 && `calls were nested ${deepest} deep`,
      mostLive < 100 && `at most ${mostLive} lived at once`,
      reused < operations / 20 && `pointers were used again ${reused} times`,
    ],
    shown: ({ done, deepest, mostLive, reused, pointers, thunks, seconds }: WalkFigures) => {
      const counts = Object.entries(done).map(([what, count]) => `${what} ${grouped(count)}`).join(", ");
      return `${counts}; nested up to ${deepest} deep, up to ${grouped(mostLive)} live, ${
        grouped(pointers)
      } pointers ` +
        `used again ${grouped(reused)} times, ${grouped(thunks)} thunks; ${(operations / seconds / 1e6).toFixed(2)} ` +
        "million operations a second";
    },
  };
}

/**
 * V8 makes memory executable as it compiles, so it runs without its compiler. Bun's `bun:ffi` doesn't run without; but
 * JavaScriptCore reserves its executable memory as one mapping when the process starts, and what it compiles stays inside.
 */
const maps: SoakCase = {
  name: "4,000 live callbacks map nothing that is executable, 10,000 two pieces of code that are never writable",
  program: "callback_maps.ts",
  args: [],
  options: { v8Flags: ["--jitless"] },
  leftOut: process.platform === "linux" ? emulated : "there is no /proc/self/maps",
  wrong: (
    { executable4000, writable4000, executable10000, writable10000, mappings10000, ...more }: MapsFigures,
  ) => [
    executable4000 !== 0 && `with 4,000 live, ${executable4000} more bytes are executable`,
    writable4000 !== 0 && `with 4,000 live, ${writable4000} more bytes are writable and executable`,
    // Two copies, of 4 bytes a thunk at least; the kernel may join them.
    executable10000 < 2 * libraryThunks * 4 && `with 10,000 live, only ${executable10000} more bytes are executable`,
    executable10000 > 1_000_000 && `with 10,000 live, ${executable10000} more bytes are executable`,
    writable10000 !== 0 && `on the way to 10,000 live, ${writable10000} bytes were writable and executable`,
    (mappings10000 < 1 || mappings10000 > 2) && `with 10,000 live, there are ${mappings10000} more mappings`,
    more.thunks.join() !== `${libraryThunks},${3 * libraryThunks}` && `there were ${more.thunks.join()} thunks`,
    more.executableAfter !== executable10000 && `with none left, ${more.executableAfter} more bytes are executable`,
    more.found !== 0 && `in ${more.found} of ${more.looks} looks, something was writable and executable`,
    more.looks < 10 && `only ${more.looks} looks`,
    !more.sound && "a callback gave something else",
  ],
  shown: ({ executable4000, executable10000, mappings10000, looks }: MapsFigures) =>
    `with 4,000 live ${executable4000} more bytes, with 10,000 ${grouped(executable10000)} in ${mappings10000}; ` +
    `never writable in ${grouped(looks)} looks`,
};

function crowd(count: number, rounds: number, churn: number): SoakCase {
  return {
    name: `${grouped(count)} callbacks live at once answer their own numbers, in ${rounds} rounds; churn maps no more`,
    program: "callback_crowd.ts",
    args: [String(count), String(rounds), String(churn)],
    options: { ...measuring, timeoutMs: 600_000 },
    leftOut: undefined,
    wrong: ({ growth, bytesEach, thunks, sound, left }: CrowdFigures) => [
      !sound && "a callback gave something else",
      // What a collector leaves of the crowd's memory differs by a tenth of it, more on a busy machine. Two rounds that leave a
      // callback's memory behind would leave twice the crowd's.
      emulated === undefined && growth >= count * bytesEach / 4 && `memory grew by ${growth} bytes`,
      thunks[0] > count + 256 + libraryThunks && `there are ${thunks[0]} thunks`,
      new Set(thunks).size > 1 && `there were ${thunks.join()} thunks`,
      left !== 0 && `${left} callbacks are left`,
    ],
    shown: ({ growth, bytesEach, nsPerCall, thunks }: CrowdFigures) =>
      `memory grew by ${megabytes(growth)}, ${bytesEach.toFixed(0)} bytes each, ${nsPerCall.toFixed(0)} ns a call, ` +
      `${grouped(thunks[2])} thunks`,
  };
}

const everyThunk: SoakCase = {
  name: "when every thunk is in use, the next callback is refused, and one that is freed is used again",
  program: "every_thunk.ts",
  args: [],
  leftOut: undefined,
  wrong: ({ live, thunks, error, sound, left }: EveryThunkFigures) => [
    (live !== 2 ** 20 || thunks !== live) && `there were ${thunks} thunks, and ${live} callbacks lived`,
    !error.startsWith("RangeError: Cannot create a callback: no thunk is left") && `it threw ${error}`,
    !sound && "a callback gave something else",
    left !== 0 && `${left} callbacks are left`,
  ],
  shown: ({ live }: EveryThunkFigures) => `${grouped(live)} lived at once`,
};

/** The library by its path, so that what starts often needs not the scripts to find it. */
const threads = (program: string, name: string, args: readonly string[], times: number): SoakCase => ({
  name,
  program,
  args: [testLibrary, ...args],
  options: { timeoutMs: 300_000 },
  leftOut: undefined,
  wrong: (right: number) => [right !== times && `${right} of ${times} times it was so`],
  shown: () => `${times} times`,
});

function terminations(thread: "post" | "wait", times: number): SoakCase {
  const name = `${times} workers are terminated while threads call their callbacks (${thread}): nothing runs any more`;
  return threads("thread_terminate.ts", name, [thread, String(times)], times);
}

function closings(times: number): SoakCase {
  const name = `${times} times, callbacks are closed and their library is closed while its threads call them`;
  return threads("thread_close.ts", name, [String(times)], times);
}

function exits(times: number): SoakCase {
  return {
    name: `${8 * times} processes end while threads call: with code 0, and nothing is printed`,
    program: "thread_exits.ts",
    args: [String(times)],
    options: { timeoutMs: 600_000 },
    leftOut: undefined,
    wrong: ({ count, wrong }: ExitFigures) => [count !== 8 * times && `there were ${count}`, ...wrong],
    shown: ({ count }: ExitFigures) => `${count} processes`,
  };
}

/** Everything that is to be run. */
export function soakCases({ long, seeds }: SoakOptions): readonly SoakCase[] {
  const full = 10_000_000;
  const many = long ? full : full / 5;
  const some = long ? full : full / 10;
  const pieces = long ? 1_000_000 : 300_000;
  // An emulated process takes seconds to start, an emulated worker one: all the tests should take less than an hour there.
  const [closed, workers, rounds] = emulator !== undefined ? [50, 20, 1] : long ? [200, 200, 25] : [50, 30, 5];
  return [
    memory("made and closed", "dispose", { cycles: many }),
    memory("made and closed", "dispose", { cycles: many, live: 5000 }),
    memory("made and closed", "dispose", { cycles: some, perTurn: 0 }),
    ...(long ? [memory("made, called and closed", "call", { cycles: some })] : []),
    memory("lent to a native call", "lend", { cycles: some }),
    memory("called once", "once", { cycles: some }),
    memory("which threw", "throw", { cycles: long ? 300_000 : 20_000, perTurn: 1000, heapOnly: true }),
    memory("dropped and collected", "drop", { cycles: long ? 1_000_000 : 100_000, perTurn: 2000 }),
    nativeMemory("pieces of memory, allocated and freed", "alloc", pieces),
    nativeMemory("buffers, pinned and unpinned", "pin", pieces),
    nativeMemory("strings to C and back", "strings", pieces),
    nativeMemory("structures by value, in memory and by out-parameter", "structs", pieces),
    generatedCode("libraries, opened and closed", "libraries", long ? 20_000 : 500),
    generatedCode("libraries, opened, dropped and collected", "dropped libraries", long ? 20_000 : 1000),
    generatedCode("types of structures, defined, used and dropped", "types", long ? 20_000 : 3000),
    ...seeds.map((seed) => walk(seed, long ? 5_000_000 : 200_000)),
    ...(long ? seeds.map((seed) => structures(seed, 10_000)) : []),
    maps,
    crowd(100_000, long ? 20 : 3, long ? full : full / 10),
    ...(long ? [everyThunk] : []),
    closings(closed),
    terminations("post", workers),
    terminations("wait", workers),
    exits(rounds),
  ];
}

/** Runs a case, on the runtime that asks unless another is named. One that can't be run, or not in time, is not well. */
export function runCase(soakCase: SoakCase, runtime?: Runtime["name"]): Outcome {
  const startMs = performance.now();
  let end: Omit<Outcome, "seconds">;
  try {
    end = endOf(soakCase, runtime);
  } catch (error) {
    end = { wrong: [String(error)], figures: "" };
  }
  return { ...end, seconds: (performance.now() - startMs) / 1000 };
}

function endOf(
  { program, args, options, wrong, shown }: SoakCase,
  runtime?: Runtime["name"],
): Omit<Outcome, "seconds"> {
  const on = runtime === undefined ? undefined : pinnedRuntime(runtime);
  const { code, signal, stdout, stderr } = runChild(program, args, { ...options, runtime: on });
  if (code !== 0 || stderr !== "") {
    const end = `it ended with ${signal ?? `code ${code}`}`;
    return { wrong: [end, stdout, stderr].filter((text) => text !== ""), figures: "" };
  }
  const printed = JSON.parse(stdout) as never;
  return { wrong: wrong(printed).filter((each) => each !== false), figures: shown(printed) };
}

/** Runs every case, also after one that is not well, and prints how it went. Answers the names of those that are not well. */
export function runCases(
  cases: readonly SoakCase[],
  print: (line: string) => void,
  runtime?: Runtime["name"],
): readonly string[] {
  const failed: string[] = [];
  for (const soakCase of cases) {
    print(`\n${soakCase.name}`);
    if (soakCase.leftOut !== undefined) {
      print(`  left out: ${soakCase.leftOut}`);
      continue;
    }
    const { wrong, figures, seconds } = runCase(soakCase, runtime);
    if (figures !== "") print(`  ${figures}`);
    for (const each of wrong) print(`  WRONG: ${each}`);
    print(`  ${wrong.length === 0 ? "well" : "NOT WELL"}, ${seconds.toFixed(1)} s`);
    if (wrong.length > 0) failed.push(soakCase.name);
  }
  return failed;
}
