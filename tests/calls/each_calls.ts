/**
 * The test library's `each`, which calls back a number of times: as a call that suspends, on a stack of its own, and as it is.
 *
 * @module
 */

export const binary = { parameters: ["i32", "i32"], result: "i32" } as const;
const each = { name: "each", parameters: ["i32", binary, "i32"], result: "i32" } as const;

/** The definitions, for `dlopen`. */
export const eachCalls = {
  each: { ...each, suspends: true },
  eachAtOnce: { ...each, stack: "own" },
  plainEach: each,
} as const;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
