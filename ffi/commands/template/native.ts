/**
 * The library of a new project, in Zig or in C.
 *
 * @module
 */

import type { Names } from "./names.ts";

/** `native/<library>.zig`. */
export function zigSource({ library }: Names): string {
  return `//! The library. \`export\` gives a function C's name and calling convention.
//! src/mod.ts declares each exported function.

/// Whether \`number\` is a prime number.
export fn ${library}_is_prime(number: u32) bool {
    return isPrime(number);
}

/// Is called with a prime number and with its caller's user data. Returns whether to go on.
const Visitor = *const fn (prime: u32, user_data: ?*anyopaque) callconv(.c) bool;

/// Calls \`visit\` with each prime number below \`limit\`, until it returns false.
export fn ${library}_each_prime(limit: u32, visit: Visitor, user_data: ?*anyopaque) void {
    var number: u32 = 2;
    while (number < limit) : (number += 1) {
        if (isPrime(number) and !visit(number, user_data)) return;
    }
}

fn isPrime(number: u32) bool {
    if (number < 2) return false;
    var divisor: u32 = 2;
    while (divisor <= number / divisor) : (divisor += 1) {
        if (number % divisor == 0) return false;
    }
    return true;
}
`;
}

/** `native/<library>.h`. */
export function cHeader({ library }: Names): string {
  const prefix = library.toUpperCase();
  return `/* The library's functions. src/mod.ts declares each of them. */

#ifndef ${prefix}_H
#define ${prefix}_H

#include <stdbool.h>
#include <stdint.h>

#ifdef _WIN32
#define ${prefix}_EXPORT __declspec(dllexport)
#else
#define ${prefix}_EXPORT __attribute__((visibility("default")))
#endif

/* Whether \`number\` is a prime number. */
${prefix}_EXPORT bool ${library}_is_prime(uint32_t number);

/* Is called with a prime number and with its caller's user data. Returns whether to go on. */
typedef bool ${library}_visitor(uint32_t prime, void *user_data);

/* Calls \`visit\` with each prime number below \`limit\`, until it returns false. */
${prefix}_EXPORT void ${library}_each_prime(uint32_t limit, ${library}_visitor *visit, void *user_data);

#endif
`;
}

/** `native/<library>.c`. */
export function cSource({ library }: Names): string {
  return `#include "${library}.h"

bool ${library}_is_prime(uint32_t number) {
  if (number < 2) return false;
  for (uint32_t divisor = 2; divisor <= number / divisor; divisor++) {
    if (number % divisor == 0) return false;
  }
  return true;
}

void ${library}_each_prime(uint32_t limit, ${library}_visitor *visit, void *user_data) {
  for (uint32_t number = 2; number < limit; number++) {
    if (${library}_is_prime(number) && !visit(number, user_data)) return;
  }
}
`;
}
