/**
 * What is made together is released together.
 *
 * @module
 */

import { type Callback, callback } from "./callbacks/callback.ts";
import type { CallbackOptions, PostFunction, PostOptions } from "./callbacks/options.ts";
import { checkStack } from "./ground/stack.ts";
import { Handle } from "./lifetime/handle.ts";
import type { FetchingDefinition } from "./types/definitions.ts";
import type { CallbackFunction, NotPromise, SuspendingFunction } from "./types/inference.ts";

/**
 * Releases what was made with it, last made first, at the end of a `using` block.
 *
 * That goes for a block that throws, and for one that awaits meanwhile. Every step runs, also if another one throws.
 * Several errors come out as a `SuppressedError`.
 *
 * *Ownership:* what the scope made is released with it. You may release something by hand before.
 *
 * *Errors:* a scope that has ended throws a `ReferenceError`, and makes nothing.
 *
 * ```ts
 * import { Scope, stats } from "@belay/ffi";
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
 * assert(stats().live.handles === 0 && stats().live.callbacks === 0);
 * ```
 */
export class Scope {
  readonly #stack = new DisposableStack();

  /**
   * Whether the scope has ended.
   *
   * @returns `true` once everything has been released.
   */
  get disposed(): boolean {
    return this.#stack.disposed;
  }

  /**
   * Makes a callback for calls from any thread, and closes it with the scope; see {@linkcode callback}.
   *
   * @typeParam D The type of the definition, which TypeScript infers.
   * @param definition The types of the parameters; the result is `"void"`.
   * @param fn The function that the event loop calls.
   * @param options The options, of which `thread` is `"post"`.
   * @returns The callback.
   * @throws {ReferenceError} If the scope has ended. Nothing is made then.
   * @throws {TypeError | RangeError} For the reasons that {@linkcode callback} has.
   */
  callback<const D extends FetchingDefinition & { readonly result: "void" }>(
    definition: D,
    fn: PostFunction<D>,
    options: PostOptions<D>,
  ): Callback<D>;
  /**
   * Makes a callback, and closes it with the scope; see {@linkcode callback}.
   *
   * @typeParam D The type of the definition, which TypeScript infers.
   * @param definition The types of the parameters and the result.
   * @param fn The function that C calls.
   * @param options The answer if the function can't give one, the threads that may call it, and so on.
   * @returns The callback.
   * @throws {ReferenceError} If the scope has ended. Nothing is made then.
   * @throws {TypeError | RangeError | PointerRuleError} For the reasons that {@linkcode callback} has.
   */
  callback<const D extends FetchingDefinition>(
    definition: D,
    fn: CallbackFunction<D>,
    options?: CallbackOptions<D>,
  ): Callback<D>;
  /**
   * Makes a callback that may be `async`, for calls that suspend, and closes it with the scope; see {@linkcode callback}.
   *
   * @typeParam D The type of the definition, which TypeScript infers.
   * @param definition The types of the parameters and the result.
   * @param fn The function that C calls.
   * @param options As for other callbacks, with `suspends: true`.
   * @returns The callback.
   * @throws {ReferenceError} If the scope has ended. Nothing is made then.
   * @throws {TypeError | RangeError | PointerRuleError} For the reasons that {@linkcode callback} has.
   */
  callback<const D extends FetchingDefinition>(
    definition: D,
    fn: SuspendingFunction<D>,
    options: CallbackOptions<D> & { readonly suspends: true },
  ): Callback<D>;
  callback<const D extends FetchingDefinition>(
    definition: D,
    fn: CallbackFunction<D>,
    options?: CallbackOptions<D>,
  ): Callback<D> {
    this.check();
    return this.#stack.use(callback(definition, fn, options));
  }

  /**
   * Creates a handle, and deletes it with the scope. You may delete it before.
   *
   * @typeParam T The type of the value.
   * @param value The value that C is to hold.
   * @returns The handle.
   * @throws {ReferenceError} If the scope has ended. Nothing is made then.
   * @throws {RangeError} If all slots hold live handles.
   */
  handle<T>(value: T): Handle<T> {
    this.check();
    return this.#stack.use(Handle.create(value));
  }

  /**
   * Makes something disposable, such as a library, a part of the scope: it is disposed of with the scope.
   *
   * ```ts
   * import { dlopen, NativeMemory, Scope } from "@belay/ffi";
   * import { assert } from "@std/assert";
   *
   * function open() {
   *   using scope = new Scope();
   *   const libc = scope.use(dlopen({ name: "c", versions: ["6"] }, { abs: { parameters: ["i32"], result: "i32" } }));
   *   scope.use(NativeMemory.alloc(16));
   *   assert(libc.symbols.abs(-7) === 7);
   *   return libc;
   * }
   * assert(open().disposed);
   * ```
   *
   * @typeParam T The type of the value.
   * @param value What has a `[Symbol.dispose]()`. `null` and `undefined` are taken, and do nothing.
   * @returns The value itself.
   * @throws {ReferenceError} If the scope has ended.
   * @throws {TypeError} If it isn't disposable.
   */
  use<T extends Disposable | null | undefined>(value: T): T {
    return this.#stack.use(value);
  }

  /**
   * Has a function called when its turn to be released comes.
   *
   * @param step The function. It can't be `async`, since nothing would wait for it.
   * @throws {ReferenceError} If the scope has ended.
   */
  defer(step: () => NotPromise): void {
    this.#stack.defer(step);
  }

  /**
   * Releases everything, last made first. Doing it again does nothing.
   *
   * @throws What a step threw, once all have run; several errors as a `SuppressedError`.
   * @throws {RangeError} If the stack is nearly used up. Nothing is released then, and you can try again.
   */
  dispose(): void {
    // Each step is taken once, whatever it throws.
    if (!this.disposed) checkStack("dispose of a scope");
    this.#stack.dispose();
  }

  /** Releases everything at the end of a `using` block; see {@linkcode Scope.dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @ignore Refuses to go on if the scope has ended. @throws {ReferenceError} If it has. */
  protected check(): void {
    if (this.disposed) throw new ReferenceError("Cannot use a scope: it has been disposed of");
  }
}
