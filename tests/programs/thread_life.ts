/**
 * Whether callbacks for other threads keep the process alive, and what happens to errors that nobody takes, by the name of
 * the case. Prints "end" at the end of the program, and "timer" when it is still there after so many milliseconds, which
 * are the last argument.
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import { callback, pointerValue } from "@belay/ffi";
import { rawOpen } from "../bench/raw.ts";
import { testLibrary } from "../../scripts/build.ts";
import { collectFully } from "../support/gc.ts";
import { until } from "../support/until.ts";
import { keepBusy, openThreads, type Post, post, type Wait, wait } from "./threads.ts";

const { start_fast_posts, start_waits, crew_join, crew_running } = openThreads(testLibrary).symbols;
const making = {
  post: () => callback(post, () => {}, { thread: "post" }),
  wait: () => callback(wait, () => 1, { thread: "wait" }),
};

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
  },
  "called once"(kind) {
    if (kind === "post") {
      start_fast_posts(callback(post, () => void console.log("called"), { thread: "post", once: true }), 1, 1);
    } else {
      start_waits(callback(wait, () => (console.log("called"), 1), { thread: "wait", once: true }), 1, 1);
    }
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
    const made = callback(wait, () => 1, { thread: "wait", timeoutMs: 500, fallback: -7, name: "awaited" });
    // Past belay, since a timeout in a native call is that call's.
    const raw = rawOpen(testLibrary, { crew_running: { parameters: ["u64"], result: "i32" } });
    const crew = start_waits(made, 1, 1);
    while (Number(raw["crew_running"](pointerValue(crew))) > 0) keepBusy(1);
    console.log("C got", crew_join(crew));
    made.close();
  },
};

const [kind, name, timerMs] = process.argv.slice(2);
await cases[name](kind as "post" | "wait");
console.log("end");
setTimeout(() => {
  console.log("timer");
  process.exit();
}, Number(timerMs)).unref();
