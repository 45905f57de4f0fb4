/**
 * The part of `@std/testing/bdd` that belay's tests use, over `node:test`, for machines that can't reach JSR.
 *
 * @module
 */

export { after as afterAll, afterEach, before as beforeAll, beforeEach, describe, it } from "node:test";
