/**
 * Crews of C's threads that call callbacks, and what waits for them.
 *
 * @module
 */

import { it } from "@std/testing/bdd";
import { callback, configure, dlopen, type Report, stats } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";
import { type Crew, post, threadDefinitions, wait } from "../programs/threads.ts";
import { until } from "../support/until.ts";

/** A callback that is only called. */
export const nothing = { parameters: [], result: "void" } as const;
const definitions = {
  ...threadDefinitions,
  crew_tell_to_stop: { parameters: ["pointer"], result: "void" },
  crew_longest_ms: { parameters: ["pointer"], result: "f64" },
  start_posts: { parameters: [post, post, "i32", "i32"], result: "pointer" },
  start_plain: { parameters: [nothing, "i32", "i32"], result: "pointer" },
  start_user_data: { parameters: ["function", "handle", "i32", "i32"], result: "pointer" },
  start_owned: { parameters: ["function", "function", "pointer", "i32"], result: "pointer" },
  destroy_each: { parameters: ["function", "buffer", "u32", "u32"], result: "void" },
  start_texts: { parameters: ["function", "i32", "i32"], result: "pointer" },
  start_through: { parameters: ["function", "i32", "buffer", "i32"], result: "pointer" },
  call_here: { parameters: [wait, "i32", "i32"], result: "i32" },
  post_here: { parameters: [post, "i32", "i32"], result: "void" },
  post_and_join: { parameters: [post, "i32", "i32"], result: "i64" },
  wait_and_join: { parameters: [wait, "i32", "i32"], result: "i64" },
} as const;
/** The test library's functions of threads. */
export const c = dlopen(testLibrary, definitions).symbols;
/** Functions that don't need threads. */
export const { relay_i32, call_void } = dlopen(testLibrary, {
  relay_i32: { parameters: [{ parameters: ["i32"], result: "i32" }, "i32"], result: "i32" },
  call_void: { parameters: [nothing], result: "void" },
}).symbols;

/** A test after which nothing listens to reports. */
export function test(name: string, body: () => void | Promise<void>): void {
  it(name, async () => {
    try {
      await body();
    } finally {
      configure({ onReport: undefined });
    }
  });
}

/** Waits for threads without blocking, and answers the sum of their answers. */
export async function ended(crew: Crew): Promise<bigint> {
  await until(() => c.crew_running(crew) === 0, "the end of the threads");
  return c.crew_join(crew);
}

/** Lets what is queued be called: it comes before a call that is queued now. */
export async function served(): Promise<void> {
  let done = false;
  using last = callback(nothing, () => void (done = true), { thread: "post" });
  call_void(last);
  await until(() => done, "the queue's end");
}

/** What is reported from now on. */
export function listen(): Report[] {
  stats();
  const reports: Report[] = [];
  configure({ onReport: (report) => reports.push(report) });
  return reports;
}

/** The kinds of reports. */
export const kinds = (reports: readonly Report[]): string[] => reports.map(({ kind }) => kind);
