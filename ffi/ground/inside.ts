/**
 * What keeps programs from making by hand what only belay can make.
 *
 * @module
 */

/**
 * The first argument of constructors that are belay's alone. Objects made from anything else would lead C to addresses
 * that nobody has checked.
 */
export const inside: unique symbol = Symbol("inside of belay");

/** Refuses a constructor's caller. @throws {TypeError} That says what makes such an object. */
export function refuseNew(what: string, maker: string): never {
  throw new TypeError(`Cannot construct a ${what}: ${maker} makes it`);
}
