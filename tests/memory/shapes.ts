/**
 * Structures and a union, a value of one, and C functions that take and give them.
 *
 * @module
 */

import { array, charArray, dlopen, handle, struct, union } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

export const i32ToI32 = { parameters: ["i32"], result: "i32" } as const;
export const Point = struct({ x: "i32", y: "f64" });
export const Node = struct({
  name: charArray(8),
  at: Point,
  weights: array("f32", 3),
  path: array(Point, 2),
  grid: array(array("u8", 2), 2),
  size: "u64",
  live: "bool",
});
export const Bearer = struct({ handle: handle<string>(), name: "cstring", call: i32ToI32, value: "i32" });
export const Narrow = union({ small: "u8", large: "u64" });
/** A value of `Node`. */
export const first = {
  name: "first",
  at: { x: 1, y: 0.5 },
  weights: [1, 2, 3],
  path: [{ x: 1, y: 1 }, { x: 2, y: 2 }],
  grid: [[1, 2], [3, 4]],
  size: 7n,
  live: true,
};

/** C functions that take and give them, of a library that stays open. */
export const { symbols } = dlopen(testLibrary, {
  useBearer: { parameters: [Bearer], result: "i32", name: "use_bearer" },
  relayBearer: { parameters: [{ parameters: [Bearer], result: "i32" }, Bearer], result: "i32", name: "relay_bearer" },
  makeBearer: { parameters: [handle<string>(), "i32"], result: Bearer, name: "make_bearer" },
  makeOfNumber: { parameters: ["u64", "i32"], result: Bearer, name: "make_bearer" },
  makeLater: { parameters: ["u64", "i32"], result: Bearer, name: "make_bearer", nonblocking: true },
  largeOf: { parameters: [Narrow], result: "u64", name: "large_of" },
  fill: {
    parameters: ["u64", "u64", "u64", "u64", "u64", "u64", struct({ x: "f64", y: "f64" })],
    result: "u64",
    name: "fill_words",
  },
  greeting: { parameters: [], result: "pointer" },
});

/** Sets a property that TypeScript would not let be set so. */
export function set(view: object, key: string, value: unknown): void {
  (view as Record<string, unknown>)[key] = value;
}
