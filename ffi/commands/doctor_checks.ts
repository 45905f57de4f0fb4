/**
 * The doctor's checks: each uses one part of belay with the system's C library.
 *
 * @module
 */

import { type Belay, belayUrl, openedCore } from "./belay.ts";
import { libc, openThreads, type Threads } from "./c_library.ts";
import { failedBy, type Row, type Rows, skipped, without } from "./doctor_rows.ts";
import { mayUse } from "./surroundings.ts";

/** What a check has found; what is wrong it throws. */
interface Finding {
  /** How long it took, where that isn't the time of the whole check. */
  readonly ms?: number;
  /** More about what was found. */
  readonly detail?: string;
  /** What to do, where something works but not well. */
  readonly advice?: string;
}

/** One check. */
interface Check {
  readonly name: string;
  /** What it does, in a few words. */
  readonly what: string;
  /** Whether belay works only if the check succeeds. */
  readonly needed: boolean;
  /** What to do if it fails, unless the error is one that says more. */
  readonly advice: string;
  run(belay: Belay): Finding | void | Promise<Finding | void>;
}

const wakingAdvice =
  "The runtime's event loop wasn't woken. Use an official build of the runtime, and try again when " +
  "the machine is idle.";
const threadAdvice = "If the system starts no threads, raise its limit of them (ulimit -u). Otherwise: " + wakingAdvice;

/** All checks, in order. */
const checks: readonly Check[] = [
  {
    name: "call",
    what: "C's abs and strlen",
    needed: true,
    advice:
      "Look for the message in belay's list of errors. If it names the C library, the system's loader doesn't find it.",
    run: call,
  },
  {
    name: "callback",
    what: "C's qsort calls TypeScript",
    needed: true,
    advice: "If the system forbids executable memory (SELinux, a hardened container), allow it for the runtime.",
    run: callBack,
  },
  {
    name: "post",
    what: "a thread of C's calls TypeScript, and goes on",
    needed: true,
    advice: threadAdvice,
    run: (belay) => withThreads(belay, post),
  },
  {
    name: "wait",
    what: "a thread of C's calls TypeScript, and gets the answer",
    needed: true,
    advice: threadAdvice,
    run: (belay) => withThreads(belay, wait),
  },
  {
    name: "nonblocking",
    what: "a call thread calls C's abs",
    needed: true,
    advice: threadAdvice,
    run: callLater,
  },
  {
    name: "channel",
    what: "a call thread sends an event to a channel",
    needed: true,
    advice: wakingAdvice,
    run: send,
  },
  {
    name: "waking",
    what: "a call thread wakes the idle event loop",
    needed: true,
    advice: wakingAdvice,
    run: wake,
  },
  {
    name: "worker",
    what: "a worker has C's qsort call it",
    needed: false,
    advice: "belay's modules have to be where a worker can import them. Programs without workers need nothing.",
    run: useWorker,
  },
];

/** Adds a row for each check; without belay they are skipped. */
export async function addChecks(rows: Rows, belay: Belay | undefined): Promise<void> {
  for (const check of checks) rows.add("checks", check.name, await checkRow(check, belay));
}

async function checkRow({ name, what, needed, advice, run }: Check, belay: Belay | undefined): Promise<Row> {
  if (belay === undefined) return without();
  if (name === "worker" && belayUrl().protocol === "file:" && !mayUse("read")) return skipped("--allow-read");
  const startMs = performance.now();
  try {
    const found = await run(belay) ?? {};
    const state = found.advice === undefined ? "ok" : "warning";
    return { state, value: what, ms: performance.now() - startMs, ...found };
  } catch (error) {
    const row = failedBy(error, advice);
    return needed ? row : { ...row, state: "warning" };
  }
}

/** Throws unless C gave what it should. */
function expect(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`Cannot trust ${what}: expected ${expected}, got ${actual}`);
}

function call({ dlopen }: Belay): void {
  const library = dlopen(libc, {
    abs: { parameters: ["i32"], result: "i32" },
    strlen: { parameters: ["cstring"], result: "usize" },
  });
  try {
    expect("C's abs(-7)", library.symbols.abs(-7), 7);
    expect('C\'s strlen("doctor")', library.symbols.strlen("doctor"), 6n);
  } finally {
    library.close();
  }
}

function callBack({ dlopen, NativeMemory }: Belay): void {
  const comparator = { parameters: ["pointer", "pointer"], result: "i32" } as const;
  const library = dlopen(libc, {
    qsort: { parameters: ["buffer", "usize", "usize", comparator], result: "void" },
  });
  try {
    const numbers = new Int32Array([5, 3, 1, 4, 2]);
    library.symbols.qsort(numbers, numbers.length, numbers.BYTES_PER_ELEMENT, (a, b) => {
      if (a === null || b === null) return 0;
      return NativeMemory.borrow(a, 4).getInt32(0) - NativeMemory.borrow(b, 4).getInt32(0);
    });
    expect("C's qsort", numbers.join(), "1,2,3,4,5");
  } finally {
    library.close();
  }
}

