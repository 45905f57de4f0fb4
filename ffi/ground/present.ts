/**
 * What is there although TypeScript can't know it.
 *
 * @module
 */

/**
 * A value that the code before has seen to, such as an element inside of its array. Strict programs check belay's sources, too, and
 * to them any index may be outside. It takes the value, not the array and the index: engines would learn one place of all arrays.
 */
export function present<T>(value: T | undefined): T {
  return value as T;
}
