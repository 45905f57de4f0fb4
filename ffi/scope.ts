/**
 * What is made together is released together.
 *
 * @module
 */

import { type Callback, callback } from "./callbacks/callback.ts";
import type { CallbackOptions, PostFunction, PostOptions } from "./callbacks/options.ts";
import { checkStack } from "./ground/stack.ts";
import { Handle } from "./lifetime/handle.ts";
import type { CallbackDefinition } from "./types/definitions.ts";
import type { CallbackFunction, NotPromise } from "./types/inference.ts";

/**
 * Releases what it made, last made first, when it is disposed of: at the end of a `using` block, also when that throws
 * or is suspended by `await` meanwhile. Every step runs, even when others throw; several errors come out as a
 * `SuppressedError`.
 *
 * ```ts
 * import { Scope } from "@belay/ffi";
 * import { assert } from "@std/assert";
 *
 * const released: string[] = [];
 * {
 *   using scope = new Scope();
 *   scope.defer(() => released.push("first made"));
 *   const user = scope.handle({ name: "belay" });
 *   const onName = scope.callback({ parameters: ["handle"], result: "void" }, () => {});
 *   scope.defer(() => released.push("last made"));
 *   assert(user.id > 0 && !onName.disposed);
 * }
 * assert(released.join() === "last made,first made");
 * ```
 */
export class Scope {
  readonly #stack = new DisposableStack();

  /** Whether it was disposed of. */
  get disposed(): boolean {
    return this.#stack.disposed;
  }

  /** As {@linkcode callback}. @throws {ReferenceError} When the scope was disposed of; nothing is made then. */
  callback<const D extends CallbackDefinition & { readonly result: "void" }>(
    definition: D,
    fn: PostFunction<D>,
    options: PostOptions<D>,
  ): Callback<D>;
  callback<const D extends CallbackDefinition>(
    definition: D,
    fn: CallbackFunction<D>,
    options?: CallbackOptions<D>,
  ): Callback<D>;
  callback<const D extends CallbackDefinition>(
    definition: D,
    fn: CallbackFunction<D>,
    options?: CallbackOptions<D>,
  ): Callback<D> {
    this.check();
    return this.#stack.use(callback(definition, fn, options));
  }

  /** As {@linkcode Handle.create}. Deleting it before the scope ends is allowed. @throws {ReferenceError} As above. */
  handle<T>(value: T): Handle<T> {
    this.check();
    return this.#stack.use(Handle.create(value));
  }

  /** Makes something disposable, such as a library, a part of the scope, and answers it. @throws {ReferenceError} As above. */
  use<T extends Disposable | null | undefined>(value: T): T {
    return this.#stack.use(value);
  }

  /** Has a function called when its turn comes: no `async` one, which nobody would wait for. @throws {ReferenceError} As above. */
  defer(step: () => NotPromise): void {
    this.#stack.defer(step);
  }

  /**
   * Releases everything, last made first. Doing it again does nothing.
   *
   * @throws What a step threw, once all have run.
   * @throws {RangeError} When the stack is nearly used up: nothing is released then, and it can be tried again.
   */
  dispose(): void {
    // Each step is taken once, whatever it throws.
    if (!this.disposed) checkStack("dispose of a scope");
    this.#stack.dispose();
  }

  /** As {@linkcode Scope.dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws {ReferenceError} When it was disposed of. */
  protected check(): void {
    if (this.disposed) throw new ReferenceError("Cannot use a scope: it has been disposed of");
  }
}