async function withThreads(
  belay: Belay,
  run: (belay: Belay, threads: Threads) => Promise<void>,
): Promise<void> {
  const threads = openThreads(belay);
  try {
    await run(belay, threads);
  } finally {
    threads.close();
  }
}

async function post({ callback, Handle }: Belay, threads: Threads): Promise<void> {
  const name = Handle.create("a thread");
  let called: (name: unknown) => void = () => {};
  const got = new Promise<unknown>((resolve) => called = resolve);
  const options = { name: "posted to the doctor", thread: "post" } as const;
  const main = callback({ parameters: ["handle"], result: "void" }, (value) => called(value), options);
  try {
    threads.detach(threads.start(main.pointer, name.id));
    expect("a posted call's handle", await inTime(got), "a thread");
  } finally {
    main.close();
    name.delete();
  }
}

async function wait({ callback, Handle }: Belay, threads: Threads): Promise<void> {
  const name = Handle.create("a thread");
  const answer = (value: unknown): number => value === "a thread" ? 42 : 0;
  const options = { name: "waits for the doctor", thread: "wait", timeoutMs: patienceMs / 2 } as const;
  const main = callback({ parameters: ["handle"], result: "u32" }, answer, options);
  try {
    expect("a thread's answer", await inTime(threads.join(threads.start(main.pointer, name.id))), 42);
  } finally {
    main.close();
    name.delete();
  }
}

async function callLater({ dlopen }: Belay): Promise<void> {
  const library = dlopen(libc, { abs: { parameters: ["i32"], result: "i32", nonblocking: true } });
  try {
    expect("C's abs(-7)", await inTime(library.symbols.abs(-7)), 7);
  } finally {
    library.close();
  }
}

async function send(belay: Belay): Promise<void> {
  const { Channel, dlopen, Handle } = belay;
  // No function of the C library passes on four arguments. The core exports what `native.sendToChannel` points to.
  const core = dlopen(openedCore(belay).path, {
    belay_channel_send: { parameters: ["pointer", "handle", "buffer", "u32"], result: "bool", nonblocking: true },
  });
  const channel = new Channel<string>();
  const sender = Handle.create("a sensor");
  try {
    const got = new Promise<string>((resolve) => {
      channel.onEvent((value, data) => resolve(`${value} ${data.getFloat64(0)}`));
    });
    const sent = core.symbols.belay_channel_send(channel, sender, new Float64Array([0.5]), 8);
    const [event, isSent] = await inTime(Promise.all([got, sent]));
    expect("C's sending", isSent, true);
    expect("a channel's event", event, "a sensor 0.5");
  } finally {
    channel.close();
    sender.delete();
    core.close();
  }
}

const wakeCount = 20;
const slowMs = 50;

async function wake({ dlopen }: Belay): Promise<Finding> {
  const library = dlopen(libc, { abs: { parameters: ["i32"], result: "i32", nonblocking: true } });
  try {
    const times: number[] = [];
    await inTime(library.symbols.abs(-1));
    for (let i = 0; i < wakeCount; i++) {
      // The loop is idle then.
      await new Promise((resolve) => setTimeout(resolve, 1));
      const startMs = performance.now();
      await inTime(library.symbols.abs(-1));
      times.push(performance.now() - startMs);
    }
    times.sort((a, b) => a - b);
    const ms = times[wakeCount / 2] ?? 0;
    const longest = (times.at(-1) ?? 0).toFixed(2);
    const detail = `median of ${wakeCount} times, the longest ${longest} ms`;
    if (ms < slowMs) return { ms, detail };
    return { ms, detail, advice: "Waking is slow. Try again when the machine is idle; an emulator is slow, too." };
  } finally {
    library.close();
  }
}

/** A worker's program, which imports belay by itself. */
function workerSource(coreSettings: object, libraryPath: unknown): string {
  return `
    try {
      const { configure, dlopen, NativeMemory } = await import(${JSON.stringify(belayUrl().href)});
      configure(${JSON.stringify(coreSettings)});
      const library = dlopen(${JSON.stringify(libraryPath)}, {
        qsort: {
          parameters: ["buffer", "usize", "usize", { parameters: ["pointer", "pointer"], result: "i32" }],
          result: "void",
        },
      });
      const numbers = new Int32Array([3, 1, 2]);
      const at = (element) => NativeMemory.borrow(element, 4).getInt32(0);
      library.symbols.qsort(numbers, 3, 4, (a, b) => at(a) - at(b));
      library.close();
      postMessage(numbers.join());
    } catch (error) {
      postMessage(String(error));
    }
  `;
}

async function useWorker(belay: Belay): Promise<void> {
  const { path, source } = openedCore(belay);
  const program = workerSource(source === "configured" ? { core: path } : {}, libc);
  const url = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  try {
    const answer = new Promise<unknown>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault?.();
        reject(new Error(event.message));
      };
    });
    const data = await inTime(answer);
    if (data !== "1,2,3") throw new Error(String(data));
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
}

/** How long a check waits for what takes milliseconds. */
const patienceMs = 5000;

/** Settles as a promise does, or throws when that takes too long. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Cannot finish the check: nothing came within ${patienceMs / 1000} s`)),
      patienceMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
