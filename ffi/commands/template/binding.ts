/**
 * The TypeScript of a new project: the binding of its library, and its tests.
 *
 * @module
 */

import type { Names } from "./names.ts";

/** `src/mod.ts`. */
export function binding({ library }: Names): string {
  return `/** Prime numbers, from the library in the folder \`native\`. */

import { callback, dlopen, Handle, handle } from "@belay/ffi";
import process from "node:process";

/** Is called with a prime number. Returns whether to go on. */
export type Visitor = (prime: number) => boolean;

// bool (*)(uint32_t prime, void *user_data)
// The user data is a handle: C gets a number, which stands for a visitor. So one
// C function serves all visitors. If a visitor throws, C gets false and stops.
const visit = callback(
  { parameters: ["u32", handle<Visitor>()], result: "bool" },
  (prime, visitor) => visitor(prime),
  { name: "visit", fallback: false },
);

const { platform, arch } = process;
const files: Record<string, string> = {
  linux: "lib${library}.so",
  darwin: "lib${library}.dylib",
  win32: "${library}.dll",
};
// The folder is as far from dist/mod.js, which the package has, as from here.
const path = \`../native/lib/\${platform}-\${arch}/\${files[platform]}\`;
const { symbols } = dlopen(new URL(path, import.meta.url), {
  // bool is_prime(uint32_t number)
  isPrime: {
    name: "${library}_is_prime",
    parameters: ["u32"],
    result: "bool",
  },
  // void each_prime(uint32_t limit, visitor *visit, void *user_data)
  eachPrime: {
    name: "${library}_each_prime",
    parameters: ["u32", visit.definition, handle<Visitor>()],
    result: "void",
  },
});

/**
 * Whether a number is a prime number.
 *
 * @param number A whole number from 0 to 2^32 - 1.
 */
export function isPrime(number: number): boolean {
  return symbols.isPrime(number);
}

/**
 * Calls \`visitor\` with each prime number below \`limit\`, until it returns false.
 *
 * If \`visitor\` throws, the search ends, and this function throws the error.
 *
 * @param limit A whole number from 0 to 2^32 - 1.
 */
export function eachPrime(limit: number, visitor: Visitor): void {
  using user = Handle.create(visitor);
  symbols.eachPrime(limit, visit, user);
}
`;
}

// As a value, since what a template imports is no import of this module's.
const tested = "../src/mod.ts";

/** `tests/mod_test.ts`. */
export function bindingTest(): string {
  return `import { stats } from "@belay/ffi";
import assert from "node:assert/strict";
import { test } from "node:test";
import { eachPrime, isPrime } from "${tested}";

/** The prime numbers that a search visits, until there are so many. */
function primes(limit: number, most = Infinity): number[] {
  const found: number[] = [];
  eachPrime(limit, (prime) => found.push(prime) < most);
  return found;
}

test("isPrime says whether a number is prime", () => {
  assert.equal(isPrime(97), true);
  assert.equal(isPrime(91), false);
});

test("isPrime refuses what isn't a uint32_t", () => {
  assert.throws(() => isPrime(-1), RangeError);
});

test("eachPrime visits the primes below the limit", () => {
  assert.deepEqual(primes(20), [2, 3, 5, 7, 11, 13, 17, 19]);
});

test("eachPrime ends when the visitor returns false", () => {
  assert.deepEqual(primes(20, 3), [2, 3, 5]);
});

test("eachPrime throws what its visitor throws, and ends", () => {
  const error = new Error("thrown by the visitor");
  const seen: number[] = [];
  const search = () =>
    eachPrime(20, (prime) => {
      seen.push(prime);
      throw error;
    });
  assert.throws(search, (thrown) => thrown === error);
  assert.deepEqual(seen, [2]);
});

test("searches leave nothing alive", () => {
  const before = stats().live;
  primes(1000);
  assert.deepEqual(stats().live, before);
});
`;
}
