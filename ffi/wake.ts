/**
 * The core wakes this isolate's event loop: something was queued for it by another thread.
 *
 * @module
 */

import { fromEventLoop, look as lookAround } from "./calls.ts";
import { attentionWord, core, coreFunctions, corePath, signature } from "./core.ts";
import { reportUncaught } from "./report.ts";
import { backend } from "./runtime.ts";

const functions = coreFunctions({
  look: signature("belay_calls_look", ["address"], "void"),
  end: signature("belay_calls_end", ["address"], "void"),
  wake: signature("belay_isolate_wake", ["address"], "void"),
});

// As it was before the program could replace it.
const { performance } = globalThis;

let connected = false;
/** Whether a later turn goes on with what the last one left. */
let goesOn = false;
/** Whether it is being served; and whether the loop was woken meanwhile, by a function that runs it (Bun's `expect().resolves`). */
let serving = false;
let wokenMeanwhile = false;
const sources: ((endMs: number) => boolean)[] = [];
/** How long one turn serves what was queued before timers and other events get theirs. */
const sliceMs = 5;
/** After so many turns that all left something, calls that have completed are settled before that is served. */
const mostTurns = 20;
let turnsLeft = mostTurns;

/**
 * Has a function called whenever the core woke the event loop, in the order in which they were given. It answers whether
 * it left something for the next turn, when it had to stop at `endMs` (of `performance.now()`).
 */
export function onWake(source: (endMs: number) => boolean): void {
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
  if (!backend().connect(corePath(), isolate, look)) {
    throw new Error(
      "Cannot wake this runtime's event loop from other threads: it has no thread-safe functions of Node-API",
    );
  }
  connected = true;
  const { end } = functions();
  // What waits for this isolate would wait in vain.
  backend().onExit(() => void end(isolate));
}

function goOn(): void {
  goesOn = false;
  look();
}

/** Has the event loop look soon what there is, as if something had been queued. After {@linkcode connect}. */
export function wake(): void {
  functions().wake(core().isolate);
}

function look(): void {
  // The wake stays requested meanwhile: there are no more of them.
  if (goesOn) return;
  functions().look(core().isolate);
  if (serving) {
    wokenMeanwhile = true;
    return settleMeanwhile();
  }
  completions?.woken();
  serve();
}

/** Serves what was queued, then what has completed: what a thread queued before that is served by then. */
function serve(): void {
  fromEventLoop(serveNow);
}

function serveNow(): void {
  serving = true;
  // No stack was left, or a program has broken what is used here: what waits must be looked at all the same.
  let more = true;
  try {
    const left = serveSources();
    if (!left || turnsLeft-- === 0) {
      turnsLeft = mostTurns;
      completions?.settle();
    }
    more = left;
  } finally {
    serving = false;
    goOnLater(more);
  }
}

/** The loop may run inside a function because that waits for one of these. */
function settleMeanwhile(): void {
  if (completions?.take() === true) fromEventLoop(completions.settle);
}

function serveSources(): boolean {
  const endMs = performance.now() + sliceMs;
  if (core().words.u32[attentionWord] !== 0) lookAround();
  completions?.take();
  let more = false;
  for (const source of sources) {
    try {
      more = source(endMs) || more;
    } catch (error) {
      more = true;
      reportUncaught(error);
    }
  }
  return more;
}

/** Has what is left served in another turn, and what came while nobody looked. */
function goOnLater(more: boolean): void {
  if (!more && !wokenMeanwhile) return;
  wokenMeanwhile = false;
  const { later } = backend();
  if (later === undefined) return wake();
  later(goOn);
  goesOn = true;
}

/** Serves at once, if something has completed. */
export function serveCompletions(): void {
  if (serving) settleMeanwhile();
  else if (!goesOn && completions?.take() === true) serve();
}
