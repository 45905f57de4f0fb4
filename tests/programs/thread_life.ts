/**
 * Whether callbacks for other threads keep the process alive, and what happens to errors that nobody takes, by the name of
 * the case. Prints "end" at the end of the program, and "timer" when it is still there after a while.
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import { callback } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { collectFully } from "../support/gc.ts";
import { keepBusy, openThreads, type Post, post, until, type Wait, wait } from "./threads.ts";

const { start_fast_posts, start_waits, crew_join, crew_running, crew_waiting, sleep_ms } =
  openThreads(testLibrary).symbols;
const making = {
  post: () => callback(post, () => {}, { thread: "post" }),
  wait: () => callback(wait, () => 1, { thread: "wait" }),
};
let inTimer: () => void = () => process.exit();
let timerMs = 300;

/** The process ends by itself, however slow the machine is. */
function notNeeded(): void {
  timerMs = 20_000;
  inTimer = () => console.log("not needed");
}

const cases: Record<string, (kind: "post" | "wait") => void | Promise<void>> = {
  "made": (kind) => void making[kind](),
  "made, then unref": (kind) => making[kind]().unref(),
  "made, then dispose": (kind) => making[kind]().close(),
  "made in a scope that ends"(kind) {
    using _made = making[kind]();
  },
  "made two, then unref one"(kind) {
    const [first, _second] = [making[kind](), making[kind]()];
    first.unref();
  },
  "made, unref, ref"(kind) {
    const made = making[kind]();
    made.unref();
    made.ref();
  },
  async "made, dropped and collected"(kind) {
    making[kind]();
    await collectFully();
  },
  "called, then dispose"(kind) {
    if (kind === "post") {
      const made: Post = callback(post, () => (console.log("called"), made.close()), { thread: "post" });
      start_fast_posts(made, 1, 1);
    } else {
      const made: Wait = callback(wait, () => (console.log("called"), made.close(), 1), { thread: "wait" });
      start_waits(made, 1, 1);
    }
    notNeeded();
  },
  "called once"(kind) {
    if (kind === "post") {
      start_fast_posts(callback(post, () => void console.log("called"), { thread: "post", once: true }), 1, 1);
    } else {
      start_waits(callback(wait, () => (console.log("called"), 1), { thread: "wait", once: true }), 1, 1);
    }
    notNeeded();
  },
  async "throws"(kind) {
    const fail = (): never => {
      throw new Error("thrown by the callback");
    };
    const crew = kind === "post"
      ? start_fast_posts(callback(post, fail, { thread: "post" }), 1, 1)
      : start_waits(callback(wait, fail, { thread: "wait", fallback: -7 }), 1, 1);
    await until(() => crew_running(crew) === 0);
    console.log("C got", crew_join(crew));
  },
  "rejects"() {
    const made = callback(post, () => Promise.reject(new Error("thrown by the callback")), { thread: "post" });
    start_fast_posts(made, 1, 1);
  },
  "onError throws"(kind) {
    const fail = (): never => {
      throw new Error("thrown by the callback");
    };
    const onError = (): never => {
      throw new Error("thrown by onError");
    };
    if (kind === "post") start_fast_posts(callback(post, fail, { thread: "post", onError }), 1, 1);
    else start_waits(callback(wait, fail, { thread: "wait", onError }), 1, 1);
  },
  "blocked"() {
    // JavaScript is busy by itself, and the callback has no listener: the default prints the report.
    const made = callback(wait, () => 1, { thread: "wait", timeoutMs: 50, fallback: -7, name: "awaited" });
    const crew = start_waits(made, 1, 1);
    while (crew_waiting(crew) === 0) sleep_ms(1);
    keepBusy(300);
    console.log("C got", crew_join(crew));
    made.close();
  },
};

const [kind, name] = process.argv.slice(2);
await cases[name](kind as "post" | "wait");
console.log("end");
setTimeout(() => {
  console.log("timer");
  inTimer();
}, timerMs).unref();
