/**
 * What was seen of callbacks that go wrong, in words: with the runtimes' own FFI, and with belay where it promises
 * nothing. The programs that showed it crash and hang their runtimes, so the project doesn't keep them.
 *
 * @module
 */

/** What a process said and how it ended, on each runtime, in the words of `observe.ts`. */
export interface Seen {
  /** `undefined` where the event was not looked at. */
  readonly deno?: string;
  readonly bun?: string;
}

/** When, and on what, everything in this file was seen. */
export const observation = {
  date: "2026-11-20",
  system: "Linux x64",
  versions: { deno: "2.9.5", bun: "1.4.5" },
} as const;

/** Events in which another version of Deno did the same as that of {@linkcode observation}, on the same day. */
export const alike = {
  deno: "2.9.6",
  events: [
    "C calls a callback that was closed",
    "a callback closes itself while it runs",
    "a function of a closed library is called",
    "a call from another thread for which the callback's own waits",
  ],
} as const;

/** What the runtimes did without belay, by the event's name in `events.ts`. */
export const bare: Readonly<Record<string, Seen>> = {
  "C calls a callback that was closed": {
    deno: "**segmentation fault**",
    bun: "the function ran",
  },
  "a callback closes itself while it runs": {
    deno: "**segmentation fault**",
    bun: "the running call finished, the function ran again",
  },
  "a comparator closes itself in the middle of `qsort`": {
    deno: "**segmentation fault**",
    bun: "qsort returned, the comparator ran on",
  },
  "a callback closes the one that called it, by way of C": {
    deno: "**segmentation fault**",
    bun: "the running call finished, the function ran again",
  },
  "C calls a callback that was garbage-collected": {
    deno: "the function ran",
    bun: "the function ran",
  },
  "a callback closes the library whose loop calls it": {
    deno: "**segmentation fault**",
    bun: "**segmentation fault**",
  },
  "a function of a closed library is called": {
    deno: "**segmentation fault**",
    bun: "**segmentation fault**",
  },
  "a throw in the first of over 1,000 comparisons of `qsort`": {
    deno: "the comparator ran on, the rest got 0, another error caught",
    bun: "the comparator ran no more, the rest got 0, the same error caught",
  },
  "a throw ten levels deep, C and TypeScript in turn, caught at level five": {
    deno: "caught at level five, the outer levels succeed",
    bun: "caught at level five, the outer levels succeed",
  },
  "the same, not caught": {
    deno: "the same error at each level, the next call works",
    bun: "the same error at each level, the next call works",
  },
  "endless recursion, C and TypeScript in turn": {
    deno: "RangeError caught, the next call works",
    bun: "RangeError caught, the next call works",
  },
  "the same in a worker": {
    deno: "RangeError caught, the next call works",
    bun: "RangeError caught, the next call works",
  },
  "an `async` function as a callback": {
    deno: "no error, a made-up result, the next call works",
    bun: "no error, a made-up result, the next call works",
  },
  "a callback answers a thenable": {
    deno: "no error, a made-up result, the next call works",
    bun: "no error, a made-up result, the next call works",
  },
  "a callback without a result answers a thenable": {
    deno: "no error, the next call works",
    bun: "no error, the next call works",
  },
  "an `i32` callback answers text": {
    deno: "no error, a made-up result, the next call works",
    bun: "TypeError caught, a made-up result, the next call works",
  },
  "an `i32` callback answers 0.5": {
    deno: "no error, a made-up result, the next call works",
    bun: "no error, a made-up result, the next call works",
  },
  "an `i32` callback answers 2^40": {
    deno: "no error, a made-up result, the next call works",
    bun: "no error, a made-up result, the next call works",
  },
  "C's `exit(7)` in a callback": {
    deno: "exit code 7",
    bun: "exit code 7",
  },
  "the runtime's `exit(7)` in a callback": {
    deno: "exit code 7",
    bun: "exit code 7",
  },
  "the program ends with live callbacks and exit code 7": {
    deno: "exit code 7",
    bun: "exit code 7",
  },
  "an `atexit` handler calls a callback at a normal end (Bun runs none)": {
    deno: "the program's end, **segmentation fault**",
    bun: "the program's end",
  },
  "the same with a closed callback": {
    deno: "the program's end, **segmentation fault**",
    bun: "the program's end",
  },
  "an `atexit` handler calls a callback at C's `exit` (glibc)": {
    deno: "the program's end, the function ran, an exit handler got a result",
    bun: "the program's end, the function ran, an exit handler got a result",
  },
  "the same with a closed callback, at C's `exit` (glibc)": {
    deno: "the program's end, **segmentation fault**",
    bun: "the program's end, the function ran, an exit handler got a result",
  },
  "C calls a callback of one test file while the next two run": {
    deno: "the second file, **segmentation fault**",
    bun: "the second file, the function ran, the function ran, the third file, the function ran, the function ran",
  },
  "the same, after a garbage collection": {
    deno: "the second file, **segmentation fault**",
  },
  "C calls a callback from before a restart in the same process (`deno --watch`, `bun --hot`)": {
    deno: "started again, **segmentation fault**",
    bun: "started again, the function ran, the function ran",
  },
  "C calls a callback of a worker that was terminated": {
    deno: "**segmentation fault**",
    bun: "**segmentation fault**",
  },
  "a worker is terminated while C calls its callback over and over": {
    deno: "the loop ended, the next call works",
    bun: "the loop ended, the next call works",
  },
  "a destructor of a thread's key calls a callback of a worker that was terminated": {
    deno: "**segmentation fault**",
    bun: "**segmentation fault**",
  },
  "the same with a key that is older than belay (glibc)": {
    deno: "**segmentation fault**",
    bun: "**segmentation fault**",
  },
  "a call from another thread": {
    deno: "the function ran, the next call works",
    bun: "the thread is blocked",
  },
  "a call from another thread for which the callback's own waits": {
    deno: "**hangs**",
    bun: "**hangs**",
  },
  "a call from a coroutine's stack (glibc)": {
    deno: "**panic**",
    bun: "**abort**",
  },
  "a call from a signal handler with a stack of its own": {
    deno: "**segmentation fault**",
    bun: "**abort**",
  },
};

/** An event about which belay promises nothing: it can't tell in time that JavaScript must not be entered. */
export interface NotPromised {
  readonly event: string;
  /** Without belay. */
  readonly bare: Seen;
  readonly belay: Seen;
}

/** Each cell is what five runs came to. */
export const notPromised: readonly NotPromised[] = [
  {
    event: "under `bun test --isolate`, C calls a callback of another test file after a garbage collection",
    bare: { bun: "the second file, **illegal instruction** or the second file, **segmentation fault**" },
    belay: { bun: "the second file, **segmentation fault**" },
  },
  {
    event: "the destructor of a `thread_local` of C++ calls a callback of a worker that was terminated (glibc)",
    bare: { deno: "**segmentation fault**", bun: "**segmentation fault**" },
    belay: { deno: "**abort** or **segmentation fault**", bun: "**segmentation fault**" },
  },
  {
    event: "a call from a signal handler on the thread's stack",
    bare: { deno: "**segmentation fault**", bun: "the function ran, the next call works" },
    belay: { deno: "**segmentation fault**", bun: "the function ran, the next call works" },
  },
  {
    event: "calls from a timer's signal handler while TypeScript runs",
    bare: { deno: "**segmentation fault**", bun: "**abort** or the function ran, the next call works" },
    belay: { deno: "**panic** or **segmentation fault**", bun: "the function ran, the next call works" },
  },
];
