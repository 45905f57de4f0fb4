/**
 * Whether there is stack left, for what can't be done again when it ends in the middle.
 *
 * @module
 */

/** Some kilobytes of the stack: what a function of belay's and the runtime's way to C need. */
const frames = 100;

/** Not in tail position: an engine would make a loop of that. */
function descend(depth: number): number {
  return depth === 0 ? 0 : 1 + descend(depth - 1);
}

/** Looks whether some stack is left, before anything has changed. @throws {RangeError} When it is nearly used up. */
export function checkStack(verb: string): void {
  let found = 0;
  try {
    found = descend(frames);
  } catch {
    // The engine's own error says less.
  }
  if (found !== frames) throw new RangeError(`Cannot ${verb}: the stack is nearly used up; it can be tried again`);
}
