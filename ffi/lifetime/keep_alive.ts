/**
 * Keeping the event loop alive, the same way on every runtime.
 *
 * @module
 */

// As they were before the program could replace them: one that was made is ended by the same runtime's function.
const { setInterval, clearInterval } = globalThis;

/** What keeps the loop alive, with what must not be collected meanwhile. */
const holders = new Map<object, object>();
let timer: ReturnType<typeof setInterval> | undefined;
const lookMs = 1000;

/**
 * Keeps the event loop alive, and `kept` from being collected, until the holder is let go.
 *
 * @param look Called now and then meanwhile, to tell a program that waits in vain why.
 */
export function keepAlive(holder: object, kept: object, look: () => unknown): void {
  holders.set(holder, kept);
  timer ??= setInterval(look, lookMs);
}

/** Ends what {@linkcode keepAlive} began; does nothing for what was never held. */
export function letGo(holder: object): void {
  holders.delete(holder);
  // Also when the stack ended here the last time.
  if (holders.size > 0 || timer === undefined) return;
  clearInterval(timer);
  timer = undefined;
}
