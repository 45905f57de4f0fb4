/**
 * Buffers and views as the engine has them. A subclass, an object's own property or a `Symbol.toStringTag` may say something
 * else than where the memory is. The engine's own getters take buffers of other realms, too, and nothing else.
 *
 * @module
 */

// As they were before the program could replace them.
const { DataView, SharedArrayBuffer } = globalThis;
const isView: (value: unknown) => value is ArrayBufferView = ArrayBuffer.isView;
const transfer = ArrayBuffer.prototype.transfer;

type Getter<T> = (this: unknown) => T;

function getter<T>(prototype: object, name: string): Getter<T> {
  return Object.getOwnPropertyDescriptor(prototype, name)?.get as Getter<T>;
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
/** What a typed array is asked that is known to be one. */
export const typedArrayBuffer: Getter<ArrayBufferLike> = getter<ArrayBufferLike>(typedArray, "buffer");
export const typedArrayByteLength: Getter<number> = getter(typedArray, "byteLength");
const dataViewBuffer = getter<ArrayBufferLike>(DataView.prototype, "buffer");
const dataViewByteOffset = getter<number>(DataView.prototype, "byteOffset");
const dataViewByteLength = getter<number>(DataView.prototype, "byteLength");
const bufferByteLength = getter<number>(ArrayBuffer.prototype, "byteLength");
const bufferDetached = getter<boolean>(ArrayBuffer.prototype, "detached");
const bufferResizable = getter<boolean>(ArrayBuffer.prototype, "resizable");
const sharedByteLength = getter<number>(SharedArrayBuffer.prototype, "byteLength");

/** What a getter says; `undefined` when the value is nothing that has it. */
function ask<T>(getter: Getter<T>, value: unknown): T | undefined {
  try {
    return getter.call(value);
  } catch (error) {
    // The stack is used up.
    if (error instanceof RangeError) throw error;
    return undefined;
  }
}

export { isView };

/** The buffer of a view. Asking for it is what makes Bun give a small array the place where it stays. */
export function bufferOf(view: ArrayBufferView): ArrayBufferLike {
  // The prototype only suggests which of the two it is.
  try {
    return (view instanceof DataView ? dataViewBuffer : typedArrayBuffer).call(view);
  } catch {
    return (view instanceof DataView ? typedArrayBuffer : dataViewBuffer).call(view);
  }
}

/** How many bytes a buffer has; `undefined` for what is none. */
export function lengthOfBuffer(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  // A thrown error takes a microsecond: the likelier one is asked first.
  return value instanceof SharedArrayBuffer
    ? ask(sharedByteLength, value) ?? ask(bufferByteLength, value)
    : ask(bufferByteLength, value) ?? ask(sharedByteLength, value);
}

/** How many bytes a typed array has, none when its buffer is detached; `undefined` for another view. */
export function lengthOfTypedArray(view: ArrayBufferView): number | undefined {
  return ask(typedArrayByteLength, view);
}

/** Where a `DataView` begins and how long it is; `undefined` for another view, and when its buffer is detached. */
export function rangeOfDataView(view: ArrayBufferView): { byteOffset: number; byteLength: number } | undefined {
  const byteLength = ask(dataViewByteLength, view);
  return byteLength === undefined ? undefined : { byteOffset: dataViewByteOffset.call(view), byteLength };
}

/** Whether a buffer was detached: it has no memory any more. */
export function isDetached(buffer: ArrayBufferLike): boolean {
  return ask(bufferDetached, buffer) ?? false;
}

/** Whether a buffer can shrink, which gives pages back to the system. One that is shared only grows, in place. */
export function isResizable(buffer: ArrayBufferLike): boolean {
  return buffer instanceof SharedArrayBuffer && ask(sharedByteLength, buffer) !== undefined
    ? false
    : ask(bufferResizable, buffer) ?? false;
}

/** Detaches a buffer, and answers whether that worked: JavaScriptCore copies one that the runtime itself is using. */
export function detach(buffer: ArrayBuffer): boolean {
  if (!isDetached(buffer)) transfer.call(buffer, 0);
  return isDetached(buffer);
}
