/**
 * The part of `@std/assert` that belay's tests use, over `node:assert`, for machines that can't reach JSR. The names and
 * meanings are the original's, so that the tests run with either.
 *
 * @module
 */

import nodeAssert, { AssertionError } from "node:assert";

export { AssertionError };

// A class with any constructor: what `instanceof` takes.
type Class<T> = abstract new (...args: never[]) => T;

export function assert(condition: unknown, message?: string): asserts condition {
  nodeAssert.ok(condition, message ?? "expected a truthy value");
}

export function assertFalse(condition: unknown, message?: string): void {
  nodeAssert.ok(!condition, message ?? "expected a falsy value");
}

export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.deepStrictEqual(actual, expected, message as string);
}

export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.notDeepStrictEqual(actual, expected, message as string);
}

export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, message as string);
}

export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.notStrictEqual(actual, expected, message as string);
}

export function assertInstanceOf<T>(actual: unknown, expected: Class<T>, message?: string): asserts actual is T {
  nodeAssert.ok(
    actual instanceof expected,
    message ?? `expected an instance of ${expected.name}, got ${String(actual)}`,
  );
}

export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  nodeAssert.match(actual, expected, message as string);
}

export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  nodeAssert.ok(actual.includes(expected), message ?? `expected ${JSON.stringify(actual)} to include "${expected}"`);
}

export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.ok(actual > expected, message ?? `expected ${String(actual)} > ${String(expected)}`);
}

export function assertLess<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.ok(actual < expected, message ?? `expected ${String(actual)} < ${String(expected)}`);
}

export function assertThrows<E extends Error>(
  fn: () => unknown,
  errorClass: Class<E>,
  includes?: string,
  message?: string,
): E;
export function assertThrows(fn: () => unknown, message?: string): unknown;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  errorClass?: Class<E> | string,
  includes?: string,
  message?: string,
): unknown {
  let thrown: { error: unknown } | undefined;
  try {
    fn();
  } catch (error) {
    thrown = { error };
  }
  const wanted = typeof errorClass === "function" ? errorClass : undefined;
  nodeAssert.ok(thrown !== undefined, message ?? `expected ${wanted?.name ?? "an error"}, nothing was thrown`);
  if (wanted !== undefined) {
    assertInstanceOf(thrown.error, wanted, message);
    if (includes !== undefined) assertStringIncludes(thrown.error.message, includes, message);
  }
  return thrown.error;
}

export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: Class<E>,
  includes?: string,
  message?: string,
): Promise<E> {
  let rejected: { error: unknown } | undefined;
  try {
    await fn();
  } catch (error) {
    rejected = { error };
  }
  nodeAssert.ok(rejected !== undefined, message ?? `expected ${errorClass.name}, nothing was rejected`);
  assertInstanceOf(rejected.error, errorClass, message);
  if (includes !== undefined) assertStringIncludes(rejected.error.message, includes, message);
  return rejected.error;
}
