/**
 * The core wakes this isolate's event loop: something was queued for it by another thread.
 *
 * @module
 */

import { attentionWord } from "./record.ts";
import { reportUncaught } from "../lifetime/report.ts";
import { backend } from "../runtime/choose.ts";
import { core, coreFunctions, signature } from "./core.ts";
import { coreFile } from "./path.ts";
import { fromEventLoop, look as lookAround } from "./pending.ts";

const functions = coreFunctions(() => ({
  look: signature("belay_isolate_look", ["address", "bool"], "f64"),
  end: signature("belay_isolate_end", ["address"], "void"),
  rest: signature("belay_isolate_rest", ["address", "u32"], "void"),
  now: signature("belay_now_ms", [], "f64"),
}));

/** How long calls and events are served before timers and other events get a turn. */
const sliceMs = 5;
/**
 * After so long that was all slices, the loop rests. Until then a turn is enough, which costs less: timers run in it, and
 * bursts of calls end soon. But Deno's loop does I/O mostly when it is idle.
 */
const floodMs = 50;
const restUs = 300;
/** The wake that stands behind a turn which the runtime has dropped: Bun does so under fake timers, and after errors. */
const droppedUs = 3000;
/** After so many slices that all left something, calls that have completed are settled before that is served. */
const mostSlices = 20;

let connected = false;
/** Whether a later turn, or the end of a rest, goes on. */
let goesOn = false;
/** Whether it is being served; and whether the loop was woken meanwhile, by a function that runs it (Bun's `expect().resolves`). */
let serving = false;
let wokenMeanwhile = false;
/** Whether the last slice left something, when it ended, when it had to, and how many more may leave something. */
let left = false;
let endedMs = 0;
let sliceEndMs = 0;
let slicesLeft = mostSlices;
/** How much was served since the loop had a turn, as far as is known, and since when each slice came right after another one. */
let servedMs = 0;
let busySinceMs = 0;
const sources: ((endMs: number, startMs: number) => boolean)[] = [];

/** Milliseconds of a clock that no test runner stops: Bun's fake timers stop all of JavaScript's. */
export function now(): number {
  return functions().now() as number;
}

/**
 * How many more of what took from `startMs` to `nowMs` for `count` are likely to end until `endMs`, at most `most`: looking
 * at the clock takes longer than many a call.
 */
export function fitting(count: number, startMs: number, nowMs: number, endMs: number, most: number): number {
  const likely = (endMs - nowMs) * count / (nowMs - startMs);
  // The first ones may have been shorter than those that come.
  return Math.max(1, Math.floor(Math.min(likely, most, 4 * count)));
}

/**
 * Has a function called whenever the core woke the event loop, in the order in which they were given. It answers whether
 * it left something for later, when it had to stop at `endMs` (of {@linkcode now}). The loop was woken at `startMs`.
 */
export function onWake(source: (endMs: number, startMs: number) => boolean): void {
  sources.push(source);
}

/** Native calls that have completed. */
export interface Completions {
  /** The event loop was woken. */
  readonly woken: () => void;
  /** Takes those that have completed by now, and answers whether there are any that were taken and not settled. */
  readonly take: () => boolean;
  /** Settles those that were taken. */
  readonly settle: () => void;
}
let completions: Completions | undefined;

/** Has native calls settled that have completed. */
export function onCompletion(given: Completions): void {
  completions = given;
}

/** Lets the core wake this isolate's event loop. @throws {Error} When the runtime has no way to. */
export function connect(): void {
  if (connected) return;
  const { isolate } = core();
  if (!backend().connect(coreFile().path, isolate, look)) {
    throw new Error(
      "Cannot wake this runtime's event loop from other threads: it has no thread-safe functions of Node-API",
    );
  }
  connected = true;
  const { end } = functions();
  // What waits for this isolate would wait in vain.
  backend().onExit(() => void end(isolate));
}

/** Has the event loop look in a later turn what there is, as if something had been queued. After {@linkcode connect}. */
export function wake(): void {
  if (serving) wokenMeanwhile = true;
  else if (!goesOn) giveWay(now());
}

/** Whether the time is over that was for what the last wake has brought. */
export function sliceIsOver(): boolean {
  return now() >= sliceEndMs;
}

let waiting: (() => void)[] = [];

/** Settles in a later turn of the event loop, if that is alive then. After {@linkcode connect}. */
export function laterTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    wake();
  });
}

/** The core has woken the event loop. */
function look(): void {
  const nowMs = functions().look(core().isolate, false) as number;
  if (nowMs === 0) return;
  if (serving) {
    wokenMeanwhile = true;
    return settleMeanwhile();
  }
  completions?.woken();
  serve(nowMs);
}

/** The turn has come that was asked for, unless the core's wake was sooner. */
function goOn(): void {
  if (!goesOn) return;
  const nowMs = functions().look(core().isolate, true) as number;
  completions?.woken();
  serve(nowMs);
}

/** Serves what was queued, then what has completed: what a thread queued before that is served by then. */
function serve(startMs: number): void {
  fromEventLoop(serveNow, startMs);
}

function serveNow(startMs: number): void {
  const hadTurn = goesOn;
  const wentOn = goesOn || left;
  serving = true;
  goesOn = false;
  // No stack was left, or a program has broken what is used here: what waits must be looked at all the same.
  left = true;
  try {
    // Runtimes serve a wake in the turn of the last one if it comes soon.
    if (hadTurn || startMs - endedMs >= sliceMs) servedMs = 0;
    if (!wentOn) busySinceMs = startMs;
    sliceEndMs = startMs + sliceMs;
    const more = serveSources(startMs);
    if (!more || slicesLeft-- === 0) {
      slicesLeft = mostSlices;
      completions?.settle();
    }
    left = more;
  } finally {
    serving = false;
    endedMs = now();
    servedMs += endedMs - startMs;
    if (left || wokenMeanwhile || servedMs >= sliceMs) giveWay(endedMs);
  }
}

/** The loop may run inside a function because that waits for one of these. */
function settleMeanwhile(): void {
  if (completions?.take() === true) fromEventLoop(completions.settle, undefined);
}

function serveSources(startMs: number): boolean {
  if (core().words.u32[attentionWord] !== 0) lookAround();
  completions?.take();
  const due = waiting;
  waiting = [];
  for (const resolve of due) resolve();
  let more = false;
  for (const source of sources) {
    try {
      more = source(sliceEndMs, startMs) || more;
    } catch (error) {
      more = true;
      reportUncaught(error);
    }
  }
  return more;
}

/** Lets timers and other events have their turn before more is served. Meanwhile nothing that is queued wakes the loop. */
function giveWay(nowMs: number): void {
  wokenMeanwhile = false;
  goesOn = true;
  const { later } = backend();
  const rests = later === undefined || nowMs - busySinceMs >= floodMs;
  functions().rest(core().isolate, rests ? restUs : droppedUs);
  if (!rests) later(goOn);
}

/** Serves at once, if something has completed. */
export function serveCompletions(): void {
  if (serving) settleMeanwhile();
  else if (!goesOn && completions?.take() === true) serve(now());
}
