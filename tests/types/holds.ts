/**
 * What holds tests of types: equal types, and code that need only compile.
 *
 * @module
 */

import { assertStrictEquals } from "@std/assert";

/** Whether two types are the same; `any` is the same as nothing but itself. */
export type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

/** Compiles only for a type that is `true`. */
export function holds<T extends true>(...answer: T extends true ? [] : [T]): void {
  assertStrictEquals(answer.length, 0);
}

/** For what is only compiled. Answers the functions, so that nobody takes them for unused. */
export function compiles(...cases: readonly ((...given: never[]) => unknown)[]): void {
  for (const each of cases) assertStrictEquals(typeof each, "function");
}

/** A definition. */
export const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
