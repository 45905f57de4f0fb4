/**
 * Definitions of nonblocking calls, and what their promises are rejected with.
 *
 * @module
 */

/** A function that is lent to a call. */
export const i32Function = { parameters: ["i32"], result: "i32" } as const;
/** Has a function called a number of times. */
export const onMany = { parameters: [i32Function, "i32"], result: "i32", nonblocking: true } as const;

/** What a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not rejected");
}
